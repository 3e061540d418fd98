"""Break a lab that works, and judge whether it was mended: by what reaches what, and nothing else.

Before anything is broken, echo requests tell which pairs of a namespace and an address work. Then
faults are tried, in an order that the seed chooses, until one of them costs a pair; what cost none
is taken back. How the learner mends it is her business: it is mended when all pairs work again.

`netviz.net.history` keeps what was before, so ``undo`` gives the working network back.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from random import Random
from typing import TYPE_CHECKING, TypeVar

from netviz.errors import ExerciseError, NetvizError
from netviz.lab.sandbox import must_be_inside
from netviz.net.building import Builder, RefusedError
from netviz.net.discovery import snapshot
from netviz.net.history import change
from netviz.net.lasting import lasting
from netviz.net.planning import plan
from netviz.net.worker import aside, interrupts_wait
from netviz.teach.checks import Line, Result
from netviz.teach.echoes import Pair, answered
from netviz.teach.faults import Fault, Place, Typed, faults
from netviz.teach.places import Lab
from netviz.teach.progress import note
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import Snapshot
    from netviz.net.steps import Step

_T = TypeVar("_T")
_MOST_PAIRS = 40
_PLACES = 3  # Tried of one fault, before the next one's turn.
_ROUNDS = 3  # What the kernel does by itself, when a link comes back, takes a second look.
_PATIENCE = 1.0
_SETTLES = 3.0
"""Seconds for which IPv6 may still look whether a new address is somebody else's."""
_latest: list[Broken] = []


class Told(str):
    """Text that a notebook shows as it is, without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


@dataclass(slots=True, eq=False)
class Broken:
    """A lab that was broken: ``lost`` are the pairs that no longer work, of those that ``worked``.

    It shows what is to be seen of it, not the cause. ``back`` is the reference way back.
    """

    task: str
    lost: tuple[Pair, ...]
    worked: tuple[Pair, ...]
    fault: Fault
    place: Place
    back: tuple[Step, ...]
    homes: dict[str, int]
    hints: int = 0

    def __repr__(self) -> str:
        """Return what no longer works, and what to do."""
        (where, to), *rest = self.lost
        verb = "fails" if len(rest) == 1 else "fail"
        more = f", and {len(rest)} more of {len(self.worked)} pairs {verb}" if rest else ""
        text = f"Something is broken: {where} no longer reaches {to}{more}."
        return printable(f"{text} Find it and mend it; nv.mended() judges.")

    def _repr_html_(self) -> str:
        return f'<p class="nv-broken">{escape(repr(self))}</p>'

    def hint(self) -> Told:
        """Return where to look; the second time, which command shows it; then the cause."""
        self.hints += 1
        where, look = self.place.namespace, self.fault.look
        shows = Typed(where, look).command()
        told = (f"Look in {where}.", f"This shows it: {shows}", f"The cause: {self.place.cause}.")
        return Told(printable(told[min(self.hints, len(told)) - 1]))

    def solution(self) -> Told:
        """Return the cause, and commands that mend it."""
        lines = [f"The cause: {self.place.cause}. This mends it:"]
        lines += (f"    {line}" for step in self.back for line in step.command().split("\n"))
        return Told("\n".join(map(printable, lines)))


def break_something(seed: int | str | None = None, level: int = 1) -> Broken:
    """Put one fault into the lab, and return what no longer works.

    The same ``seed`` breaks the same thing in the same lab; where none is given, the environment's
    ``NETVIZ_SEED`` is one, for a whole class. A fault of level 1 is seen in the picture, of level
    2 in a table; on level 3 what one looks at first is as it should be. What an earlier call
    broke, and nobody mended, is taken back first. ``undo`` takes back the fault, and all that was
    done since.

    Raises ``ExerciseError`` where nothing works, or nothing of that level breaks anything: then
    the lab is as it was; ``SandboxError`` outside a lab.
    """
    must_be_inside("break something")
    levels = sorted({fault.level for fault in faults()})
    if level not in levels:
        raise ExerciseError(f"there is no level {level!r}", remedy=f"choose one of {levels}")
    _take_back_latest()
    seed = os.environ.get("NETVIZ_SEED") if seed is None else seed
    chance = Random(seed)
    works = answered(_pairs(snapshot(), chance), _PATIENCE)
    if not works:
        raise ExerciseError(
            "nothing works here that could be broken: no namespace reaches any address",
            remedy="build a network first, and see that its namespaces reach each other",
        )
    change(lambda _: (), "break_something")  # Only keeps what is now.
    lab = Lab(snapshot(), works)
    for fault in _shuffled([each for each in faults() if each.level == level], chance):
        for place in _shuffled([*fault.places(lab)], chance)[:_PLACES]:
            if lost := _tried(place, lab):
                task = f"level {level}" + (f", seed {seed}" if seed is not None else "")
                back = (*(place.mends or _way_back(lab.network)), *place.then)
                homes = {space.name: space.id for space in lab.network.namespaces}
                _latest[:] = [Broken(task, lost, works, fault, place, back, homes)]
                return _latest[0]
    raise ExerciseError(
        f"no fault of level {level} costs this lab anything",
        remedy="try another level, or a network with a bridge, a router or more namespaces",
    )


def mended() -> Result:
    """Return whether all works again that worked before the latest ``break_something``.

    Equivalent to: ``ping`` of every address from everywhere. Only what reaches what is judged, and
    nothing in the lab is changed. Raises ``ExerciseError`` where nothing was broken.
    """
    if not _latest:
        raise ExerciseError("nothing was broken", remedy="begin with break_something()")
    broken = _latest[0]
    works = answered(broken.worked, _SETTLES)
    fail = [f"{it[0]} does not reach {it[1]}" for it in broken.worked if it not in works]
    lines = [
        Line(
            f"{pair[0]} reaches {pair[1]} again",
            pair in works,
            None if pair in works else "not yet",
        )
        for pair in broken.lost
    ]
    lines.append(Line("all that worked before works", not fail, "; ".join(fail[:3]) or None))
    note("mending", broken.task, not fail)
    return Result(tuple(lines))


def _pairs(network: Snapshot, chance: Random) -> list[Pair]:
    """Return who is asked for what: every namespace for every address, or a part of that."""
    known = {
        space.name: [
            address.local
            for link in space.interfaces
            for address in link.addresses
            if address.scope == "global"
        ]
        for space in Lab(network, ()).spaces
    }
    everything = list(dict.fromkeys(to for own in known.values() for to in own))
    # Those of others first: what a namespace no longer reaches of its own is less to be seen.
    pairs = [(where, to) for where, own in known.items() if own for to in everything]
    pairs = chance.sample(pairs, min(len(pairs), _MOST_PAIRS))
    return sorted(pairs, key=lambda pair: (pair[1] in known[pair[0]], pair))


def _shuffled(things: list[_T], chance: Random) -> list[_T]:
    return chance.sample(things, len(things))


def _tried(place: Place, lab: Lab) -> tuple[Pair, ...]:
    """Put a fault there and return the pairs that it costs; if none, it is taken back."""
    lost: tuple[Pair, ...] = ()
    try:
        _carry_out(place.breaks, force=False)
        works = answered(lab.pairs, _PATIENCE)
        lost = tuple(pair for pair in lab.pairs if pair not in works)
    except (RefusedError, NetvizError):
        pass  # This kernel cannot, or something stands in the way.
    finally:
        if not lost:
            with interrupts_wait():
                _carry_out(place.mends)
                for _ in range(_ROUNDS):
                    _carry_out(_way_back(lab.network))
                _carry_out(place.then)
    return lost


def _way_back(before: Snapshot) -> tuple[Step, ...]:
    return plan(lasting(snapshot(), exact=True), lasting(before, exact=True))


def _carry_out(steps: Sequence[Step], *, force: bool = True) -> None:
    if steps:
        aside(lambda: Builder(force=force).carry_out(steps))


def _take_back_latest() -> None:
    """Take back what was broken, if it was not mended and its lab still stands."""
    if not _latest:
        return
    broken = _latest.pop()
    if len(answered(broken.worked, _PATIENCE)) == len(broken.worked):
        return
    homes = {space.name: space.id for space in snapshot().namespaces}
    if all(homes.get(step.namespace) == broken.homes.get(step.namespace) for step in broken.back):
        _carry_out(broken.back)
        answered(broken.worked, _SETTLES)  # Returns as soon as all is settled.
