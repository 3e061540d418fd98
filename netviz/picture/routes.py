"""Give arranged boxes their rows' places, and every wire its way.

Between two rows lies a channel, and nothing but wires and their words lies in it: so a wire between
neighbouring rows may run there as it likes. A wire whose ends do not face each other leaves into a
channel, and runs along a track of its own there; if it must change channels it does so beyond the
last box. Pure numbers, as in `netviz.picture.rows`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field

from netviz.picture.layers import AFTER, BEFORE
from netviz.picture.measures import LEFT, RIGHT
from netviz.picture.rows import Arrangement, Link, Node, Pair, Spacing, arrange
from netviz.picture.settling import settle

_TRACK = 16.0
_WORDS = 12.0
_STRAIGHT = 1.0


@dataclass(slots=True)
class Placed:
    """Where everything is: boxes as (u, v, length along u, along v), from 0, 0 on.

    ``free`` is what a box's tags leave of it.
    """

    size: Pair = (0.0, 0.0)
    boxes: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    free: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    plugs: dict[str, Pair] = field(default_factory=dict)
    paths: dict[str, list[Pair]] = field(default_factory=dict)
    labels: dict[str, Pair] = field(default_factory=dict)


def place(nodes: list[Node], links: list[Link], spacing: Spacing) -> Placed:
    """Return a place for each of some nodes that are all connected, and a way for each link."""
    made = arrange(nodes, links, spacing)
    settle(made)
    return _Routing(made).placed()


class _Routing:
    """One arrangement being completed. Channel ``n`` lies before row ``n``."""

    def __init__(self, made: Arrangement) -> None:
        self.made = made
        self.row_of = made.dealt.row_of
        self.outside = max(made.us[n] + made.span(n) / 2 for n in made.us)
        self.tracks: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
        self.words: dict[int, list[Link]] = defaultdict(list)
        detours = [link for link in made.links if not made.facing(link)]
        # A short one runs nearer to the boxes than a long one, so that they do not cross.
        for link in sorted(
            detours, key=lambda each: abs(self._u(each.ends[0]) - self._u(each.ends[1]))
        ):
            self._lay(link)
        for link in made.links:
            rows = [self.row_of[made.owner[end]] for end in link.ends]
            # What is written on a line has a height of its own; what is beside it needs none.
            if link.label[1] and not link.strong and made.facing(link) and rows[0] != rows[1]:
                self.words[max(rows)].append(link)
        self.tops: list[float] = []
        self.depths: list[float] = []
        self.channels: list[tuple[float, float]] = []
        self._stack(len(made.dealt.rows))

    def placed(self) -> Placed:
        made, found = self.made, Placed()
        for name in made.nodes:
            u, v = made.us[name] - made.spans[name] / 2, self._middle(name)
            v, length, depth = v - made.depths[name] / 2, made.spans[name], made.depths[name]
            found.boxes[name] = (u, v, length, depth)
            found.free[name] = _within(found.boxes[name], made.insets(name))
        for plug in made.owner:
            found.plugs[plug] = self._at(plug)
        for link in made.links:
            path = self._path(link)
            found.paths[link.id] = _without_needless(path)
            found.labels[link.id] = self._label(link, found.paths[link.id])
        found.size = (self.outside, self.channels[-1][1])
        return found

    def _lay(self, link: Link) -> None:
        """Give a detour a track in the channel of each of its ends, with room for its words."""
        lanes = dict.fromkeys((self._channel(end), self._edge(end)) for end in link.ends)
        around = len({channel for channel, _ in lanes}) > 1
        for lane in lanes:
            wide = 0.0 if around else link.label[1] + _WORDS / 2
            self.tracks[lane][link.id] = max(_TRACK, wide)

    def _edge(self, plug: str) -> str:
        """Return which side of a channel a plug leads into."""
        return BEFORE if self.made.edges[plug] == BEFORE else AFTER

    def _channel(self, plug: str) -> int:
        """Return the channel that a plug leads into."""
        row = self.row_of[self.made.owner[plug]]
        return row if self.made.edges[plug] == BEFORE else row + 1

    def _stack(self, count: int) -> None:
        """Put channels and rows one after the other."""
        made = self.made
        joined = {
            max(self.row_of[a], self.row_of[b])
            for _, stations in made.ways()
            for (a, _), (b, _) in itertools.pairwise(stations)
        }
        v = 0.0
        for number in range(count + 1):
            above = made.dealt.rows[number - 1] if number else []
            below = made.dealt.rows[number] if number < count else []
            start = v + max((made.outward(n, AFTER) for n in above if n in made.nodes), default=0)
            room = sum(sum(self.tracks[number, edge].values()) for edge in (BEFORE, AFTER))
            room += sum(link.label[1] + _WORDS for link in self.words[number])
            rims = any(made.nodes[n].rim for n in (*above, *below) if n in made.nodes)
            if number in joined and not rims:
                room = max(made.spacing.channel, room + made.spacing.channel / 2)
            elif number in joined:
                room += _TRACK
            end = start + room
            self.channels.append((start, end))
            v = end + max((made.outward(n, BEFORE) for n in below if n in made.nodes), default=0)
            if number < count:
                self.tops.append(v)
                self.depths.append(max((made.depths.get(n, 0.0) for n in below), default=0.0))
                v += self.depths[-1]
        self.channels[-1] = (self.channels[-1][0], max(v, self.channels[-1][1]))

    def _middle(self, name: str) -> float:
        number = self.row_of[name]
        return self.tops[number] + self.depths[number] / 2

    def _u(self, plug: str) -> float:
        """Return about where along its row a plug is."""
        return self.made.us[self.made.owner[plug]] + self.made.offsets[plug]

    def _at(self, plug: str) -> Pair:
        """Return the middle of a plug's tag, on the edge of its box."""
        made, name = self.made, self.made.owner[plug]
        u, v, edge = made.us[name], self._middle(name), made.edges[plug]
        if edge in (LEFT, RIGHT):
            side = -1 if edge == LEFT else 1
            return u + side * made.spans[name] / 2, v + made.offsets[plug]
        return u + made.offsets[plug], v + (-1 if edge == BEFORE else 1) * made.depths[name] / 2

    def _clear(self, channel: int) -> Pair:
        """Return the part of a channel that has no tracks: only there may a wire slant."""
        start, end = self.channels[channel]
        above, below = (sum(self.tracks[channel, edge].values()) for edge in (AFTER, BEFORE))
        return start + above, end - below

    def _path(self, link: Link) -> list[Pair]:
        a, b = link.ends
        if not self.made.facing(link):
            return self._detour(link)
        rows = [self.row_of[self.made.owner[end]] for end in link.ends]
        start, end = self._at(a), self._at(b)
        if rows[0] == rows[1]:
            middle = (start[0] + end[0]) / 2
            return [start, (middle, start[1]), (middle, end[1]), end]
        down = rows[0] < rows[1]
        points = [start]
        channel = self._channel(a)
        here = start[0]
        lanes = self.made.dealt.chains[link.id]
        for there in (*(self.made.us[lane] for lane in lanes), end[0]):
            first, last = self._clear(channel) if down else self._clear(channel)[::-1]
            points += [(here, first), (there, last)]
            here, channel = there, channel + (1 if down else -1)
        return [*points, end]

    def _detour(self, link: Link) -> list[Pair]:
        """Lead a link along tracks, and from one channel to another beyond the last box."""
        start, end = (self._at(plug) for plug in link.ends)
        tracks = [self._track(link, plug) for plug in link.ends]
        exits = [self._exit(plug, at) for plug, at in zip(link.ends, (start, end), strict=True)]
        points = [start, (exits[0], start[1]), (exits[0], tracks[0])]
        if tracks[0] != tracks[1]:
            room = max(_TRACK, link.label[0] + _WORDS)
            lane = self.outside + room / 2
            self.outside += room
            points += [(lane, tracks[0]), (lane, tracks[1])]
        return [*points, (exits[1], tracks[1]), (exits[1], end[1]), end]

    def _exit(self, plug: str, at: Pair) -> float:
        """Return where along u a link leaves its row: beside the box if its tag is at a side."""
        edge = self.made.edges[plug]
        if edge not in (LEFT, RIGHT):
            return at[0]
        outward = self.made.nodes[self.made.owner[plug]].plugs[plug][0] / 2 + 8
        return at[0] + (outward if edge == RIGHT else -outward)

    def _track(self, link: Link, plug: str) -> float:
        start, end = self.channels[self._channel(plug)]
        tracks = self.tracks[self._channel(plug), self._edge(plug)]
        before = itertools.takewhile(lambda name: name != link.id, tracks)
        place = sum(tracks[name] for name in before) + tracks[link.id] / 2
        return start + place if self._edge(plug) == AFTER else end - place

    def _label(self, link: Link, path: list[Pair]) -> Pair:
        """Return the middle of a link's words: each in a channel at a height of its own."""
        channels = [number for number, words in self.words.items() if link in words]
        if not channels:
            return _halfway(path)
        start, end = self._clear(channels[0])
        words = self.words[channels[0]]
        v = start + (end - start) * (words.index(link) + 1) / (len(words) + 1)
        return _at_height(path, v), v


def _within(
    box: tuple[float, float, float, float], insets: dict[str, float]
) -> tuple[float, float, float, float]:
    u, v, length, depth = box
    length -= insets[LEFT] + insets[RIGHT]
    return u + insets[LEFT], v + insets[BEFORE], length, depth - insets[BEFORE] - insets[AFTER]


def _halfway(path: list[Pair]) -> Pair:
    """Return the middle of the longest stretch of a path."""
    (u1, v1), (u2, v2) = max(
        itertools.pairwise(path),
        key=lambda it: abs(it[0][0] - it[1][0]) + abs(it[0][1] - it[1][1]),
    )
    return (u1 + u2) / 2, (v1 + v2) / 2


def _at_height(path: list[Pair], v: float) -> float:
    for (u1, v1), (u2, v2) in itertools.pairwise(path):
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
