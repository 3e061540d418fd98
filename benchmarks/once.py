"""One run in a lab of its own: ``netviz run -- python benchmarks/once.py WHO SHAPE N TOOL``.

Prints one line of JSON: how many seconds ``up`` and ``down`` took, and what there was in between.
Down ends when the kernel has forgotten: no name is left, and no cable. Ourselves and the floor wait
for that; for the others it is waited here, in the same way. ``TOOL`` is the folder of a fetched
competitor, or the compiled floor.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from floor import Floor
from idle import quiet
from libraries import Mininet, Nest, Pyroute2
from ours import Ours
from programs import Batched, OneByOne
from shapes import SHAPES

from netviz.net.discovery import snapshot
from netviz.net.names import forgotten
from netviz.net.scripts import script
from netviz.net.worker import aside

if TYPE_CHECKING:
    from collections.abc import Callable

    from programs import Competitor
    from shapes import Network

NAMES = Path("/run/netns")
REST = 0.3  # The kernel frees a socket later, and until then its namespace is held.
PATIENCE = 1.0
UNREST = 8.0  # For seconds a bridge copies the greetings of a thousand hosts to all of them.
READS = 5


def main(who: str, shape: str, count: int, tool: Path) -> None:
    """Build, look, take down, and print the figures."""
    competitor = called(who, SHAPES[shape](count), tool, shape)
    quiet(PATIENCE)
    figures: dict[str, Any] = {"up": timed(competitor.up)}
    quiet(UNREST)
    seen = snapshot()
    figures["same as"] = sha256("\n".join(sorted(script(seen).splitlines())).encode()).hexdigest()
    figures["namespaces"] = len(seen.namespaces) - 1
    if who == "ours":
        figures["snapshot"] = median(timed(snapshot) for _ in range(READS))
        figures["script"] = median(timed(lambda: script(seen)) for _ in range(READS))
    time.sleep(REST)
    quiet(PATIENCE)
    figures["down"] = timed(competitor.down)
    if who not in ("ours", "floor"):
        figures["down"] += timed(lambda: aside(forgotten))
    figures["left"] = len([*NAMES.iterdir()]) + len(socket.if_nameindex()) - 1
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
    os._exit(0)  # NeST would delete once more what is gone.


def called(who: str, network: Network, tool: Path, shape: str) -> Competitor:
    """Return a competitor, ready to build."""
    ways: dict[str, Callable[[], Competitor]] = {
        "ours": lambda: Ours(network),
        "floor": lambda: Floor(tool, shape, len(network.namespaces)),
        "ip -batch": lambda: Batched(network),
        "ip": lambda: OneByOne(network),
        "pyroute2": lambda: Pyroute2(network),
        "Mininet": lambda: Mininet(network, tool),
        "NeST": lambda: Nest(network, tool),
    }
    return ways[who]()


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds something took; what has timed itself returns them."""
    before = time.perf_counter()
    known = work()
    return known if isinstance(known, float) else time.perf_counter() - before


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
