"""What is in the package: files, permissions, dependencies, manual, completions, unit."""
import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess

FILES = {
    "etc/gateway/gateway.json": "-rw-r--r--",
    "etc/gateway/credentials/": "drwx------",
    "etc/logrotate.d/gateway": "-rw-r--r--",
    "lib/systemd/system/gateway.service": "-rw-r--r--",
    "usr/bin/gateway": "-rwxr-xr-x",
    "usr/share/bash-completion/completions/gateway": "-rw-r--r--",
    "usr/share/doc/gateway/README.md.gz": "-rw-r--r--",
    "usr/share/doc/gateway/changelog.gz": "-rw-r--r--",
    "usr/share/doc/gateway/copyright": "-rw-r--r--",
    "usr/share/doc/gateway/examples/dashboard.json": "-rw-r--r--",
    "usr/share/doc/gateway/examples/gateway.rules.yml": "-rw-r--r--",
    "usr/share/doc/gateway/examples/gateway.socket": "-rw-r--r--",
    "usr/share/doc/gateway/examples/oauth2.json": "-rw-r--r--",
    "usr/share/fish/vendor_completions.d/gateway.fish": "-rw-r--r--",
    "usr/share/lintian/overrides/gateway": "-rw-r--r--",
    "usr/share/man/man1/gateway.1.gz": "-rw-r--r--",
    "usr/share/man/man5/gateway.json.5.gz": "-rw-r--r--",
    "usr/share/zsh/vendor-completions/_gateway": "-rw-r--r--",
}


def output(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


def lines(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def run(checks, package, unpacked, directory):
    files(checks, package, unpacked)
    dependencies(checks, package, unpacked)
    manual(checks, unpacked)
    completions(checks, unpacked)
    configurations(checks, unpacked, directory)
    unit(checks, unpacked, directory)
    tags = output("lintian", "--allow-root", str(package))
    checks.equal(tags.stdout, "", "lintian finds nothing")
    again(checks, package, directory)


def files(checks, package, unpacked):
    entries = {}
    for line in lines("dpkg-deb", "-c", str(package)):
        mode, owner, _, _, _, name = line.split(None, 5)
        entries[name.removeprefix("./")] = (mode, owner)
    listed = {name: mode for name, (mode, _) in entries.items() if name in FILES or not name.endswith("/")}
    checks.equal({name: mode for name, mode in listed.items() if name}, FILES, "the files and their modes")
    folders = {mode for name, (mode, _) in entries.items() if name.endswith("/") and name not in FILES}
    checks.equal(folders, {"drwxr-xr-x"}, "the modes of all other directories")
    checks.equal({owner for _, owner in entries.values()}, {"root/root"}, "all of it belongs to root")
    sums = {}
    for line in lines("dpkg-deb", "-I", str(package), "md5sums"):
        digest, name = line.split("  ")
        sums[name] = digest
    real = {name: lines("md5sum", str(unpacked / name))[0].split()[0] for name in FILES
            if not name.startswith("etc/")}
    checks.equal(sums, real, "md5sums names every file but the conffiles, rightly")
    conffiles = lines("dpkg-deb", "-I", str(package), "conffiles")
    checks.equal(conffiles, ["/etc/gateway/gateway.json", "/etc/logrotate.d/gateway"], "the conffiles")
    sections = output("readelf", "-S", str(unpacked / "usr/bin/gateway")).stdout
    checks.that(".text" in sections and ".debug" not in sections and ".symtab" not in sections, "the binary is stripped")


def dependencies(checks, package, unpacked):
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", str(unpacked / "usr/bin/gateway")).stdout)
    checks.that(not any("swift" in name.lower() for name in needed), "no library of Swift's is needed", needed)
    depends = {item.split()[0] for item in lines("dpkg-deb", "-f", str(package), "Depends")[0].split(", ")}
    checks.equal(depends, {owner(library(unpacked, name)) for name in needed} | {"init-system-helpers"},
                 "Depends names the packages of the libraries that the binary needs")


def library(unpacked, name):
    """Where the linker finds a library."""
    for line in output("ldd", str(unpacked / "usr/bin/gateway")).stdout.splitlines():
        if name in line:
            return re.search(r"(/\S+)", line)[1]
    return name


def owner(path):
    """The package of a file; /lib is a link to /usr/lib, and packages know the one or the other."""
    for candidate in {path, os.path.realpath(path), path.removeprefix("/usr"), "/usr" + path,
                      os.path.realpath(path).removeprefix("/usr")}:
        found = output("dpkg", "-S", candidate).stdout
        if found:
            return found.split(":")[0]
    return f"nobody's {path}"


def manual(checks, unpacked):
    pages = {name: unpacked / f"usr/share/man/man{name[-1]}/{name}.gz" for name in ("gateway.1", "gateway.json.5")}
    text = {}
    for name, page in pages.items():
        made = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", str(page)], capture_output=True,
                              text=True, env={"PATH": os.environ["PATH"], "MANWIDTH": "200", "MANPAGER": "cat"})
        checks.equal(made.stderr, "", f"{name} has no errors")
        text[name] = re.sub(".\b", "", made.stdout)
    usage = output(str(unpacked / "usr/bin/gateway"), "--experimental-dump-help").stdout
    commands = [sub["commandName"] for sub in json.loads(usage)["command"]["subcommands"]]
    missing = [name for name in commands if name != "help" and f"gateway {name}" not in text["gateway.1"]]
    checks.that(not missing and "serve" in commands, "gateway(1) has every command", missing)
    keys = ("listeners[].caller_token", "store.encryption_key", "timeouts.drain", "token_url", "company_code")
    checks.that(all(key in text["gateway.json.5"] for key in keys), "gateway.json(5) has the keys", text["gateway.json.5"])


def completions(checks, unpacked):
    script = unpacked / "usr/share/bash-completion/completions/gateway"
    words = """source "$1"; COMP_WORDS=(gateway ser); COMP_CWORD=1; COMP_LINE="gateway ser"; COMP_POINT=11
        $(complete -p gateway | sed -E 's/.* -F ([^ ]+) .*/\\1/') gateway ser gateway; echo "${COMPREPLY[@]}" """
    made = output("bash", "-c", words, "bash", str(script))
    checks.that("serve" in made.stdout.split(), "bash completes `gateway ser`", made.stdout + made.stderr)
    for shell, path in (("zsh", "zsh/vendor-completions/_gateway"), ("fish", "fish/vendor_completions.d/gateway.fish")):
        file = unpacked / "usr/share" / path
        checks.that("serve" in file.read_text(), f"there is a completion for {shell}")
        if shutil.which(shell):
            checks.equal(output(shell, "--no-execute", str(file)).returncode, 0, f"{shell} takes it")


def configurations(checks, unpacked, directory):
    """The shipped files, with the directories that systemd makes."""
    binary = str(unpacked / "usr/bin/gateway")
    for name in ("etc/gateway/gateway.json", "usr/share/doc/gateway/examples/oauth2.json"):
        text = (unpacked / name).read_text()
        json.loads(text)
        folder = pathlib.Path(directory) / ("check-" + pathlib.Path(name).name)
        folder.mkdir(mode=0o700)
        (folder / "secrets").mkdir(mode=0o700)
        secret = folder / "secrets/service-client-secret"
        secret.write_text("secret")
        secret.chmod(0o600)
        file = folder / "gateway.json"
        file.write_text(text.replace("/var/lib/gateway", str(folder)).replace("/var/log/gateway", str(folder)))
        made = output(binary, "check", "--config", str(file), env={"CREDENTIALS_DIRECTORY": str(folder / "secrets")})
        checks.that(made.returncode == 0 and made.stderr == "", f"{name} is a configuration without warnings", made.stderr)
    made = output("logrotate", "--debug", str(unpacked / "etc/logrotate.d/gateway"))
    checks.that(made.returncode == 0 and "error:" not in made.stderr, "logrotate takes its file", made.stderr)
    changelog = gzip.open(unpacked / "usr/share/doc/gateway/changelog.gz", "rt").read()
    version = output(binary, "--version").stdout.split()[-1]
    checks.that(changelog.startswith(f"gateway ({version})"), "the changelog begins with the binary's version", changelog)


def unit(checks, unpacked, directory):
    # `verify` wants the commands where the unit says that they are.
    folder = pathlib.Path(directory) / "units"
    folder.mkdir()
    text = (unpacked / "lib/systemd/system/gateway.service").read_text()
    (folder / "gateway.service").write_text(text.replace("/usr/bin/gateway", str(unpacked / "usr/bin/gateway")))
    shutil.copy(unpacked / "usr/share/doc/gateway/examples/gateway.socket", folder)
    made = output("systemd-analyze", "verify", "--man=no", str(folder / "gateway.service"), str(folder / "gateway.socket"))
    complaints = [line for line in made.stderr.splitlines() if "gateway" in line]
    checks.equal(complaints, [], "systemd-analyze verify finds nothing in the unit, and in the example of a socket unit")
    made = output("systemd-analyze", "security", "--offline=true", "--no-pager",
                  str(unpacked / "lib/systemd/system/gateway.service"))
    level = re.search(r"Overall exposure level for gateway.service: ([0-9.]+)", made.stdout)
    checks.that(level and float(level[1]) <= 2.0,
                f"systemd-analyze security: exposure {level[1] if level else '?'}, at most 2.0", made.stdout + made.stderr)


def again(checks, package, directory):
    binary = os.environ.get("GATEWAY_PACKAGED_BINARY")
    if not binary:
        return
    top = pathlib.Path(__file__).resolve().parents[3]
    second = pathlib.Path(directory) / "again"
    subprocess.run([top / "scripts/package", "--binary", binary, "--output", second], check=True, capture_output=True)
    same = (second / package.name).read_bytes() == package.read_bytes()
    checks.that(same, "the same build makes the same package, byte for byte")
