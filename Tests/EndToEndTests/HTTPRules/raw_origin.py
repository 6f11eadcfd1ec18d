"""An origin that answers with the bytes that the request's path asks for, right or wrong, and keeps what became of them.

Prints one line, {"port": …, "control": …}; both on loopback. A target is /ROW/STEPS; the steps are parted by `~`:
hexadecimal digits are sent, `d` before them sends them one by one, `w` and digits wait so many milliseconds, `fin` ends
the sending direction, `rst` resets the connection. Any request on the control port is answered with a JSON of all
connections in the order in which they came: the rows asked for on them, and, if the gateway has ended it, how many seconds
after the last step that was.
"""
import asyncio
import json
import socket
import struct
import time


class Peer:
    def __init__(self):
        self.rows = []
        self.last_step = time.monotonic()
        self.ended_after = None

    def told(self):
        return {"rows": self.rows, "ended_after": self.ended_after}


peers = []


async def serve(reader, writer):
    peer = Peer()
    peers.append(peer)
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            _, row, steps = lines[0].split(b" ")[1].decode().split("/")
            length = [int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")]
            await reader.readexactly(sum(length))
            peer.rows.append(row)
            for step in steps.split("~"):
                await play(step, reader, writer)
            peer.last_step = time.monotonic()
    except (asyncio.IncompleteReadError, ConnectionError):
        peer.ended_after = time.monotonic() - peer.last_step
    finally:
        writer.close()


async def play(step, reader, writer):
    if step.startswith("w"):
        await asyncio.sleep(int(step[1:]) / 1000)
    elif step == "fin":
        writer.write_eof()
        # Until the gateway ends its direction too: closing earlier would reset what it has not read.
        while await reader.read(65536):
            pass
        raise ConnectionError
    elif step == "rst":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionError
    elif step.startswith("d"):
        for byte in bytes.fromhex(step[1:]):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
    else:
        writer.write(bytes.fromhex(step))
        await writer.drain()


async def control(reader, writer):
    while (await reader.readline()).strip():
        pass
    body = json.dumps([peer.told() for peer in peers]).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


async def main():
    origin = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    teller = await asyncio.start_server(control, "127.0.0.1", 0)
    ports = [server.sockets[0].getsockname()[1] for server in (origin, teller)]
    print(json.dumps({"port": ports[0], "control": ports[1]}), flush=True)
    await asyncio.gather(origin.serve_forever(), teller.serve_forever())


asyncio.run(main())
