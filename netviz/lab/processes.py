"""What runs in a lab, and how to end it.

PID 1 adopts every orphan, so all that a lab's program ever started is to be seen. Kept are the
caller, its ancestors (a notebook's kernel, a shell) and the helpers that Python starts beside them;
terminals that were attached to the lab from outside, with what they run in the lab's root
namespace; and what lives in another lab, for two tests may share a pid namespace.
"""

from __future__ import annotations

import os
import select
import signal
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
STATE, PARENT, BEGAN = 0, 1, 19
"""Where `stat` tells a process's state, its parent, and when it began, in ticks of the machine."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process; ``numbers`` are what it is called in each pid namespace, here first."""

    pid: int
    parent: int
    name: str
    numbers: tuple[int, ...]


def stat(pid: int) -> list[str]:
    """Return what the kernel tells of a process, from its state on; quickly, for there are many.

    Equivalent to: ``cat /proc/PID/stat``. Raises ``OSError`` where there is none.
    """
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 12).rpartition(b")")[2].decode().split()
    finally:
        os.close(fd)


def numbered_as_here() -> bool:
    """Tell whether the numbers in /proc are ours: a container's may be the machine's."""
    return os.readlink(_PROC / "self") == str(os.getpid())  # noqa: PTH115


def running() -> dict[int, Process]:
    """Return the processes of this pid namespace and of those in it, by number; no zombies.

    Equivalent to: ``ps -e``.
    """
    found = {}
    for entry in os.scandir(_PROC):
        with suppress(OSError):  # It may end meanwhile.
            if entry.name.isdecimal():
                text = Path(entry.path, "status").read_text(errors="replace")
                told = dict(line.split(":", 1) for line in text.split("\n") if ":" in line)
                if told["State"].split()[0] not in "ZX":
                    pid, numbers = int(entry.name), tuple(map(int, told["NSpid"].split()))
                    found[pid] = Process(pid, int(told["PPid"]), told["Name"].strip(), numbers)
    return found


def end_others() -> list[Process]:
    """End what the lab's program left running, return when it is gone; and what would not go.

    Equivalent to: ``kill -KILL`` of each. A zombie counts as gone: its parent may still ask how it
    ended. In a container whose /proc is the machine's nothing is ended: its numbers mean others.
    """
    doomed: list[Process] = []
    if not numbered_as_here():
        return doomed
    for _ in range(_ROUNDS):  # It may have been starting others meanwhile.
        before, doomed = doomed, list(_others())
        if doomed == before:
            break
        for start in range(0, len(doomed), _AT_ONCE):
            _end(doomed[start : start + _AT_ONCE])
    return doomed


def _others() -> Iterator[Process]:
    """Yield the processes that are not the lab's own."""
    alive = running()
    family, number = {1}, os.getpid()
    while number in alive:
        family.add(number)
        number = alive[number].parent
    where = _inode(Path(root_namespace()))

    def attached(process: Process) -> bool:
        above = alive.get(process.parent)
        from_outside = process.parent == _OUTSIDE or (above is not None and attached(above))
        return from_outside and _inode(_PROC / str(process.pid) / "ns/net") == where

    for process in alive.values():
        helps = process.parent in family and _is_helper(process)
        own = process.pid in family or helps or attached(process)
        if not own and not _in_another_lab(process, where):
            yield process


def _is_helper(process: Process) -> bool:
    with suppress(OSError):
        words = (_PROC / str(process.pid) / "cmdline").read_bytes()
        return any(name in words for name in _HELPERS)
    return False


def _in_another_lab(process: Process, where: int) -> bool:
    there = _inode(_PROC / str(process.pid) / "root" / root_namespace().lstrip("/"))
    return there not in (0, where)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _end(doomed: Iterable[Process]) -> None:
    """Kill, and wait until the kernel says that each is dead."""
    waiting = select.poll()
    alive = set()
    for process in doomed:
        with suppress(OSError):  # It ended meanwhile.
            fd = os.pidfd_open(process.pid)
            alive.add(fd)
            waiting.register(fd, select.POLLIN)
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    while alive and (dead := waiting.poll(_PATIENCE * 1000)):
        for fd, _ in dead:
            waiting.unregister(fd)
            alive.remove(fd)
            os.close(fd)
    for fd in alive:
        os.close(fd)
