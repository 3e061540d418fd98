"""Measure ourselves, the floor and the peers, side by side: ``make bench``.

Every run has a lab of its own, and all take turns, so that a busy moment of the machine hits
everybody. Writes RESULTS.md and cost.svg beside this file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import fetching
import plot
import report
from figures import SHAPES, SIZES, Figures, Key
from floor import compiled

HERE = Path(__file__).parent
LAB = (str(Path(sys.executable).with_name("netviz")), "run", "--", sys.executable)
ENOUGH = 330.0  # Seconds; what would take longer is measured less often.
PATIENCE = 400
LIVE = (10, 100)


class Run(NamedTuple):
    """Who builds which shapes, how often at each size, and the folder or program of it."""

    who: str
    times: dict[int, int]
    tool: Path
    shapes: tuple[str, ...] = SHAPES


def main() -> None:
    """Measure all, and write it down."""
    figures = Figures()
    with TemporaryDirectory() as folder:
        runs = [*competitors(figures, Path(folder))]
        say(f"{sum(len(it.shapes) * sum(it.times.values()) for it in runs)} runs, in turn")
        take_turns(runs, figures)
    scanner, lacks = fetching.debian("plotnetcfg")
    if lacks:
        figures.lacking["plotnetcfg"] = lacks
    others = {
        "snapshot.py": [str(scanner / "usr/sbin/plotnetcfg")],
        "kernel.py": [],
        "ownkernel.py": [],
        "cluster.py": [],
        "recording.py": [],
        "live.py": [*map(str, LIVE)],
        "traffic.py": [],
        "tracing.py": [],
        "site.py": [],
        "vm.py": [],
    }
    for name, arguments in others.items():
        say(name)
        try:
            figures.others |= measured(name, *arguments)
        except RuntimeError as error:
            figures.lacking[name] = str(error)
    (HERE / "RESULTS.md").write_text(report.written(figures))
    plot.drawn(figures, HERE / "cost.svg")


def competitors(figures: Figures, folder: Path) -> list[Run]:
    """Return who takes part; who cannot is noted with the reason."""
    none = Path()
    runs = [Run("ours", {10: 9, 100: 9, 300: 5, 1000: 3}, none)]
    floor = compiled(folder)
    if floor:
        runs.append(Run("floor", runs[0].times, floor))
    else:
        figures.lacking["floor"] = "there is no C compiler on this machine"
    runs += [Run(who, {10: 3, 100: 3}, none) for who in ("ip -batch", "ip", "pyroute2")]
    for who, (tool, lacks) in (("Mininet", fetching.debian("mininet")), ("NeST", fetching.nest())):
        if lacks:
            figures.lacking[who] = lacks
        else:
            runs.append(Run(who, {10: 3, 100: 3}, tool, ("star",)))
    return runs


def take_turns(runs: list[Run], figures: Figures) -> None:
    """Let everybody build once, then once more, until each has had its turns or time is up."""
    end = time.monotonic() + ENOUGH
    for turn in range(max(max(run.times.values()) for run in runs)):
        for size, shape in product(SIZES, SHAPES):
            for run in runs[:: -1 if turn % 2 else 1]:
                its = shape in run.shapes and run.times.get(size, 0) > turn
                if its and (turn == 0 or time.monotonic() < end):
                    figures.note(Key(run.who, shape, size), once(run, shape, size))
        say(f"turn {turn + 1} is over")


def once(run: Run, shape: str, size: int) -> dict[str, object] | str:
    """Return the figures of one run, or why there are none."""
    try:
        return measured("once.py", run.who, shape, str(size), str(run.tool))
    except RuntimeError as error:
        return str(error)


def measured(program: str, *arguments: str) -> dict[str, object]:
    """Return what a benchmark prints, run in a lab of its own. Raises ``RuntimeError``."""
    command = [*LAB, "-B", str(HERE / program), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it took longer than {PATIENCE} seconds") from None
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    figures: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return figures


def say(line: str) -> None:
    """Show at once what goes on."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
