"""How long it takes to read a star of 100 namespaces: ``netviz run -- python … PLOTNETCFG``.

The peers are a loop of ``ip -j`` and ``bridge -j`` over all namespaces, and plotnetcfg, a scanner
written in C that reads links, addresses and routes. Prints one line of JSON, in seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from statistics import median
from typing import TYPE_CHECKING

from once import timed
from programs import Batched
from shapes import star

from netviz.net.discovery import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 100
RUNS = 7
QUESTIONS = (
    ("ip", "-d", "-s", "-j", "link"),
    ("ip", "-j", "address"),
    ("ip", "-j", "route", "show", "table", "all"),
    ("ip", "-j", "neighbour"),
    ("bridge", "-d", "-j", "fdb"),
)


def main(scanner: str) -> None:
    """Measure, and print the figures."""
    Batched(star(SIZE)).up()
    ways: dict[str, Callable[[], object]] = {"snapshot()": snapshot, "ip -j": loop}
    if os.access(scanner, os.X_OK):
        ways["plotnetcfg"] = lambda: plotnetcfg(scanner)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, way in ways.items():
            seconds[name].append(timed(way))
    sys.stdout.write(json.dumps({name: median(each) for name, each in seconds.items()}) + "\n")


def loop() -> None:
    """Ask what a snapshot asks, with one process a question and namespace."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    for name in ["", *(line.split()[0] for line in listed.stdout.splitlines())]:
        for program, *options in QUESTIONS:
            there = ["-n", name] if name else []
            subprocess.run([program, *there, *options], capture_output=True, check=True)


def plotnetcfg(program: str) -> None:
    """Run the scanner.

    It starts from process 1, which in a lab is nobody's to enter: so it is given one of its own.
    """
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]
    subprocess.run([*alone, program, "-f", "json"], capture_output=True, check=True)


if __name__ == "__main__":
    main(sys.argv[1])
