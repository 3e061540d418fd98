"""A thread that may step into other namespaces: setns(2) moves the thread that calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import TypeVar

from netviz.lab.sandbox import loopback_up
from netviz.lab.syscalls import CLONE_NEWNET, unshare

T = TypeVar("T")
_GLANCE = 0.1


def aside(
    work: Callable[[], T], *, watch: Callable[[], None] | None = None, stop: Event | None = None
) -> T:
    """Return what ``work`` returns, done by a thread of its own.

    Whatever that thread starts begins where it stands. When this returns, it holds no namespace any
    more. ``watch`` is called now and then meanwhile. An interrupt sets ``stop``, and is raised when
    the work has ended.
    """
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
        try:
            worker.join(_GLANCE if watch else None)
            if watch:
                watch()
        except KeyboardInterrupt as interrupt:
            failed.append(interrupt)
            if stop:
                stop.set()
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
