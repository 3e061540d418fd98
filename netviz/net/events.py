"""Notice that a network changes, in whichever namespace: the kernel tells, and one socket hears it.

What is heard is a sign, no more: events get lost in a burst, those of a namespace without a number
are not heard at all, and none tells of packet filters or of switches. So whoever was given a sign
reads afresh what is so, and reads now and then without one.

Names come and go in the mount table, which can be waited for as well. In a lab each namespace that
is found gets a number in the root, for without it the root does not hear of it. The kernel never
takes such a number back, so on a real machine none is given: there only the root, and what it has
cables to, is heard.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import ExitStack, suppress
from threading import Lock
from typing import Self

from netviz.errors import NetvizError
from netviz.lab.sandbox import inside
from netviz.net import namespaces
from netviz.net.netlink import Socket

_LINK, _NEIGH, _TC, _NSID = 1, 3, 4, 28
_IPV4 = (5, 7, 8, 24)  # Addresses, routes, rules, switches.
_IPV6 = (9, 11, 19, 25)
_VLANS = 33  # Of bridges; not before Linux 5.7.
_GROUPS = (_LINK, _NEIGH, _TC, *_IPV4, *_IPV6, _NSID)
_QUIET = 0.012
_LONGEST = 0.06


class Events:
    """The signs of change in the lab, or outside a lab on the machine.

    For one thread of its own, which moves into the root namespace and stays there; only `wake` is
    for others. Equivalent to: ``ip monitor all all-nsid``, and waiting for a change
    of ``/proc/self/mountinfo``.
    """

    def __init__(self) -> None:
        self._held = ExitStack()
        self._open = True
        self._closing = Lock()
        self._waiting = select.poll()
        self._known: set[int] = set()
        self._signs = False
        self._socket: Socket | None = None
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        for fd in (self._alarm, self._mounts):
            self._held.callback(os.close, fd)

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self._held.close()
            raise
        return self

    def _begin(self) -> None:
        found, _ = namespaces.find()
        found[0].enter()
        socket = self._socket = self._held.enter_context(Socket())
        socket.follow(*_GROUPS)
        with suppress(OSError):
            socket.follow(_VLANS)
        with suppress(PermissionError):  # An ordinary user outside a lab hears the root only.
            socket.follow_everywhere()
        # In a burst the answers to who listens get lost, too.
        self._asking = self._held.enter_context(Socket())
        for fd, what in self._signals().items():
            self._waiting.register(fd, what)
        if inside():
            self._number(found)

    def __exit__(self, *_: object) -> None:
        with self._closing:
            self._open = False
            self._held.close()

    def wait(self, seconds: float, *, longest: float = _LONGEST) -> bool:
        """Tell whether something may have changed; wait at most some ``seconds`` for it.

        The signs of a burst are one: it ends when nothing is heard for 12 ms, or after ``longest``
        seconds.
        """
        ready = {self._mounts} if self._signs else self._listen(seconds)
        end = time.monotonic() + longest
        last = ready
        while last - {self._alarm} and time.monotonic() < end:
            last = self._listen(_QUIET)
        self._signs = False
        # Before the caller reads: what happens from now on is heard.
        if inside() and self._socket:
            with suppress(OSError, NetvizError):  # What is not found now is found the next time.
                self._number(namespaces.find()[0])
            self._socket.drain()  # To get a number is an event as well.
        return bool(ready)

    def pending(self) -> bool:
        """Tell, at once, whether something was heard that nobody has waited for yet."""
        waiting = select.poll()
        for fd, what in self._signals().items():
            waiting.register(fd, what)
        # To ask of the mount table is to be told once.
        self._signs = bool(waiting.poll(0)) or self._signs
        return self._signs

    def wake(self) -> None:
        """Let `wait` return, at once where nothing else is heard; after the end, do nothing."""
        with self._closing:  # By then the descriptor may be another file's.
            if self._open:
                os.eventfd_write(self._alarm, 1)

    def _signals(self) -> dict[int, int]:
        heard = {self._alarm: select.POLLIN, self._mounts: select.POLLPRI}
        return heard | ({self._socket.fileno(): select.POLLIN} if self._socket else {})

    def _listen(self, seconds: float) -> set[int]:
        """Wait for a sign; return the descriptors that gave one."""
        ready = {fd for fd, _ in self._waiting.poll(seconds * 1000)}
        if self._socket:
            self._socket.drain()
        with suppress(BlockingIOError):
            os.eventfd_read(self._alarm)
        return ready

    def _number(self, found: list[namespaces.Found]) -> None:
        """Let the root know each namespace by a number: else it does not hear of it."""
        for namespace in found:
            if namespace.id not in self._known:
                # It is gone again, or has a number: the kernel gives one where a cable leads.
                with suppress(OSError), namespace.opened() as fd:
                    self._asking.number(fd)
        self._known = {namespace.id for namespace in found}
