"""What is measured of the gateway alone: system calls for each request, what a setting costs, its start."""
import re, shutil, signal, statistics, subprocess, sys, time

from .load import Load
from .peers import Gateway, TwoWorkers
from .processes import memory_kib
from .rows import measure_loads

DATA_CALLS = ("read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg", "splice", "sendfile")
OTHER_CALLS = ("epoll_wait", "epoll_pwait", "epoll_ctl")
ROOM = 0.04  # of the data syscalls: the ends of the connections read too

# Title, the settings that differ from the gateway's own, and how much more a request may cost with them: a setting is
# measured by adding it here. `{folder}` is that gateway's own.
VARIANTS = {
    "workers": ("two workers, CPU per request against one", {"workers": 2}, 1.05),
    "access_log": ("access log on, CPU per request against off", {"log": {"access": "{folder}/access.log"}}, 1.05)}


def figure(title, value, target, unit="", note=""):
    return {"title": title, "value": value, "target": target, "met": value <= target, "unit": unit, "note": note}


# System calls: the whole of one load is counted, by a tool that is there from before to after it.

def count_with_perf(pid, command, environment):
    """System call → how often in all threads of the process; None where perf may not count them."""
    if not shutil.which("perf"):
        return None
    kernel_names = {"sendfile": "sendfile64"}
    events = {f"syscalls:sys_enter_{kernel_names.get(name, name)}": name for name in DATA_CALLS + OTHER_CALLS}
    done = subprocess.run(["perf", "stat", "-x", ",", "-e", ",".join(events), "-p", str(pid), "--", *command],
                          env=environment, capture_output=True, text=True, check=False)
    counts = {events[fields[2]]: int(fields[0]) for fields in (line.split(",") for line in done.stderr.splitlines())
              if len(fields) > 2 and fields[2] in events and fields[0].isdigit()}
    return counts if done.returncode == 0 and counts.get("epoll_wait", 0) + counts.get("epoll_pwait", 0) else None


def count_with_strace(pid, command, environment):
    strace = subprocess.Popen(["strace", "-f", "-c", "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    strace.stderr.readline()  # it says that it is attached
    time.sleep(0.3)  # to every thread
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    strace.send_signal(signal.SIGINT)
    text = strace.communicate(timeout=20)[1]
    rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", text, re.MULTILINE)
    return {name: int(number) for number, name in rows}


def syscalls(gateway, origin, tls, seconds):
    # strace makes every call so slow that few connections and a longer time are needed for the same certainty.
    for tool, count, connections, longer in (
            ("perf stat", count_with_perf, 64, 0), ("strace -c", count_with_strace, 8, 4)):
        load = Load(tls=tls, connections=connections)
        environment = load.environment()
        # Opens the pool.
        subprocess.run(load.command(gateway, 1), env=environment, stdout=subprocess.DEVNULL, check=True)
        seen = origin.quiet_stats()
        counts = count(gateway.process.pid, load.command(gateway, seconds + longer), environment)
        after = origin.quiet_stats()
        if counts is not None:
            break
    requests = after["served"] - seen["served"]
    # wrk tries the address once before it begins.
    opened = load.connections + 1 + after["connections"] - seen["connections"] - after["asked"]
    data = sum(counts.get(name, 0) for name in DATA_CALLS)
    waits = counts.get("epoll_wait", 0) + counts.get("epoll_pwait", 0)
    upstream = "TLS upstream" if tls else "plain upstream"
    return {
        f"data_syscalls_{'tls' if tls else 'plain'}": figure(
            f"data syscalls per small request, {upstream}", data / requests, 4.0 + ROOM,
            note=f"{tool}; {waits / requests:.3f} epoll_wait"),
        f"epoll_ctl_{'tls' if tls else 'plain'}": figure(
            f"`epoll_ctl` beyond one for each connection, {upstream}", max(0, counts.get("epoll_ctl", 0) - opened), 0,
            note=f"in {requests} requests")}


# What a setting costs: a second gateway with it takes turns with the first.

def ratio_between(one, other, origin, options):
    """The other's CPU per request as a part of the one's, and both."""
    other.start()
    try:
        samples, problems = measure_loads(Load(), {"one": one, "other": other}, origin, options.rounds, options.seconds)
    finally:
        other.stop()
    ratio = statistics.median(b["cpu_us"] / a["cpu_us"] for a, b in zip(samples["one"], samples["other"]))
    cost = [statistics.median(sample["cpu_us"] for sample in samples[name]) for name in ("one", "other")]
    return ratio, f"{cost[0]:.2f} and {cost[1]:.2f} µs", problems


def variant(key, targets, origin, sandbox, options):
    title, settings, target = VARIANTS[key]
    gateway, nginx = targets["gateway"], targets["nginx"]
    other = Gateway(gateway.children, origin, sandbox, gateway.binary.parent, f"gateway-{key}", settings)
    ratio, note, problems = ratio_between(gateway, other, origin, options)
    if key == "workers":
        # Half the events a turn, and sockets that move between cores: what a machine makes of that.
        others, _, more = ratio_between(nginx, TwoWorkers("nginx-workers", gateway.children, origin), origin, options)
        note, problems = f"{note}; nginx {others:.2f}", problems + more
    return {key: figure(title, ratio, target, note=note)}, problems


def starts(gateway, times):
    """With the lease in its store, as after any restart."""
    milliseconds, resident = [], []
    for _ in range(times):
        gateway.stop()
        milliseconds.append(gateway.start_timed())
        resident.append(memory_kib(gateway.process.pid) * 1024 / 1e6)
    return {
        "start": figure("start to the first forwarded request, stored lease", statistics.median(milliseconds), 50, "ms",
                        f"at most {max(milliseconds):.0f} ms of {times}"),
        "rss_at_start": figure("RSS at start", statistics.median(resident), 20, "MB")}


KEYS = ("syscalls", *VARIANTS, "start")


def run(key, targets, origin, sandbox, options):
    """Figures by key, and what was wrong."""
    begin, problems = time.monotonic(), []
    if key == "syscalls":
        results = syscalls(targets["gateway"], origin, False, options.seconds)
        results |= syscalls(targets["gateway"], origin, True, options.seconds)
    elif key == "start":
        results = starts(targets["gateway"], max(3, options.rounds))
    else:
        results, problems = variant(key, targets, origin, sandbox, options)
    for result in results.values():
        result["problems"] = sorted(set(problems))
        print(f"{result['title']}: {result['value']:.3g} {result['unit']} {result['note']}", file=sys.stderr, flush=True)
    print(f"{key}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return results
