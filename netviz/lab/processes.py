"""What runs in a lab, and how to end it.

PID 1 adopts every orphan, so all that a lab's program ever started is in one tree. Kept are the
caller, its ancestors (a notebook's kernel, a shell) and the helpers that Python starts beside them.
Not in the tree, because their parent is outside, are terminals that were attached to the lab: they
stay too, with what they run in the lab's root namespace.

Numbers come from /proc, which in some containers is still the machine's. It also tells by which
number a process goes in here: only that one is signalled, and only inside the tree.
"""

from __future__ import annotations

import os
import select
import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netviz.lab.sandbox import root_namespace

_HELPERS = (b"debugpy/adapter", b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")
_ROUNDS = 10
_PATIENCE = 5.0
_AT_ONCE = 256  # Each needs a descriptor while it is waited for.
_OUTSIDE = 0  # What /proc says for a parent in another pid namespace.
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A process: ``listed`` is its number in /proc, ``pid`` that in the caller's pid namespace."""

    listed: int
    parent: int
    pid: int
    name: str
    ended: bool


def end_others() -> list[Process]:
    """End what the lab's program left running, return when it is gone; and what would not go.

    Equivalent to: ``kill -KILL`` of each. A zombie counts as gone: its parent may still ask how it
    ended.
    """
    doomed: list[Process] = []
    for _ in range(_ROUNDS):  # It may have been starting others meanwhile.
        before, doomed = doomed, list(_others())
        if doomed == before:
            break
        for start in range(0, len(doomed), _AT_ONCE):
            _end(doomed[start : start + _AT_ONCE])
    return doomed


def _others() -> Iterator[Process]:
    """Yield the processes that are not the lab's own, parents before children."""
    running = {process.listed: process for process in _running()}
    children = defaultdict(list)
    for process in running.values():
        children[process.parent].append(process)
    family = list(_family(running))
    own_list = family[0].listed == family[0].pid
    attached = {each.listed for each in children[_OUTSIDE] if own_list and each.pid != 1}
    where = _inode(Path(root_namespace()))
    kept = [*family, *(running[listed] for listed in attached)]
    for above in kept:  # It grows as we go.
        for process in children[above.listed]:
            if process in family or _in_another_lab(process, where):
                continue
            if above.listed in attached and _stands_in(process, where):
                attached.add(process.listed)
                kept.append(process)
            elif above in family and _is_helper(process):
                kept.append(process)
            else:
                yield from _tree(process, children)


def _family(running: dict[int, Process]) -> Iterator[Process]:
    """Yield the caller and its ancestors, up to the lab's first process."""
    process = running[int((_PROC / "self").readlink().name)]
    yield process
    while process.pid != 1 and process.parent in running:
        process = running[process.parent]
        yield process


def _tree(top: Process, children: dict[int, list[Process]]) -> Iterator[Process]:
    if not top.ended:
        yield top
    for process in children[top.listed]:
        yield from _tree(process, children)


def _running() -> Iterator[Process]:
    own = _status("self")
    depth = len(own["NSpid"].split()) - 1
    for entry in os.scandir(_PROC):
        if not entry.name.isdecimal():
            continue
        try:
            status = _status(entry.name)
        except OSError:
            continue  # It ended meanwhile.
        numbers = status["NSpid"].split()
        yield Process(
            listed=int(entry.name),
            parent=int(status["PPid"]),
            pid=int(numbers[depth]) if depth < len(numbers) else _OUTSIDE,
            name=status["Name"].strip(),
            ended=status["State"].split()[0] in "ZX",
        )


def _status(number: str) -> dict[str, str]:
    text = (_PROC / number / "status").read_text(errors="replace")
    return dict(line.split(":", 1) for line in text.split("\n") if ":" in line)


def _is_helper(process: Process) -> bool:
    with suppress(OSError):
        words = (_PROC / str(process.listed) / "cmdline").read_bytes()
        return any(name in words for name in _HELPERS)
    return False


def _in_another_lab(process: Process, where: int) -> bool:
    """Tell whether a process has another lab's files: two tests may share a lab's pid namespace."""
    there = _inode(_PROC / str(process.listed) / "root" / root_namespace().lstrip("/"))
    return there not in (0, where)


def _stands_in(process: Process, where: int) -> bool:
    return _inode(_PROC / str(process.listed) / "ns/net") == where


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _end(doomed: Iterable[Process]) -> None:
    """Kill, and wait until the kernel says that each is dead."""
    waiting = select.poll()
    open_ends = set()
    try:
        for process in doomed:
            with suppress(OSError):  # It ended meanwhile.
                fd = os.pidfd_open(process.pid)
                open_ends.add(fd)
                waiting.register(fd, select.POLLIN)
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        alive = set(open_ends)
        while alive:
            dead = waiting.poll(_PATIENCE * 1000)
            if not dead:
                return
            for fd, _ in dead:
                waiting.unregister(fd)
                alive.discard(fd)
    finally:
        for fd in open_ends:
            os.close(fd)
