"""What a recording costs: a notebook builds 300 namespaces on a bridge, recorded and not, in turn.

A cell's time is from its sending until the kernel is idle again, as its client sees it. Prints one
line of JSON: the median of the pairs' ratios, and the times in seconds.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from kernel import LAB, kernel, run

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

PAIRS = 20
SIZE = 300
REST = 0.5


def main() -> None:
    """Measure, and print the figures."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with kernel(LAB) as client:
        run(client, f"import netviz as nv; network = nv.bridge({SIZE})")
        build(client, recorded=False)  # Each namespace's first time loads something.
        for pair in range(PAIRS):
            for recorded in (pair % 2 == 0, pair % 2 == 1):
                seconds[recorded].append(build(client, recorded=recorded))
    ratios = [a / b for a, b in zip(seconds[True], seconds[False], strict=True)]
    figures = {
        "recorded ÷ not": median(ratios),
        "recorded": median(seconds[True]),
        "not recorded": median(seconds[False]),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def build(client: BlockingKernelClient, *, recorded: bool) -> float:
    """Return how long the cell took that builds the network; take that away again."""
    run(client, "recording = nv.record()" if recorded else "pass")
    took = run(client, "network.up()")
    run(client, "recording.stop()" if recorded else "pass")
    run(client, "network.down()")
    time.sleep(REST)
    return took


if __name__ == "__main__":
    main()
