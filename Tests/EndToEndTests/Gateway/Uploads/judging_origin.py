"""An upstream on Python's own http.server that judges the token before it asks for the body (`handle_expect_100`).

Its argument is the URL of what knows the tokens: a GET with the request's Authorization, 200 when it is good. Prints one
line, {"port": …}. A POST is answered with a JSON of what came: the path, the bytes of the body and their SHA-256.
GET /log says how many requests were refused, how many bodies were taken, and which paths were taken more than once.
"""
import hashlib
import http.client
import json
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

judge = urllib.parse.urlsplit(sys.argv[1])
lock = threading.Lock()
log = {"refused": 0, "refused_after_body": 0, "taken": 0, "asked": 0, "not_one_authorization": 0, "repeated": []}
paths = set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def is_good(self):
        tokens = self.headers.get_all("Authorization", [])
        if len(tokens) != 1:
            with lock:
                log["not_one_authorization"] += 1
            return False
        connection = http.client.HTTPConnection(judge.hostname, judge.port, timeout=30)
        try:
            connection.request("GET", judge.path, headers={"Authorization": tokens[0]})
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def refuse(self, after_body=False):
        with lock:
            log["refused_after_body" if after_body else "refused"] += 1
        self.answer(401, {"error": "invalid_token"}, closes=True)

    def answer(self, status, value, closes=False):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if closes:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def handle_expect_100(self):
        with lock:
            log["asked"] += 1
        if not self.is_good():
            self.refuse()
            return False
        self.judged = True
        return super().handle_expect_100()

    def pieces(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            left = int(self.headers.get("Content-Length", 0))
            while left:
                piece = self.rfile.read(min(left, 65536))
                if not piece:
                    raise ConnectionError("the body ends early")
                left -= len(piece)
                yield piece

    def do_POST(self):
        is_good = getattr(self, "judged", False) or self.is_good()
        self.judged = False
        digest, count = hashlib.sha256(), 0
        for piece in self.pieces():
            digest.update(piece)
            count += len(piece)
        if not is_good:
            return self.refuse(after_body=True)
        with lock:
            log["taken"] += 1
            if self.path in paths:
                log["repeated"].append(self.path)
            paths.add(self.path)
        self.answer(200, {"path": self.path, "bytes": count, "sha256": digest.hexdigest()})

    def do_GET(self):
        with lock:
            self.answer(200, log)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(json.dumps({"port": server.server_address[1]}), flush=True)
server.serve_forever()
