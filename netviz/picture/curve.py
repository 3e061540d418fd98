"""A packet's way as a numbered curve over a picture.

The way runs through the tags of its hops, under them: along a cable a little to its left, and from
one tag of a box to another one inside of the box, near its edge. Each hop has a disc on the curve,
beside its tag, where no word is; where the way itself cannot avoid a word, it is interrupted.
A packet that comes in and is lost ends past the tag, in the box. Copies, as a bridge makes them
when it floods, leave the way where they were made.

Pure. A place that the picture does not show, as in a folded box, is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, pairwise, takewhile
from typing import TYPE_CHECKING

from netviz.journeys import DELIVERED, DISCARDED, LOST
from netviz.picture.blocks import gid
from netviz.picture.corners import meet
from netviz.picture.lines import Line, holds, off, rounded
from netviz.picture.shapes import Box, Curve, Disc, Label, Port

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.journeys import Hop, Journey
    from netviz.picture.corners import Corners, Place
    from netviz.picture.shapes import Extent, Plan, Point, Shape

_STEP = 4.0
_RIM = 4.0
_CROSS = 8.0
"""How far before the end of a curve the middle of a cross is."""
_END = 15.0
"""The room that an arrow has between a disc and a tag."""
_LOST = "✗ lost"


@dataclass(slots=True)
class _Chain:
    """Hops in a row, with the curve through them; ``at`` is how far along it each one's disc is."""

    hops: list[Hop]
    line: Line
    kind: str
    at: dict[int, float] = field(default_factory=dict)


class Way:
    """The curve of one journey, with a disc for each of its hops that the picture shows.

    ``say`` returns what is told of a hop when one points at its disc.
    """

    def __init__(self, corners: Corners, journey: Journey, say: Callable[[Hop], str]) -> None:
        plan = corners.plan
        self.corners = corners
        self.journey = journey
        self.measure = corners.measure
        self.say = say
        self.taken = [*corners.words, *(port.extent for port in plan.ports)]
        runs = (run for cable in plan.cables for run in pairwise(cable.points))
        self.cables = [
            off((min(x, u), min(y, v), max(x, u), max(y, v)), 2) for (x, y), (u, v) in runs
        ]
        self.places = {hop.number: place for hop in journey if (place := self._place(hop))}
        self.discs: dict[int, Disc] = {}
        self.chains: list[_Chain] = []
        # Of the hops whose packet ends past a tag: where its end is, and in which box.
        self.ends: dict[int, tuple[Extent, Extent]] = {}
        for number, hops in enumerate(self._rows()):
            self._lay(hops, "copy" if number else "path")

    @property
    def line(self) -> Line:
        """The way of the packet itself, without its copies."""
        return self.chains[0].line if self.chains else Line(())

    def curves(self, until: int) -> Iterator[Curve]:
        """Yield the curves up to the hop of a number, copies first: they lie under the tags."""
        for number, chain in reversed([*enumerate(self.chains)]):
            come = [hop for hop in chain.hops if hop.number <= until]
            if not come or (number and len(come) == 1):
                continue
            last, line, heads = come[-1], chain.line, list[tuple["Point", ...]]()
            if last is not chain.hops[-1]:
                line = line.cut(0, chain.at[last.number])
            elif line.length:
                heads += _head(line, last.fate)
            if heads and last.fate == LOST:
                yield Curve(f"path-{number}-lost", "lost", (), tuple(heads))
                line, heads = line.cut(0, line.length - _CROSS), []
            if line.length:
                strokes = line.without(off(each, 2.0) for each in self.corners.words)
                yield Curve(f"path-{number}", chain.kind, tuple(strokes), tuple(heads))

    def numbers(self, until: int) -> Iterator[Disc | Label]:
        """Yield the discs up to the hop of a number, and what is said beside one that is lost."""
        for hop in self.journey:
            if hop.number <= until and hop.number in self.discs:
                yield self.discs[hop.number]
                if hop.fate == LOST:
                    yield self._lost(hop, self.discs[hop.number])

    def packet(self, number: int) -> Iterator[Disc]:
        """Yield a ring around the disc of a hop: always the same one, for it moves."""
        if disc := self.discs.get(number):
            size = {"wide": disc.wide + 11, "high": disc.high + 11}
            yield replace(disc, gid="hop-now", text="", title="", state="packet", **size)

    def _place(self, hop: Hop) -> Place | None:
        key, space, known = hop.where.key, (hop.where.id, 0), self.corners.shapes
        names = (gid(key), gid(key, "port"), gid(space, "stack"), gid(space, "ns"))
        return next((known[name] for name in names if name in known), None)

    def _rows(self) -> list[list[Hop]]:
        """Return the hops in rows: first the way to where the journey ended, then the copies'."""
        hops = {hop.number: hop for hop in self.journey if hop.number in self.places}
        before: dict[int, list[int]] = {}
        for hop in self.journey:  # What is not shown is skipped: what came from there came before.
            found = (n if n in hops else next(iter(before.get(n, ())), 0) for n in hop.after)
            before[hop.number] = [n for n in dict.fromkeys(found) if n in hops and n < hop.number]
        end = self.journey.end.number
        trunk = [end] if end in hops else before.get(end, [])[:1]
        while trunk and before[trunk[0]]:
            trunk.insert(0, before[trunk[0]][0])
        rows, done = [trunk] if trunk else [], set(trunk)
        for number in hops:
            sources = before[number]
            for source in sources[number in done :]:
                grows = next((row for row in rows[1:] if row[-1] == source), None)
                if grows:
                    grows.append(number)
                else:
                    rows.append([source, number])
            if not sources and number not in done:
                rows.append([number])
            done.add(number)
        return [[hops[number] for number in row] for row in rows]

    def _lay(self, hops: list[Hop], kind: str) -> None:
        """Lay a curve through a row of hops, and put their discs on it."""
        places = [self.places[hop.number] for hop in hops]
        loose = [n for n in range(1, len(hops) - 1) if _passed(places, n)]
        pinned = [n for n in range(len(hops)) if n not in loose]
        start = None
        if kind == "copy" and isinstance(places[0], Box):  # It begins where the packet was.
            first = hops[0].number
            found = (it.line.point(it.at[first]) for it in self.chains if first in it.at)
            start = next(found, None)
        points, spots = self.corners.between([places[n] for n in pinned], start)
        points += self._past(hops[-1], places, points)
        still = len({place.gid for place in places}) == 1
        line = rounded(points[:1] if still else points)  # What stays in a box has no way.
        where = dict(zip(pinned, line.nearest(spots), strict=True))
        if isinstance(places[-1], Port) and line.length and hops[-1].number not in self.ends:
            line = line.cut(0, line.leaves(places[-1].extent))
        chain = _Chain(hops, line, kind)
        self.chains.append(chain)
        for n in loose:
            same = [m for m in loose if places[m] is places[n]]
            where[n] = _passes(line, places[n].extent, (same.index(n) + 1) / (len(same) + 1))
        for n in [*loose, *pinned]:
            low = max([at for m, at in where.items() if m < n], default=0.0)
            high = min([at for m, at in where.items() if m > n], default=line.length)
            at = min(max(where[n], low), line.length)
            self._number(chain, hops[n], (low, at, min(high, line.length)))
            where[n] = chain.at[hops[n].number] if n in loose else where[n]

    def _past(self, hop: Hop, places: list[Place], way: list[Point]) -> list[Point]:
        """Return how a way goes on, past the tag of its last hop, if the packet ends in the box."""
        *before, tag = places[-2:]
        is_in = hop.direction == "in" and hop.fate in (LOST, DISCARDED)
        if not (is_in and isinstance(tag, Port) and len(way) > 1):
            return []
        from_inside = any(tag.owner in (it.gid, getattr(it, "owner", "")) for it in before)
        taken = [*self.taken, *self.cables]
        if from_inside or not (found := self.corners.past(tag, way[-2], way[-1], taken)):
            return []
        self.ends[hop.number] = found[1], self.corners.shapes[tag.owner].extent
        self.taken.append(found[1])
        return found[0]

    def _number(self, chain: _Chain, hop: Hop, reach: tuple[float, float, float]) -> None:
        """Give a hop its disc: on the curve beside its tag, or else around it."""
        chain.at[hop.number] = reach[1]
        if hop.number in self.discs:
            return  # It has one, where its way left the packet's.
        text, place = str(hop.number), self.places[hop.number]
        size = 17.0 if chain.kind == "copy" else 20.0
        wide = max(size, self.measure(text, "number") + 4.5)
        state = chain.kind if hop.packet else "inferred"
        disc = Disc(f"hop-{text}", 0, 0, text, self.say(hop), state, wide, size)
        last = hop is chain.hops[-1]
        has_arrow = last and hop.number not in self.ends
        room = _END + _RIM * (hop.fate == LOST) if has_arrow else 0.0
        spots = (
            _along(*reach, back_first=hop.direction == "in" or last) if chain.line.length else []
        )
        if isinstance(place, Box):  # First where the curve is in the box.
            spots.sort(key=lambda at: not holds(place.extent, chain.line.point(at)))
        for at in spots:
            x, y = chain.line.point(at)
            made = replace(disc, x=x, y=y)
            apart = isinstance(place, Box) or not meet(off(made.extent, room), place.extent)
            if apart and self._is_free(off(made.extent, _RIM)):
                chain.at[hop.number] = at
                break
        else:
            made = self._around(disc, place, chain.line.points[:1])
        self.discs[hop.number] = made
        self.taken.append(made.extent)

    def _around(self, disc: Disc, place: Place, start: tuple[Point, ...]) -> Disc:
        """Return a disc as near to a place as may be, where the curve has no room for it."""
        within = off(place.extent, 60.0)
        owner = self.corners.shapes.get(place.owner) if isinstance(place, Port) else place
        if owner and (isinstance(place, Box) or place.small):
            within = owner.extent
        left, top, right, bottom = off(within, -disc.wide / 2 - 2)
        a, b, c, d = place.extent
        u, v = start[0] if start and isinstance(place, Box) else ((a + c) / 2, (b + d) / 2)
        tried = [
            replace(disc, x=x, y=y)
            for x in takewhile(lambda x: x <= right, count(left, _STEP))
            for y in takewhile(lambda y: y <= bottom, count(top, _STEP))
        ] or [replace(disc, x=u, y=v)]
        tried.sort(key=lambda it: abs(it.x - u) + abs(it.y - v))
        return next((it for it in tried if self._is_free(off(it.extent, 1))), tried[0])

    def _lost(self, hop: Hop, disc: Disc) -> Label:
        """Return the word beside the end of a way, or beside its hop, where a packet was lost."""
        half, spots = self.measure(_LOST, "warning") / 2, list["Point"]()
        if hop.number in self.ends:
            end, box = self.ends[hop.number]
            x, y = (end[0] + end[2]) / 2, (end[1] + end[3]) / 2 + 4
            near = (end[2] + 3 + half, y), (end[0] - 3 - half, y), (x, end[3] + 13), (x, end[1] - 6)
            spots += [(x, y) for x, y in near if box[0] + half < x - 4 and x + 4 < box[2] - half]
        away = disc.wide / 2 + 9 + half
        spots += [(disc.x + away, disc.y + 4), (disc.x - away, disc.y + 4)]
        more = ((u, v) for v in (26.0, -18.0, 42.0, -34.0) for u in (0.0, 30.0, -30.0))
        spots += [(disc.x + u, disc.y + v) for u, v in more]
        labels = [Label(x, y, _LOST, "warning") for x, y in spots]
        extents = ((label, label.extent(self.measure)) for label in labels)
        free = (label for label, it in extents if self._is_free(it) and not _some(it, self.cables))
        return next(free, labels[0])

    def _is_free(self, extent: Extent) -> bool:
        return not _some(extent, self.taken)


def laid(plan: Plan, curves: Iterable[Shape], over: Iterable[Shape]) -> tuple[Shape, ...]:
    """Return the shapes of a plan with curves under its tags, and other shapes over everything."""
    under = [shape for shape in plan.shapes if not isinstance(shape, Port | Label)]
    return (*under, *curves, *(s for s in plan.shapes if isinstance(s, Port | Label)), *over)


def _head(line: Line, fate: str) -> list[tuple[Point, ...]]:
    """Return the strokes at the end of a curve: an arrow, a bar, or a cross where it is lost."""
    (x, y), (u, v), s = line.points[-1], line.heading(), 6.0
    if fate == LOST:
        x, y = x - _CROSS * u, y - _CROSS * v
        return [((x - s, y - s), (x + s, y + s)), ((x - s, y + s), (x + s, y - s))]
    if fate and fate != DELIVERED:
        return [((x + s * v, y - s * u), (x - s * v, y + s * u))]
    one, other = ((x - 8 * u + t * v, y - 8 * v - t * u) for t in (s, -s))
    return [(one, (x, y), other)]


def _passed(places: list[Place], number: int) -> bool:
    """Tell whether a place is a bridge, passed on the way from one of its ports to another."""
    own = places[number].gid
    ways = (places[number - 1 :: -1], places[number + 1 :])
    ends = (next((it for it in way if it.gid != own), None) for way in ways)
    return all(isinstance(end, Port) and end.owner == own for end in ends)


def _passes(line: Line, extent: Extent, share: float) -> float:
    """Return a place where a line is in an extent, so far on its way through it."""
    steps = [_STEP * n for n in range(int(line.length / _STEP) + 1)]
    inside = [at for at in steps if holds(off(extent, -10.0), line.point(at))] or steps
    return inside[int(share * len(inside))]


def _along(low: float, at: float, high: float, *, back_first: bool) -> list[float]:
    """Return places on a curve from one on, in both directions; the preferred one first."""
    back = [*takewhile(lambda it: it > low, count(at, -_STEP))]
    forth = [*takewhile(lambda it: it < high, count(at, _STEP))]
    return back + forth if back_first else forth + back


def _some(extent: Extent, others: Iterable[Extent]) -> bool:
    return any(meet(extent, other) for other in others)
