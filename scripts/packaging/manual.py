#!/usr/bin/env python3
"""Writes gateway(1) from what the binary says of its own command line, and gateway.json(5) from the tables of README.md.

usage: manual.py VERSION README OUTPUT_DIRECTORY < `gateway --experimental-dump-help`
"""
import json
import pathlib
import re
import sys


def escape(text):
    """Text for roff: no escapes, no requests, hyphens that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def marked(text):
    """The same with Markdown's `code` and **bold** in bold."""
    parts = re.split(r"`([^`]*)`|\*\*([^*]*)\*\*", text)
    out = escape(parts[0])
    for code, bold, rest in zip(parts[1::3], parts[2::3], parts[3::3]):
        out += "\\fB" + escape(code if code is not None else bold) + "\\fR" + escape(rest).removeprefix("\\&")
    return out


def names(argument):
    written = []
    for name in argument.get("names", []):
        dashes = "--" if name["kind"] == "long" else "-"
        written.append("\\fB" + escape(dashes + name["name"]) + "\\fR")
    text = ", ".join(sorted(written, key=len))
    value = "\\fI" + escape(argument.get("valueName", "value").upper()) + "\\fR"
    if argument["kind"] == "positional":
        return value
    return text + (" " + value if argument["kind"] == "option" else "")


def arguments(command, skipping=("help", "version")):
    for argument in command.get("arguments", []):
        if not argument.get("shouldDisplay", True) or argument.get("valueName") in skipping:
            continue
        yield ".TP\n" + names(argument)
        text = argument.get("abstract", "")
        if argument.get("discussion"):
            text += " " + argument["discussion"]
        if argument.get("defaultValue"):
            text += f" (default: {argument['defaultValue']})"
        yield escape(text)


def commands(command, path):
    for sub in command.get("subcommands", []):
        if sub["commandName"] == "help" or not sub.get("shouldDisplay", True):
            continue
        name = f"{path} {sub['commandName']}"
        yield f".SS {escape(name)}"
        yield escape(sub.get("abstract", ""))
        if sub.get("discussion"):
            yield ".PP\n" + escape(sub["discussion"])
        yield from arguments(sub)
        yield from commands(sub, name)


def section1(version, help_text):
    command = help_text["command"]
    template = pathlib.Path(__file__).with_name("gateway.1.in").read_text()
    body = "\n".join(commands(command, "gateway"))
    return template.replace("@VERSION@", version).replace("@COMMANDS@", body)


def section5(version, readme):
    text = readme.split("\n## Configuration\n", 1)[1].split("\n## ", 1)[0]
    out = [
        f'.TH GATEWAY.JSON 5 "" "gateway {version}" "File formats"',
        ".SH NAME\ngateway.json \\- configuration of gateway(1)",
        ".SH DESCRIPTION",
    ]
    rows = 0
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if not paragraph.startswith("|"):
            out.append(".PP\n" + marked(" ".join(paragraph.split("\n"))))
            continue
        header, _, *lines = paragraph.split("\n")
        for line in lines:
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            out.append(".TP\n" + marked(cells[0]))
            default = cells[1] if len(cells) > 2 and cells[1] else None
            out.append(marked(cells[-1] + (f" Default: {default}." if default else "")))
            rows += 1
    if rows < 30:
        sys.exit("README.md's tables of the configuration were not found")
    out.append(".SH SEE ALSO\n.BR gateway (1),\n.BR systemd.exec (5)")
    return "\n".join(out) + "\n"


def main():
    version, readme, output = sys.argv[1:]
    output = pathlib.Path(output)
    (output / "gateway.1").write_text(section1(version, json.load(sys.stdin)))
    (output / "gateway.json.5").write_text(section5(version, pathlib.Path(readme).read_text()))


main()
