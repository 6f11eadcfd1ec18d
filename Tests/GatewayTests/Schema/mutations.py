"""Changes configuration files in every place and asks a public validator (PyPI's jsonschema) what it thinks of each.

usage: mutations.py SCHEMA OUTPUT FILE…

FILEs must be valid; they are changed in turn. OUTPUT gets a line of JSON for each changed file:
{"what": …, "text": …, "valid": true or false}. The test reads the same texts with the gateway's parser.
"""

import copy
import json
import re
import sys

import jsonschema

DURATION = re.compile(r"^[0-9]+(ms|s|m|h|d)$")
SIZE = re.compile(r"^[0-9]+(B|KiB|MiB|GiB)$")

JUNK = [None, True, 7, -1, 0.5, "", "x y", [], {}, [None], {"x": 1}]
DURATIONS = [
    "0ms", "1ms", "0s", "999ms", "1000ms", "1s", "010s", "30d", "720h", "721h", "31d", "86400s", "86401s", "366d", "367d",
    "36600d", "36601d", "10", "s", "10 s", "10S", "1.5s", "-1s", "+1s", "1e1s", "10sec", "99999999999999999999s", "5min",
]
SIZES = [
    "0B", "1023B", "1024B", "1KiB", "01KiB", "1MiB", "1048577B", "1025KiB", "1GiB", "2GiB", "1024GiB", "1025GiB", "1KB",
    "1kib", "1", "KiB", "1 KiB", "1.5KiB", "-1B", "99999999999999999999B",
]
NUMBERS = [
    0, 1, 2, 0.09, 0.1, 0.95, 0.96, 1.0, 2.5, 399, 400, 599, 600, 1000, 1001, 1024, 1025, 10000, 10001, 1000000, 1000001,
    10000000, 10000001, 1e20, -0.0, "1",
]
TEXTS = {
    "address": [
        "127.0.0.1:0", "127.0.0.1:65535", "127.0.0.1:65536", "127.0.0.1:", "127.0.0.1", "127.0.0.256:1", "127.0.0.01:1",
        "localhost:8080", "[::1]:8080", "::1:8080", "[::1]", "[::g]:1", "[1:2:3:4:5:6:7:8]:1", "[::2]:1", "[1::2::3]:1",
        "[0:0:0:0:0:0:0:1]:1", "[::ffff:127.0.0.1]:1", "[::ffff:10.0.0.1]:1", "[1:2:3:4:5:6:7::]:1", "[::]:8080",
        "10.0.0.1:80", "0.0.0.0:80", "unix:/run/x.sock", "unix:x.sock", "unix:", "unix:/a b", "unix:/" + "x" * 120,
        "http://127.0.0.1:80", "127.1:80",
    ],
    "hosts": ["a.example", "A.EXAMPLE.", "*", "a b", "a:80", "[::1]", "::1", "[1.2.3.4]", "a/b", "*.example", "ä.example"],
    "host": ["a.example", "a:80", "[::1]", "::1", "*", "*.example", "http://a", "a/b", "a..b", "."],
    "allow": ["10.0.0.0/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.1", "fd00::/8", "fd00::/129", "fd00::g/8", "x", "10.0.0/8",
              "10.0.0.1/8", "10.0.0.0/008"],
    "trusted_proxies": ["10.0.0.0/8", "::/0", "10.0.0.0/-1", "10.0.0.0/8/8", "fd00::1/8"],
    "path_prefix": ["/", "/a", "/a/", "a", "//", "/a//b", "/./a", "/a/..", "/a/.", "/a%20b", "/a;b", "/a?b", "/a#b", "/a b",
                    "/*", "/a/*", "/a*", "/ä", "/..a", "/a\\b", "/" + "a" * 200],
    "methods": ["GET", "get", "Get", "PURGE", "purge", "CONNECT", "TRACE", "trace", "PATCH", "pAtch", "A B", "M-SEARCH"],
    "url": ["https://a", "http://a", "http://127.0.0.1", "http://localhost:1/x", "HTTPS://A", "https://", "https://a:0",
            "https://a:65536", "https://a:99999", "https://a:x", "https://u:p@a", "https://a/b?c", "https://a#b", "ftp://a",
            "a", "//a", "https://[::1]:1", "http://[::1]", "https://[::1", "https://a/../b", "https://a//b", "https://a/b/*",
            "https://a/%20", "https://a b", "https://ä", "http://127.0.0.300", "http://x.localhost", "http://localhost.x",
            "https://a;b", "https://a/b;c", "https://a/.", "https://a/.b", "https://a?"],
    "urls": ["https://a/base", "http://127.0.0.1/base", "https://a", "x"],
    "token_url": ["https://a/oauth2/token", "https://a", "http://a/oauth2/token", "http://127.0.0.1:1/t", "https://a/t?x=y",
                  "https://u@a/", "x", "https://oauth2/token", "https://a?/oauth2/token"],
    "authorization_url": ["https://a/auth", "http://a/auth", "http://localhost/auth", "x", "https://a/b?c=d"],
    "proxy": ["http://p", "http://p/", "http://p:3128", "http://p/x", "http://p?", "socks5://p", "https://p", "p:1"],
    "tls_server_name": ["a.example", "A.Example", "a.example.", "a:1", "[::1]", "::1", "10.0.0.1", "a b"],
    "header": ["X-Token", "x_token", "Host", "hOsT", "Content-Length", "content_length", "Connection", "TE", "Via",
               "X-Gateway-Token", "X Token", "X:Token", "a" * 256, "a" * 257, "Proxy_Authorization", "ä"],
    "scheme": ["Token", "Bearer ", "a b", "ä"],
    "scope": ["a", "a b", "a  b", " a", 'a"b', "a\\b", "ä", "a\tb"],
    "client_id": ["a b", "a\nb", "ä", "\u0085", "日本"],
    "redirect_uri": ["x", "a\tb"],
    "company_code": ["A", " A", "Ä", "A B", "a\u007f", "x" * 8192, "x" * 8193],
    "utc_offset": ["Z", "z", "+07:00", "-03:30", "+14:00", "+14:01", "+15:00", "07:00", "+7:00", "+07:60", "+0700"],
    "access": ["off", "stdout", "stderr", "access.log", "./a", "access", "a/", "\u0000.", "OFF", "."],
    "path": ["x.db", "x/", "/", "a/b.db"],
    "name": ["main", "b b", "a" * 128, "a" * 129, "ä", 'a"b', "a/b:[]"],
    "value": ["x", " x", "x ", "ä", "a\nb", "0" * 64, "A" * 43, "A" * 43 + "=", "A" * 44, "postgres://u@h/d", "mysql://h"],
    "env": ["SEED_A", "NOT_SET", "EMPTY"],
    "file": ["no-such-file", "."],
    "credential": ["nobody", "../x", "a/b", ".", "..", "vinid"],
    "listener": ["nobody", "main"],
    "provider": ["vinid", "misa-cukcuk", "oauth2", "VinID", "vinidd"],
    "grant": ["client_credentials", "refresh_token", "password"],
    "client_auth": ["basic", "post", "none", "Basic"],
    "kind": ["sqlite", "postgres", "mysql"],
    "extra_headers": [],
}


def variants(key, value):
    """Other values for a place; key is the nearest name around it."""
    yield from JUNK
    if isinstance(value, str):
        yield from TEXTS.get(key, [])
        yield value.upper()
        yield value + " "
        if DURATION.match(value):
            yield from DURATIONS
        if SIZE.match(value):
            yield from SIZES
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from NUMBERS
    elif isinstance(value, list):
        yield value + value
        yield value + [{}]
        yield from ([text] for text in TEXTS.get(key, []))
        if value:
            yield value[1:]
            yield [value]
    elif isinstance(value, dict):
        yield [value]


def places(node, path=()):
    """Every place of a document with the nearest key around it."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield path + (key,), value
        yield from places(value, path + (key,))


def parent(document, path):
    for step in path[:-1]:
        document = document[step]
    return document


def mutations(document):
    def changed(path, change):
        new = copy.deepcopy(document)
        change(parent(new, path), path[-1])
        return new

    for path, value in list(places(document)):
        where = "/".join(map(str, path))
        key = next((step for step in reversed(path) if isinstance(step, str)), "")
        for other in variants(key, value):
            yield f"{where} = {json.dumps(other)}", changed(path, lambda at, step: at.__setitem__(step, other))
        yield f"{where} within an object", changed(path, lambda at, step: at.__setitem__(step, {step: value}))
        yield f"without {where}", changed(path, lambda at, step: at.pop(step))
        if isinstance(path[-1], str):
            def rename(at, step, new):
                at[new] = at.pop(step)
            yield f"{where} without its last letter", changed(path, lambda at, step: rename(at, step, step[:-1]))
            yield f"{where} in capitals", changed(path, lambda at, step: rename(at, step, step.upper()))
            if len(path) > 1:
                moved = copy.deepcopy(document)
                parent(moved, path).pop(path[-1])
                at = parent(moved, path[:-1])
                if isinstance(at, dict):
                    at[path[-1]] = value
                    yield f"{where} one level up", moved
        if isinstance(value, dict):
            yield f"unknown key in {where}", changed(path, lambda at, step: at[step].__setitem__("unknown_key", 1))
    yield "unknown key at the top", {**document, "unknown_key": 1}
    yield "no object", [document]


def repeated(document):
    """A key that stands twice: no validator sees that."""
    text = json.dumps(document)
    for key, value in document.items():
        yield f"{key} twice", f'{{"{key}": {json.dumps(value)}, {text[1:]}'
        yield f"{key} again at the end", f'{text[:-1]}, "{key}": {json.dumps(value)}}}'


def same_fields(document):
    """Names that mean one field: no schema compares them."""
    for name, credential in document["credentials"].items():
        new = copy.deepcopy(document)
        new["credentials"][name]["extra_headers"] = {"X-One": "a", "x_one": "b"}
        yield f"one field twice in {name}", json.dumps(new)


def main():
    schema_path, output, *files = sys.argv[1:]
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    seen = set()
    with open(output, "w", encoding="utf-8") as lines:
        def write(what, text):
            if text in seen:
                return
            seen.add(text)
            line = {"what": what, "text": text, "valid": validator.is_valid(json.loads(text))}
            lines.write(json.dumps(line) + "\n")
        for path in files:
            with open(path, encoding="utf-8") as file:
                document = json.load(file)
            for error in validator.iter_errors(document):
                sys.exit(f"{path}: {error.json_path}: {error.message[:300]}")
            for number, (what, changed) in enumerate(mutations(document)):
                # Enough of them: the test runs in debug builds too.
                if number % 3 != 2:
                    write(what, json.dumps(changed))
            for what, text in [*repeated(document), *same_fields(document)]:
                write(what, text)


main()
