"""Find each box its place along its row: as near as can be to what it is joined with. Pure.

What has a place from the drawing before keeps it, and so do groups of boxes in their frame.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate, pairwise
from math import inf
from typing import TYPE_CHECKING

from netviz.picture.measures import CORNER, LANE
from netviz.picture.rows import AFTER, BEFORE, BETWEEN_TAGS, LEFT, RIGHT, on_grid

if TYPE_CHECKING:
    from netviz.picture.rows import Arrangement, Group, Pair, Way

Pulls = dict[str, list[tuple[str, float]]]
_PULLS = 8
_STAYS = 1e6
_BETWEEN_GROUPS = 44.0
_STRAIGHT = 1.0


def settle(made: Arrangement) -> None:
    """Move the boxes of each row towards what they are joined with, keeping order and distance."""
    pulls: Pulls = defaultdict(list)
    for _, stations in made.ways():
        for (a, at_a), (b, at_b) in pairwise(stations):
            shift = made.offsets[at_a] - made.offsets[at_b]
            pulls[b].append((a, shift))
            pulls[a].append((b, -shift))
    apart = [_distances(made, row) for row in made.rows]
    made.us = {name: 0.0 for row in made.rows for name in row}
    numbers = [*range(len(apart))]
    for pull in range(-1, _PULLS):
        for number in numbers if pull % 2 == 0 else reversed(numbers):
            row = made.rows[number]
            wanted = [_mean(made, pulls[name] if pull >= 0 else [], made.us[name]) for name in row]
            made.us.update(zip(row, spread(wanted, apart[number]), strict=True))
    # What hangs on one box comes straight over its plug; then plugs slide to where wires come.
    for row, gaps in zip(made.rows, apart, strict=True):
        hung = [pulls[name] if len(pulls[name]) == 1 else [] for name in row]
        wanted = [_mean(made, by, made.us[name]) for name, by in zip(row, hung, strict=True)]
        weights = [1.0 if by else _STAYS for by in hung]
        made.us.update(zip(row, spread(wanted, gaps, weights), strict=True))
    if made.steady:
        _hold(made, pulls, _lefts(made))
    for _ in range(2):
        for name in made.nodes:
            for edge in (BEFORE, AFTER):
                _slide(made, name, edge)
    if not made.steady:
        left = min(at - made.spans[name] / 2 for name, at in made.us.items())
        made.us = {name: at - left for name, at in made.us.items()}


def _lefts(made: Arrangement) -> dict[str, float]:
    """Return where boxes were; of none, where they are: they will be held there the next time."""
    if made.pins:
        return {name: pin.u for name, pin in made.pins.items()}
    lefts = {name: at - made.spans[name] / 2 for name, at in made.us.items()}
    first = min(lefts.values())
    boxes = (name for name, node in made.nodes.items() if not node.rim)
    return {name: on_grid(lefts[name] - first) for name in boxes}


def _hold(made: Arrangement, pulls: Pulls, lefts: dict[str, float]) -> None:
    """Put boxes back where they were, and the others near them; what is in the way goes right."""
    for turn in range(_PULLS):
        before = made.us.copy()
        for row in made.rows[:: 1 if turn % 2 else -1]:
            gaps = _distances(made, row)
            wanted = [_held(made, name, pulls[name], lefts) for name in row]
            # What is new stands left of what was there only where it has room.
            for n in reversed(range(len(row) - 1)):
                if row[n] not in lefts:
                    wanted[n] = min(wanted[n], wanted[n + 1] - gaps[n])
            least = made.spans[row[0]] / 2 if row else 0.0
            for name, want, gap in zip(row, wanted, [*gaps, 0.0], strict=True):
                half = made.spans[name] / 2
                made.us[name] = on_grid(max(want, least) - half) + half
                least = made.us[name] + gap
        for name in made.nodes:
            _stretch(made, name, pulls, lefts)
        if made.us == before:
            break


def _held(
    made: Arrangement, name: str, pulls: list[tuple[str, float]], lefts: dict[str, float]
) -> float:
    """Return where the middle of a box or lane wants to be: where it was, if it was here."""
    if name not in lefts:
        return _mean(made, pulls, 0.0)
    along = 0.0
    if len(pulls) == 1 and (other := pulls[0][0]) in lefts:
        # What hangs on a box goes with it.
        along = max(0.0, made.us[other] - made.spans[other] / 2 - lefts[other])
    return lefts[name] + made.spans[name] / 2 + along


def _stretch(made: Arrangement, name: str, pulls: Pulls, lefts: dict[str, float]) -> None:
    """Make a hub long enough, to the right, for what came to hang on it alone, or moved there."""
    hung = [other for other, _ in pulls[name] if [by for by, _ in pulls[other]] == [name]]
    for other in sorted(hung, key=made.us.__getitem__):
        span, left = made.spans[other], lefts.get(other, -inf)
        stayed = name in lefts and made.us[other] - span / 2 - left < _STRAIGHT
        more = made.us[other] + (span - made.spans[name]) / 2 - made.us[name]
        # What stands farther off is there because others stand between: a slant leads to it.
        if made.nodes[name].hub and not stayed and 0 < more < span + made.way.channel:
            made.spans[name] += more
            made.us[name] += more / 2


def line_up(groups: list[Group], way: Way, longest: Pair) -> Pair:
    """Give groups their places in a frame, in lines; return how much of it they take.

    What was there before stays where it was as long as what stands before it leaves it room. A line
    may be as long as the second ``longest`` before that has to leave it.
    """
    u0 = v0 = length = depth = line = 0.0
    for each in groups:
        u, v = way.turned(each.routes.size)
        below = depth + _BETWEEN_GROUPS if length else 0.0
        if each.was and each.was[1] > line:
            line = each.was[1]
            u0, v0 = 0.0, max(line, below)
        if each.was:
            u0 = max(u0, each.was[0])
        if u0 and u0 + u > longest[each.was is not None]:
            u0, v0 = 0.0, below
        u0 = on_grid(u0) if each.routes.made.steady else u0
        each.at = (u0, v0)
        length, depth = max(length, u0 + u), max(depth, v0 + v)
        u0 += u + _BETWEEN_GROUPS
    return length, depth


def _mean(made: Arrangement, pulls: list[tuple[str, float]], otherwise: float) -> float:
    """Return where something wants to be that is pulled towards some others."""
    places = [made.us[other] + shift for other, shift in pulls]
    return sum(places) / len(places) if places else otherwise


def _slide(made: Arrangement, name: str, edge: str) -> None:
    """Move the plugs along an edge towards the other ends of their wires, in their order."""
    node, middle = made.nodes[name], made.us[name]
    plugs = sorted(made.on(name, edge), key=made.offsets.__getitem__)
    if not plugs or node.rim or any(plug in node.pinned for plug in plugs):
        return
    far = {
        plug: [(there, made.offsets[end]) for there, end in ends]
        for plug, ends in made.neighbours(name).items()
    }
    wanted = [
        _mean(made, far.get(plug, []), made.offsets[plug] + middle) - middle for plug in plugs
    ]
    tags = [node.plugs[plug][0] for plug in plugs]
    gaps = [(a + b) / 2 + BETWEEN_TAGS for a, b in pairwise(tags)]
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
        if not made.step(link) and made.facing(link):
            pair = frozenset(made.joined(link))
            room = max(made.way.channel, link.label[0] + made.way.box / 2)
            beside[pair] = max(beside[pair], room + sum(made.tags[e][0] / 2 for e in link.ends))
    found = []
    for a, b in pairwise(row):
        gap = LANE
        if a in made.nodes and b in made.nodes:
            # And room for tags that stand out into the gap without being joined across it.
            alone = 0.0 if made.on(a, RIGHT) else made.outward(b, LEFT)
            gap = max(made.way.box, beside[frozenset((a, b))]) + alone
        found.append(gap + (made.spans[a] + made.spans[b]) / 2)
    return found


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
