"""One load of one proxy with wrk, its figures, and whether all that was answered was right."""
import http.client, json, os, subprocess

from .processes import cpu_ns, request
from .tools import HERE

SMALL, POSTED, CHUNKED, LARGE = 90, 4096, 16384, 10 << 20  # as in origin.c
SLACK = 2048  # bytes that a head and the framing of a body may take

BROWSER = {  # with Host: 13 fields
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.9,vi;q=0.8", "Accept-Encoding": "gzip, deflate, br",
    "Cache-Control": "no-cache", "Pragma": "no-cache", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none", "Sec-Fetch-User": "?1", "Upgrade-Insecure-Requests": "1",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark; consent=1",
}


class Load:
    """What wrk sends and what has to come back."""

    def __init__(self, path="/small", method="GET", body=0, answer=SMALL, connections=64, headers=None, tls=False):
        self.path, self.method, self.body, self.answer = path, method, body, answer
        self.connections, self.headers, self.tls = connections, headers or {}, tls

    def port(self, target):
        return target.tls_port if self.tls else target.port

    def command(self, target, seconds):
        fields = [part for name, value in self.headers.items() for part in ("-H", f"{name}: {value}")]
        return ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "-s", str(HERE / "load.lua"), *fields,
                f"http://127.0.0.1:{self.port(target)}{self.path}"]

    def environment(self):
        return os.environ | {"BENCH_METHOD": self.method, "BENCH_BODY": str(self.body)}

    def check(self, target):
        """One request whose answer is looked at in full; what is wrong with it."""
        try:
            status, fields, body = request(
                self.port(target), self.path, self.method, b"x" * self.body if self.body else None, self.headers)
        except (OSError, http.client.HTTPException) as error:
            return [f"{type(error).__name__}: {error}"]
        framing = "chunked" if self.answer == CHUNKED else str(self.answer)
        framed = fields["Transfer-Encoding" if self.answer == CHUNKED else "Content-Length"]
        if status != 200 or body != b"x" * self.answer or framed != framing:
            return [f"status {status}, {len(body)} bytes, framing {framed}"]
        return []


def measure(target, load, seconds, origin):
    """The figures of one load, and what was wrong with its answers."""
    problems = load.check(target)
    seen, used = origin.quiet_stats(), cpu_ns(target.process.pid)
    done = subprocess.run(
        load.command(target, seconds), env=load.environment(), capture_output=True, text=True, check=False)
    used, after = cpu_ns(target.process.pid) - used, origin.quiet_stats()
    try:
        wrk = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise SystemExit(f"wrk against {target.name}: {done.stdout}{done.stderr}") from None
    for kind in ("connect", "read", "write", "status", "timeout"):
        if wrk[kind]:
            problems.append(f"{wrk[kind]} {kind} errors")
    for kind in ("refused", "wrong"):
        if after[kind] != seen[kind]:
            problems.append(f"the origin found {after[kind] - seen[kind]} requests {kind}")
    requests, open_ones = wrk["requests"], load.connections
    if requests == 0:
        problems.append("no answer")
    served = after["served"] - seen["served"]
    if not requests <= served <= requests + open_ones:
        problems.append(f"{requests} answers, of which the origin gave {served}")
    # Bytes count as they come, requests when they end.
    least, most = requests * load.answer, (requests + open_ones) * (load.answer + SLACK)
    if not least <= wrk["bytes"] <= most:
        problems.append(f"{wrk['bytes']} bytes for {requests} answers of {load.answer}")
    opened = after["connections"] - seen["connections"] - after["asked"]
    if opened > open_ones + requests / 10 + 2:
        problems.append(f"{opened} connections to the origin: they are not kept")
    figures = {
        "cpu_us": used / 1000 / max(requests, 1), "requests_per_second": requests / (wrk["duration_us"] / 1e6),
        "p50_ms": wrk["p50_us"] / 1000, "p99_ms": wrk["p99_us"] / 1000, "p999_ms": wrk["p999_us"] / 1000,
        "origin_connections": opened}
    return figures, problems
