"""The tables of a run: on the terminal, as Markdown for the README, and the verdict."""
import os, pathlib, platform, re

BEGIN, END = "<!-- scripts/bench begins -->", "<!-- scripts/bench ends -->"


def machine():
    model = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {"processor": model.group(1).strip() if model else platform.machine(),
            "cores": len(os.sched_getaffinity(0)), "kernel": platform.release()}


def number(value):
    """Three digits that count, never an exponent; a count as it is."""
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def table(head, lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def verdict(value, target, met):
    """`0.74 (≤ 0.80)`; what misses its target says so."""
    if target is None:
        return value
    return f"{value} (≤ {number(target)})" if met else f"**{value}** (≤ {number(target)}: missed)"


def cost(row, figures):
    value = figures[row["metric"]]
    if row["metric"] == "idle_kib":
        return f"{value:.2f} KiB"
    return f"{number(value)} µs" if value < 1000 else f"{value / 1000:.2f} ms"


def ratio_table(rows):
    lines = []
    for row in rows.values():
        line = [row["title"], cost(row, row["proxies"]["gateway"])]
        for peer in ("nginx", "HAProxy", "Envoy", "floor"):
            part = row["against"].get(peer)
            line.append(verdict(f"{part['ratio']:.2f}", part["target"], part["met"]) if part else "")
        lines.append(line)
    return table(["CPU per request, or memory", "gateway", "/ nginx", "/ HAProxy", "/ Envoy", "/ C floor"], lines)


def figure_table(rows):
    lines = []
    for row in rows.values():
        for name, figures in row["proxies"].items():
            line = [row["title"], name, cost(row, figures)]
            if row["metric"] == "idle_kib":
                line += ["", "", "", "", f"{figures['total_mib']:.0f} with {figures['connections']:,.0f}"]
            else:
                line += [f"{figures['requests_per_second']:,.0f}",
                         *(f"{figures[key]:.2f}" for key in ("p50_ms", "p99_ms", "p999_ms")), f"{figures['rss_mib']:.0f}"]
            lines.append(line)
    return table(
        ["row", "proxy", "CPU/request or memory", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "RSS MiB"], lines)


def extra_table(extras):
    lines = []
    for extra in extras.values():
        value = f"{number(extra['value'])} {extra['unit']}".strip()
        lines.append([extra["title"], verdict(value, extra["target"], extra["met"]), extra["note"]])
    return table(["the gateway alone", "figure", ""], lines)


def sentence(result):
    m, v, o = result["machine"], result["versions"], result["options"]
    rounds = f"{o['rounds']} rounds" if o["rounds"] > 1 else "one round"
    return (
        f"Linux {m['kernel']}, {m['cores']} cores ({m['processor']}) shared by client, proxy and origin; "
        f"nginx {v['nginx']}, HAProxy {v['HAProxy']}, Envoy {v['Envoy']} with `credential_injector`, "
        f"a C relay that parses nothing (the floor); one worker each, access logs off, a bearer token put on every request, "
        f"the gateway's and Envoy's from a token API; buffers of their default sizes (`nginx-large`: of 64 KiB). "
        f"Medians of {rounds} of {o['seconds']} s in turns; ratios are taken within a round.")


def markdown(result):
    parts = [sentence(result)]
    if result["rows"]:
        parts += [ratio_table(result["rows"])]
    if result["extras"]:
        parts += [extra_table(result["extras"])]
    if result["rows"]:
        parts += ["<details><summary>All figures</summary>", figure_table(result["rows"]), "</details>"]
    return "\n\n".join(parts) + "\n"


def text(result):
    """For a terminal: the same tables, without what only a page needs."""
    return re.sub(r"\n*</?details>.*\n?", "\n", markdown(result)).rstrip() + "\n"


def update_readme(path, body):
    content = path.read_text()
    if content.count(BEGIN) != 1 or content.count(END) != 1:
        raise SystemExit(f"{path} has not one pair of {BEGIN} and {END}")
    before, rest = content.split(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{body}{END}{rest.split(END)[1]}")


def wrong_answers(result):
    rows = [f"{row['title']}: {problem}" for row in result["rows"].values() for problem in row["problems"]]
    return rows + [f"{extra['title']}: {problem}" for extra in result["extras"].values() for problem in extra["problems"]]


def missed(result):
    rows = [f"{row['title']}: {part['ratio']:.2f} of {peer}, wanted at most {part['target']:.2f}"
            for row in result["rows"].values() for peer, part in row["against"].items() if part["met"] is False]
    return rows + [f"{extra['title']}: {number(extra['value'])} {extra['unit']}, wanted at most {number(extra['target'])}"
                   for extra in result["extras"].values() if not extra["met"]]
