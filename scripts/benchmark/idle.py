"""Memory of connections that have made a request and are idle since."""
import socket, time

from .load import SMALL
from .processes import memory_kib

BATCH = 100  # connections that ask at the same time
DEADLINE = 90  # seconds for the connections of one proxy


def ask(connections, port):
    """One small request on each, all at the same time; how many got the right answer."""
    for connection in connections:
        connection.sendall(f"GET /small HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return sum(map(is_right, connections))


def is_right(connection):
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < SMALL:
        part = connection.recv(65536)
        if not part:
            return False
        answer += part
    return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n" + b"x" * SMALL)


def is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
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


def open_batch(port, size, connections):
    """Adds connections that have had their answer; how many answers were wrong."""
    batch = []
    for _ in range(size):
        batch.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        connections.append(batch[-1])
    return size - ask(batch, port)


def measure(target, wanted):
    """On a fresh process: the growth divided by the connections, and what was wrong."""
    target.restart()
    problems, wrong, connections = [], 0, []
    end = time.monotonic() + DEADLINE
    try:
        # The first batch stays, and is not counted: the connections to the origin are opened for it.
        for _ in range(3):
            wrong += open_batch(target.port, BATCH - len(connections), connections) + BATCH - ask(connections, target.port)
        uncounted, before = len(connections), settled_kib(target.process.pid)
        try:
            while (left := wanted - len(connections)) > 0 and time.monotonic() < end:
                wrong += open_batch(target.port, min(BATCH, left), connections)
        except OSError as error:
            problems.append(f"connection {len(connections)}: {error}")
        after = settled_kib(target.process.pid)
        open_ones = sum(map(is_open, connections))
    finally:
        for connection in connections:
            connection.close()
    if wrong:
        problems.append(f"{wrong} wrong answers")
    if open_ones < wanted:
        problems.append(f"only {open_ones} of {wanted} connections stayed open")
    figures = {"idle_kib": (after - before) / max(open_ones - uncounted, 1), "connections": open_ones,
               "total_mib": after / 1024}
    return figures, problems


def measure_all(targets, wanted):
    samples, problems = {}, []
    for name, target in targets.items():
        figures, wrong = measure(target, wanted)
        samples[name] = [figures]
        problems += [f"{name}: {problem}" for problem in wrong]
    return samples, problems
