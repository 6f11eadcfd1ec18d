"""Tests a Debian package of the gateway. usage: python3 tests PACKAGE [PART…]; called by scripts/test-package."""
import os
import pathlib
import subprocess
import sys
import tempfile

import contents
import image
import machine
import process
from checks import Checks


def main():
    package = pathlib.Path(sys.argv[1]).resolve()
    parts = sys.argv[2:] or ["contents", "process", "image", "machine"]
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="gateway-package-") as directory:
        unpacked = pathlib.Path(directory) / "unpacked"
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
        binary = str(unpacked / "usr/bin/gateway")
        if "contents" in parts:
            contents.run(checks, package, unpacked, directory)
        if "process" in parts:
            process.ProcessTest(checks, binary, directory).run()
        if "image" in parts:
            image.run(checks, binary, directory)
        if "machine" in parts:
            machine.run(checks, package, directory)
    print(f"{checks.passed} passed, {checks.failed} failed")
    os._exit(1 if checks.failed or not checks.passed else 0)


main()
