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
from netviz.picture.rows import LEFT, RIGHT, Arrangement, Link, Node, Pair, Spacing, arrange
from netviz.picture.settling import settle

_TRACK = 16.0
_WORDS = 12.0
_STRAIGHT = 1.0


@dataclass(slots=True)
class Placed:
    """Where everything is: boxes as (u, v, length along u, along v), from 0, 0 on."""

    size: Pair = (0.0, 0.0)
    boxes: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    plugs: dict[str, Pair] = field(default_factory=dict)
    edges: dict[str, str] = field(default_factory=dict)
    paths: dict[str, list[Pair]] = field(default_factory=dict)
    labels: dict[str, Pair] = field(default_factory=dict)

    def reach(self, node: Node, edge: str) -> float:
        """Return how far the tags on an edge of a box reach into it."""
        axis = 0 if edge in (LEFT, RIGHT) else 1
        tags = [size[axis] / 2 for plug, size in node.plugs.items() if self.edges[plug] == edge]
        return max(tags, default=0.0)


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
        count = len(made.dealt.rows)
        self.tracks: dict[int, list[str]] = defaultdict(list)
        self.words: dict[int, list[Link]] = defaultdict(list)
        for link in made.links:
            if not made.facing(link):
                for end in link.ends:
                    channel = self._channel(end)
                    if link.id not in self.tracks[channel]:
                        self.tracks[channel].append(link.id)
            if link.label[1]:
                self.words[self._words_in(link)].append(link)
        self.tops: list[float] = []
        self.depths: list[float] = []
        self.channels: list[tuple[float, float]] = []
        self._stack(count)
        self.width = max(made.us[n] + made.spans.get(n, 0.0) / 2 for n in made.us)
        self.around = 0

    def placed(self) -> Placed:
        made, found = self.made, Placed(edges=dict(self.made.edges))
        for name in made.nodes:
            u, v = made.us[name] - made.spans[name] / 2, self._middle(name)
            found.boxes[name] = (u, v - made.depths[name] / 2, made.spans[name], made.depths[name])
        for plug in made.owner:
            found.plugs[plug] = self._at(plug)
        for link in made.links:
            path = self._path(link)
            found.paths[link.id] = _without_needless(path)
            found.labels[link.id] = self._label(link, found.paths[link.id])
        found.size = (self.width + self.around * _TRACK, self.channels[-1][1])
        return found

    def _words_in(self, link: Link) -> int:
        """Return the channel in which a link's words stand; beside a row, none."""
        rows = [self.row_of[self.made.owner[end]] for end in link.ends]
        if not self.made.facing(link):
            return self._channel(link.ends[0])
        return max(rows) if rows[0] != rows[1] else -1

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
            room = len(self.tracks[number]) * _TRACK
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

    def _at(self, plug: str) -> Pair:
        """Return the middle of a plug's tag, on the edge of its box."""
        made, name = self.made, self.made.owner[plug]
        u, v, edge = made.us[name], self._middle(name), made.edges[plug]
        if edge in (LEFT, RIGHT):
            side = -1 if edge == LEFT else 1
            return u + side * made.spans[name] / 2, v + made.offsets[plug]
        return u + made.offsets[plug], v + (-1 if edge == BEFORE else 1) * made.depths[name] / 2

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
            first, last = self.channels[channel] if down else self.channels[channel][::-1]
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
            self.around += 1
            outside = self.width + self.around * _TRACK
            points += [(outside, tracks[0]), (outside, tracks[1])]
        return [*points, (exits[1], tracks[1]), (exits[1], end[1]), end]

    def _exit(self, plug: str, at: Pair) -> float:
        """Return where along u a link leaves its row: beside the box if its tag is at a side."""
        edge = self.made.edges[plug]
        if edge not in (LEFT, RIGHT):
            return at[0]
        outward = self.made.nodes[self.made.owner[plug]].plugs[plug][0] / 2 + 8
        return at[0] + (outward if edge == RIGHT else -outward)

    def _track(self, link: Link, plug: str) -> float:
        channel = self._channel(plug)
        start, end = self.channels[channel]
        place = (self.tracks[channel].index(link.id) + 0.5) * _TRACK
        return start + place if self.made.edges[plug] != BEFORE else end - place

    def _label(self, link: Link, path: list[Pair]) -> Pair:
        """Return the middle of a link's words: each in a channel at a height of its own."""
        rows = [self.row_of[self.made.owner[end]] for end in link.ends]
        if not link.label[1] or (self.made.facing(link) and rows[0] == rows[1]):
            return _halfway(path)
        channel = self._words_in(link)
        if not self.made.facing(link):
            longest = max(itertools.pairwise(path), key=lambda it: abs(it[0][0] - it[1][0]))
            return (longest[0][0] + longest[1][0]) / 2, longest[0][1]
        start, end = self.channels[channel]
        words = self.words[channel]
        v = start + (end - start) * (words.index(link) + 1) / (len(words) + 1)
        return _at_height(path, v), v


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
