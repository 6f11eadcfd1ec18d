"""Makes messages to compare on: from a grammar that knows what parsers disagree about, and by damaging good ones."""

import random

METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"M-SEARCH", b"get", b"CONNECT", b"TRACE"]
TARGETS = [
    b"/", b"/a/b?c=d", b"//x", b"/%2e%2e/a", b"/a|b{}<>\"\\^`", b"*", b"http://a/", b"http://a", b"https://a?x",
    b"HTTP://A/b", b"http://b/", b"http://u@a/", b"a:80", b"/a#b", b"/a b", b"/a\tb", b"/\xc3\xa9", b"/\x7f", b"", b"?a",
]
VERSIONS = [b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.10", b"HTTP/1.1 ", b"HTTP/0.9"]
HOSTS = [b"a"] * 6 + [b"a:80", b"[::1]:8080", b"A", b"a,b", b"", b"a b", b"u@a", b"a:", b"a:99999"]
NAMES = [
    b"X-A", b"x-b", b"X_C", b"User-Agent", b"Cookie", b"Accept", b"Authorization", b"Keep-Alive", b"TE", b"Trailer",
    b"Upgrade", b"Via", b"!#$%&'*+-.^_`|~09aZ", b"Content_Length", b"Transfer_Encoding", b"Expect", b"Content-Type",
]
VALUES = [
    b"", b"b", b"b c", b"a,b", b'"a, b"', b"\xe9\xff", b"a\tb", b"trailers", b"x" * 40, b"timeout=5", b"a: b", b"h2c",
    b"100-continue", b"\x0b", b"\x85", b"a;b=\"c\\\"\"", b"\x00", b"a\rb", b"a\nb", b"\x7f",
]
LENGTHS = [
    b"5", b"0", b"05", b"+5", b"-5", b"5,5", b"5, 6", b"0x5", b"5 5", b"", b"99999999999999999999", b"9223372036854775808",
    b"5.0", b"\xb5", b"1_0",
]
CODINGS = [
    b"chunked", b"chunked", b"chunked", b"Chunked", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b",chunked",
    b"chunked,", b"xchunked", b'"chunked"', b"chunked;q=1", b"identity", b"", b"chunked\x0b", b"\x0cchunked",
    b"identity, chunked", b"gzip",
]
CONNECTIONS = [
    b"close", b"keep-alive", b"Close", b"x-a", b"keep-alive, X-A", b"close, x-b", b"host", b"content-length", b"upgrade",
    b",close,", b'"close"', b"close ,", b"TE", b"closed", b"keep-alive, close",
]
SEPARATORS = [b": "] * 12 + [b":", b":\t", b":  ", b" : ", b"\t:", b":\r\n ", b""]
ENDS = [b"\r\n"] * 30 + [b"\n", b"\r", b" \r\n", b"\t\r\n", b"\r\r\n", b"\r\n ", b"\r\n\t"]
REASONS = [b" OK", b" Not Found", b" ", b"", b" \xe9", b" a\tb", b"  x", b" a\x00", b" a\rb"]
STATUSES = [
    b"200", b"204", b"304", b"404", b"100", b"103", b"205", b"500", b"999", b"599", b"101", b"099", b"20", b"2000", b"+20",
    b"2x0",
]
EXTENSIONS = [
    b"", b"", b"", b"", b";a", b";a=b", b';a="b;c"', b" ", b"\t", b" ;a", b"; a = b", b";\xe9", b";" + b"a" * 300, b";a\x00",
    b";a\rb", b"\x0b",
]
TRAILERS = [
    b"", b"", b"X-Sum: 1\r\n", b"x-sum:1 \r\nX-B:\t2\r\n", b"Host: a\r\n", b"Content-Length: 5\r\n", b"X : y\r\n",
    b"X: y\r\n z\r\n", b"X\r\n", b"X: \x00\r\n", b"X: y\n", b"Transfer-Encoding: chunked\r\n",
]
INTERESTING = [bytes([byte]) for byte in b"\r\n\t :;,\"\\0_%#?/@[]\x00\x0b\x7f\x80\xff5aA"] + [b"\r\n", b"\r\n\r\n", b"\n\n"]


class Generator:
    """The same messages for the same seed. `oddity` is how often something else than the usual is taken."""

    def __init__(self, seed, corpus):
        self.random = random.Random(seed)
        self.corpus = corpus

    def message(self, kind):
        """Bytes of a message of the kind, with what may follow it."""
        choice = self.random.random()
        if self.corpus[kind] and choice < 0.25:
            message = self.random.choice(self.corpus[kind])
            if b"chunked" in message.lower() and self.random.random() < 0.7:
                message += self.chunks(0.05)
            else:
                message += self.body(5)
            return self.damaged(message) if self.random.random() < 0.5 else message
        oddity = self.random.choice([0, 0, 0.03, 0.1])
        message = self.request(oddity) if kind == "request" else self.response(oddity)
        return self.damaged(message) if choice > 0.6 else message

    def pick(self, options, oddity):
        """The first option, or with a probability of `oddity` any."""
        return self.random.choice(options) if self.random.random() < oddity else options[0]

    def request(self, oddity):
        method = self.random.choice(METHODS[:8]) if self.random.random() < 0.9 else self.random.choice(METHODS)
        target = self.random.choice(TARGETS[:5]) if self.random.random() > oddity else self.random.choice(TARGETS)
        start = method + b" " + target + b" " + self.pick(VERSIONS, 0.3) + self.pick(ENDS, oddity)
        if self.random.random() < oddity:
            start = self.random.choice([b"\r\n", b"\r\n\r\n", b"\n", b" "]) + start
        fields = [b"Host" + self.pick(SEPARATORS, oddity) + self.pick(HOSTS, 0.2) + self.pick(ENDS, oddity)]
        if self.random.random() < oddity / 2:
            fields *= self.random.choice([0, 2])
        return self.rest(start, fields, oddity)

    def response(self, oddity):
        status = self.random.choice(STATUSES[:10]) if self.random.random() > oddity else self.random.choice(STATUSES)
        reason = self.random.choice(REASONS[:7]) if self.random.random() > oddity else self.random.choice(REASONS)
        start = self.pick(VERSIONS, 0.3) + b" " + status + reason + self.pick(ENDS, oddity)
        return self.rest(start, [], oddity)

    def rest(self, start, fields, oddity):
        for _ in range(self.random.randrange(5)):
            value = self.random.choice(VALUES[:12]) if self.random.random() > oddity else self.random.choice(VALUES)
            name = self.random.choice(NAMES)
            if name == b"Expect":
                value = b"100-continue"
            fields.append(name + self.pick(SEPARATORS, max(oddity, 0.3)) + value + self.pick(ENDS, oddity))
        if self.random.random() < 0.3:
            value = self.random.choice(CONNECTIONS)
            fields.append(b"Connection: " + value + self.pick(ENDS, oddity))
        body = b""
        framing = self.random.random()
        if framing < 0.35:
            length = self.pick(LENGTHS, oddity)
            fields.append(b"Content-Length" + self.pick(SEPARATORS, oddity) + length + self.pick(ENDS, oddity))
            body = self.body(5)
            if self.random.random() < oddity:
                fields.append(fields[-1])
        if 0.3 < framing < 0.75 and (framing > 0.35 or self.random.random() < oddity):
            coding = self.pick(CODINGS, oddity)
            fields.append(b"Transfer-Encoding" + self.pick(SEPARATORS, oddity) + coding + self.pick(ENDS, oddity))
            body = self.chunks(oddity)
        self.random.shuffle(fields)
        after = self.random.choice([b"", b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"rest", b"\r\n"])
        return start + b"".join(fields) + self.pick(ENDS, oddity / 3) + body + after

    def body(self, length):
        return bytes(self.random.choice(b"ab\r\n\x00\xff") for _ in range(length))

    def chunks(self, oddity):
        text = b""
        for _ in range(self.random.randrange(4)):
            data = self.body(self.random.choice([1, 5, 16, 40]))
            size = self.random.choice([b"%x", b"%X", b"0%x"]) % len(data)
            if self.random.random() < oddity:
                size = self.random.choice([b"", b"+", b"0x", b" ", b"g", b"1" * 17, b"0" * 15, b"-"]) + size
            text += size + self.pick(EXTENSIONS, 0.3) + self.pick(ENDS, oddity) + data + self.pick(ENDS, oddity)
        text += self.random.choice([b"0", b"0", b"000"]) + self.pick(EXTENSIONS, 0.2) + self.pick(ENDS, oddity)
        return text + self.random.choice(TRAILERS[:4] if self.random.random() > oddity else TRAILERS) + b"\r\n"

    def damaged(self, message):
        for _ in range(self.random.choice([1, 1, 2, 3])):
            at = self.random.randrange(len(message) + 1)
            end = at + self.random.choice([0, 1, 1, 2, 5])
            insertion = self.random.choice([b"", self.random.choice(INTERESTING), message[at:end] * 2])
            message = message[:at] + insertion + message[end:]
        return message
