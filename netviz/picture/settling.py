"""Find each box its place along its row: as near as can be to what it is joined with. Pure."""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from netviz.picture.layers import AFTER, BEFORE
from netviz.picture.measures import CORNER, LANE, LEFT, RIGHT

if TYPE_CHECKING:
    from netviz.picture.rows import Arrangement

_PULLS = 8
_STAYS = 1e6
_STRAIGHT = 1.0


def settle(made: Arrangement) -> None:
    """Move the boxes of each row towards what they are joined with, keeping order and distance."""
    pulls: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for link, stations in made.ways():
        if not made.facing(link):
            continue
        for (a, at_a), (b, at_b) in pairwise(stations):
            shift = made.offsets.get(at_a or "", 0.0) - made.offsets.get(at_b or "", 0.0)
            pulls[b].append((a, shift))
            pulls[a].append((b, -shift))
    apart = [_distances(made, row) for row in made.dealt.rows]
    for row, gaps in zip(made.dealt.rows, apart, strict=True):
        made.us.update(zip(row, spread([0.0] * len(row), gaps), strict=True))
    numbers = list(range(len(apart)))
    for pull in range(_PULLS):
        for number in numbers if pull % 2 == 0 else reversed(numbers):
            row = made.dealt.rows[number]
            wanted = [
                sum(made.us[other] + shift for other, shift in pulls[name]) / len(pulls[name])
                if pulls[name]
                else made.us[name]
                for name in row
            ]
            made.us.update(zip(row, spread(wanted, apart[number]), strict=True))
    _straighten(made, pulls, apart)
    left = min(made.us[name] - made.span(name) / 2 for name in made.us)
    made.us = {name: at - left for name, at in made.us.items()}


def _straighten(
    made: Arrangement, pulls: dict[str, list[tuple[str, float]]], apart: list[list[float]]
) -> None:
    """Put what hangs on one box straight over its plug; then slide plugs to where wires come."""
    for row, gaps in zip(made.dealt.rows, apart, strict=True):
        hanging = [len(pulls[name]) == 1 for name in row]
        wanted = [
            made.us[pulls[name][0][0]] + pulls[name][0][1] if hangs else made.us[name]
            for name, hangs in zip(row, hanging, strict=True)
        ]
        weights = [1.0 if hangs else _STAYS for hangs in hanging]
        made.us.update(zip(row, spread(wanted, gaps, weights), strict=True))
    for _ in range(2):
        for name in made.nodes:
            for edge in (BEFORE, AFTER):
                _slide(made, name, edge)


def _slide(made: Arrangement, name: str, edge: str) -> None:
    """Move the plugs along an edge towards the other ends of their wires, in their order."""
    node = made.nodes[name]
    plugs = sorted(made.on(name, edge), key=lambda plug: made.offsets[plug])
    if not plugs or node.rim or any(plug in node.pinned for plug in plugs):
        return
    far = {
        plug: [made.us[there] + made.offsets.get(end or "", 0.0) for there, end in ends]
        for plug, ends in made.neighbours(name).items()
    }
    middle = made.us[name]
    wanted = [
        sum(far[plug]) / len(far[plug]) - middle if plug in far else made.offsets[plug]
        for plug in plugs
    ]
    tags = [node.plugs[plug][0] for plug in plugs]
    gaps = [(a + b) / 2 + made.spacing.tag for a, b in pairwise(tags)]
    places = spread(wanted, gaps)
    edge_at = made.spans[name] / 2 - CORNER
    # Within the edge: first none too far to one side, then none too far to the other.
    for i in range(len(plugs)):
        least = -edge_at + tags[0] / 2 if i == 0 else places[i - 1] + gaps[i - 1]
        places[i] = max(places[i], least)
    for i in reversed(range(len(plugs))):
        most = edge_at - tags[i] / 2 if i == len(plugs) - 1 else places[i + 1] - gaps[i]
        places[i] = min(places[i], most)
    if len(plugs) > 1 or abs(places[0] - wanted[0]) < _STRAIGHT:
        made.offsets.update(zip(plugs, places, strict=True))


def _distances(made: Arrangement, row: list[str]) -> list[float]:
    """Return how far apart the middles of a row's neighbours must at least be."""
    beside: dict[frozenset[str], float] = defaultdict(float)
    for link in made.links:
        a, b = (made.owner[end] for end in link.ends)
        if made.facing(link) and made.dealt.row_of[a] == made.dealt.row_of[b]:
            room = max(made.spacing.channel, link.label[0] + made.spacing.box / 2)
            tags = sum(
                made.nodes[n].plugs[p][0] / 2 for n, p in zip((a, b), link.ends, strict=True)
            )
            pair = frozenset((a, b))
            beside[pair] = max(beside[pair], room + tags)
    found = []
    for a, b in pairwise(row):
        lane = a not in made.nodes or b not in made.nodes
        gap = max(LANE if lane else made.spacing.box, beside[frozenset((a, b))])
        gap += 0.0 if lane else _sideways(made, a, b)
        found.append(gap + (made.span(a) + made.span(b)) / 2)
    return found


def _sideways(made: Arrangement, a: str, b: str) -> float:
    """Return the room for tags that stand out into a gap without being joined across it."""
    return 0.0 if made.on(a, RIGHT) else made.outward(b, LEFT)


def spread(
    wanted: list[float], gaps: list[float], weights: list[float] | None = None
) -> list[float]:
    """Return places as near to the wanted ones as may be, neighbours at least a gap apart.

    Least squares by pooling adjacent violators: those that want to be too near move together.
    """
    steps = [0.0, *accumulate(gaps)]
    pools: list[tuple[float, float, int]] = []
    for want, step, weight in zip(wanted, steps, weights or [1.0] * len(wanted), strict=True):
        pools.append((want - step, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, of_a, many), (b, of_b, more) = pools[-2:]
            pools[-2:] = [((a * of_a + b * of_b) / (of_a + of_b), of_a + of_b, many + more)]
    values = [value for value, _, count in pools for _ in range(count)]
    return [value + step for value, step in zip(values, steps, strict=True)]
