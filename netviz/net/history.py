"""Where a lab has been, and the way back: each change as a whole, or not at all.

Before something changes the lab, what it was is kept: in a file of the lab's own, so that the next
process knows of it too, even if this one is killed halfway. The way back is the smallest list of
steps from what is to what was.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EEXIST, EOPNOTSUPP
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from netviz.changes import BEGINNING_RULES, LOOPBACK, Changes, changes
from netviz.errors import KernelError, NetvizError
from netviz.lab.filesystem import PRIVATE
from netviz.lab.sandbox import must_be_inside
from netviz.model import Namespace, Snapshot
from netviz.net.building import Builder, RefusedError
from netviz.net.discovery import snapshot
from netviz.net.entries import SetFilters
from netviz.net.lasting import lasting
from netviz.net.netlink import Socket
from netviz.net.planning import plan
from netviz.net.progress import Progress
from netviz.net.sysctls import sysctls
from netviz.net.worker import aside, enter_new, interrupts_wait
from netviz.records import load, snapshot_of, write

if TYPE_CHECKING:
    from netviz.net.steps import Step

FOLDER = PRIVATE / "history"
_ROUNDS = 3
_REMEDIES = {
    EEXIST: "take away what is there, or choose another name",
    EOPNOTSUPP: "this kernel cannot: see netviz doctor",
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a lab was at one time, in seconds since 1970.

    One that is ``automatic`` was kept before a change, and is gone once that is taken back.
    """

    name: str
    time: float
    network: Snapshot
    automatic: bool = False
    number: int = 0

    def __repr__(self) -> str:
        """Return its name and time."""
        return f"{self.name!r} of {time.strftime('%H:%M:%S', time.localtime(self.time))}"

    def save(self, file: str | Path) -> None:
        """Write it to a file, for another lab. Raises ``NetvizError`` where that cannot be."""
        write(file, "the checkpoint", json.dumps(self.network.to_dict()))


def checkpoint(name: str) -> Checkpoint:
    """Keep the lab as it is now, under a name; one of that name before is forgotten.

    What runs in it is not kept, nor what was learned. Raises ``SandboxError`` outside a lab.
    """
    must_be_inside("keep a checkpoint")
    for known in checkpoints():
        if known.name == name:
            _file(known).unlink()
    return _remember(name, snapshot())


def checkpoints() -> tuple[Checkpoint, ...]:
    """Return what is kept, the oldest first: checkpoints, and what was before each change."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        told = json.loads(path.read_text())
        network = snapshot_of(told["network"])
        known = (told["name"], told["time"], network, told["automatic"], int(path.stem))
        found.append(Checkpoint(*known))
    return tuple(found)


def restore(to: str | Path | Checkpoint | Snapshot) -> Changes:
    """Bring the lab back to a checkpoint, and return what that changed.

    ``to`` is its name, a file of `Checkpoint.save` or of ``netviz export --format json``, or a
    snapshot. What is the same now is not touched: a ping that has nothing to do with it runs on.

    Raises ``NetvizError`` where there is no such checkpoint, or what stands nonetheless;
    ``SandboxError`` outside a lab.
    """
    must_be_inside("restore")
    wanted, now = _wanted(to), snapshot()
    _remember("before restore", now, automatic=True)
    return _go(now, wanted)


def undo() -> Changes:
    """Take back the latest change that netviz made or knows of, and return what that changed.

    That is: back to the latest checkpoint, or to what was before the latest ``up`` or ``restore``,
    if it is not what is now. Twice goes two changes back. What ``down`` took away has to be brought
    up again.

    Raises ``NetvizError`` where there is nothing to take back; ``SandboxError`` outside a lab.
    """
    must_be_inside("undo")
    latest = max(FOLDER.glob("*.*"), default=None, key=lambda path: path.stem)
    if latest and latest.suffix == ".down":
        latest.unlink()
        raise NetvizError(
            "the latest change took a network down, and what it was is not kept",
            remedy="bring it up again, or undo once more for what was before that",
        )
    now = snapshot()
    for known in reversed(checkpoints()):
        different = changes(lasting(now, exact=True), lasting(known.network, exact=True))
        done = _go(now, known.network) if different else None
        if known.automatic:
            _file(known).unlink()
        if done is not None:
            return done
    raise NetvizError("there is nothing to undo", remedy='keep a state first: checkpoint("name")')


def change(steps: Callable[[Snapshot], Sequence[Step]], name: str) -> tuple[Step, ...]:
    """Carry out all steps or none, and return those that take back moved switches and filters.

    ``steps`` is asked for them with what the lab has. Raises ``KernelError`` for a step that is
    refused, then all is as it was, or what stands is named; and what ``steps`` raises.
    """
    must_be_inside("bring a network up")
    before = snapshot()
    chosen = steps(before)
    kept = _remember(f"before {name}", before, automatic=True)
    builder = Builder(stop := Event())
    filters = {space.name: space.nft for space in before.namespaces}

    def back() -> list[Step]:
        return [step for step in builder.back if step.namespace in filters]

    try:
        _carry_out(builder, chosen, stop)
    except BaseException as error:
        standing = go_back(before, back())
        _file(kept).unlink()
        if isinstance(error, RefusedError):
            raise _refusal(error, len(chosen), standing) from error
        if standing:
            raise NetvizError(f"it was interrupted, and what stands is: {standing}") from error
        raise
    moved = [
        it.namespace for it in chosen if isinstance(it, SetFilters) and it.namespace in filters
    ]
    return (*back(), *(SetFilters(name, filters[name]) for name in dict.fromkeys(moved)))


def take_away(steps: Sequence[Step]) -> None:
    """Carry out steps that delete, and pass over what is not there any more."""
    must_be_inside("take a network down")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{_next_number():08}.down").touch()  # What was is not read: that would take longer.
    _carry_out(Builder(stop := Event(), force=True), steps, stop)


def _carry_out(builder: Builder, steps: Sequence[Step], stop: Event | None = None) -> None:
    with Progress(len(steps)) as progress:
        aside(
            lambda: builder.carry_out(steps),
            watch=lambda: progress.show(builder.done),
            stop=stop,
        )


def _go(now: Snapshot, wanted: Snapshot) -> Changes:
    """Go from what is to what is wanted. Raises ``NetvizError`` for what stands nonetheless."""
    standing = go_back(wanted, [])
    if standing:
        raise NetvizError(
            f"not all could be restored: {standing}",
            remedy="restart the kernel: a new lab is empty",
        )
    return changes(now, snapshot())


@interrupts_wait()  # Halfway back is nowhere.
def go_back(wanted: Snapshot, switches: Sequence[Step]) -> str:
    """Make the lab what is wanted; return what is different nonetheless, in words.

    What the kernel does by itself, when a link goes down or an address goes, takes a second look.
    """
    target, fresh, refused = lasting(wanted, exact=True), aside(_fresh), ""
    with suppress(NetvizError, RefusedError):
        _carry_out(Builder(force=True), switches)
    for _ in range(_ROUNDS):
        steps = plan(lasting(snapshot(), exact=True), target, fresh=fresh)
        if not steps:
            return ""
        try:
            _carry_out(Builder(), steps)
        except RefusedError as error:
            refused = f"{error.step.command()}: {error.detail or os.strerror(error.errno)}"
    left = plan(lasting(snapshot(), exact=True), target, fresh=fresh)
    return refused or left[0].command() if left else ""


def _fresh() -> Namespace:
    """Return what a new namespace has on this machine."""
    enter_new()
    with Socket() as socket:
        moved = sysctls(socket, {1: "lo"}, bridged=False)
    return Namespace(0, "", interfaces=(LOOPBACK,), rules=BEGINNING_RULES, sysctls=moved)


def _refusal(error: RefusedError, total: int, standing: str) -> KernelError:
    detail = f" ({error.detail})" if error.detail else ""
    what = f"step {error.done + 1} of {total} was refused{detail}"
    remedy = f"what stands is: {standing}" if standing else "nothing was changed"
    command = error.step.command().partition("\n")[0]
    known = _REMEDIES.get(error.errno)
    remedy += f"; {known}" if known else ""
    return KernelError(error.errno, what, command=command, remedy=remedy)


def _wanted(to: str | Path | Checkpoint | Snapshot) -> Snapshot:
    if isinstance(to, Snapshot):
        return to
    if isinstance(to, Checkpoint):
        return to.network
    for known in reversed(checkpoints()):
        if known.name == str(to):
            return known.network
    if Path(to).suffix == ".json" or Path(to).is_file():
        return load(to)
    names = ", ".join(dict.fromkeys(repr(known.name) for known in checkpoints()))
    remedy = f"there are: {names}" if names else "make one with checkpoint(name)"
    raise NetvizError(f"there is no checkpoint '{to}'", remedy=remedy)


def _remember(name: str, network: Snapshot, *, automatic: bool = False) -> Checkpoint:
    FOLDER.mkdir(exist_ok=True)
    kept = Checkpoint(name, time.time(), network, automatic, _next_number())
    told = {"name": name, "time": kept.time, "automatic": automatic, "network": network.to_dict()}
    # Whoever is killed while it is written leaves no half of it.
    draft = FOLDER / f"draft{os.getpid()}"
    draft.write_text(json.dumps(told))
    draft.rename(_file(kept))
    return kept


def _next_number() -> int:
    return max((int(path.stem) for path in FOLDER.glob("*.*")), default=0) + 1


def _file(kept: Checkpoint) -> Path:
    return FOLDER / f"{kept.number:08}.json"
