"""Break a lab that works, and judge whether it was mended: by what reaches what, and nothing else.

Before anything is broken, echo requests, and calls if some are named, tell which pairs work. Then
faults are tried, in an order that the seed chooses, until one of them costs a pair; what cost none
is taken back. How the learner mends it is her business: it is mended when all pairs work again.

`netviz.net.history` keeps what was before, so ``undo`` gives the working network back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from random import Random
from typing import TYPE_CHECKING

from netviz.errors import ExerciseError, NetvizError
from netviz.lab.sandbox import must_be_inside
from netviz.net.building import Builder, RefusedError
from netviz.net.discovery import snapshot
from netviz.net.history import change, go_back
from netviz.net.lasting import lasting
from netviz.net.planning import plan
from netviz.net.quiet import quietly
from netviz.net.steps import ROOT
from netviz.net.worker import aside, interrupts_wait
from netviz.teach.checks import Line, Result
from netviz.teach.echoes import Pair, answered, called
from netviz.teach.faults import Fault, Place, faults
from netviz.teach.places import Lab
from netviz.teach.progress import note
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import Snapshot
    from netviz.net.steps import Step

_MOST_PAIRS = 40
_PLACES = 3  # Tried of one fault, before the next one's turn.
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

    It shows what is to be seen of it, not the cause. ``back`` is the reference way back, ``after``
    what was configured right after the fault.
    """

    task: str
    lost: tuple[Pair, ...]
    worked: tuple[Pair, ...]
    fault: Fault
    place: Place
    back: tuple[Step, ...]
    after: Snapshot
    hints: int = 0

    def __repr__(self) -> str:
        """Return what no longer works, and what to do."""
        told = [f"{where} no longer reaches {to}" for where, to in self.lost]
        if more := len(told[3:]):
            told[3:] = [f"{more} other{'s' * (more > 1)} like that"]
        text = ", and ".join(filter(None, [", ".join(told[:-1]), told[-1]]))
        return printable(f"Something is broken: {text}. Find it and mend it; nv.mended() judges.")

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"

    def hint(self) -> Told:
        """Return where to look; the second time, which command shows it; then the cause."""
        self.hints += 1
        look, cause = self.place.look, self.place.cause
        shows = f"This shows it: {look.command()}"
        told = (f"Look in {look.namespace}.", shows, f"The cause: {cause}.")
        return Told(printable(told[min(self.hints, len(told)) - 1]))

    def solution(self) -> Told:
        """Return the cause, and commands that mend it."""
        lines = [f"The cause: {self.place.cause}. This mends it:"]
        lines += (f"    {line}" for step in self.back for line in step.command().split("\n"))
        return Told("\n".join(map(printable, lines)))


@quietly()  # A picture that lives would tell it.
def break_something(
    seed: int | str | None = None,
    level: int = 1,
    *,
    shown_by: str | None = None,
    calls: Iterable[str] = (),
) -> Broken:
    """Put one fault into the lab, and return what no longer works.

    The same ``seed`` breaks the same thing in the same lab; where none is given, the environment's
    ``NETVIZ_SEED`` is one, for a whole class. A fault of level 1 is seen in the picture, of level
    2 in a table; on level 3 what one looks at first is as it should be. With ``shown_by`` it is one
    that a certain command shows: ``"bridge"``, ``"ip link"``. With ``calls``, ``"10.96.0.10:80"``,
    it counts as well who can call these TCP ports. What an earlier one broke is taken back first,
    unless something was changed since; ``undo`` takes back the fault, and all that was done since.

    Raises ``ExerciseError`` where there is no such fault, nothing works, or nothing of that level
    breaks anything: then nothing is broken; ``SandboxError`` outside a lab.
    """
    must_be_inside("break something")
    chosen, ports = _chosen(level, shown_by), _callable(calls)
    _take_back_latest()
    seed = os.environ.get("NETVIZ_SEED") or None if seed is None else seed
    chance = Random(None if seed is None else str(seed))
    if not (works := answered(_pairs(snapshot(), chance, ports), _PATIENCE)):
        raise ExerciseError(
            "nothing works here that could be broken: no namespace reaches any address",
            remedy="build a network first, and see that its namespaces reach each other",
        )
    change(lambda _: (), "break_something")  # Only keeps what is now.
    lab, task = Lab(snapshot(), works), f"level {level}"
    task += f", seed {seed}" if seed is not None else ""
    tried = (_first(fault, lab, chance, task) for fault in chance.sample(chosen, len(chosen)))
    if broken := next(filter(None, tried), None):
        return broken
    raise ExerciseError(
        f"no fault of level {level} costs this lab anything",
        remedy="try another level, or a network with a bridge, a router or more namespaces",
    )


def _first(fault: Fault, lab: Lab, chance: Random, task: str) -> Broken | None:
    """Return what a fault broke at the first place where it breaks anything."""
    places = [*fault.places(lab)]
    some = chance.sample(places, min(len(places), _PLACES))
    return next(filter(None, (_tried(fault, place, lab, task) for place in some)), None)


def mended() -> Result:
    """Return whether all works again that worked before the latest ``break_something``.

    Equivalent to: ``ping`` of every address from everywhere. Only what reaches what is judged, and
    nothing in the lab is changed. Raises ``ExerciseError`` where nothing was broken, or what was is
    gone.
    """
    homes = {where for broken in _latest for where, _ in broken.worked} - {ROOT}
    there = {name for space in snapshot().namespaces for name in (space.name, *space.names)}
    if not _latest or (homes and not homes & there):
        what = "the lab that was broken is gone" if _latest else "nothing was broken"
        raise ExerciseError(what, remedy="begin with break_something()")
    broken = _latest[0]
    works = answered(broken.worked, _SETTLES)
    lines = [
        Line(f"{where} reaches {to} again", so := (where, to) in works, None if so else "not yet")
        for where, to in broken.lost
    ]
    others = (pair for pair in broken.worked if pair not in (*works, *broken.lost))
    fail = [f"{where} does not reach {to}" for where, to in others]
    lines.append(Line("what was not broken still works", not fail, "; ".join(fail[:3]) or None))
    result = Result(tuple(lines))
    note("mending", broken.task, bool(result))
    return result


def _chosen(level: int, shown_by: str | None) -> list[Fault]:
    """Return the faults of a level, or those of them that a command shows."""
    known = [(it.level, re.sub(r" [-$]\S+", "", it.look), it) for it in faults()]
    chosen = [it for at, by, it in known if at == level and by.startswith(shown_by or "")]
    if chosen:
        return chosen
    what = f"no fault of level {level!r}" + (f" is shown by {shown_by!r}" if shown_by else "")
    told = (f"level {at} by {by}" for at, by in sorted({(at, by) for at, by, _ in known}))
    raise ExerciseError(what, remedy=f"there are: {', '.join(told)}")


def _callable(calls: Iterable[str]) -> tuple[str, ...]:
    """Return what can be called. Raises ``ExerciseError`` where that is not all."""
    known = (calls,) if isinstance(calls, str) else tuple(calls)
    for each in known:
        if not called(str(each)):
            remedy = "write an address and a TCP port: 10.96.0.10:80, [fd00::10]:80"
            raise ExerciseError(f"{each!r} cannot be called", remedy=remedy)
    return known


def _pairs(network: Snapshot, chance: Random, calls: Sequence[str] = ()) -> list[Pair]:
    """Return who is asked for what: every namespace for every address, or a part, and each call."""
    known: dict[str, list[str]] = {space.name: [] for space in Lab(network, ()).spaces}
    for space, link in network:
        if space.name in known:
            known[space.name] += [it.local for it in link.addresses if it.scope == "global"]
    everything = list(dict.fromkeys(to for own in known.values() for to in own))
    # Those of others first: what a namespace no longer reaches of its own is less to be seen.
    pairs = [(where, to) for where, own in known.items() if own for to in everything]
    pairs = chance.sample(pairs, min(len(pairs), _MOST_PAIRS))
    told = [(where, call) for where, own in known.items() if own for call in calls]
    return told + sorted(pairs, key=lambda pair: (pair[1] in known[pair[0]], pair))


@interrupts_wait()  # Whatever is broken is known of.
def _tried(fault: Fault, place: Place, lab: Lab, task: str) -> Broken | None:
    """Put a fault there and return what it broke, the latest now; if nothing, it is taken back."""
    try:
        _carry_out(place.breaks, force=False)
        if lost := _unanswered(_unanswered(lab.pairs)):  # A busy machine may be late once.
            after = lasting(snapshot(), exact=True)
            back = place.mends or plan(after, lasting(lab.network, exact=True))
            told = (fault, place, (*back, *place.then), after)
            _latest[:] = [Broken(task, lost, lab.pairs, *told)]
            return _latest[0]
    except (RefusedError, NetvizError):
        pass  # This kernel cannot, or something stands in the way.
    finally:
        if not _latest:
            go_back(lab.network, place.mends)
            _carry_out(place.then)
    return None


def _unanswered(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    works = answered(pairs, _PATIENCE)
    return tuple(pair for pair in pairs if pair not in works)


def _carry_out(steps: Sequence[Step], *, force: bool = True) -> None:
    if steps:
        aside(lambda: Builder(force=force).carry_out(steps))


@interrupts_wait()
def _take_back_latest() -> None:
    """Take back what was broken, if it still is, and nothing else was configured since."""
    if not _latest:
        return
    broken = _latest.pop()
    same = not plan(lasting(snapshot(), exact=True), broken.after)
    if same and len(answered(broken.lost, _PATIENCE)) < len(broken.lost):
        change(lambda _: (), "break_something")
        _carry_out(broken.back)
    answered(broken.worked, _SETTLES)  # Returns as soon as all is settled.
