"""The process that stays outside: it stands for the lab's program towards whoever started it.

It passes on the signals that somebody sends, and ends as the program ended. What the kernel sends
(Ctrl-C, the end of a terminal) goes to the whole group, and the program has heard it already: so
signals are read from a descriptor, which tells who sent them, as a handler would not.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

from netviz.lab.refusals import Facts, refusal
from netviz.lab.syscalls import signalfd

_FORWARDED = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
SENT_BY_KERNEL = 0x80
RECEIVED = struct.Struct("=Iii116x")
"""What a signalfd tells, ``signalfd_siginfo``: the number, an errno, who sent it."""


@dataclass(frozen=True, slots=True)
class Supervision:
    """How the supervisor behaves.

    ``tools`` are trees of unpacked programs whose ``usr`` the lab sees over its own.
    ``forward_interrupt``: pass SIGINT on. A Jupyter client signals the whole process group, and
    the program has heard it already. ``follow`` is a process with which the lab ends.
    """

    tools: tuple[Path, ...] = ()
    forward_interrupt: bool = True
    follow: int | None = None


def hold_signals(*others: int) -> set[int]:
    """Keep what is to be forwarded until somebody reads it; return what was held before.

    What the caller ignores, as under nohup, stays ignored, by the program too. ``others`` are held
    as well.
    """
    heard = [each for each in _FORWARDED if signal.getsignal(each) != signal.SIG_IGN]
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, [*heard, *others]))


def supervise(
    first: int,
    report: socket.socket,
    supervision: Supervision,
    held_before: set[int],
    facts: Facts,
) -> Never:
    """Wait for the lab whose PID 1 is ``first``, and end as it ends.

    Raises ``SandboxError`` where ``report`` tells that the machine refused.
    """
    terminal = Terminal()
    messages = _Watch(first, report, supervision).until_gone()
    _, status = os.waitpid(first, 0)
    terminal.take_back()
    if "refused" in messages:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_before)
        number, text, step = messages["refused"]
        raise refusal(OSError(number, text, step), facts)
    end_as(messages.get("status", status))


class _Watch:
    """What the supervisor listens to while the lab lives."""

    def __init__(self, first: int, report: socket.socket, supervision: Supervision) -> None:
        self._first = first
        self._report = report
        self._interrupts = supervision.forward_interrupt
        self._signals = signalfd(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        self._program: int | None = None
        self._waiting = select.poll()
        self._waiting.register(report, select.POLLIN)
        self._followed = self._follow(supervision.follow) if supervision.follow else None

    def until_gone(self) -> dict[str, Any]:
        """Return what the lab reported, once its last process is gone."""
        messages: dict[str, Any] = {}
        while True:
            ready = dict(self._waiting.poll())
            if self._followed in ready:
                os.kill(self._first, signal.SIGKILL)
                self._waiting.unregister(self._followed)
            if self._signals in ready:
                self._forward()
            if self._report.fileno() not in ready:
                continue
            data, sender = _receive(self._report)
            if not data:
                return messages
            if data == b"ready":
                self._begin_to_forward(sender)
            else:
                messages |= json.loads(data)

    def _follow(self, process: int) -> int | None:
        try:
            followed = os.pidfd_open(process)
        except ProcessLookupError:
            os.kill(self._first, signal.SIGKILL)
            return None
        self._waiting.register(followed, select.POLLIN)
        return followed

    def _begin_to_forward(self, program: int) -> None:
        """From now on; a signal that came too soon is not lost, it waits."""
        with contextlib.suppress(ProcessLookupError):  # It may have ended already.
            self._program = os.pidfd_open(program)
            self._waiting.register(self._signals, select.POLLIN)

    def _forward(self) -> None:
        number, _, sender = RECEIVED.unpack(os.read(self._signals, RECEIVED.size))
        wanted = self._interrupts or number != signal.SIGINT
        if self._program and wanted and sender != SENT_BY_KERNEL:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._program, number)


def _receive(report: socket.socket) -> tuple[bytes, int]:
    """Return a message and the sender's pid: as seen from here, whatever it is in there."""
    ucred = struct.Struct("3i")
    data, ancillary, _, _ = report.recvmsg(4096, socket.CMSG_SPACE(ucred.size))
    sender = ucred.unpack(ancillary[0][2])[0] if ancillary else 0
    return data, sender


class Terminal:
    """The terminal in whose foreground the lab was started, if any."""

    def __init__(self) -> None:
        self._fd: int | None = None
        with contextlib.suppress(OSError):
            terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
            if os.tcgetpgrp(terminal) == os.getpgrp():
                self._fd = terminal
            else:
                os.close(terminal)

    def take_back(self) -> None:
        """Be its foreground again, where a shell in the lab was and has ended.

        That shell wanted to give it back, but from inside it cannot name our process group.
        """
        if self._fd is None:
            return
        with contextlib.suppress(OSError):
            try:
                os.killpg(os.tcgetpgrp(self._fd), 0)
            except ProcessLookupError:
                # One who asks from the background would be stopped.
                signal.signal(signal.SIGTTOU, signal.SIG_IGN)
                os.tcsetpgrp(self._fd, os.getpgrp())


def end_as(status: int) -> Never:
    """End this process as another one ended: by the same exit status, or by the same signal."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        # One core dump, the program's own, is enough.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))
