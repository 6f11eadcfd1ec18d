"""What h11 makes of a message, in the terms of our driver: a Reading, or why it is refused."""

from dataclasses import dataclass, field

import h11


@dataclass
class Reading:
    start: list  # method, target, minor version; or status, reason, minor version
    fields: list  # (name, value) in their order, names as sent
    framing: str  # none, length, chunked, close
    body: bytes
    trailers: list
    rest: int  # bytes behind the message
    keeps: bool  # whether another message may follow


class Refused(Exception):
    pass


class Incomplete(Exception):
    pass


def read(kind, message):
    """Reads one message from the start of the bytes.

    Responses are read by a client that has asked for them, with HEAD for `response-to-head`, and that has offered an
    upgrade, so that 101 is an answer to something."""
    if kind == "request":
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    else:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        method = b"HEAD" if kind == "response-to-head" else b"GET"
        fields = [(b"Host", b"a"), (b"Connection", b"upgrade"), (b"Upgrade", b"x")]
        connection.send(h11.Request(method=method, target=b"/", headers=fields))
        connection.send(h11.EndOfMessage())
    try:
        return events(connection, kind, message)
    except h11.RemoteProtocolError as error:
        raise Refused(str(error)) from None


def events(connection, kind, message):
    connection.receive_data(message)
    head = connection.next_event()
    if head is h11.NEED_DATA:
        raise Incomplete
    isRequest = isinstance(head, h11.Request)
    start = [head.method, head.target] if isRequest else [b"%d" % head.status_code, bytes(head.reason)]
    # A higher minor version is treated as the highest known (RFC 9110 2.5).
    start.append(b"0" if head.http_version == b"1.0" else b"1")
    fields = [(bytes(name), bytes(value)) for name, value in head.headers.raw_items()]
    if isinstance(head, h11.InformationalResponse):
        return Reading(start, fields, "none", b"", [], len(connection.trailing_data[0]), True)
    framing = framing_of(head, kind)
    body = bytearray()
    if framing == "close":
        connection.receive_data(b"")
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            raise Incomplete
    trailers = [(bytes(name), bytes(value)) for name, value in event.headers.raw_items()]
    # After an offer to upgrade h11 waits for the answer to it; the gateway takes no such offer.
    keeps = connection.their_state in (h11.DONE, h11.MIGHT_SWITCH_PROTOCOL)
    return Reading(start, fields, framing, bytes(body), trailers, len(connection.trailing_data[0]), keeps)


def framing_of(head, kind):
    """How h11 delimits the body, said in words; the body itself tells whether the words are right."""
    names = [bytes(name) for name, _ in head.headers]
    if kind != "request" and (kind == "response-to-head" or head.status_code in (204, 304)):
        return "none"
    if b"transfer-encoding" in names:
        return "chunked"
    if b"content-length" in names:
        return "length"
    return "none" if kind == "request" else "close"
