"""A thread that may step into other namespaces: setns(2) moves the thread that calls it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from time import sleep
from typing import TYPE_CHECKING, TypeVar

from netviz.lab.sandbox import loopback_up
from netviz.lab.syscalls import CLONE_NEWNET, unshare

if TYPE_CHECKING:
    from types import FrameType

T = TypeVar("T")
_GLANCE = 0.1
_INTERRUPTS: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)


def aside(
    work: Callable[[], T], *, watch: Callable[[], None] | None = None, stop: Event | None = None
) -> T:
    """Return what ``work`` returns, done by a thread of its own.

    Whatever that thread starts begins where it stands. When this returns, it holds no namespace any
    more. ``watch`` is called now and then meanwhile. An interrupt sets ``stop``, and is raised when
    the work has ended.
    """
    with interrupts_wait(stop):
        return _aside(work, watch)


@contextmanager
def interrupts_wait(stop: Event | None = None) -> Iterator[None]:
    """Let what interrupts a program set ``stop`` at once, and be raised only when the block ends.

    Python raises it wherever it is: where a thread is begun but not known yet, or in a callback
    that swallows what is raised.
    """
    waiting: list[tuple[int, FrameType | None]] = []

    def heard(number: int, frame: FrameType | None) -> None:
        waiting.append((number, frame))
        if stop:
            stop.set()

    # Python runs handlers in its main thread only, and lets only that one choose them.
    chosen = _INTERRUPTS if current_thread() is main_thread() else ()
    before = {number: way for number in chosen if callable(way := signal.getsignal(number))}
    try:
        for number in before:
            signal.signal(number, heard)
        yield
    finally:
        for number, way in before.items():
            signal.signal(number, way)
        for number, frame in waiting:
            before[number](number, frame)


def _aside(work: Callable[[], T], watch: Callable[[], None] | None) -> T:
    done: list[T] = []
    failed: list[BaseException] = []

    def there() -> None:
        try:
            done.append(work())
        except Exception as error:
            failed.append(error)

    worker = Thread(target=there, name="netviz-aside", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(_GLANCE if watch else None)
        if watch:
            watch()
    # Python lets go of a thread before the kernel does; until then a namespace is held.
    while Path(f"/proc/self/task/{worker.native_id}").exists():
        sleep(0)
    if failed:
        raise failed[0]
    return done[0]


def enter_new() -> None:
    """Move the calling thread into a new namespace, in which a lab's root would begin.

    Equivalent to: ``unshare --net; ip link set lo up``. It lasts until the thread leaves.
    """
    unshare(CLONE_NEWNET)
    loopback_up()
