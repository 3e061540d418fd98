"""What a kernel of one's own costs, against the sandbox: to start, to build, to run a lesson.

The two take turns. Each is a lab: one on the machine's kernel, one on User-Mode Linux, the best
that is there. Prints one line of JSON, in seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import nbformat
from kernel import kernel
from nbclient import NotebookClient

from netviz.lab import linux
from netviz.lab.resources import notebooks

TURNS = 3
HOSTS = 12
LESSON = "02-veth.ipynb"
NETVIZ = (str(Path(sys.executable).with_name("netviz")), "run")
WAYS = {"sandbox": (), "own kernel": ("--own-kernel",)}
SPECS = {"sandbox": "netviz", "own kernel": "netviz-own"}
PATIENCE = 120


def main() -> None:
    """Measure, and print the figures."""
    own = linux.own()
    if own is None:
        sys.exit("there is no kernel of one's own: netviz components fetch own-kernel")
    what: dict[str, Callable[[str], float]] = {
        "start a program": start,
        "start a notebook": open_notebook,
        f"up(), a chain of {HOSTS} routers": build,
        f"lesson {LESSON[:2]}, whole": lesson,
    }
    kind = "built here" if own.built else "Debian's"
    figures: dict[str, object] = {"own, kernel": f"Linux {own.version}, {kind}"}
    for name, measure in what.items():
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(TURNS):
            for way, taken in seconds.items():
                taken.append(measure(way))
        figures |= {f"own, {name}, {way}": median(taken) for way, taken in seconds.items()}
    sys.stdout.write(json.dumps(figures) + "\n")


def start(way: str) -> float:
    """Return how long a program takes that does nothing."""
    before = time.perf_counter()
    subprocess.run([*NETVIZ, *WAYS[way], "--", "true"], check=True, timeout=PATIENCE)
    return time.perf_counter() - before


def open_notebook(way: str) -> float:
    """Return how long a notebook's kernel takes to answer."""
    before = time.perf_counter()
    with kernel(SPECS[way]):
        return time.perf_counter() - before


def build(way: str) -> float:
    """Return how long a chain of routers takes to come up, once netviz is loaded."""
    ours = [sys.executable, "-B", str(Path(__file__).with_name("once.py"))]
    shown = [*NETVIZ, *WAYS[way], "--", *ours, "ours", "chain", str(HOSTS), "."]
    done = subprocess.run(shown, check=True, capture_output=True, text=True, timeout=PATIENCE)
    return float(json.loads(done.stdout.splitlines()[-1])["up"])


def lesson(way: str) -> float:
    """Return how long a lesson takes from top to bottom, its kernel's start included."""
    notebook = nbformat.read(notebooks() / LESSON, as_version=4)
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=PATIENCE,
            kernel_name=SPECS[way],
            resources={"metadata": {"path": folder}},
        )
        before = time.perf_counter()
        client.execute()
        return time.perf_counter() - before


if __name__ == "__main__":
    main()
