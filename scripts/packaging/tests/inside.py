"""Under a systemd of its own: installs the package, uses the service as people do, removes it, purges it."""
import json
import os
import pathlib
import signal
import subprocess
import time

import peers
from checks import Checks, wait_for

PACKAGE = "/package-test/gateway.deb"
CONFIGURATION = pathlib.Path("/etc/gateway/gateway.json")
DROP_IN = pathlib.Path("/etc/systemd/system/gateway.service.d/test.conf")
checks = Checks()


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


def good(what, *command):
    made = run(*command)
    return checks.that(made.returncode == 0, what, made.stdout + made.stderr + journal())


def show(name, unit="gateway.service"):
    return run("systemctl", "show", unit, "--property", name, "--value").stdout.strip()


def journal():
    return run("journalctl", "--unit=gateway.service", "--no-pager", "--lines=15", "--output=cat").stdout


def configure(value):
    CONFIGURATION.write_text(json.dumps(value))


def drop_in(text):
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text(text)
    run("systemctl", "daemon-reload")


def served(port=8080, path="/api/x"):
    return peers.get(port, path)[0]


def install():
    # What it would do after each installation takes seconds and is of no interest.
    run("dpkg-divert", "--local", "--rename", "--add", "/usr/bin/mandb")
    os.symlink("/bin/true", "/usr/bin/mandb")
    good("dpkg installs it", "dpkg", "--install", PACKAGE)
    checks.equal((show("ActiveState"), show("UnitFileState")), ("active", "enabled"), "the service runs and is enabled")
    checks.that(show("StatusText").startswith("Serving: 1 listener"), "systemctl status says what it serves", journal())
    checks.equal(peers.get(9901, "/readyz")[0], 200, "with the shipped configuration it is ready")
    status = peers.get(8080, "/example/")[0]
    checks.equal(status, 502, "its example route leads to a server that is not there")


def sandboxed():
    pid = show("MainPID")
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    checks.that("0" not in values["Uid"].split(), "it is not root", values["Uid"])
    checks.equal({values[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")}, {"0" * 16}, "it has no capability")
    checks.equal((values["NoNewPrivs"], values["Seccomp"]), ("1", "2"), "no new privileges, and a filter of system calls")
    mounts = pathlib.Path(f"/proc/{pid}/mountinfo").read_text()
    root = next(line for line in mounts.splitlines() if line.split()[4] == "/")
    checks.that("ro" in root.split()[5].split(","), "the files of the system are read-only", root)
    store = pathlib.Path("/var/lib/gateway/gateway.db").stat()
    checks.equal((oct(store.st_mode & 0o7777), str(store.st_uid)), ("0o600", values["Uid"].split()[0]),
                 "the store is its own, mode 0600")
    checks.equal(oct(os.stat("/var/lib/gateway/").st_mode & 0o7777), "0o700", "in a directory of mode 0700")


def credential():
    secret = pathlib.Path("/etc/gateway/credentials/client-secret")
    secret.write_text(peers.SECRET + "\n")
    secret.chmod(0o600)
    configure(peers.configuration("/var/lib/gateway", {"credential": "client-secret"}, "127.0.0.1:8080", "127.0.0.1:9901",
                                  log={"access": "/var/log/gateway/access.log"}))
    good("it starts with a secret that only root can read", "systemctl", "restart", "gateway")
    checks.equal(served(), 200, "a request goes through with a token that took the secret")
    made = run("gateway", "status", "--config", str(CONFIGURATION))
    checks.that(made.returncode == 0 and "service" in made.stdout, "`gateway status` works for root", made.stdout + made.stderr)
    # The same by a drop-in, as one would pass a secret of another place.
    other = pathlib.Path("/srv/other-secret")
    other.write_text(peers.SECRET)
    drop_in("[Service]\nLoadCredential=other:/srv/other-secret\n")
    configure(peers.configuration("/var/lib/gateway", {"credential": "other"}, "127.0.0.1:8080", "127.0.0.1:9901",
                                  log={"access": "/var/log/gateway/access.log"}))
    good("and with a LoadCredential= of a drop-in", "systemctl", "restart", "gateway")
    checks.equal(served(), 200, "a request goes through with that one")
    checks.that(peers.SECRET not in journal(), "the secret is not in the journal")


def signals():
    pid = show("MainPID")
    good("systemctl reload succeeds", "systemctl", "reload", "gateway")
    checks.equal((show("MainPID"), served()), (pid, 200), "it is the same process, and serves")
    reloads(pid)

    log = pathlib.Path("/var/log/gateway/access.log")
    wait_for(lambda: log.exists() and log.stat().st_size > 0)
    good("logrotate rotates the access log", "logrotate", "--force", "/etc/logrotate.d/gateway")
    wait_for(lambda: log.exists())
    served(path="/api/after")
    wait_for(lambda: "/api/after" in log.read_text())
    checks.that("/api/after" in log.read_text() and "/api/x" in pathlib.Path(f"{log}.1").read_text(),
                "and the gateway writes into the new file", run("ls", "-la", "/var/log/gateway/").stdout)


def reloads(pid):
    """A file that is taken, one that is wrong, one that the running gateway refuses, one with another admin.token."""
    good_file = json.loads(CONFIGURATION.read_text())

    def reload(change):
        file = json.loads(json.dumps(good_file))
        change(file)
        configure(file)
        made = run("systemctl", "reload", "gateway")
        return made.returncode, (show("ActiveState"), show("MainPID"), served()), journal()

    unharmed = ("active", pid, 200)
    code, state, log = reload(lambda file: file.update(wrokers=2))
    checks.equal((code != 0, state), (True, unharmed), "a wrong file makes systemctl reload fail, and the service goes on")
    checks.that('did you mean "workers"?' in log, "the journal says what is wrong with it", log)
    code, state, log = reload(lambda file: file.update(workers=17))
    checks.equal((code != 0, state), (True, unharmed), "so does one that the running gateway can't take")
    checks.that("can't change while the gateway runs" in log, "and the journal says why", log)
    code, state, log = reload(lambda file: file["routes"].append(dict(file["routes"][0], name="more", match={"path_prefix": "/more/"})))
    checks.equal((code, state), (0, unharmed), "a good file is taken by the same process")
    checks.that("routes: added more" in log, "and the journal says what has changed", log)
    checks.equal(served(path="/more/x"), 200, "the new route is there")
    for text in ("first", "second"):
        code, state, log = reload(lambda file: file["admin"].update(token={"value": text}))
        checks.equal((code, state), (0, unharmed), f"admin.token changes by systemctl reload: the {text} one")
    passed = os.environ | {"CREDENTIALS_DIRECTORY": "/run/credentials/gateway.service"}
    made = run("gateway", "status", "--config", str(CONFIGURATION), env=passed)
    checks.that(made.returncode == 0 and "service" in made.stdout, "the last one counts", made.stdout + made.stderr)
    code, state, log = reload(lambda file: None)
    checks.equal((code, state), (0, unharmed), "and it goes by systemctl reload")


def watchdog():
    drop_in("[Service]\nWatchdogSec=1s\nRestartSec=100ms\n")
    configure(peers.configuration("/var/lib/gateway", {"credential": "client-secret"}, "127.0.0.1:8080", "127.0.0.1:9901"))
    good("it starts with a watchdog of a second", "systemctl", "restart", "gateway")
    pid = show("MainPID")
    time.sleep(3)
    checks.equal((show("MainPID"), show("NRestarts")), (pid, "0"), "and runs on past it")
    os.kill(int(pid), signal.SIGSTOP)
    wait_for(lambda: show("NRestarts") == "1" and show("ActiveState") == "active", 40)
    checks.that(show("NRestarts") == "1" and served() == 200, "when it stands still, systemd starts it again", journal())
    DROP_IN.unlink()
    run("systemctl", "daemon-reload")


def activation():
    """A port below 1024, which the service itself could not open."""
    example = pathlib.Path("/usr/share/doc/gateway/examples/gateway.socket").read_text()
    pathlib.Path("/etc/systemd/system/gateway.socket").write_text(example.replace("127.0.0.1:8080", "127.0.0.1:80"))
    configure(peers.configuration("/var/lib/gateway", {"credential": "client-secret"}, "127.0.0.1:80", "127.0.0.1:9901"))
    run("systemctl", "daemon-reload")
    run("systemctl", "stop", "gateway")
    good("the socket unit starts", "systemctl", "start", "gateway.socket")
    checks.equal(show("ActiveState"), "inactive", "before somebody comes, the service does not run")
    checks.equal(served(80), 200, "the first caller on port 80 starts it, and is served")
    statuses = set()
    for _ in range(3):
        run("systemctl", "restart", "--no-block", "gateway")
        statuses |= {served(80) for _ in range(20)}
    checks.equal(statuses, {200}, "callers during restarts wait instead of being refused")
    run("systemctl", "stop", "gateway.socket", "gateway.service")
    os.unlink("/etc/systemd/system/gateway.socket")
    run("systemctl", "daemon-reload")
    configure(peers.configuration("/var/lib/gateway", {"credential": "client-secret"}, "127.0.0.1:8080", "127.0.0.1:9901"))
    run("systemctl", "start", "gateway")


def replacement():
    drop_in("[Service]\nWatchdogSec=1s\n")
    good("it starts with a watchdog again", "systemctl", "restart", "gateway")
    for number in range(3):
        before = show("MainPID")
        good("a replacement is asked for", "systemctl", "kill", "--signal=USR2", "--kill-whom=main", "gateway")
        statuses = set()
        wait_for(lambda: statuses.add(served()) or show("MainPID") != before, 30)
        checks.that(show("MainPID") not in (before, "0") and show("ActiveState") == "active",
                    "another process is the main one", journal())
        checks.equal(statuses | {served()}, {200}, "callers notice nothing")
        wait_for(lambda: not os.path.exists(f"/proc/{before}"), 40)
        checks.that(not os.path.exists(f"/proc/{before}"), "the old process ends", journal())
    process = show("MainPID")
    time.sleep(3)
    checks.equal((show("MainPID"), show("NRestarts"), show("ActiveState")), (process, "0", "active"),
                 "the watchdog hears of the new one")
    good("it reloads", "systemctl", "reload", "gateway")
    value = CONFIGURATION.read_text()
    configure({"listeners": []})
    run("systemctl", "kill", "--signal=USR2", "--kill-whom=main", "gateway")
    wait_for(lambda: show("StatusText").startswith("Replacement failed"))
    checks.that(show("StatusText").startswith("Replacement failed") and show("MainPID") == process and served() == 200,
                "a wrong configuration leaves the old process in its place, which systemctl status says", journal())
    CONFIGURATION.write_text(value)
    DROP_IN.unlink()
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "gateway")


def upgrade():
    before = show("MainPID")
    started = show("ActiveEnterTimestampMonotonic")
    good("an upgrade succeeds", "dpkg", "--install", "--force-confdef", "--force-confold", PACKAGE)
    checks.that(show("MainPID") not in (before, "0") and served() == 200, "another process serves", journal())
    checks.equal(show("ActiveEnterTimestampMonotonic"), started, "without a restart of the service")
    checks.that('"service"' in CONFIGURATION.read_text(), "it leaves the changed configuration alone")
    before = show("MainPID")
    value = CONFIGURATION.read_text()
    configure({"listeners": []})
    made = run("dpkg", "--install", "--force-confdef", "--force-confold", PACKAGE)
    checks.that(made.returncode == 0 and "the old one goes on" in made.stderr, "an upgrade that can't go on says so",
                made.stdout + made.stderr)
    checks.that(show("MainPID") == before and served() == 200, "and leaves the old process serving", journal())
    CONFIGURATION.write_text(value)


def failure():
    configure({"listeners": []})
    made = run("systemctl", "restart", "gateway")
    checks.that(made.returncode != 0 and "is missing" in journal(), "a wrong configuration fails the start and says why", journal())
    run("systemctl", "stop", "gateway")


def remove():
    run("systemctl", "start", "gateway")
    good("dpkg removes it", "dpkg", "--remove", "gateway")
    checks.that(peers.get(9901, "/healthz")[0] == 0, "the service is stopped")
    checks.that(CONFIGURATION.exists() and pathlib.Path("/var/lib/gateway/gateway.db").exists(),
                "configuration and store are kept")
    checks.that(not pathlib.Path("/usr/bin/gateway").exists(), "the binary is gone")
    os.unlink("/etc/gateway/credentials/client-secret")
    good("dpkg purges it", "dpkg", "--purge", "gateway")
    left = [path for pattern in ("/etc/gateway*", "/etc/logrotate.d/gateway", "/etc/systemd/system/*/gateway*",
                                 "/etc/systemd/system/gateway.service", "/var/lib/systemd/deb-systemd-helper*/*gateway*",
                                 "/var/lib/gateway", "/var/lib/private/gateway", "/var/log/gateway",
                                 "/var/log/private/gateway", "/usr/share/doc/gateway")
            for path in map(str, pathlib.Path("/").glob(pattern[1:]))]
    checks.equal(left, [], "nothing is left")
    checks.equal(run("dpkg", "-s", "gateway").returncode, 1, "dpkg does not know it any more")


for part in (install, sandboxed, credential, signals, watchdog, activation, replacement, upgrade, failure, remove):
    try:
        part()
    except Exception as error:  # the next part says more
        checks.raised(part.__name__, error)
print("the end of the test inside", flush=True)
