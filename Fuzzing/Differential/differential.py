#!/usr/bin/env python3
"""Whatever our parser accepts, h11 accepts with the same meaning: method, target, fields in order, framing, body, end.

Ours may be stricter. Where h11 is, on purpose or not, each way is named in DIFFERENCES with the rule that allows ours.

  differential.py --driver .build/debug/wire-driver [--inputs N] [--seed S]

Half of the inputs are those of the fixed seed, half of another one that is printed, so that a finding can be repeated.
"""

import argparse
import collections
import pathlib
import random
import re
import subprocess
import sys

import h11

from messages import Generator
from oracle import Incomplete, Reading, Refused, read

KINDS = ["request", "response", "response-to-head"]
FIXED_SEED = 9112
SPACE_BEFORE_COLON = re.compile(rb"^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]+:", re.MULTILINE)
SPACE_BEFORE_EXTENSION = re.compile(rb"^([0-9A-Fa-f]{1,16})[ \t]+;", re.MULTILINE)


def without_empty_line(kind, message, ours):
    """RFC 9112 2.2: a server ignores at least one empty line before the request line. h11 wants none."""
    return message[2:] if kind == "request" and message.startswith(b"\r\n") else None


def without_space_before_colon(kind, message, ours):
    """RFC 9112 5.1: a proxy removes white space between name and colon from a response. h11 refuses it."""
    if kind == "request":
        return None
    head = SPACE_BEFORE_COLON.sub(rb"\1:", message[: ours.head])
    return head + message[ours.head :] if len(head) < ours.head else None


def without_space_before_extension(kind, message, ours):
    """RFC 9112 7.1.1: `chunk-ext = *( BWS ";" …`: blanks before the semicolon are read over. h11 refuses them."""
    if ours.framing != "chunked":
        return None
    # Not in what follows the message, which may look like chunks too.
    end = len(message) - ours.rest
    body = SPACE_BEFORE_EXTENSION.sub(rb"\1;", message[ours.head : end])
    return message[: ours.head] + body + message[end:] if len(body) < end - ours.head else None


# Each makes a message that h11 refuses into one without the difference, or returns None where it does not apply. The
# meaning must then be the same.
DIFFERENCES = [without_empty_line, without_space_before_colon, without_space_before_extension]


class Driver:
    """Our parser as a process: one line in, one line out."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, batch):
        """Answers to a batch of (kind, message). One that fits the pipes' buffers cannot block both sides."""
        for kind, message in batch:
            self.process.stdin.write(f"{kind} {message.hex() or '-'}\n".encode())
        self.process.stdin.flush()
        return [self.process.stdout.readline().decode().strip() for _ in batch]

    def close(self):
        self.process.stdin.close()
        return self.process.wait(timeout=30)


def parse_answer(line):
    """The driver's `accepted` line as a Reading with the length of the head besides."""
    values = dict(word.split("=", 1) for word in line.split()[1:])

    def text(value):
        return b"" if value == "-" else bytes.fromhex(value)

    def fields(value):
        return [tuple(map(text, line.split(":"))) for line in value.split(",") if line]

    reading = Reading(
        start=[text(value) for value in values["start"].split(",")],
        fields=fields(values["fields"]),
        framing=values["framing"],
        body=text(values["body"]),
        trailers=fields(values["trailers"]),
        rest=int(values["rest"]),
        keeps=values["keep"] == "1",
    )
    reading.head = int(values["head"])
    return reading


def disagreements(ours, theirs):
    """What two readings of one message differ in."""
    # RFC 9112 7: names of codings are case-insensitive. h11 shows them in lower case, we forward them as they are.
    ours.fields = [(name, value.lower() if name.lower() == b"transfer-encoding" else value) for name, value in ours.fields]
    found = [
        f"{name}: ours {getattr(ours, name)!r}, h11 {getattr(theirs, name)!r}"
        for name in ["start", "fields", "framing", "body", "trailers", "rest"]
        if getattr(ours, name) != getattr(theirs, name)
    ]
    # h11 never keeps an HTTP/1.0 connection (RFC 9112 9.3 lets a recipient that was asked to). A 1xx ends nothing.
    is_final = theirs.start[0][:1] != b"1" or not theirs.start[0].isdigit()
    if ours.start[2] == b"1" and is_final and ours.keeps and not theirs.keeps:
        found.append("persistence: ours goes on, h11 closes")
    return found


def compare(kind, message, ours, counts):
    """What is wrong with our acceptance of a message: nothing, or the list."""
    try:
        return disagreements(ours, read(kind, message))
    except Incomplete:
        return ["h11 waits for more"]
    except Refused as refusal:
        reason = str(refusal)
    # Several differences may meet in one message.
    changed, names = message, []
    for difference in DIFFERENCES:
        again = difference(kind, changed, ours)
        if again is not None:
            ours.head -= len(changed) - len(again) if difference is not without_space_before_extension else 0
            changed = again
            names.append(difference.__name__)
    try:
        found = disagreements(ours, read(kind, changed)) if names else [f"h11 refuses it: {reason}"]
    except (Incomplete, Refused) as error:
        found = [f"h11 refuses it: {error or 'it waits for more'} (without: {', '.join(names)})"]
    if not found:
        counts.update(names)
    return found


def check_oracle():
    """The comparison sees every part: a reading that differs in it must not pass."""
    message = b"POST /a HTTP/1.1\r\nHost: a\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: u\r\n\r\nrest"
    changes = dict(
        start=[b"PUT", b"/a", b"1"], fields=[], framing="none", body=b"ko", trailers=[], rest=0,
    )
    for name, value in changes.items():
        ours, theirs = read("request", message), read("request", message)
        assert not disagreements(ours, theirs), "a message differs from itself"
        setattr(ours, name, value)
        assert disagreements(ours, theirs), f"another {name} goes unnoticed"
    closing = read("request", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    ours = read("request", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    ours.keeps = True
    assert disagreements(ours, closing), "a closing connection goes unnoticed"


def corpus():
    """The fuzz targets' seeds, of which a table test each says what is right about them."""
    folder = pathlib.Path(__file__).parent.parent / "Corpus"
    texts = {name: [path.read_bytes() for path in sorted((folder / name).iterdir())] for name in ("request-head", "response-head", "chunked")}
    requests = [b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body for body in texts["chunked"]]
    responses = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body for body in texts["chunked"]]
    response = texts["response-head"] + responses
    return {"request": texts["request-head"] + requests, "response": response, "response-to-head": response}


def inputs(count, seed, seeds):
    """The corpus as it is, then half of the rest by the fixed seed, half by the other."""
    for kind in KINDS:
        for message in seeds[kind]:
            yield kind, message
    for each in (FIXED_SEED, seed):
        generator = Generator(each, seeds)
        for _ in range(count // 2):
            kind = generator.random.choices(KINDS, weights=[6, 3, 1])[0]
            yield kind, generator.message(kind)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--driver", required=True, help="the wire-driver program")
    arguments.add_argument("--inputs", type=int, default=20000)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = arguments.parse_args()
    check_oracle()

    seeds = corpus()
    driver = Driver(options.driver)
    counts = collections.Counter()
    findings = 0
    batch = []

    def settle():
        nonlocal findings
        for (kind, message), line in zip(batch, driver.ask(batch)):
            verdict = line.split(" ", 1)[0]
            counts[f"{verdict} {kind}" if verdict == "accepted" else verdict] += 1
            if verdict == "accepted":
                found = compare(kind, message, parse_answer(line), counts)
            else:
                found = [] if verdict in ("refused", "incomplete") else [f"the driver said {line!r}"]
            if found:
                findings += 1
                if findings <= 20:
                    print(f"{kind} {message!r}\n  " + "\n  ".join(found))
        batch.clear()

    for item in inputs(options.inputs, options.seed, seeds):
        batch.append(item)
        if sum(len(message) for _, message in batch) > 8000:
            settle()
    settle()
    if driver.close() != 0:
        print("the driver did not end well")
        findings += 1

    accepted = sum(counts[f"accepted {kind}"] for kind in KINDS)
    total = accepted + counts["refused"] + counts["incomplete"]
    print(f"{total} messages, seeds {FIXED_SEED} and {options.seed}, h11 {h11.__version__}: {dict(counts)}")
    for kind in KINDS:
        # Else the comparison would say nothing.
        if counts[f"accepted {kind}"] * 100 < options.inputs:
            print(f"too few of kind {kind} were accepted")
            findings += 1
    print(f"{accepted} accepted by us and by h11 with the same meaning" if not findings else f"{findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
