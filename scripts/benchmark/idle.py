"""Memory of connections that have made a request and are idle since."""
import socket, time

from .load import SMALL
from .processes import memory_kib

WARM_UP = 500  # requests before the first count, so that only the connections are counted


def ask(connection, port):
    """One small request; whether its whole answer came."""
    connection.sendall(f"GET /small HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < SMALL:
        part = connection.recv(65536)
        if not part:
            return False
        answer += part
    return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"x" * SMALL)


def is_open(connection):
    try:
        return connection.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def settled_kib(pid):
    """Pss once it stays the same for a moment: what is freed later than the answer went out is freed by then."""
    last, end = -1, time.monotonic() + 5
    while (now := memory_kib(pid, "Pss")) != last and time.monotonic() < end:
        last = now
        time.sleep(0.25)
    return now


def measure(target, wanted):
    """On a fresh process: the growth divided by the connections, and what was wrong."""
    target.restart()
    problems, connections = [], []
    try:
        with socket.create_connection(("127.0.0.1", target.port), timeout=10) as first:
            if not all(ask(first, target.port) for _ in range(WARM_UP)):
                problems.append("a wrong answer")
        before = settled_kib(target.process.pid)
        while len(connections) < wanted:
            try:
                connections.append(socket.create_connection(("127.0.0.1", target.port), timeout=10))
                if not ask(connections[-1], target.port):
                    problems.append("a wrong answer")
            except OSError as error:
                problems.append(f"connection {len(connections)}: {error}")
                break
        after = settled_kib(target.process.pid)
        open_ones = sum(map(is_open, connections))
    finally:
        for connection in connections:
            connection.close()
    if open_ones < wanted:
        problems.append(f"only {open_ones} of {wanted} connections stayed open")
    figures = {"idle_kib": (after - before) / max(open_ones, 1), "connections": open_ones, "total_mib": after / 1024}
    return figures, problems


def measure_all(targets, wanted):
    samples, problems = {}, []
    for name, target in targets.items():
        figures, wrong = measure(target, wanted)
        samples[name] = [figures]
        problems += [f"{name}: {problem}" for problem in wrong]
    return samples, problems
