"""How long it takes to read a whole lab: ``netviz run -- python benchmarks/snapshot.py``.

The lab is a star: N namespaces on one bridge, each with an address and a default route. The peers
are a loop of ``ip -j`` and ``bridge -j`` over all namespaces, and plotnetcfg where it is installed.
Believe the ratios: machines differ, and so do runs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from netviz.lab.sandbox import inside
from netviz.net.discovery import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SIZES = (10, 100, 1000)
LOOPED = (10, 100)
QUESTIONS = (
    ("ip", "-d", "-s", "-j", "link"),
    ("ip", "-j", "address"),
    ("ip", "-j", "route", "show", "table", "all"),
    ("ip", "-j", "neighbour"),
    ("bridge", "-d", "-j", "fdb"),
)


def main() -> None:
    """Measure and print one line a size."""
    if not inside():
        sys.exit("this builds 1000 namespaces: run it as netviz run -- python " + sys.argv[0])
    say(f"{'N':>5} {'snapshot':>12} {'a namespace':>12} {'ip -j loop':>16} {'plotnetcfg':>18}")
    first = 0.0
    built = 0
    for size in SIZES:
        build(built, size)
        built = size
        ours = measure(snapshot, 15 if size < 1000 else 5)
        first = first or ours / size
        peers = [
            times(measure(loop, 3), ours) if size in LOOPED else "-",
            times(measure(plotnetcfg, 5), ours)
            if size in LOOPED and shutil.which("plotnetcfg")
            else "-",
        ]
        each = f"{ours / size * 1e6:.0f} us {ours / size / first:.2f}x"
        say(f"{size:>5} {ours * 1e3:>9.1f} ms {each:>12} {peers[0]:>16} {peers[1]:>18}")


def say(line: str) -> None:
    """Show one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def times(theirs: float, ours: float) -> str:
    """Return a peer's time, and how many times ours that is."""
    return f"{theirs * 1e3:.0f} ms = {theirs / ours:.1f}x"


def measure(work: Callable[[], object], runs: int) -> float:
    """Return the median of several runs in seconds, after one that does not count."""
    seconds = []
    work()
    for _ in range(runs):
        before = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - before)
    return median(seconds)


def build(done: int, size: int) -> None:
    """Let the star grow from ``done`` namespaces to ``size``."""
    names = [f"net{number}" for number in range(done + 1, size + 1)]
    outside = [] if done else ["link add br1 type bridge", "link set br1 up"]
    for name in names:
        outside.append(f"netns add {name}")
        outside.append(f"link add {name} type veth peer name veth0 netns {name}")
        outside.append(f"link set {name} master br1 up")
    batch(outside)
    for number, name in enumerate(names, done + 2):
        lines = (
            "link set lo up",
            "link set veth0 up",
            f"address add 10.0.{number // 250}.{number % 250 + 1}/16 dev veth0",
            "route add default via 10.0.0.1",
        )
        batch(lines, "-n", name)


def batch(lines: Iterable[str], *options: str) -> None:
    """Run many ``ip`` commands in one process."""
    command = ["ip", *options, "-batch", "-"]
    subprocess.run(command, input="\n".join(lines), text=True, check=True)


def loop() -> None:
    """Ask what a snapshot asks, with one process a question and namespace."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    for name in ["", *(line.split()[0] for line in listed.stdout.splitlines())]:
        for program, *options in QUESTIONS:
            there = ["-n", name] if name else []
            subprocess.run([program, *there, *options], capture_output=True, check=True)


def plotnetcfg() -> None:
    """Run the scanner written in C, which reads links, addresses and routes.

    It starts from process 1, which in a lab is nobody's to enter: so it is given one of its own.
    """
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]
    subprocess.run([*alone, "plotnetcfg", "-f", "json"], capture_output=True, check=True)


if __name__ == "__main__":
    main()
