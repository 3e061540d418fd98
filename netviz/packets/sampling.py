"""Look at a few packets of each cable, to show what is on its way: for watching, never for proof.

Each end of a cable has a tap with a small ring, and a filter that lets in what is sent there. Twice
a second the rings are emptied and what was in them is told in a few numbers. In a flood not what is
let in costs much, but that there is a tap: so it rests most of the time then, and the flood hardly
notices it.

What the kernel says of its own accord is left out, for it would only confuse: multicast groups and
router solicitations, an address that looks for its twin, the bridges' spanning tree, names that are
asked for by multicast.

Equivalent to: ``tcpdump -Q out -s 96`` on each end of each cable, read with half an eye.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from errno import ENODEV
from typing import TYPE_CHECKING, NamedTuple

from netviz.graphs import MIRRORED, NUMBERED
from netviz.packets.capture import Capture
from netviz.packets.parts import parts
from netviz.packets.rings import Instruction, Interfaces, Ring

if TYPE_CHECKING:
    from netviz.errors import NetvizError
    from netviz.journeys import Packet
    from netviz.model import Key
    from netviz.net.events import Events
    from netviz.packets.parts import Part

TICK = 0.5
"""Seconds between two looks."""
SNAP = 96
_STEP = 0.1  # Seconds, until it is noticed that there is a flood:
_FLOOD = 100  # so many packets in one step.
_WINDOW = 0.03  # Seconds of a tick in which a tap listens to a flood.
_MOST = 200  # Packets that are looked at in a tick, of all cables together,
_FEWEST = 8  # and of each at least.
_FEW = 5  # Seen no more often, something is not multiplied by what was not let in.
_MOST_SIGHTS = 60
_MOST_TAPS = 256
_AGE = 80  # Milliseconds: of a ring's blocks as many get full in a tick, at least, as fit into it.
_BLOCKS = 8
_SIZE = 1 << 13
_GLANCE = 2.0  # Without a sign that an interface has come or gone.
_SHARE = 20  # To look for interfaces takes at most one part of the time in so many.

_BOTH_WAYS = {"macvlan", "macvtap", "ipvlan", "ipvtap", "vlan"}  # The device below has no end here.
_ENDS = {"veth", "netkit", *_BOTH_WAYS, *MIRRORED, *NUMBERED}

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_KIND = 0xFFFFF000 + 4  # SKF_AD_PKTTYPE
_OUTGOING = 4

_GROUPS = {130, 131, 132, 133, 143}  # Of ICMPv6: who listens to which group, where is a router.
_NEIGHBOURS = {135, 136}
_NAMES = {5353, 5355}
_IGMP = 2
_UNSPECIFIED = bytes(16)


class Sight(NamedTuple):
    """How many packets of a protocol an interface has sent in a tick, or where it must be got.

    ``direction`` is ``out``, or ``in`` for an interface whose far end is not listened to, such as
    a macvlan. ``protocol`` is ``ARP``, which ND is as well, ``ICMP``, ``TCP``, ``UDP``, ``tunnel``
    or ``other``. ``number`` is an estimate in a flood.
    """

    where: Key
    direction: str
    protocol: str
    number: int


class Sampling(Capture):
    """Calls ``act`` with the sights of each tick in which there are some, the first seen first.

    It calls ``fail``, once, when it cannot go on. Both are called in its own thread. A context, as
    a `Capture` is; of very many interfaces only the first 256 are listened to.
    """

    def __init__(
        self, act: Callable[[list[Sight]], object], fail: Callable[[NetvizError], object]
    ) -> None:
        super().__init__(snap=SNAP)
        self._act = act
        self._fail = fail
        self._seen: list[tuple[int, tuple[Key, str, str], float]] = []
        self._taps: dict[Key, _Tap] = {}
        self._earliest = self._latest = 0.0

    def _listen(self) -> None:
        super()._listen()
        if self._failed:
            self._fail(self._failed)

    def _tap(self, names: Interfaces, kinds: dict[int, str], _: int) -> set[Key]:
        ends = {(names.space[0], index): kind for index, kind in kinds.items() if kind in _ENDS}
        for key, kind in ends.items():
            if key not in self._rings and len(self._rings) < _MOST_TAPS:
                filtered = program(both=kind in _BOTH_WAYS)
                try:
                    ring = Ring(names, key[1], _BLOCKS, filtered, size=_SIZE, age=_AGE)
                except OSError as error:
                    if error.errno == ENODEV:  # It is gone already.
                        continue
                    raise
                self._rings[key], self._taps[key] = ring, _Tap()
        return {*ends}

    def _turn(self, events: Events) -> None:
        began = time.monotonic()
        taps = [(self._taps[key], ring) for key, ring in self._rings.items()]
        for tap, _ in taps:
            tap.begin()
        resting = [(tap, ring) for tap, ring in taps if tap.rests]
        for tap, ring in resting:
            tap.listen(ring, True)
        self._stop.wait(_WINDOW if resting else 0)
        for tap, ring in resting:
            tap.listen(ring, False)
        while time.monotonic() < began + TICK and not self._stop.is_set():
            self._stop.wait(_STEP)
            for tap, ring in taps:
                if tap.count(ring) > _FLOOD and not tap.rests:
                    tap.listen(ring, False)
        self._drain()
        for tap, ring in taps:
            tap.count(ring)
            tap.end(time.monotonic() - began)
            if tap.rests and tap.came < _FLOOD:
                tap.listen(ring, True)
        if sights := self._sights():
            self._act(sights)
        self._find(events)

    def _find(self, events: Events) -> None:
        """Look for interfaces that have come or gone, if there is a sign of it and time for it."""
        now = time.monotonic()
        if now > self._earliest and (events.pending() or now > self._latest):
            events.wait(0, longest=0)
            self._look()
            self._taps = {key: self._taps[key] for key in self._rings}
            self._earliest = now + _SHARE * (time.monotonic() - now)
            self._latest = max(now + _GLANCE, self._earliest)

    def _sights(self) -> list[Sight]:
        """Return what was seen until a moment ago: by then every ring has told of it."""
        heard: dict[Key, list[Packet]] = defaultdict(list)
        for packet in self.take():
            heard[packet.where.key].append(packet)
        most = max(_FEWEST, _MOST // (len(heard) or 1))
        until = time.time_ns() - 2 * _AGE * 1_000_000
        for key, packets in heard.items():
            found, tap = packets[:most], self._taps.get(key)  # It may be gone.
            times = max(1.0, tap.came / len(found)) if tap else 1.0
            for packet in found:
                if called := protocol(packet):
                    self._seen.append((packet.at, (key, packet.direction, called), times))
        told: dict[tuple[Key, str, str], list[float]] = defaultdict(list)
        for at, which, times in sorted(self._seen):
            if at < until:
                told[which].append(times)
        self._seen = [each for each in self._seen if each[0] >= until]
        # One question amid a flood stays one.
        numbers = [sum(some) if len(some) > _FEW else len(some) for some in told.values()]
        sights = [Sight(*which, round(n)) for which, n in zip(told, numbers, strict=True)]
        return sights[:_MOST_SIGHTS]


class _Tap:
    """How much ``came`` past a ring in a tick, and whether it ``rests`` but for a small part of it.

    While it rests, what came is told by the small part. In the tick in which it began to rest
    nobody knows whether the flood went on: there it is what was counted.
    """

    def __init__(self) -> None:
        self.rests = self._rested = False
        self.came = 0.0
        self._passed = 0
        self._since = self._span = 0.0

    def begin(self) -> None:
        """Begin a tick."""
        self.came = self._span = 0.0
        self._rested = self.rests
        self._since = time.monotonic()

    def listen(self, ring: Ring, on: bool) -> None:
        """Let the ring hear what passes, or rest."""
        if on:
            self._since = time.monotonic()
        else:
            self._span += time.monotonic() - self._since
        self.rests = not on
        with suppress(OSError):  # It is gone.
            ring.listen(on)

    def count(self, ring: Ring) -> int:
        """Return how many packets passed since the last time."""
        ring.drops()
        new, self._passed = ring.passed - self._passed, ring.passed
        self.came += new
        return new

    def end(self, tick: float) -> None:
        """End a tick of so many seconds."""
        if self._rested:
            self.came *= tick / max(self._span, 0.001)


def program(*, both: bool = False) -> list[Instruction]:
    """Return a kernel filter that lets in what an interface sends, or ``both`` ways.

    Equivalent to: ``tcpdump -Q out -s 96``.
    """
    sent: list[Instruction] = [(_LOAD, 0, 0, _KIND), (_EQUAL, 1, 0, _OUTGOING), (_RETURN, 0, 0, 0)]
    return [*([] if both else sent), (_RETURN, 0, 0, SNAP)]


def protocol(packet: Packet) -> str | None:
    """Return what a packet is, from outside; None for what is left out."""
    found = parts(packet)
    names = [part.name for part in found]
    if any(map(_is_noise, found)):
        return None
    if {"VXLAN", "GRE"} & {*names} or sum(name in ("IPv4", "IPv6") for name in names) > 1:
        return "tunnel"
    return next((called for called in map(_called, found) if called), "other")


def _called(part: Part) -> str | None:
    if part.name == "ICMPv6":
        return "ARP" if part.told.type in _NEIGHBOURS else "ICMP"
    return part.name if part.name in ("ARP", "ICMP", "TCP", "UDP") else None


def _is_noise(part: Part) -> bool:
    told = part.told
    if part.name == "ICMPv6":
        return told.type in _GROUPS
    if part.name == "UDP":
        return told.dport in _NAMES
    if part.name == "IPv6":  # Before it has an address, one looks for its twin.
        return bool(told.src == _UNSPECIFIED)
    return part.name == "STP" or (part.name == "IPv4" and told.p == _IGMP)
