"""A collector of traces that knows OTLP from its official schema alone (opentelemetry-proto), and keeps all that it gets.

Prints one line, {"port": …, "control": …}; both on loopback. POST /v1/traces takes spans, as it was told to behave last; what is wrong with a
call is kept and answered with 400. On the control port, which never speaks TLS: GET log gives everything so far, GET counts how much that is, POST mode sets how the next calls go:
  {"status": 503, "retry_after": 1, "count": 2}   these calls get that status, without a look at what they bring
  {"hang": true}                                  calls get no answer until {"hang": false}
  {"partial": 3}                                  so many spans of each call are said to be refused
With two arguments, a certificate and its key, it speaks TLS.
"""
import base64
import json
import re
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

lock = threading.Lock()
state = {"mode": {}, "calls": [], "spans": [], "problems": [], "text": ""}
released = threading.Event()
released.set()

# In OTLP's JSON ids are hexadecimal, where protobuf's own mapping has base64.
IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
# 64 bits are texts.
LONG = {"startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "intValue"}


def converted(value, problems):
    if isinstance(value, list):
        return [converted(each, problems) for each in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, inner in value.items():
        if key in IDS:
            if not re.fullmatch("[0-9a-f]{%d}" % IDS[key], inner) or not inner.strip("0"):
                problems.append(f"{key} is {inner}")
            inner = base64.b64encode(bytes.fromhex(inner)).decode()
        elif key in LONG and not (isinstance(inner, str) and re.fullmatch("[0-9]+", inner)):
            problems.append(f"{key} is {inner!r}")
        elif key == "kind" or key == "code":
            if not isinstance(inner, int):
                problems.append(f"{key} is {inner!r}")
        result[key] = converted(inner, problems)
    return result


def plain(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(items, problems):
    result = {item.key: plain(item.value) for item in items}
    if len(result) != len(items):
        problems.append(f"an attribute stands twice: {[item.key for item in items]}")
    return result


def read(body):
    problems = []
    text = body.decode()
    message = json_format.ParseDict(
        converted(json.loads(text), problems), ExportTraceServiceRequest(), ignore_unknown_fields=False)
    spans = []
    for resource in message.resource_spans:
        of_resource = attributes(resource.resource.attributes, problems)
        for scope in resource.scope_spans:
            for span in scope.spans:
                if span.end_time_unix_nano < span.start_time_unix_nano:
                    problems.append(f"{span.name} ends before it begins")
                spans.append({
                    "trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                    "name": span.name, "kind": span.kind, "flags": span.flags, "status": span.status.code,
                    "start": span.start_time_unix_nano, "end": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes, problems), "resource": of_resource,
                    "scope": scope.scope.name,
                    "events": {event.name: event.time_unix_nano for event in span.events},
                })
    if not spans:
        problems.append("a call without spans")
    return spans, problems, text


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, fields=()):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        with lock:
            if self.path == "/control/counts":
                return self.answer(200, {"spans": len(state["spans"]), "problems": state["problems"]})
            self.answer(200, {key: state[key] for key in ("calls", "spans", "problems", "text")})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/control/mode":
            mode = json.loads(body)
            with lock:
                state["mode"] = mode
            if mode.get("hang"):
                released.clear()
            else:
                released.set()
            return self.answer(200, {})
        with lock:
            mode = state["mode"]
            state["calls"].append({"path": self.path, "fields": dict(self.headers), "size": len(body)})
            status = mode.get("status")
            if status:
                mode["count"] = mode.get("count", 1 << 30) - 1
                if mode["count"] <= 0:
                    state["mode"] = {}
        if status:
            wait = [("Retry-After", str(mode["retry_after"]))] if "retry_after" in mode else []
            return self.answer(status, {"message": "not now"}, wait)
        if mode.get("hang"):
            released.wait()
            self.close_connection = True
            return None
        try:
            spans, problems, text = read(body)
            if self.headers.get("Content-Type") != "application/json":
                problems.append(f"Content-Type is {self.headers.get('Content-Type')}")
        except Exception as error:  # Whatever it is, the test has to see it.
            spans, problems, text = [], [f"{type(error).__name__}: {error}"], ""
        with lock:
            known = {(each["trace"], each["id"]) for each in state["spans"]}
            problems += [f"{each['name']} came twice" for each in spans if (each["trace"], each["id"]) in known]
            state["spans"] += spans
            state["problems"] += problems
            state["text"] += text
        if problems:
            return self.answer(400, {"message": problems[0]})
        refused = mode.get("partial", 0)
        return self.answer(200, {"partialSuccess": {"rejectedSpans": str(refused)}} if refused else {})


def listen():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    return server


server, control = listen(), listen()
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=control.serve_forever, daemon=True).start()
print(json.dumps({"port": server.server_port, "control": control.server_port}), flush=True)
server.serve_forever()
