"""The origin, the sandbox, and what is measured: nginx, HAProxy, Envoy, the floor and the gateway. Each puts a bearer token
on every request, has one worker, no access log, and keeps its connections to the origin; each has a port whose
upstream is plain and (the floor excepted) one whose upstream speaks TLS."""
import json, time

from . import envoy
from .processes import free_port, memory_kib, request, wait_for
from .tools import BUILD

IDLE_UPSTREAM = 2048  # kept to the origin


class Origin:
    def __init__(self, children):
        self.port, self.tls_port = free_port(), free_port()
        self.ca = children.directory / "ca.pem"
        children.start("origin", str(BUILD / "origin"), str(self.port), str(self.tls_port),
                       str(children.directory / "cert.pem"), str(children.directory / "key.pem"))
        wait_for("the origin", lambda: request(self.port, "/stats")[0] == 200)

    def stats(self):
        """Counts since the start; a connection more with each call."""
        return json.loads(request(self.port, "/stats")[2])

    def quiet_stats(self, deadline=10):
        """Once nothing comes any more: a proxy whose clients have gone may still have their requests. `asked` is how many
        connections that took."""
        end, asked, last = time.monotonic() + deadline, 1, self.stats()
        while time.monotonic() < end:
            time.sleep(0.03)
            now, asked = self.stats(), asked + 1
            if now["served"] == last["served"]:
                break
            last = now
        return now | {"asked": asked}

    def refuses_without_credential(self):
        """Or the run is worth nothing: it would not see a request whose token is missing or doubled."""
        doubled = {"Authorization": "Bearer a", "authorization": "Bearer b"}
        for fields in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"}, doubled):
            if request(self.port, headers=fields)[0] == 200:
                raise SystemExit(f"the origin takes a request with {fields}")


class Sandbox:
    """The token APIs that the gateway and Envoy get their tokens from."""

    def __init__(self, children, binaries):
        process = children.start("sandbox", str(binaries / "gateway-sandbox"), "--port-base", "0")
        log = children.log("sandbox")
        wait_for("the sandbox", lambda: log.read_bytes().endswith(b"\n") or process.poll() is not None)
        addresses = json.loads(log.read_text().splitlines()[0])
        self.token = addresses["token"]
        self.control = int(addresses["control"].rsplit(":", 1)[1])

    def refresh_token(self):
        """A new login's: each is good once."""
        return json.loads(request(self.control, "/control/vinid/login", "POST", b"")[2])["refresh_token"]


class Target:
    """A proxy. `prepare` writes its configuration; it may be started and stopped again and again."""

    has_tls = True

    def __init__(self, name, children, origin):
        self.name, self.children, self.origin = name, children, origin
        self.port, self.tls_port = free_port(), free_port()
        self.folder = children.directory / name
        self.folder.mkdir(mode=0o700)
        self.process = None

    def launch(self, *command):
        self.process = self.children.start(self.name, *map(str, command))

    def start(self):
        self.command()
        for port in [self.port, self.tls_port] if self.has_tls else [self.port]:
            wait_for(f"{self.name} does not serve (its log is {self.children.log(self.name)})",
                     lambda port=port: self.is_alive() and request(port)[0] == 200)

    def is_alive(self):
        if self.process.poll() is None:
            return True
        raise SystemExit(f"{self.name} has ended:\n{self.children.tail(self.name)}")

    def stop(self):
        self.children.stop(self.process)

    def restart(self):
        self.stop()
        self.start()

    def rss_mib(self):
        return memory_kib(self.process.pid) / 1024


class Nginx(Target):
    buffers, workers = "", 1

    def command(self):
        (self.folder / "nginx.conf").write_text(f"""
daemon off; worker_processes {self.workers}; pid {self.folder}/pid; error_log {self.folder}/error.log; worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; client_max_body_size 0;
  client_body_temp_path {self.folder}; proxy_temp_path {self.folder}; fastcgi_temp_path {self.folder};
  uwsgi_temp_path {self.folder}; scgi_temp_path {self.folder};
  # Bodies stream, as with the others: neither direction goes through a file.
  proxy_http_version 1.1; proxy_request_buffering off; proxy_max_temp_file_size 0;
  {self.buffers}
  proxy_set_header Connection ""; proxy_set_header Authorization "Bearer static-token";
  proxy_ssl_protocols TLSv1.3; proxy_ssl_verify on; proxy_ssl_trusted_certificate {self.origin.ca};
  proxy_ssl_name localhost; proxy_ssl_server_name on;
  upstream plain {{ server 127.0.0.1:{self.origin.port};
    keepalive {IDLE_UPSTREAM}; keepalive_requests 1000000000; keepalive_timeout 300s; }}
  upstream tls {{ server 127.0.0.1:{self.origin.tls_port};
    keepalive {IDLE_UPSTREAM}; keepalive_requests 1000000000; keepalive_timeout 300s; }}
  server {{ listen 127.0.0.1:{self.port} backlog=4096; location / {{ proxy_pass http://plain; }} }}
  server {{ listen 127.0.0.1:{self.tls_port} backlog=4096; location / {{ proxy_pass https://tls; }} }}
}}
""")
        self.launch("nginx", "-p", self.folder, "-c", self.folder / "nginx.conf")


class LargeNginx(Nginx):
    """With more memory for each connection than by default, which large bodies cost much less with."""

    buffers = """client_body_buffer_size 256k; proxy_buffer_size 64k; proxy_buffers 16 64k;
  proxy_busy_buffers_size 256k;"""


class TwoWorkers(Nginx):
    """What a second worker costs on this machine, whoever has it."""

    workers = 2


class HAProxy(Target):
    def command(self):
        # Its connection count allows for an upstream connection each, for which the descriptors may not suffice:
        # the idle connections measured here have none.
        (self.folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  no strict-limits
  maxconn 10100
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  http-reuse always
frontend plain
  bind 127.0.0.1:{self.port} backlog 4096
  http-request set-header Authorization "Bearer static-token"
  default_backend plain
frontend tls
  bind 127.0.0.1:{self.tls_port} backlog 4096
  http-request set-header Authorization "Bearer static-token"
  default_backend tls
backend plain
  server origin 127.0.0.1:{self.origin.port}
backend tls
  server origin 127.0.0.1:{self.origin.tls_port} ssl verify required ca-file {self.origin.ca} sni str(localhost)
""")
        self.launch("haproxy", "-W", "-f", self.folder / "haproxy.cfg")


class Envoy(Target):
    def __init__(self, children, origin, sandbox, binary):
        super().__init__("Envoy", children, origin)
        self.sandbox, self.binary = sandbox, binary

    def command(self):
        configuration = envoy.bootstrap(self.port, self.tls_port, self.origin, self.sandbox.token)
        (self.folder / "envoy.json").write_text(json.dumps(configuration, indent=1))
        self.launch(self.binary, "--config-path", self.folder / "envoy.json", "--concurrency", "1",
                    "--disable-hot-restart", "--log-level", "warning")


class Floor(Target):
    has_tls = False

    def command(self):
        self.launch(BUILD / "relay", self.port, self.origin.port)


class Gateway(Target):
    """With a real credential: its seed is exchanged at the sandbox, the lease is in its store from then on."""

    def __init__(self, children, origin, sandbox, binaries, name="gateway", settings=None):
        super().__init__(name, children, origin)
        self.binary, self.admin = binaries / "gateway", free_port()
        routes = [
            {"name": "plain", "match": {"listener": "plain", "path_prefix": "/"}, "credential": "vinid",
             "upstream": {"url": f"http://127.0.0.1:{origin.port}"}},
            {"name": "tls", "match": {"listener": "tls", "path_prefix": "/"}, "credential": "vinid",
             "upstream": {"url": f"https://127.0.0.1:{origin.tls_port}", "tls_server_name": "localhost",
                          "ca_file": str(origin.ca)}}]
        configuration = {
            "workers": 1,
            "listeners": [{"name": "plain", "address": f"127.0.0.1:{self.port}"},
                          {"name": "tls", "address": f"127.0.0.1:{self.tls_port}"}],
            "admin": {"address": f"127.0.0.1:{self.admin}"},
            "store": {"kind": "sqlite", "path": str(self.folder / "gateway.db")},
            "credentials": {"vinid": {
                "provider": "vinid", "token_url": f"http://{sandbox.token}/vinid/oauth2/token",
                "client_id": "sandbox-app", "redirect_uri": "https://app.example/callback",
                "refresh_token": {"value": sandbox.refresh_token()}}},
            "routes": routes,
            "timeouts": {"idle": "5m", "upstream_idle": "5m"},
            "limits": {"connections": 20000, "upstream_connections": IDLE_UPSTREAM}}
        self.file = self.folder / "gateway.json"
        text = json.dumps(configuration | (settings or {}), indent=1)
        self.file.write_text(text.replace("{folder}", str(self.folder)))

    def command(self):
        self.launch(self.binary, "serve", "--config", self.file)

    def start_timed(self):
        """Milliseconds from the start of the process to its first forwarded request."""
        begin = time.monotonic()
        self.command()
        wait_for("the gateway's first request",
                 lambda: self.is_alive() and request(self.port)[0] == 200, pause=0.0002)
        return (time.monotonic() - begin) * 1000


def start_all(children, binaries, envoy_binary):
    """The origin, the sandbox and the targets, all of them serving."""
    origin = Origin(children)
    sandbox = Sandbox(children, binaries)
    targets = [Nginx("nginx", children, origin), HAProxy("HAProxy", children, origin),
               Envoy(children, origin, sandbox, envoy_binary), Floor("floor", children, origin),
               Gateway(children, origin, sandbox, binaries), LargeNginx("nginx-large", children, origin)]
    for target in targets:
        target.start()
    return origin, sandbox, {target.name: target for target in targets}
