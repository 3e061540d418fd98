"""What watching packets costs the lab: a flood of pings over a bridge, watched and not, in turn.

The living picture is there in all of them but the last, so that only its packets make the
difference; then it is `Capture`, which keeps every packet. Prints one line of JSON: the median of
the ratios within each turn, and seconds for the flood.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import median
from typing import TYPE_CHECKING

from idle import quiet

import netviz
from netviz.packets.capture import Capture

if TYPE_CHECKING:
    from collections.abc import Iterator

TURNS = 9
PINGS = 20_000
PATIENCE = 10.0
FLOOD = ["ip", "netns", "exec", "net1", "ping", "-q", "-f", "-c", str(PINGS), "10.1.1.3"]
TIME = re.compile(r"time (\d+)ms")


def main() -> None:
    """Measure, and print the figures."""
    netviz.bridge(3).up()
    flood()  # Who is where is asked once.
    ways: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "nothing": nullcontext,
        "live()": live,
        "live(packets=True)": lambda: live(packets=True),
        "Capture": Capture,
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS):
        for name in [*ways][:: -1 if turn % 2 else 1]:
            with ways[name]():
                quiet(PATIENCE)
                took[name].append(flood())
    figures: dict[str, float] = {f"flood, {name}": median(took[name]) for name in ways}
    for name in ways:
        ratios = [a / b for a, b in zip(took[name], took["nothing"], strict=True)]
        figures[f"flood, {name} ÷ nothing"] = median(ratios)
    sys.stdout.write(json.dumps(figures) + "\n")


def flood() -> float:
    """Return how many seconds the pings took, by their own account."""
    said = subprocess.run(FLOOD, check=True, capture_output=True, text=True).stdout
    found = TIME.search(said)
    assert found
    return float(found[1]) / 1000


@contextmanager
def live(*, packets: bool = False) -> Iterator[None]:
    """Have the living picture meanwhile."""
    picture = netviz.live(packets=packets)
    try:
        yield
    finally:
        picture.stop()


if __name__ == "__main__":
    main()
