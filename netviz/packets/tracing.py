"""From what every tap saw to the way that each packet took. Pure.

Each sighting of a packet came from another one: at the far end of the cable, at another port of the
switch, at the device above or below, within the same stack. So the sightings of one packet make a
tree, or where segments and fragments are joined again, several trees that grow together. A sighting
that came from nowhere begins a track.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import TYPE_CHECKING

from netviz.packets.sightings import sightings

if TYPE_CHECKING:
    from netviz.journeys import Packet
    from netviz.packets.relations import Place, Relations
    from netviz.packets.sightings import Sighting

# The same packet may be sent again, as ARP's question is each second; in between it went through.
_THROUGH = 200_000_000  # Nanoseconds.
_LONGEST = 10_000_000_000  # In a queue; nothing is believed to be older.
_BACK = 2048  # How many segments of a stream one looks back for those that were joined.


@dataclass(slots=True, eq=False)
class Track:
    """The way of one packet: its sightings by time, and for each the places of those before it."""

    sightings: list[Sighting] = field(default_factory=list)
    parents: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def first(self) -> Sighting:
        """Return where it was seen first."""
        return self.sightings[0]

    def children(self) -> dict[int, list[int]]:
        """Return for each sighting those that came from it."""
        found: dict[int, list[int]] = defaultdict(list)
        for number, before in enumerate(self.parents):
            for parent in before:
                found[parent].append(number)
        return found


def tracks(packets: Iterable[Packet], relations: Relations) -> list[Track]:
    """Return the way of each packet, by the time at which it began.

    Two stamps are equal where one packet is seen on a device and on the one that it stands on. It
    was then on the lower one first where it came in, and on the upper one where it went out.
    """
    seen = sightings(packets, relations.vxlan_ports)
    groups: dict[object, list[Sighting]] = defaultdict(list)
    for each in seen:
        groups[each.key].append(each)
    found: list[Track] = []
    for group in groups.values():
        group.sort(key=lambda each: (each.packet.at, *_rank(each, relations)))
        found += _Group(list(_untied(group, relations)), relations).tracks()
    found.sort(key=lambda track: track.first.packet.at)
    return found


def _rank(each: Sighting, relations: Relations) -> tuple[bool, int, int]:
    """Return where a sighting stands among those of one moment: a tunnel is above what it uses."""
    out, level = each.packet.direction == "out", relations.level(each.packet.where.key)
    return (True, each.depth, -level) if out else (False, -each.depth, level)


def _untied(group: Sequence[Sighting], relations: Relations) -> Iterator[Sighting]:
    """Yield, of the sightings of one moment, each after those that it may have come from.

    Where a clock ticks seldom, both ends of a cable see a packet at once.
    """
    for _, same in groupby(group, key=lambda each: each.packet.at):
        moment = list(same)
        while len(moment) > 1:
            places = {_place(each) for each in moment}
            free = (
                number
                for number, each in enumerate(moment)
                if places.isdisjoint(chain.from_iterable(relations.before(_place(each))))
            )
            yield moment.pop(next(free, 0))
        yield from moment


def _place(each: Sighting) -> Place:
    return (each.packet.where.key, each.packet.direction, each.depth)


class _Group:
    """All sightings with one key, by time."""

    def __init__(self, group: Sequence[Sighting], relations: Relations) -> None:
        self.group = group
        self.relations = relations
        self.seen: dict[Place, list[int]] = defaultdict(list)
        self.places: list[Place] = []
        self.passed: set[tuple[int, Place]] = set()
        self.front: dict[tuple[Place, Place], int] = {}

    def tracks(self) -> Iterator[Track]:
        """Yield one track from each sighting that came from nowhere."""
        parents: list[tuple[int, ...]] = []
        children: dict[int, list[int]] = defaultdict(list)
        for number, each in enumerate(self.group):
            place = _place(each)
            before = self._before(each, place)
            for parent in before:
                children[parent].append(number)
                self.passed.add((parent, place))
                if each.stream:
                    self.front[self.places[parent], place] = parent
            parents.append(before)
            self.places.append(place)
            self.seen[place].append(number)
        for number, before in enumerate(parents):
            if not before:
                yield self._track(number, parents, children)

    def _track(
        self, root: int, parents: list[tuple[int, ...]], children: dict[int, list[int]]
    ) -> Track:
        reached, waiting = {root}, [root]
        while waiting:
            fresh = [child for child in children.get(waiting.pop(), ()) if child not in reached]
            reached.update(fresh)
            waiting += fresh
        order = sorted(reached)
        place = {number: n for n, number in enumerate(order)}
        before = [tuple(place[it] for it in parents[number] if it in place) for number in order]
        return Track([self.group[number] for number in order], before)

    def _before(self, each: Sighting, place: Place) -> tuple[int, ...]:
        """Return what a sighting came from: at the likeliest place, all that it is made of."""
        for places in self.relations.before(place):
            found = [ways for it in places if (ways := self._from(it, each, place))]
            if found:
                return max(found, key=lambda ways: (*self._fits(ways, each), ways[-1]))
        return ()

    def _fits(self, numbers: Sequence[int], each: Sighting) -> tuple[int, bool]:
        """Return how many bytes of a sighting some others share, and if they are like it."""
        some = [self.group[n] for n in numbers]
        shared = sum(min(it.end, each.end) - max(it.start, each.start) for it in some)
        return shared, self._alike(numbers[-1], each)

    def _from(self, before: Place, each: Sighting, place: Place) -> tuple[int, ...]:
        """Return those sightings at one place that a later one is made of, by time."""
        known = self.seen.get(before)
        if not known:
            return ()
        missing, chosen = [(each.start, each.end)], []
        for number in self._candidates(before, each, place):
            other = self.group[number]
            left = [
                piece
                for start, end in missing
                for piece in ((start, min(end, other.start)), (max(start, other.end), end))
                if piece[0] < piece[1]
            ]
            if left != missing:
                chosen.append(number)
                missing = left
            if not missing:
                break
        return tuple(sorted(chosen))

    def _candidates(self, before: Place, each: Sighting, place: Place) -> Iterable[int]:
        """Return sightings at an earlier place, the likeliest first.

        What is sent on one way does not overtake. So of a stream it is the earliest, from the last
        on that is known to have gone on to this place: what is sent again is sent later. Of the
        rest it is the earliest that has not gone on, if that is not long ago.
        """
        known, at = self.seen[before], each.packet.at
        if each.stream:
            front = bisect_left(known, self.front.get((before, place), 0))
            return chain(known[front:], known[max(front - _BACK, 0) : front][::-1])
        first = self.front.get((before, place), 0)
        while first < len(known) and (known[first], place) in self.passed:
            first += 1
        self.front[before, place] = first
        old = max(first, bisect(known, at - _LONGEST, key=self._at))
        new = max(old, bisect(known, at - _THROUGH, key=self._at))
        ways = chain(range(new, len(known)), range(old, new)[::-1])
        fresh = [known[n] for n in ways if (known[n], place) not in self.passed]
        # Equal packets to others are not mixed up, but where addresses are translated.
        fresh.sort(key=lambda n: not self._alike(n, each))
        gone = (n for n in known[: -_BACK - 1 : -1] if (n, place) in self.passed)
        return chain(fresh, (n for n in gone if self._may_go_twice(n, each)))

    def _may_go_twice(self, number: int, each: Sighting) -> bool:
        """Tell whether a sighting may come from one that has gone on already: as another piece."""
        other = self.group[number]
        return self._alike(number, each) or (other.start, other.end) != (each.start, each.end)

    def _alike(self, number: int, each: Sighting) -> bool:
        other = self.group[number]
        return (other.ends, other.mark) == (each.ends, each.mark)

    def _at(self, number: int) -> int:
        return self.group[number].packet.at
