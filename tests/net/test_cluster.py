"""A cluster of 20 nodes with 25 pods each: it comes up, its pods reach each other, it is drawn."""

from __future__ import annotations

import sys
from itertools import permutations
from pathlib import Path
from random import Random

import pytest

sys.path.append(str(Path(__file__).parent.parent / "picture"))

from extents import faults

import netviz
from netviz.graphs import graph
from netviz.net.discovery import snapshot
from netviz.picture.drawing import text_width
from netviz.picture.layout import layout
from netviz.teach.echoes import answered

NODES, PODS = 20, 25


@pytest.mark.long
def test_cluster_of_five_hundred_pods_comes_up_is_drawn_and_reaches_across_its_nodes() -> None:
    with netviz.nodes(NODES, PODS):
        nodes, chance = range(1, NODES + 1), Random(0)
        # One pod of each: the kernel keeps 1024 neighbours, in all namespaces together.
        pod = {node: chance.randint(1, PODS) for node in nodes}
        pairs = [
            (f"node{one}-pod{pod[one]}", f"10.244.{other}.{pod[other] + 1}")
            for one, other in permutations(nodes, 2)
        ]
        assert {*pairs} - {*answered(pairs, 20.0)} == set()
        seen = snapshot()
        assert len(seen.namespaces) == 1 + NODES * (1 + PODS)
        plan = layout(graph(seen), text_width)
        assert faults(plan) == []
        assert sum(box.kind == "host" for box in plan.boxes) == NODES
        told = [it.text for box in plan.boxes for it in box.labels]
        assert told.count(f"{PODS} equal namespaces") == NODES
