"""A lab on a Linux of its own: User-Mode Linux, started and attended from outside.

Where the machine's kernel allows no user namespaces, or lacks what a lesson teaches, another kernel
is started as an ordinary process. It needs no privilege, sees the machine's own files, and on it
runs what `guest` says: the very same lab. Three parties take part::

    this process    stands for the lab's program: passes signals on, ends as the program ended
    keeper          ends all of it, whoever is killed
    the kernel      at its serial port `guest`, its first process, which starts the program

Over that port go the program's input and output, a notebook's connections, and messages.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Never

from netviz.errors import ComponentError, SandboxError
from netviz.lab import keeper
from netviz.lab.linux import OwnKernel, own
from netviz.lab.multiplexer import Message, Multiplexer
from netviz.lab.sandbox import ready_the_streams, working_folder
from netviz.lab.screen import Screen
from netviz.lab.supervisor import RECEIVED, end_as, hold_signals
from netviz.lab.syscalls import signalfd
from netviz.text import printable

MEMORY = 1024
"""What such a kernel may use of the machine's memory, in megabytes. It has one processor."""
_PROGRAMS = 16  # The streams below this number are the program's own.
_PATIENCE = 60.0  # Seconds, for the kernel to boot.
_LAST_WORDS = 2.0  # Seconds, for a notebook's client to take what the kernel said last.
_KEPT = 2000  # Bytes of what the kernel prints.
_MEGABYTE = 1 << 20
# They are numbers of this machine's processes.
_OUTER = ("JPY_PARENT_PID", "JPY_INTERRUPT_EVENT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What is to run on the kernel, and how it is attended.

    ``command`` is a program and its arguments; or those of the launcher, with ``listeners``: the
    sockets of a notebook's channels. ``follow`` is a process with which the kernel ends.
    """

    command: Sequence[str]
    listeners: Mapping[str, socket.socket] = field(default_factory=dict)
    follow: int | None = None


def run(errand: Errand) -> Never:
    """Run a command in a lab on a kernel of its own, and end as it ends.

    Equivalent to: ``netviz run --own-kernel -- COMMAND``. Must be called while the process has one
    thread. Raises ``ComponentError`` where there is no such kernel, and ``SandboxError`` where it
    does not start.
    """
    kernel = own()
    if kernel is None:
        raise ComponentError(
            f"there is no kernel of one's own for {os.uname().machine} on this machine",
            remedy="run: netviz components fetch own-kernel",
        )
    environment = _environment()
    ready_the_streams()
    held_before = hold_signals(signal.SIGWINCH)
    screen = Screen()
    try:
        ours, theirs = socket.socketpair()
        kept = keeper.keep(_command(kernel, theirs.fileno()), environment, theirs)
        theirs.close()
        with screen:
            status = _Attendance(ours.detach(), kept, kernel, errand, screen).until_ended()
    except (OSError, SandboxError) as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_before)
        if isinstance(error, OSError):
            raise _refusal(kernel, f"'{error.filename}': {error.strerror}") from error
        raise
    end_as(status)


class _Attendance:
    """What this process does while the kernel runs."""

    def __init__(
        self, line: int, kept: keeper.Kept, kernel: OwnKernel, errand: Errand, screen: Screen
    ) -> None:
        self._kept = kept
        self._kernel = kernel
        self._errand = errand
        self._screen = screen
        self._streams = Multiplexer(line, self._heard)
        self._signals = signalfd(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        self._printed = b""
        self._connections = _PROGRAMS
        self._watched: dict[int, Callable[[], object]] = {
            kept.printed: self._listen,
            kept.gone: self._leave,
        }
        self._lives = True
        self._status: int | None = None
        self._deadline = time.monotonic() + _PATIENCE

    def until_ended(self) -> int:
        """Return how the program ended, as ``wait`` tells it."""
        if self._errand.follow:
            self._follow(self._errand.follow)
        try:
            while self._lives and self._status is None and time.monotonic() < self._deadline:
                self._streams.turn(self._watched, min(_PATIENCE, self._deadline - time.monotonic()))
        finally:
            self._kept.end()
        self._listen()
        if self._status is None:
            raise _refusal(self._kernel, self._why())
        # Whoever reads a program's output may take his time.
        last = _LAST_WORDS if self._errand.listeners else float("inf")
        self._deadline = time.monotonic() + last
        while not self._streams.is_idle() and time.monotonic() < self._deadline:
            self._streams.turn({}, _LAST_WORDS)
        return self._status

    def _heard(self, message: Message) -> None:
        if "status" in message:
            self._status = message["status"]
        if "booted" in message:
            # Not before: what comes to a serial port that nobody has opened yet is not noticed.
            self._streams.tell(_told(self._kernel, self._errand, self._screen))
            for number, source, sink in self._screen.streams():
                self._streams.carry(number, source, sink)
        if "ready" in message:
            self._deadline = float("inf")
            self._watched[self._signals] = self._pass_on
            for name, listener in self._errand.listeners.items():
                self._watched[listener.fileno()] = partial(self._connect, name, listener)

    def _connect(self, name: str, listener: socket.socket) -> None:
        """Let whoever knocks at a channel's port speak with the kernel's own."""
        with suppress(OSError):
            connection = listener.accept()[0]
            source = connection.detach()
            os.set_blocking(source, False)
            self._connections += 1
            self._streams.open(self._connections, name, source, os.dup(source))

    def _pass_on(self) -> None:
        number = RECEIVED.unpack(os.read(self._signals, RECEIVED.size))[0]
        if number == signal.SIGWINCH:
            self._streams.tell({"size": self._screen.size()})
        else:
            self._streams.tell({"signal": number})

    def _listen(self) -> None:
        with suppress(BlockingIOError):
            heard = os.read(self._kept.printed, _KEPT)
            self._printed = (self._printed + heard)[-_KEPT:]
            if not heard:
                self._watched.pop(self._kept.printed, None)

    def _leave(self) -> None:
        self._lives = False

    def _follow(self, process: int) -> None:
        try:
            self._watched[os.pidfd_open(process)] = self._abandon
        except ProcessLookupError:
            self._abandon()

    def _abandon(self) -> None:
        self._status = signal.SIGKILL

    def _why(self) -> str:
        if self._lives:
            return f"it did not boot within {_PATIENCE:.0f} seconds"
        lines = self._printed.decode(errors="replace").split("\n")
        said = [printable(line.strip()) for line in lines if line.strip()]
        return f"it ended, and said last: '{' / '.join(said[-3:])}'"


def _command(kernel: OwnKernel, line: int) -> list[str]:
    """Return how the kernel is started; its first process is `guest`."""
    return [
        str(kernel.binary),
        f"mem={MEMORY}M",
        *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "quiet"),
        *("con0=null,fd:1", "con=null", f"ssl0=fd:{line}"),
        # A folder for its control socket, which nobody uses, would be left behind.
        "uml_dir=/dev/null/",
        # Devices that a module makes by itself when it is loaded.
        *("dummy.numdummies=0", "ifb.numifbs=0", "bonding.max_bonds=0"),
        f'init="{sys.executable}"',
        *("--", "-P", "-m", "netviz.lab.guest"),
    ]


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": "/nonexistent", "TMPDIR": str(_room())}


def _room() -> Path:
    """Return a folder for the kernel's memory: a file in it, which has no name."""
    folders = [Path("/dev/shm"), Path(tempfile.gettempdir()), Path("/var/tmp")]
    for folder in folders:
        with suppress(OSError):
            runs = not os.statvfs(folder).f_flag & os.ST_NOEXEC
            free = shutil.disk_usage(folder).free
            if runs and os.access(folder, os.W_OK) and free > MEMORY * _MEGABYTE:
                return folder
    raise SandboxError(
        f"cannot start a kernel of its own: none of {', '.join(map(str, folders))} has "
        f"{MEMORY} MB of room and lets programs run",
        remedy="name such a folder in TMPDIR",
    )


def _told(kernel: OwnKernel, errand: Errand, screen: Screen) -> Message:
    """Return what the guest needs to know."""
    umask = os.umask(0)
    os.umask(umask)
    known = {name: it for name, it in os.environ.items() if name not in _OUTER}
    return {
        "command": list(errand.command),
        "channels": {name: each.getsockname()[:2] for name, each in errand.listeners.items()},
        "environment": known,
        "folder": str(working_folder()),
        "umask": umask,
        "user": [os.geteuid(), os.getegid(), os.getgroups()],
        "terminal": screen.terminal,
        "size": screen.size(),
        "modules": kernel.modules and str(kernel.modules),
        "kmod": kernel.kmod and str(kernel.kmod),
    }


def _refusal(kernel: OwnKernel, why: str) -> SandboxError:
    return SandboxError(
        f"cannot start a lab on a kernel of its own: '{kernel.binary}': {why}",
        command=f"{kernel.binary} mem={MEMORY}M rootfstype=hostfs",
        remedy="see what the machine lacks: netviz doctor",
    )
