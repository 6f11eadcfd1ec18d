"""The rows of the bench with their targets, and the rounds in which the proxies take turns."""
import statistics, sys, time

from . import idle
from .load import BROWSER, CHUNKED, LARGE, POSTED, Load, measure

PEERS = ("nginx", "HAProxy", "Envoy", "floor")
REQUESTS = (*PEERS, "gateway")
BODIES = (*REQUESTS, "nginx-large")  # which tells how much of nginx's cost is its default buffers
NO_FLOOR = ("nginx", "HAProxy", "Envoy", "gateway")


class Row:
    """`proxies`: who takes part. `targets`: peer → the gateway's figure at most, as a part of the peer's. `load` is None
    for idle connections."""

    def __init__(self, key, title, load, targets, metric="cpu_us", proxies=REQUESTS):
        self.key, self.title, self.load, self.metric, self.proxies = key, title, load, metric, proxies
        self.targets = dict(zip(PEERS, targets))


ROWS = [
    Row("small", "small GET, 64 keep-alive connections", Load(), (0.80, 0.75, 0.25, 1.15)),
    Row("browser", "the same with 13 browser headers", Load(headers=BROWSER), (0.80, 0.75, 0.25)),
    Row("tls", "small GET, TLS to the upstream", Load(tls=True), (0.85, 0.80, 0.35), proxies=NO_FLOOR),
    Row("post", "POST of 4 KiB, chunked answer of 16 KiB",
        Load("/chunked", "POST", POSTED, CHUNKED), (0.85, 0.85, 0.35)),
    Row("download", "10 MiB download, 8 connections", Load("/download", answer=LARGE, connections=8),
        (0.55, 0.80, 0.75), proxies=BODIES),
    Row("upload", "10 MiB upload, 8 connections", Load("/upload", "POST", LARGE, 2, connections=8),
        (0.80, 0.90, 0.90), proxies=BODIES),
    Row("thousand", "small GET, 1,000 connections", Load(connections=1000), (0.85, 0.80, 0.30)),
    # The floor has an upstream connection for each client's, so it would not do the same here.
    Row("new", "a new connection for each request", Load(headers={"Connection": "close"}), (1.00, 1.00, 0.50),
        proxies=NO_FLOOR),
    Row("idle", "memory per idle connection", None, (1.0, 0.5, 0.05), metric="idle_kib", proxies=NO_FLOOR),
]


def medians(samples):
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


def take_turns(names, rounds):
    """Each round begins with another one, so that nobody always comes first after a pause."""
    for number in range(rounds):
        for place in range(len(names)):
            yield names[(number + place) % len(names)]


def measure_loads(load, targets, origin, rounds, seconds):
    """Name → its samples, one for each round, and everything that was wrong."""
    samples, problems = {name: [] for name in targets}, []
    # Two seconds: a large upload to a server that says nothing to `Expect: 100-continue` waits for one the first time.
    warm_up = 1 if rounds > 1 else 0
    for turn, name in enumerate(take_turns(list(targets), rounds + warm_up)):
        is_warm_up = turn < warm_up * len(targets)
        figures, wrong = measure(targets[name], load, 2 if is_warm_up else seconds, origin)
        problems += [f"{name}: {problem}" for problem in wrong]
        if not is_warm_up:
            samples[name].append(figures)
    return samples, problems


def compare(row, samples):
    """The figures of every proxy (medians) and the gateway's part of each peer's: the median over the rounds' ratios,
    since the machine changes its pace between rounds more than within one."""
    own = [sample[row.metric] for sample in samples["gateway"]]
    result = {"title": row.title, "metric": row.metric, "proxies": {}, "against": {}}
    for name, taken in samples.items():
        result["proxies"][name] = medians(taken)
        if name == "gateway":
            continue
        ratio = statistics.median(mine / sample[row.metric] for mine, sample in zip(own, taken))
        target = row.targets.get(name)
        result["against"][name] = {"ratio": ratio, "target": target, "met": None if target is None else ratio <= target}
    return result


def run(row, targets, origin, options):
    begin = time.monotonic()
    mine = {name: targets[name] for name in row.proxies}
    if row.load is None:
        samples, problems = idle.measure_all(mine, options.idle_connections)
    else:
        samples, problems = measure_loads(row.load, mine, origin, options.rounds, options.seconds)
    result = compare(row, samples)
    result["problems"] = sorted(set(problems))
    for name, target in mine.items():
        result["proxies"][name]["rss_mib"] = target.rss_mib()
    ratios = ", ".join(f"{name} {part['ratio']:.2f}" for name, part in result["against"].items())
    print(f"{row.title}: against {ratios} ({time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)
    return result
