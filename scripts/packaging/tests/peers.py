"""A token API (client_credentials) and an upstream that takes only its token, on free ports of loopback."""
import base64
import http.client
import http.server
import json
import socket
import threading

SECRET = "the-client-secret"
TOKEN = "token-of-the-test"


class TokenAPI(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        expected = "Basic " + base64.b64encode(f"gateway:{SECRET}".encode()).decode()
        if self.headers.get("Authorization") == expected:
            answer(self, 200, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})
        else:
            answer(self, 401, {"error": "invalid_client"})

    def log_message(self, *_):
        pass


class Upstream(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        answer(self, 200 if allowed else 401, {"path": self.path})

    def log_message(self, *_):
        pass


def answer(handler, status, body):
    text = json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(text)))
    handler.end_headers()
    handler.wfile.write(text)


def serve(handler):
    """Serves until the process ends; returns the port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def configuration(directory, secret, listener="127.0.0.1:0", admin="127.0.0.1:0", **more):
    """gateway.json with one route to both peers, which start here."""
    return {
        "workers": 2,
        "listeners": [{"name": "main", "address": listener}],
        "admin": {"address": admin},
        "store": {"kind": "sqlite", "path": f"{directory}/gateway.db"},
        "credentials": {
            "service": {
                "provider": "oauth2", "grant": "client_credentials", "client_id": "gateway", "client_secret": secret,
                "token_url": f"http://127.0.0.1:{serve(TokenAPI)}/token",
            },
        },
        "routes": [{
            "name": "api", "match": {"path_prefix": "/api/"}, "strip_prefix": True, "credential": "service",
            "upstream": {"url": f"http://127.0.0.1:{serve(Upstream)}"},
        }],
    } | more


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def get(place, path):
    """Status and body; `place` is a port of loopback or the path of a Unix socket. Status 0: nobody answers."""
    try:
        connection = UnixConnection(place) if isinstance(place, str) else \
            http.client.HTTPConnection("127.0.0.1", place, timeout=20)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError as error:
        return 0, str(error)
