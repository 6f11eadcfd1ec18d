"""A quick HTTPS origin for counting: 90 bytes for every request that has one Authorization, and its whole body.

Usage: small_tls_origin.py CERTIFICATE KEY. Prints its port on loopback as one line.
"""
import asyncio
import re
import ssl
import sys

BODY = b"x" * 90
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.waiting = b""

    def data_received(self, data):
        self.waiting += data
        while (end := self.waiting.find(b"\r\n\r\n")) >= 0:
            head = self.waiting[: end + 2]
            length = LENGTH.search(head)
            size = end + 4 + (int(length.group(1)) if length else 0)
            if len(self.waiting) < size:
                return
            self.waiting = self.waiting[size:]
            is_good = head.lower().count(b"\r\nauthorization: bearer ") == 1
            self.transport.write(ANSWER if is_good else REFUSAL)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, ssl=context)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
