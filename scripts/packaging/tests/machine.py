"""Boots a systemd of its own over a copy of this machine's files, and has `inside.py` install and use the package there."""
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 150

UNIT = """[Unit]
Description=Test of the package
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -B /package-test/tests/inside.py
StandardOutput=file:/package-test/output
StandardError=inherit
TimeoutStartSec={limit}
"""

# In control groups of its own, so that two of these at a time are in nobody's way.
# What changes goes into memory and is gone with the mount namespace. No network but loopback.
BOOT = """
for group in $4; do echo $$ >"$group/cgroup.procs"; done
mount -t tmpfs -o mode=0755 tmpfs "$1" || exit 77
mkdir "$1/upper" "$1/work" "$1/machine"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/machine" || exit 77
mkdir -p "$1/machine/package-test"
cp "$2/package-test.service" "$1/machine/etc/systemd/system/"
rm -f "$1/machine/usr/sbin/policy-rc.d"
exec timeout --kill-after=5 "$3" systemd-nspawn --quiet --directory="$1/machine" --register=no --keep-unit --private-network \\
    --link-journal=no --machine=gateway-package-test-$$ --bind="$2:/package-test" --boot systemd.unit=package-test.service
"""


def run(checks, package, directory):
    missing = [tool for tool in ("systemd-nspawn", "unshare") if not shutil.which(tool)]
    if os.geteuid() != 0 or missing:
        return print(f"skipped the installation under systemd: it takes root{' and '.join([''] + missing)}")
    shared = pathlib.Path(directory) / "package-test"
    mount = pathlib.Path(directory) / "mount"
    for folder in (shared, mount):
        folder.mkdir()
    shutil.copy(package, shared / "gateway.deb")
    shutil.copytree(HERE, shared / "tests")
    (shared / "package-test.service").write_text(UNIT.format(limit=LIMIT))
    groups = control_groups()
    try:
        booted = subprocess.run(
            ["unshare", "--mount", "bash", "-e", "-c", BOOT, "boot", mount, shared, str(LIMIT + 30), " ".join(groups)],
            capture_output=True, text=True, stdin=subprocess.DEVNULL)
    finally:
        for group in groups:
            remove(group)
    output = shared / "output"
    text = output.read_text() if output.exists() else ""
    print(text, end="")
    if not text and (booted.returncode == 77 or "Operation not permitted" in booted.stderr):
        return print("skipped the installation under systemd: containers are not allowed here: " + booted.stderr.strip())
    checks.passed += text.count("\nok ") + text.startswith("ok ")
    checks.failed += text.count("\nFAILED ") + text.startswith("FAILED ")
    checks.that("the end of the test inside" in text, "systemd came up, and the test in it to its end",
                (booted.stdout + booted.stderr)[-3000:] + text[-500:])


def control_groups():
    """New groups below this process's own, where systemd looks for them: version 2, or its own hierarchy of version 1."""
    made = []
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        places = {"name=systemd": ["/sys/fs/cgroup/systemd"], "": ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]}
        for place in places.get(controllers, []):
            group = f"{place}{path.rstrip('/')}/gateway-package-test-{os.getpid()}"
            if not os.path.exists(f"{place}/cgroup.procs"):
                continue
            try:
                os.mkdir(group)
                made.append(group)
            except OSError as error:
                print(f"no control group of its own: {error}")
            break
    return made


def remove(group):
    """With the groups that systemd-nspawn leaves in it, which nobody is in any more."""
    for folder, _, _ in sorted(os.walk(group), reverse=True):
        try:
            os.rmdir(folder)
        except OSError as error:
            print(f"{folder} is left: {error}")
