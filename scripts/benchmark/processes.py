"""Child processes of the bench: starting and stopping them, their CPU time and memory, free ports, waiting for answers."""
import http.client, pathlib, re, resource, shutil, socket, subprocess, tempfile, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def raise_descriptor_limit():
    """To the hard limit, and that as far as allowed; children inherit it. The limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (65536, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            return limit
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def request(port, path="/small", method="GET", body=None, headers=None, timeout=5):
    """(status, fields, body) of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def wait_for(what, condition, deadline=15, pause=0.02):
    """Until the condition holds; an error of a connection or of HTTP counts as not yet."""
    end = time.monotonic() + deadline
    while True:
        try:
            if condition():
                return
            reason = "it does not come"
        except (OSError, http.client.HTTPException) as error:
            reason = error
        if time.monotonic() > end:
            raise SystemExit(f"{what}: {reason}")
        time.sleep(pause)


def tree(pid):
    """The process and its descendants: nginx and HAProxy work in a child."""
    found = [pid]
    for tasks in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = tasks.read_text().split()
        except OSError:
            continue
        for child in children:
            found += tree(int(child))
    return found


def cpu_ns(pid):
    """Run time of all threads of the tree."""
    total = 0
    for process in tree(pid):
        for task in pathlib.Path(f"/proc/{process}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except (OSError, ValueError):
                pass  # a thread that has ended; the servers measured here keep theirs
    return total


def memory_kib(pid, kind="Rss"):
    """`Rss` or `Pss` of the tree, from smaps_rollup."""
    total = 0
    for process in tree(pid):
        text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
        total += int(re.search(rf"^{kind}:\s+(\d+)", text, re.MULTILINE).group(1))
    return total


class Children:
    """Every process that the bench starts, and the directory that all of them write to."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gateway-bench-"))
        self.running = []

    def log(self, name):
        return self.directory / f"{name}.log"

    def start(self, name, *command):
        with open(self.log(name), "ab") as log:
            # Nothing is left behind even when the bench itself is killed.
            command = ["setpriv", "--pdeathsig", "TERM", *command]
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.running.append(process)
        return process

    def stop(self, process):
        self.running.remove(process)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self):
        for process in self.running:
            process.terminate()
        for process in list(self.running):
            self.stop(process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def tail(self, name):
        text = self.log(name).read_text(errors="replace") if self.log(name).exists() else ""
        return "\n".join(text.splitlines()[-8:])


def run(*command, **options):
    """A command that must succeed; what it says is shown only if it does not."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout
