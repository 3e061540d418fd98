"""What a cluster of 20 nodes with 25 pods each takes: to build, to read, to draw, to ask around.

Asked is from every node to every other one, by pods drawn by lot: 380 pairs. Beside stand the
script that builds the same, one ``ip`` process a command, and one ``ping`` process a pair. It runs
in a lab: ``netviz run -- python …``. Prints one line of JSON, in seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import permutations
from random import Random
from statistics import median

from once import timed

import netviz
from netviz.teach.echoes import answered

NODES, PODS = 20, 25
TURNS = 3
PATIENCE = 20.0


def main() -> None:
    """Measure, and print the figures."""
    seconds: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for what, took in measured().items():
            seconds.setdefault(f"cluster, {what}", []).append(took)
    script = netviz.script(netviz.nodes(NODES, PODS))
    figures = {what: median(each) for what, each in seconds.items()}
    figures["cluster, up, beside"] = timed(lambda: shell(script))
    figures["cluster, ask, beside"] = timed(lambda: shell("\n".join(map(ping, pairs()))))
    sys.stdout.write(json.dumps(figures) + "\n")


def measured() -> dict[str, float]:
    """Return what each step of one turn takes."""
    net = netviz.nodes(NODES, PODS)
    took = {"up": timed(net.up), "snapshot": timed(netviz.snapshot)}
    seen = netviz.snapshot()
    took["draw"] = timed(lambda: netviz.draw(seen).svg)
    took["ask"] = timed(asked)
    return took | {"down": timed(net.down)}


def pairs() -> list[tuple[str, str]]:
    """Return who asks whom, the same each time: of each node one pod asks, and one is asked.

    For more, the kernel has no room: it keeps 1024 neighbours, in all namespaces together.
    """
    nodes, chance = range(1, NODES + 1), Random(0)
    asks, is_asked = ({node: chance.randrange(PODS) for node in nodes} for _ in range(2))
    return [
        (f"node{one}-pod{asks[one] + 1}", f"10.244.{other}.{is_asked[other] + 2}")
        for one, other in permutations(nodes, 2)
    ]


def asked() -> None:
    """Ask all pairs. Raises ``RuntimeError`` where one is not answered."""
    lacking = {*pairs()} - {*answered(pairs(), PATIENCE)}
    if lacking:
        raise RuntimeError(f"{len(lacking)} pods do not reach another node's")


def ping(pair: tuple[str, str]) -> str:
    """Return the command for one pair."""
    return f"ip netns exec {pair[0]} ping -n -q -c 1 -W 5 {pair[1]}"


def shell(script: str) -> None:
    """Run a script."""
    subprocess.run(["sh", "-e"], input=script, text=True, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
