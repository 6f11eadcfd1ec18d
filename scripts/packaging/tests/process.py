"""The binary under a service manager that this test plays: sd_notify, watchdog, socket activation, credentials."""
import ctypes
import json
import os
import signal
import socket
import time

import peers
from checks import wait_for


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)

    def receive(self, seconds):
        """The next message as a dictionary and when it came; None after that time."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            text = self.socket.recv(8192).decode()
        except TimeoutError:
            return None
        return dict(line.split("=", 1) for line in text.split("\n") if line), time.monotonic()

    def wait(self, key, seconds=30):
        """Skips messages up to one that has the key."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            message = self.receive(left)
            if message and key in message[0]:
                return message
        return None

    def count(self, key, seconds):
        """How many messages with the key come in that time."""
        end = time.monotonic() + seconds
        number = 0
        while (left := end - time.monotonic()) > 0:
            message = self.receive(left)
            number += bool(message and key in message[0])
        return number


class Running:
    """A gateway that was started the way a service manager does it."""

    def __init__(self, test, configuration, environment=None, sockets=(), names=None, count=None, owner=None):
        test.started += 1
        self.directory = f"{test.directory}/{test.started}"
        os.makedirs(self.directory, 0o700, exist_ok=True)
        file = f"{self.directory}/gateway.json"
        with open(file, "w", encoding="utf-8") as out:
            json.dump(configuration, out)
        self.errors = f"{self.directory}/errors"
        with open(self.errors, "w", encoding="utf-8"):
            pass
        environment = {"PATH": "/usr/bin:/bin"} | (environment or {})
        # Out of the way of the numbers that they get.
        copies = [os.dup(one.fileno()) for one in sockets]
        self.pid = os.fork()
        if self.pid == 0:
            try:
                errors = os.open(self.errors, os.O_WRONLY | os.O_APPEND)
                null = os.open("/dev/null", os.O_RDWR)
                high = [os.dup2(fd, 100 + index) for index, fd in enumerate(copies)]
                for target, fd in enumerate([null, null, errors] + high):
                    os.dup2(fd, target)
                os.closerange(3 + len(high), 256)
                if sockets or count:
                    environment["LISTEN_FDS"] = str(count or len(sockets))
                    environment["LISTEN_PID"] = str(owner or os.getpid())
                    if names:
                        environment["LISTEN_FDNAMES"] = ":".join(names)
                os.execve(test.binary, [test.binary, "serve", "--config", file], environment)
            finally:
                os._exit(127)
        for fd in copies:
            os.close(fd)
        test.processes.append(self)
        self.status = None

    def log(self):
        with open(self.errors, encoding="utf-8") as text:
            return text.read()

    def address(self, message, key, **like):
        """From the operational log: where a listener or the admin listener is."""
        for line in self.log().splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("message") == message and all(entry.get(name) == value for name, value in like.items()):
                return entry[key]
        return None

    def port(self, listener="main"):
        address = wait_for(lambda: self.address("listening", "address", listener=listener) or self.ended())
        return int(address.rsplit(":", 1)[1]) if isinstance(address, str) and ":" in address else 0

    def admin(self):
        return int(wait_for(lambda: self.address("starting", "admin")).rsplit(":", 1)[1])

    def ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait(self, seconds=40):
        """The exit status; None when it does not end."""
        wait_for(self.ended, seconds)
        return self.status

    def stop(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def kill(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            self.wait()


def listening(address=("127.0.0.1", 0)):
    made = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    made.bind(address)
    made.listen(64)
    return made


class ProcessTest:
    def __init__(self, checks, binary, directory):
        self.checks = checks
        self.binary = binary
        self.directory = directory
        self.started = 0
        self.processes = []
        secret = f"{directory}/secret"
        with open(secret, "w", encoding="utf-8") as out:
            out.write(peers.SECRET + "\n")
        os.chmod(secret, 0o600)
        self.secret = {"file": secret}

    def configuration(self, **more):
        return peers.configuration(f"{self.directory}/state{self.started}", self.secret, **more)

    def run(self):
        parts = [
            self.readiness, self.abstract, self.watchdog, self.standing_still, self.foreign_watchdog, self.full_queue,
            self.nobody_there, self.replacement, self.sockets, self.waiting_callers, self.wrong_sockets, self.credentials,
        ]
        for part in parts:
            try:
                part()
            except Exception as error:  # the next part says more
                self.checks.raised(part.__name__, error)
            for process in self.processes:
                process.kill()

    def manager(self, name=None):
        return Manager(name or f"{self.directory}/notify{self.started}")

    def start(self, manager, environment=None, **more):
        return Running(self, self.configuration(), {"NOTIFY_SOCKET": manager.name} | (environment or {}), **more)

    # sd_notify

    def readiness(self):
        manager = self.manager()
        gateway = self.start(manager)
        ready = manager.wait("READY")
        self.checks.that(ready and ready[0]["READY"] == "1", "READY=1 comes", gateway.log())
        status = ready[0].get("STATUS", "") if ready else ""
        self.checks.that(status.startswith("Serving: 1 listener, 1 credential"), "STATUS says what is served", status)
        self.checks.equal(peers.get(gateway.port(), "/api/x"), (200, '{"path": "/x"}'), "a request after READY=1")
        os.kill(gateway.pid, signal.SIGTERM)
        stopping = manager.wait("STOPPING")
        extension = int(stopping[0].get("EXTEND_TIMEOUT_USEC", 0)) if stopping else 0
        self.checks.that(30e6 < extension < 60e6, "STOPPING=1 comes, and asks for the time of a drain", stopping)
        self.checks.equal(gateway.wait(), 0, "SIGTERM ends it with 0")

    def abstract(self):
        manager = self.manager(f"@gateway-test-{os.getpid()}")
        gateway = self.start(manager)
        self.checks.that(manager.wait("READY"), "READY=1 comes to an abstract socket", gateway.log())
        gateway.stop()

    def watchdog(self):
        manager = self.manager()
        gateway = self.start(manager, {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": ""})
        manager.wait("READY")
        times = [time.monotonic()] + [(manager.wait("WATCHDOG", 10) or (None, 0))[1] for _ in range(3)]
        gaps = [round(after - before, 2) for before, after in zip(times, times[1:])]
        self.checks.that(all(0.4 < gap < 2 for gap in gaps), "WATCHDOG=1 comes at half of the time", gaps)
        gateway.stop()

    def standing_still(self):
        if os.geteuid() != 0:
            return print("skipped a data loop that stands still: holding one takes root")
        manager = self.manager()
        gateway = self.start(manager, {"WATCHDOG_USEC": "600000"})
        manager.wait("WATCHDOG")
        tasks = f"/proc/{gateway.pid}/task"
        thread = next(int(task) for task in os.listdir(tasks) if open(f"{tasks}/{task}/comm").read() == "data-1\n")
        libc = ctypes.CDLL(None, use_errno=True)
        attach, detach = 16, 17
        if libc.ptrace(attach, thread, None, None) != 0:
            return print("skipped a data loop that stands still: ptrace is not allowed here")
        os.waitpid(thread, 0x40000000)
        # One may be on its way.
        manager.count("WATCHDOG", 0.5)
        silent = manager.count("WATCHDOG", 2)
        health = peers.get(gateway.admin(), "/healthz")[0]
        libc.ptrace(detach, thread, None, None)
        self.checks.equal((silent, health), (0, 200), "no WATCHDOG=1 while a data loop stands still, though others turn")
        self.checks.that(manager.wait("WATCHDOG", 10), "WATCHDOG=1 comes again when it turns")
        gateway.stop()

    def foreign_watchdog(self):
        manager = self.manager()
        gateway = self.start(manager, {"WATCHDOG_USEC": "300000", "WATCHDOG_PID": "1"})
        manager.wait("READY")
        self.checks.equal(manager.count("WATCHDOG", 1), 0, "the watchdog of another process gets nothing")
        gateway.stop()

    def full_queue(self):
        manager = self.manager()
        filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        filler.setblocking(False)
        try:
            while True:
                filler.sendto(b"X=1", manager.name)
        except BlockingIOError:
            pass
        gateway = self.start(manager)
        served = peers.get(gateway.port(), "/api/x")[0]
        # It has been tried by then.
        time.sleep(0.3)
        self.checks.equal(served, 200, "a service manager that does not read holds nobody up")
        self.checks.that(manager.wait("READY"), "READY=1 comes when its queue has room", gateway.log())
        gateway.stop()

    def nobody_there(self):
        gateway = Running(self, self.configuration(), {"NOTIFY_SOCKET": f"{self.directory}/nobody"})
        served = peers.get(gateway.port(), "/api/x")[0]
        warnings = gateway.log().count("the service manager can't be notified")
        self.checks.equal((served, warnings), (200, 1), "without its service manager it serves, and says so once")
        self.checks.equal(gateway.stop(), 0, "and ends with 0")

    def replacement(self):
        manager = self.manager()
        gateway = self.start(manager, {"WATCHDOG_USEC": "1000000"})
        manager.wait("READY")
        port = gateway.port()
        os.kill(gateway.pid, signal.SIGUSR2)
        told = manager.wait("MAINPID")
        new = int(told[0]["MAINPID"]) if told else 0
        self.checks.that(new not in (0, gateway.pid) and os.path.exists(f"/proc/{new}"),
                         "SIGUSR2 starts a new process, and MAINPID names it", gateway.log())
        try:
            self.checks.that(manager.wait("READY"), "READY=1 follows from the new one", gateway.log())
            self.checks.equal(gateway.wait(), 0, "the old one ends with 0")
            self.checks.equal(manager.count("STOPPING", 0.1), 0, "and says no more")
            self.checks.that(manager.count("WATCHDOG", 2) >= 2, "WATCHDOG=1 comes from the new one")
            self.checks.equal(peers.get(port, "/api/x")[0], 200, "which serves")
            files = {name: os.readlink(f"/proc/{new}/fd/{name}") for name in os.listdir(f"/proc/{new}/fd")}
            listening_at = [line.split() for line in open("/proc/net/tcp", encoding="utf-8").readlines()[1:]]
            nodes = {line[9] for line in listening_at if line[3] == "0A"}
            mine = [target for target in files.values() if target.startswith("socket:[") and target[8:-1] in nodes]
            self.checks.equal(len(mine), 2, "with the two listening sockets, and no copy of them")
        finally:
            if new:
                os.kill(new, signal.SIGTERM)
                wait_for(lambda: not os.path.exists(f"/proc/{new}"))

    # Socket activation

    def sockets(self):
        main, admin = listening(), listening()
        port = main.getsockname()[1]
        configuration = self.configuration(listener=f"127.0.0.1:{port}")
        gateway = Running(self, configuration, sockets=[main, admin], names=["", "admin"])
        self.checks.equal(peers.get(port, "/api/x")[0], 200, "the socket with the listener's address is taken")
        self.checks.equal(gateway.admin(), admin.getsockname()[1], "the socket named admin is the admin listener's")
        flags = []
        for fd in (3, 4):
            with open(f"/proc/{gateway.pid}/fdinfo/{fd}", encoding="utf-8") as info:
                flags.append(int(dict(line.split(":\t", 1) for line in info)["flags"], 8))
        wanted = os.O_CLOEXEC | os.O_NONBLOCK
        self.checks.that(all(flag & wanted == wanted for flag in flags), "they do not block, and are closed on exec", flags)
        gateway.stop()

        named = listening()
        gateway = Running(self, self.configuration(), sockets=[named], names=["main"])
        self.checks.equal(gateway.port(), named.getsockname()[1], "the socket with the listener's name is taken")
        gateway.stop()

        path = f"{self.directory}/listener.sock"
        unix = listening(path)
        gateway = Running(self, self.configuration(listener=f"unix:{path}"), sockets=[unix], names=["gateway.socket"])
        wait_for(lambda: gateway.address("listening", "address", listener="main"))
        self.checks.equal(peers.get(path, "/api/x")[0], 200, "a Unix socket with the listener's path is taken")
        gateway.stop()
        self.checks.that(os.path.exists(path), "and left where it is")

        gateway = Running(self, self.configuration(), sockets=[listening()], owner=1)
        self.checks.that(gateway.port() != 0, "sockets for another process are left alone", gateway.log())
        gateway.stop()

    def waiting_callers(self):
        main = listening()
        port = main.getsockname()[1]
        configuration = self.configuration(listener=f"127.0.0.1:{port}")
        statuses = []
        for _ in range(2):
            caller = socket.create_connection(("127.0.0.1", port), timeout=20)
            caller.sendall(b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            gateway = Running(self, configuration, sockets=[main])
            statuses.append(caller.makefile("rb").readline())
            gateway.stop()
        self.checks.equal(
            statuses, [b"HTTP/1.1 200 OK\r\n"] * 2, "callers that came before the start, or between two, are served")

    def wrong_sockets(self):
        plain = socket.socket()
        plain.bind(("127.0.0.1", 0))
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagram.bind(("127.0.0.1", 0))
        cases = [
            ("a socket that no listener takes is an error", {"sockets": [listening()], "names": ["other"]}, "is of no use"),
            ("a socket that does not listen is an error", {"sockets": [plain], "names": ["main"]}, "not a listening"),
            ("a datagram socket is an error", {"sockets": [datagram], "names": ["main"]}, "not a listening"),
            ("a descriptor that is not there is an error", {"sockets": [listening()], "names": ["main"], "count": 2},
             "is not open"),
            ("two sockets for one listener are an error", {"sockets": [listening(), listening()], "names": ["main"] * 2},
             "is of no use"),
            ("LISTEN_FDS that is no number is an error", {"count": "many"}, "LISTEN_FDS is not"),
            ("a socket that others can reach is none for a listener on loopback",
             {"sockets": [listening(("0.0.0.0", 0))], "names": ["main"]}, "can be reached from other machines"),
        ]
        for what, arguments, message in cases:
            gateway = Running(self, self.configuration(), **arguments)
            status = gateway.wait(20)
            self.checks.that(status == 1 and message in gateway.log(), what, f"{status}: {gateway.log()}")
            gateway.kill()

    # Credentials of systemd

    def credentials(self):
        directory = f"{self.directory}/credentials"
        os.mkdir(directory, 0o500)
        for name in ("first", "gateway_second"):
            file = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT, 0o400)
            os.write(file, peers.SECRET.encode())
            os.close(file)
        for name in ("first", "second"):
            configuration = peers.configuration(f"{self.directory}/state-{name}", {"credential": name})
            gateway = Running(self, configuration, {"CREDENTIALS_DIRECTORY": directory})
            self.checks.equal(peers.get(gateway.port(), "/api/x")[0], 200, f"the {name} form of a credential's file is read")
            self.checks.that(peers.SECRET not in gateway.log(), "its content is in no log")
            gateway.stop()
        # By hand: from the directory beside the configuration.
        beside = f"{self.directory}/{self.started + 1}"
        os.mkdir(beside, 0o700)
        os.symlink(directory, f"{beside}/credentials")
        gateway = Running(self, peers.configuration(f"{self.directory}/state-hand", {"credential": "first"}))
        self.checks.equal(peers.get(gateway.port(), "/api/x")[0], 200, "without systemd it is read beside the configuration")
        gateway.stop()
        cases = [("first", {}, "CREDENTIALS_DIRECTORY is not set"), ("third", None, "LoadCredential=third:PATH"),
                 ("../first", None, "is not the name of a credential")]
        for name, environment, message in cases:
            configuration = peers.configuration(f"{self.directory}/state-none", {"credential": name})
            if environment is None:
                environment = {"CREDENTIALS_DIRECTORY": directory}
            gateway = Running(self, configuration, environment)
            status = gateway.wait(20)
            self.checks.that(
                status == 1 and message in gateway.log(), f"credential {name} is refused: {message}", gateway.log())
