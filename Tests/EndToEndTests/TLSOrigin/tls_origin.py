"""An HTTPS origin for the end-to-end tests: keeps what was PUT and gives it back, in either framing.

Usage: tls_origin.py CERTIFICATE KEY. Prints its port on loopback as one line.
"""
import http.server
import socketserver
import ssl
import sys

PIECE = 50_000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept = b""

    def read_chunked(self):
        body = bytearray()
        while True:
            size = int(self.rfile.readline().strip(), 16)
            body += self.rfile.read(size)
            assert self.rfile.readline() == b"\r\n"
            if size == 0:
                return bytes(body)

    def do_PUT(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            Handler.kept = self.read_chunked()
        else:
            Handler.kept = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(str(len(Handler.kept)).encode())

    def do_GET(self):
        if self.path != "/chunked":
            return self.answer(Handler.kept)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(Handler.kept), PIECE):
            piece = Handler.kept[start : start + PIECE]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def main():
    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("port", server.server_port, flush=True)
    server.serve_forever()


main()
