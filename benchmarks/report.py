"""The figures in words: RESULTS.md."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import cast

from figures import PEERS, SHAPES, SIZES, Figures

HEAD = """# Results

Written by `make bench`; how is told in [README.md](README.md). Times are medians, in milliseconds.
What counts are the ratios, medians of those within each turn: machines differ, and so do runs.
Where the machine was busy, the ratio of the best runs tells more.

![What a star costs as it grows](cost.svg)
"""
Row = tuple[str, ...]


def written(figures: Figures) -> str:
    """Return the report, in Markdown."""
    parts = [
        HEAD,
        "## The bars\n",
        table(("what", "bar", "measured", "best runs", ""), bars(figures)),
        *(section(figures, what, title) for what, title in TITLES),
        "## Reading: `snapshot()` and `script(snapshot)`\n",
        table(("shape", "N", "snapshot", "a namespace", "script", "a namespace"), reading(figures)),
        "## The living picture: from the kernel's answer to the browser's page\n",
        table(("N", "drawn, p50", "p95", "painted, p50", "p95", "÷ `snapshot()`"), living(figures)),
        "## Watching packets: 20,000 pings over a bridge, one after the other\n",
        table(("meanwhile", "the pings take", "÷ nothing"), watching(figures)),
        "## Following packets: 20,000 pings, and as many replies, over each road\n",
        table(("road", "found with every hop in order", "dropped at the taps"), following(figures)),
        table(("a packet of a tap", "to read", "÷ tcpdump"), reading_packets(figures)),
        "## The published lessons: to make them, and to load them\n",
        table(("what", "ours", "nbconvert", "ours ÷ nbconvert"), publishing(figures)),
        f"## On a kernel of its own: {figures.others.get('own, kernel', 'there is none')}\n",
        table(("what", "sandbox", "own kernel", "own ÷ sandbox"), owning(figures)),
        "## A cluster: `nodes(20, 25)`, 521 namespaces, and 380 pairs that ask across nodes\n",
        table(("what", "ours", "a process each", "÷ ours"), clustering(figures)),
        "## The virtual machine, without KVM: until JupyterLab is there\n",
        table(("how", "seconds", "÷ on the machine", "the file"), starting(figures)),
        "## Cost of a namespace, N = 1000 against N = 10\n",
        table(("shape", "what", "ours", "floor"), growing(figures)),
        "## What could not be measured, or differs\n",
        "\n".join(f"- {line}" for line in remarks(figures)) + "\n",
        "## The machine\n",
        machine() + "\n",
    ]
    return "\n".join(parts)


TITLES = (
    ("up", "Up: until the last command is answered"),
    ("down", "Down: until no name and no cable is left"),
)


def section(figures: Figures, what: str, title: str) -> str:
    """Return the table of what it takes to build, or to take down."""
    head = (
        "shape",
        "N",
        "floor",
        "ours",
        "ours ÷ floor",
        "best runs",
        *(f"{peer} ÷ ours" for peer in PEERS),
    )
    rows = [
        (
            shape,
            str(size),
            milliseconds(figures.of(what, "floor", shape, size)),
            milliseconds(figures.of(what, "ours", shape, size)),
            f"**{times(figures.ratio(what, 'ours', 'floor', shape, size))}**",
            times(figures.best(what, "ours", "floor", shape, size)),
            *(times(figures.ratio(what, peer, "ours", shape, size)) for peer in PEERS),
        )
        for shape in SHAPES
        for size in SIZES
    ]
    return f"## {title}\n\n{table(head, rows)}"


def reading(figures: Figures) -> list[Row]:
    """Return what reading costs, by shape and size."""
    rows = []
    for shape in SHAPES:
        for size in SIZES:
            row = [shape, str(size)]
            for what in ("snapshot", "script"):
                seconds = figures.of(what, "ours", shape, size)
                row += [milliseconds(seconds), f"{seconds / size * 1e6:.0f} µs" if seconds else "—"]
            rows.append(tuple(row))
    return rows


def living(figures: Figures) -> list[Row]:
    """Return how long the living picture takes, by size."""
    rows = []
    for size in (10, 100):
        found = [
            cast("float | None", figures.others.get(f"{what} {part} of {size}"))
            for what in ("drawn", "painted")
            for part in ("p50", "p95")
        ]
        ratio = times(quotient(figures, f"drawn p50 of {size}", f"snapshot of {size}"))
        rows.append((str(size), *map(milliseconds, found), ratio))
    return rows


def watching(figures: Figures) -> list[Row]:
    """Return what it costs the lab to be watched."""
    rows = []
    for what in ("nothing", "live()", "live(packets=True)", "Capture"):
        names = (f"flood, {what}", f"flood, {what} ÷ nothing")
        seconds, ratio = (cast("float | None", figures.others.get(name)) for name in names)
        rows.append((what, milliseconds(seconds), times(ratio)))
    return rows


def following(figures: Figures) -> list[Row]:
    """Return how many packets were followed without a fault."""
    roads = [name.removeprefix("journeys, ") for name in figures.others if "journeys, " in name]
    names = ("journeys", "dropped")
    return [(road, *(f"{figures.others[f'{it}, {road}']:,.0f}" for it in names)) for road in roads]


def reading_packets(figures: Figures) -> list[Row]:
    """Return what it takes to read a packet, and for us to find its way."""
    rows = []
    floor = cast("float | None", figures.others.get("a packet, tcpdump"))
    for who in ("ours", "tcpdump", "tshark"):
        seconds = cast("float | None", figures.others.get(f"a packet, {who}"))
        if seconds and floor:
            rows.append((who, f"{seconds * 1e6:.1f} µs", times(seconds / floor)))
    return rows


def publishing(figures: Figures) -> list[Row]:
    """Return what the pages of the lessons cost."""
    rows = []
    for said, ours, peer in (
        ("run the lessons, make the pages", "site, run", "nbconvert"),
        ("make the pages again", "site, kept", "nbconvert"),
        ("the pages of the lessons", "bytes of lessons", "bytes of nbconvert"),
        ("what all pages share: fonts, styles, scripts", "bytes of what pages share", ""),
        ("all that is published", "bytes of the site", ""),
    ):
        told = kilobytes if ours.startswith("bytes") else milliseconds
        one, other = (cast("float | None", figures.others.get(name)) for name in (ours, peer))
        rows.append((said, told(one), told(other), times(quotient(figures, ours, peer))))
    return rows


def owning(figures: Figures) -> list[Row]:
    """Return what a kernel of one's own costs a lab."""
    ends = ("sandbox", "own kernel")
    names = [it.removesuffix(ends[0]) for it in figures.others if it.endswith(f", {ends[0]}")]
    rows = []
    for name in names:
        sandbox, own = (cast("float | None", figures.others.get(name + end)) for end in ends)
        ratio = times(quotient(figures, name + ends[1], name + ends[0]))
        rows.append(
            (name.strip(", ").removeprefix("own, "), *map(milliseconds, (sandbox, own)), ratio)
        )
    return rows


def clustering(figures: Figures) -> list[Row]:
    """Return what a whole cluster takes, and where a process a command or pair can do the same."""
    rows = []
    for what in ("up", "snapshot", "draw", "ask", "down"):
        both = (name := f"cluster, {what}", f"{name}, beside")
        took = (cast("float | None", figures.others.get(each)) for each in both)
        rows.append((what, *map(milliseconds, took), times(quotient(figures, *both[::-1]))))
    return rows


def starting(figures: Figures) -> list[Row]:
    """Return how long the virtual machine takes to start, and how large its files are."""
    rows = []
    for way, file in (("on the machine", ""), ("booted", "the vm"), ("gone on", "the vm's state")):
        seconds = cast("float | None", figures.others.get(f"vm, {way}"))
        size = cast("float | None", figures.others.get(f"bytes of {file}"))
        ratio = times(quotient(figures, f"vm, {way}", "vm, on the machine"))
        rows.append((way, f"{seconds:.1f}" if seconds else "—", ratio, kilobytes(size)))
    return rows


def growing(figures: Figures) -> list[Row]:
    """Return how much more a namespace costs among a thousand."""
    return [
        (
            shape,
            what,
            times(figures.growth(what, "ours", shape)),
            times(figures.growth(what, "floor", shape)),
        )
        for shape in SHAPES
        for what in ("up", "down", "snapshot", "script")
    ]


def bars(figures: Figures) -> list[Row]:
    """Return what was to be reached, and whether it is."""
    rows = []
    for what, said in (("up", "bring up"), ("down", "take down")):
        for size in (100, 1000):
            ratio = figures.ratio(what, "ours", "floor", "star", size)
            best = figures.best(what, "ours", "floor", "star", size)
            rows.append(bar(f"{said} a star, N={size} ÷ the floor", ratio, 1.5, best))
    for peer, least in (("Mininet", 10), ("NeST", 40)):
        ratio = figures.ratio("up", peer, "ours", "star", 100)
        best = figures.best("up", peer, "ours", "star", 100)
        rows.append(bar(f"{peer} ÷ bring up a star, N=100", ratio, least, best, least=True))
    for what in ("up", "down", "snapshot"):
        growth = figures.growth(what, "ours", "star")
        rows.append(bar(f"a namespace's {what} in a star, N=1000 ÷ N=10", growth, 1.5))
    for one, other, limit in (
        ("plotnetcfg", "snapshot()", 2),
        ("ip -j", "snapshot()", 20),
        ("!true python3", "!true netviz", 20),
    ):
        rows.append(bar(f"`{one}` ÷ `{other}`", quotient(figures, one, other), limit, least=True))
    start = quotient(figures, "start netviz", "start python3")
    rows.append(bar("a kernel's start in a lab ÷ plain ipykernel's", start, 1.1))
    cost = cast("float | None", figures.others.get("recorded ÷ not"))
    rows.append(bar("bring up a bridge of 300, recorded ÷ not, median of 20 pairs", cost, 1.1))
    late = cast("float | None", figures.others.get("drawn p95 of 10"))
    what = "a change until it is drawn in the page, N=10, p95 ÷ 100 ms"
    return [*rows, bar(what, late and late / 0.1, 1.0)]


def bar(
    what: str, found: float | None, limit: float, best: float | None = None, *, least: bool = False
) -> Row:
    """Return a row of the bars."""
    said = f"{'≥' if least else '≤'} {limit:g} times"
    if found is None:
        return what, said, "—", "—", "not measured"
    met = found >= limit if least else found <= limit
    return what, said, times(found), times(best), "met" if met else "**not met**"


def quotient(figures: Figures, one: str, other: str) -> float | None:
    """Return the ratio of two of the other benchmarks' figures."""
    found = [cast("float | None", figures.others.get(name)) for name in (one, other)]
    return found[0] / found[1] if found[0] and found[1] else None


def remarks(figures: Figures) -> list[str]:
    """Return what a reader must know, a sentence each."""
    lines = [f"{who}: {why}" for who, why in figures.lacking.items()]
    lines += [f"{who}: the network is not quite ours" for who in figures.different()]
    return [
        *lines,
        "Mininet and NeST build a star of their own kind; NeST's bridge lies in a namespace.",
        "plotnetcfg reads links, addresses and routes; `snapshot()` reads neighbours, FDB, rules, "
        "queues, filters and switches as well.",
    ]


def machine() -> str:
    """Return where this was measured, and with what."""
    release = platform.freedesktop_os_release()["PRETTY_NAME"]
    said = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    iproute2 = subprocess.run(["ip", "-V"], capture_output=True, text=True).stdout.strip()
    return (
        f"{said[1] if said else platform.machine()}, {os.cpu_count()} processors; {release}, Linux "
        f"{platform.release()}, Python {platform.python_version()}; {iproute2.split(', ')[1]}, "
        f"pyroute2 {version('pyroute2')}, ipykernel {version('ipykernel')}, "
        f"Mininet {packaged('mininet')}, NeST 0.4.4, plotnetcfg {packaged('plotnetcfg')}. "
        f"On average {os.getloadavg()[2]:.1f} processes wanted to run at once."
    )


def packaged(name: str) -> str:
    """Return the version of a Debian package that the archive has now."""
    command = ["apt-cache", "policy", name]
    said = re.search(
        r"Candidate: (\S+)", subprocess.run(command, capture_output=True, text=True).stdout
    )
    return said[1] if said else "unknown"


def table(head: Row, rows: list[Row]) -> str:
    """Return a table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def milliseconds(seconds: float | None) -> str:
    """Return a time as a person reads it."""
    return f"{seconds * 1e3:,.{0 if seconds >= 0.1 else 1}f}" if seconds else "—"


def kilobytes(size: float | None) -> str:
    """Return a size as a person reads it."""
    return f"{size / 1000:,.0f} KB" if size else "—"


def times(ratio: float | None) -> str:
    """Return a ratio as a person reads it."""
    return f"{ratio:.{0 if ratio >= 20 else 1 if ratio >= 5 else 2}f}" if ratio else "—"
