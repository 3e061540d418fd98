"""Why the kernel itself let go of a packet: its tracepoint ``skb:kfree_skb`` tells a reason.

Only the machine's own root may hear it, so nobody in a lab; and it tells of all packets of the
machine, each by its time and protocol alone. It is asked where the tables have no answer. The
kernel ends it with the descriptors, so nothing is left behind, however this process ends.

Equivalent to: ``perf record -e skb:kfree_skb -a``.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import time
from bisect import bisect_left
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from netviz.lab.identity import is_root_of_machine
from netviz.lab.syscalls import perf_event_open

_EVENT = "events/skb/kfree_skb"
_MOUNTED = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_TRACEPOINT, _TIME_AND_RAW, _USE_CLOCK = 2, 0x4 | 0x400, 1 << 25
_PAGES = 64  # Of one processor, for some thousand drops.
_HEAD, _TAIL = 1024, 1032
_SAMPLE = 9
_AT_ONCE = 2_000_000  # Nanoseconds.
_NO_REASON = ("NOT_SPECIFIED", "NOT_DROPPED_YET", "CONSUMED")
_field = re.compile(r"field:.*\b(\w+);\s*offset:(\d+);\s*size:(\d+);")
_reason = re.compile(r'\{ (\w+), "(\w+)" \}')


@dataclass(frozen=True, slots=True)
class Drop:
    """A packet that the kernel let go: when, of which EtherType, and the kernel's reason."""

    at: int
    protocol: int
    reason: str


class Drops:
    """The machine's drops while the context lasts; none where they cannot be heard."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self._rings: list[mmap.mmap] = []
        self._told: list[Drop] = []
        self._format = ""

    def __enter__(self) -> Self:
        folder = next((it for it in _MOUNTED if Path(it, _EVENT, "id").exists()), None)
        if folder is None or not is_root_of_machine():
            return self
        with suppress(OSError):  # Refused all the same: then there is nothing to hear.
            self._format = Path(folder, _EVENT, "format").read_text()
            self._open(int(Path(folder, _EVENT, "id").read_text()))
        return self

    def _open(self, event: int) -> None:
        attributes = struct.pack(
            *("IIQQQQQIIQQQQIiQIHH", _TRACEPOINT, 112, event, 1, _TIME_AND_RAW, 0, _USE_CLOCK),
            *(1, 0, 0, 0, 0, 0, 0, time.CLOCK_MONOTONIC, 0, 0, 0, 0),
        )
        for cpu in sorted(os.sched_getaffinity(0)):
            fd = perf_event_open(attributes, cpu)
            self._held.callback(os.close, fd)
            ring = mmap.mmap(fd, (1 + _PAGES) * mmap.PAGESIZE)
            self._held.callback(ring.close)
            self._rings.append(ring)

    def __exit__(self, *_: object) -> None:
        reasons = dict(_reason.findall(self._format))
        places = {name: (int(at), int(size)) for name, at, size in _field.findall(self._format)}
        for ring in self._rings:
            self._told += (_drop(sample, places, reasons) for sample in _samples(ring))
        self._told.sort(key=lambda drop: drop.at)
        self._held.close()

    def after(self, at: int, protocol: int) -> Drop | None:
        """Return the first drop of a protocol after a moment, if it came at once and has a reason.

        It may be another packet's: who is told should see the time.
        """
        place = bisect_left(self._told, at, key=lambda drop: drop.at)
        near = (drop for drop in self._told[place:] if drop.at - at < _AT_ONCE)
        found = next((drop for drop in near if drop.protocol == protocol), None)
        return found if found and found.reason not in _NO_REASON else None


def _samples(ring: mmap.mmap) -> list[tuple[int, bytes]]:
    """Return what a ring holds: when each event was, and its own bytes."""
    (head,) = struct.unpack_from("Q", ring, _HEAD)
    (tail,) = struct.unpack_from("Q", ring, _TAIL)
    size = _PAGES * mmap.PAGESIZE
    data = ring[mmap.PAGESIZE : mmap.PAGESIZE + size]
    data += data  # One that lies across the end is whole here.
    found = []
    while tail < head:
        at = tail % size
        kind, _, length = struct.unpack_from("IHH", data, at)
        if kind == _SAMPLE:
            when, raw = struct.unpack_from("QI", data, at + 8)
            found.append((when, data[at + 20 : at + 20 + raw]))
        tail += max(length, 8)
    return found


def _drop(
    sample: tuple[int, bytes], places: dict[str, tuple[int, int]], reasons: dict[str, str]
) -> Drop:
    when, body = sample
    # The taps have the clock on the wall, which this event may not be asked to have.
    when += time.time_ns() - time.monotonic_ns()
    told = {}
    for name in ("protocol", "reason"):
        at, size = places.get(name, (0, 0))
        told[name] = int.from_bytes(body[at : at + size], "little")
    return Drop(when, told["protocol"], reasons.get(str(told["reason"]), "NOT_SPECIFIED"))
