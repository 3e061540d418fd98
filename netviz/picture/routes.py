"""Give measured boxes their rows' places, and every wire its way.

Between two rows lies a channel, and nothing but wires and their words lies in it: so a wire between
neighbouring rows may run there as it likes. A wire whose ends do not face each other leaves into a
channel, and runs along a track of its own there; if it must change channels it does so beyond the
last box. Pure numbers, in u and v until somebody asks where a thing is on the page.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from netviz.picture.rows import AFTER, BEFORE, LEFT, RIGHT, Arrangement, Link, Pair

if TYPE_CHECKING:
    from netviz.picture.shapes import Rectangle

_TRACK = 16.0
_WORDS = 12.0
_STRAIGHT = 1.0
_HAIR = 1e-5


class Routes:
    """One arrangement being completed. Channel ``n`` lies before row ``n``.

    Its ``origin`` is where on the page it stands: 0, 0 until that is known.
    """

    def __init__(self, made: Arrangement) -> None:
        self.made = made
        self.origin = (0.0, 0.0)
        self.outside = max(at + made.spans[name] / 2 for name, at in made.us.items())
        self.tracks: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
        self.words: dict[int, list[Link]] = defaultdict(list)
        detours = [link for link in made.links if not made.facing(link)]
        # A short one runs nearer to the boxes than a long one, so that they do not cross.
        for link in sorted(detours, key=self._length):
            self._lay(link)
        for link in made.links:
            # What is written on a line has a height of its own; what is beside it needs none.
            if link.label[1] and not link.strong and made.facing(link) and made.step(link):
                self.words[max(made.row_of[name] for name in made.joined(link))].append(link)
        self.middles: list[float] = []
        self.tops: list[float] = []
        self.channels: list[Pair] = []
        self._stack()
        self.paths = {link.id: _without_needless(self._path(link)) for link in made.links}
        self.size = made.way.turned((self.outside, self.channels[-1][1]))

    def page(self, spot: Pair) -> Pair:
        """Return where on the page a place is."""
        x, y = self.made.way.turned(spot)
        return self.origin[0] + x, self.origin[1] + y

    def box(self, name: str, *, free: bool = False) -> Rectangle:
        """Return a box on the page, or what its tags leave ``free`` of it."""
        made, length, depth = self.made, self.made.spans[name], self.made.depths[name]
        u, v = made.us[name] - length / 2, self._middle(name) - depth / 2
        if free:
            inset = made.insets(name)
            u, length = u + inset[LEFT], length - inset[LEFT] - inset[RIGHT]
            v, depth = v + inset[BEFORE], depth - inset[BEFORE] - inset[AFTER]
        return (*self.page((u, v)), *made.way.turned((length, depth)))

    def at(self, plug: str) -> Pair:
        """Return the middle of a plug's tag, on the edge of its box."""
        made, name = self.made, self.made.owner[plug]
        u, v, edge = made.us[name], self._middle(name), made.edges[plug]
        if edge in (LEFT, RIGHT):
            side = -1 if edge == LEFT else 1
            return u + side * made.spans[name] / 2, v + made.offsets[plug]
        return u + made.offsets[plug], v + (-1 if edge == BEFORE else 1) * made.depths[name] / 2

    def label(self, link: Link) -> Pair:
        """Return the middle of a link's words: each in a channel at a height of its own."""
        path = self.paths[link.id]
        for channel, words in self.words.items():
            if link in words:
                start, end = self._clear(channel)
                v = start + (end - start) * (words.index(link) + 1) / (len(words) + 1)
                return _at_height(path, v), v
        (u1, v1), (u2, v2) = max(
            pairwise(path), key=lambda it: abs(it[0][0] - it[1][0]) + abs(it[0][1] - it[1][1])
        )
        return (u1 + u2) / 2, (v1 + v2) / 2

    def _length(self, link: Link) -> float:
        """Return about how far along the rows a link leads."""
        us = [self.made.us[self.made.owner[end]] + self.made.offsets[end] for end in link.ends]
        return abs(us[0] - us[1])

    def _lay(self, link: Link) -> None:
        """Give a detour a track in the channel of each of its ends, with room for its words."""
        lanes = dict.fromkeys(self._lane(end) for end in link.ends)
        around = len({channel for channel, _ in lanes}) > 1
        for lane in lanes:
            wide = 0.0 if around else link.label[1] + _WORDS / 2
            self.tracks[lane][link.id] = max(_TRACK, wide)

    def _lane(self, plug: str) -> tuple[int, str]:
        """Return the channel that a plug leads into, and on which side of it."""
        row = self.made.row_of[self.made.owner[plug]]
        return (row, BEFORE) if self.made.edges[plug] == BEFORE else (row + 1, AFTER)

    def _stack(self) -> None:
        """Put channels and rows one after the other."""
        made, v = self.made, 0.0
        rows = [[name for name in row if name in made.nodes] for row in made.rows]
        ends = [sorted(made.row_of[name] for name in made.joined(link)) for link in made.links]
        for number, (above, below) in enumerate(pairwise([[], *rows, []])):
            start = v + max((made.outward(name, AFTER) for name in above), default=0)
            room = sum(sum(self.tracks[number, edge].values()) for edge in (BEFORE, AFTER))
            room += sum(link.label[1] + _WORDS for link in self.words[number])
            if any(low < number <= high for low, high in ends):
                if any(made.nodes[name].rim for name in (*above, *below)):
                    room += _TRACK
                else:
                    room = max(made.way.channel, room + made.way.channel / 2)
            outward = max((made.outward(name, BEFORE) for name in below), default=0)
            # What was here before does not move up.
            held = min((made.pins[name].v for name in below if name in made.pins), default=0.0)
            if held > start + room + outward + _HAIR:
                room = held - outward - start
            self.channels.append((start, start + room))
            v = start + room + outward
            self.tops.append(v)
            depth = max((made.depths[name] for name in below), default=0.0)
            self.middles.append(v + depth / 2)
            v += depth
        self.channels[-1] = (self.channels[-1][0], max(v, self.channels[-1][1]))

    def _middle(self, name: str) -> float:
        return self.middles[self.made.row_of[name]]

    def _clear(self, channel: int) -> Pair:
        """Return the part of a channel that has no tracks: only there may a wire slant."""
        start, end = self.channels[channel]
        above, below = (sum(self.tracks[channel, edge].values()) for edge in (AFTER, BEFORE))
        return start + above, end - below

    def _path(self, link: Link) -> list[Pair]:
        made, step = self.made, self.made.step(link)
        if not made.facing(link):
            return self._detour(link)
        start, end = (self.at(plug) for plug in link.ends)
        if not step:
            middle = (start[0] + end[0]) / 2
            return [start, (middle, start[1]), (middle, end[1]), end]
        points, here = [start], start[0]
        channel, _ = self._lane(link.ends[0])
        for there in (*(made.us[lane] for lane in made.lanes[link.id]), end[0]):
            first, last = self._clear(channel)[:: 1 if step > 0 else -1]
            points += [(here, first), (there, last)]
            here, channel = there, channel + (1 if step > 0 else -1)
        return [*points, end]

    def _detour(self, link: Link) -> list[Pair]:
        """Lead a link along tracks, and from one channel to another beyond the last box."""
        (a, first), (b, last) = ((self._exit(plug), self._track(link, plug)) for plug in link.ends)
        start, end = (self.at(plug) for plug in link.ends)
        points = [start, (a, start[1]), (a, first)]
        if first != last:
            room = max(_TRACK, link.label[0] + _WORDS)
            lane = self.outside + room / 2
            self.outside += room
            points += [(lane, first), (lane, last)]
        return [*points, (b, last), (b, end[1]), end]

    def _exit(self, plug: str) -> float:
        """Return where along u a link leaves its row: beside the box if its tag is at a side."""
        edge, (u, _) = self.made.edges[plug], self.at(plug)
        outward = self.made.tags[plug][0] / 2 + 8
        return u + {LEFT: -outward, RIGHT: outward}.get(edge, 0.0)

    def _track(self, link: Link, plug: str) -> float:
        channel, edge = self._lane(plug)
        start, end = self.channels[channel]
        tracks = self.tracks[channel, edge]
        before = takewhile(lambda name: name != link.id, tracks)
        place = sum(tracks[name] for name in before) + tracks[link.id] / 2
        return start + place if edge == AFTER else end - place


def _at_height(path: list[Pair], v: float) -> float:
    for (u1, v1), (u2, v2) in pairwise(path):
        if v1 != v2 and min(v1, v2) <= v <= max(v1, v2):
            return u1 + (u2 - u1) * (v - v1) / (v2 - v1)
    return path[0][0]


def _without_needless(path: list[Pair]) -> list[Pair]:
    """Leave out the points on a straight line, and bends too small to be seen."""
    points = path[:1]
    for point in path[1:]:
        if point != points[-1]:
            points.append(point)
    kept = points[:1]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        if (abs(before[0] - here[0]) > _STRAIGHT or abs(here[0] - after[0]) > _STRAIGHT) and (
            abs(before[1] - here[1]) > _STRAIGHT or abs(here[1] - after[1]) > _STRAIGHT
        ):
            kept.append(here)
    return [*kept, *points[-1:]] if len(points) > 1 else kept
