"""An origin that reads requests with h11, an HTTP implementation that shares nothing with the gateway, and keeps all of it.

Prints one line, {"port": …, "control": …}; both on loopback. Every complete request is answered 200 with a JSON of what
was understood. Any request on the control port is answered with a JSON of all connections in the order in which they
came: their bytes (in hexadecimal), the requests that h11 made of them (see `told`), and how they ended.
"""
import asyncio
import json

import h11

HEAD_LIMIT = 1 << 20


class Peer:
    """One connection of the gateway."""

    def __init__(self):
        self.bytes = bytearray()
        self.requests = []
        # None while it is open; "idle" after a whole message, "cut" within one, else what h11 says is wrong.
        self.end = None
        self.is_idle = True
        self.has_ended = False

    def told(self):
        return {"bytes": self.bytes.hex(), "requests": [told(each) for each in self.requests], "end": self.end}


def told(request):
    """One text a request, which is quick to read: the request line, a line for each field, an empty line, the body in
    hexadecimal, a line for each trailer field, and `incomplete` if it is that."""
    lines = [" ".join([request["method"], request["target"], request["version"]])]
    lines += [": ".join(field) for field in request["fields"]] + ["", request["body"]]
    lines += [": ".join(field) for field in request["trailers"]]
    return "\n".join(lines if request["complete"] else lines + ["incomplete"])


peers = []


async def serve(reader, writer):
    peer = Peer()
    peers.append(peer)
    try:
        await read_requests(peer, reader, writer)
    except h11.RemoteProtocolError as error:
        # The end of the bytes within a message is the peer's decision, not a fault of its framing.
        peer.end = "cut" if peer.has_ended else f"error: {error}"
    except ConnectionError:
        peer.end = "idle" if peer.is_idle else "cut"
    finally:
        writer.close()


async def read_requests(peer, reader, writer):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
    request = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")))
            data = await reader.read(65536)
            peer.bytes += data
            if data:
                peer.is_idle = False
            else:
                peer.has_ended = True
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            request = {
                "method": event.method.decode("latin-1"),
                "target": event.target.decode("latin-1"),
                "version": event.http_version.decode("latin-1"),
                "fields": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in event.headers],
                "body": "",
                "trailers": [],
                "complete": False,
            }
            peer.requests.append(request)
        elif isinstance(event, h11.Data):
            request["body"] += bytes(event.data).hex()
        elif isinstance(event, h11.EndOfMessage):
            request["trailers"] = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in event.headers]
            request["complete"] = True
            await answer(connection, writer, request)
            peer.is_idle = True
            if connection.our_state is h11.MUST_CLOSE:
                peer.end = "idle"
                return
            connection.start_next_cycle()
        elif isinstance(event, h11.ConnectionClosed):
            peer.end = "idle"
            return
        else:
            raise AssertionError(f"unexpected {event}")


async def answer(connection, writer, request):
    body = b"" if request["method"] == "HEAD" else json.dumps(request).encode()
    fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    writer.write(connection.send(h11.Response(status_code=200, headers=fields, reason=b"OK")))
    if body:
        writer.write(connection.send(h11.Data(data=body)))
    writer.write(connection.send(h11.EndOfMessage()))
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
