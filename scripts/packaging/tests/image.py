"""The content of the container image, as the Containerfile makes it: tried in a changed root, without a container tool."""
import json
import os
import pathlib
import re
import subprocess

import peers
from checks import wait_for

TOP = pathlib.Path(__file__).resolve().parents[3]
USER = 65532


def run(checks, binary, directory):
    syntax(checks)
    root = pathlib.Path(directory) / "image"
    subprocess.run([TOP / "scripts/packaging/image-root", binary, root], check=True)
    loaded = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    wanted = {path for path in re.findall(r"(/\S+) \(0x", loaded)}
    there = {"/" + str(path.relative_to(root)) for path in root.rglob("*.so*")}
    checks.equal(there, wanted, f"the libraries in the image are those of ldd ({len(wanted)})")
    others = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and ".so" not in path.name}
    checks.equal(others, {"usr/bin/gateway", "etc/ssl/certs/ca-certificates.crt", "etc/passwd", "etc/group",
                          "etc/nsswitch.conf"}, "and there is no other file, such as a shell")
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    print(f"        the image is {size / 1e6:.0f} MB")
    if os.geteuid() == 0:
        serve(checks, root)
    else:
        print("skipped serving from the image: changing the root takes root")


def serve(checks, root):
    """With /proc, as every container has it."""
    configuration = peers.configuration("/var/lib/gateway", {"env": "SECRET"}, listener="127.0.0.1:0")
    (root / "etc/gateway/gateway.json").write_text(json.dumps(configuration))
    errors = root / "errors"
    with open(errors, "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c",
             'mkdir "$1/proc" && mount -t proc proc "$1/proc" && exec chroot --userspec="$2" "$1" /usr/bin/gateway serve '
             "--config /etc/gateway/gateway.json", "sh", str(root), f"{USER}:{USER}"],
            stderr=log, stdin=subprocess.DEVNULL, env={"SECRET": peers.SECRET, "PATH": "/usr/bin:/usr/sbin"})
    try:
        found = wait_for(lambda: re.search(r'"address":"127.0.0.1:([0-9]+)","listener":"main"', errors.read_text()))
        status = peers.get(int(found[1]), "/api/x")[0] if found else None
        checks.that(status == 200, "the image serves, as its user and without anything around it", errors.read_text())
        process.terminate()
        checks.equal(process.wait(40), 0, "and ends with 0 on SIGTERM")
    finally:
        process.kill()


def syntax(checks):
    """As far as it goes without a container tool: known instructions, JSON where it must be, stages and files that exist."""
    text = (TOP / "Containerfile").read_text().replace("\\\n", " ")
    known = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD", "HEALTHCHECK"}
    problems, stages, values = [], [], {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(" ")
        values[name] = rest.strip()
        if name not in known:
            problems.append(line)
        if name == "FROM":
            stages.append(rest.split(" AS ")[-1])
        if name in ("VOLUME", "ENTRYPOINT", "CMD"):
            json.loads(rest)
        if name == "COPY" and "--from=" in rest and re.search(r"--from=(\S+)", rest)[1] not in stages:
            problems.append(line)
        if name == "COPY" and "--from=" not in rest:
            problems += [path for path in rest.split()[:-1] if not list(TOP.glob(path))]
    checks.equal(problems, [], "the Containerfile has known instructions, stages and files only")
    checks.that(values["USER"] == f"{USER}:{USER}" and values["STOPSIGNAL"] == "SIGTERM" and stages[-1] == "scratch",
                "it starts from nothing, as a user of its own, and ends by SIGTERM", values)
