"""A process that sees to it that a kernel of one's own ends, whoever is killed.

User-Mode Linux is many processes: the kernel, and one for each program that runs on it, which it
traces. Were the kernel killed alone, these would be let go, to run on as processes of the machine.
So all of them are one process group, and end at once. Who stands for the lab may be killed as well:
hence the keeper, in a session of its own, between the two::

    caller        ends the group when the keeper is gone
    └─ keeper     ends the group when the caller or the kernel is gone
       └─ kernel      is asked to end by the machine when the keeper is gone
          └─ programs

No pid namespace does it here, for this is where there may be none.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Never

from netviz.lab.syscalls import die_with_parent


@dataclass(frozen=True, slots=True)
class Kept:
    """A program that is kept: its process group, what it prints, and its keeper.

    ``gone`` can be read when the keeper is gone, and with it the program.
    """

    group: int
    printed: int
    gone: int
    _life: socket.socket

    def end(self) -> None:
        """End all of it, now, and return when it is gone."""
        with suppress(OSError):
            os.killpg(self.group, signal.SIGKILL)
        self._life.close()
        select.select([self.gone], [], [])
        with suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, self.gone, os.WEXITED)


def keep(command: Sequence[str], environment: Mapping[str, str], line: socket.socket) -> Kept:
    """Start a program in a group of its own, and a keeper; ``line`` is what it inherits besides.

    Must be called while the process has one thread. Raises ``OSError`` where no process can be had.
    """
    ours, theirs = socket.socketpair()
    printed, prints = os.pipe()
    os.set_blocking(printed, False)
    keeper = os.fork()
    if not keeper:
        for fd in (0, 1, 2):
            os.dup2(os.open("/dev/null", os.O_RDWR), fd)
        ours.close()
        os.close(printed)
        _keep(command, environment, theirs, prints, line.fileno())
    theirs.close()
    os.close(prints)
    gone = os.pidfd_open(keeper)
    group = ours.recv(32)
    if not group:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), command[0])
    return Kept(int(group), printed, gone, ours)


def _keep(
    command: Sequence[str], environment: Mapping[str, str], life: socket.socket, *kept: int
) -> Never:
    """Be the keeper. Of what the caller had open, nothing but ``kept`` is held any longer."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    keeper = os.getpid()
    program = os.fork()
    if not program:
        os.setsid()
        die_with_parent(signal.SIGTERM)
        if os.getppid() == keeper:
            _become(command, environment, *kept)
        os._exit(1)
    with suppress(OSError):  # The caller may be gone by now.
        life.send(str(program).encode())
    own = life.fileno()
    os.closerange(3, own)
    os.closerange(own + 1, os.sysconf("SC_OPEN_MAX"))
    select.select([own, os.pidfd_open(program)], [], [])
    for end in (os.killpg, os.kill):  # It may not have its group yet.
        with suppress(ProcessLookupError):
            end(program, signal.SIGKILL)
    os.waitpid(program, 0)
    os._exit(0)


def _become(command: Sequence[str], environment: Mapping[str, str], prints: int, line: int) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(prints, 1)
    os.dup2(prints, 2)
    os.set_inheritable(line, True)
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # On one processor it is steady, and three times as fast as where it wanders about.
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[os.getpid() % len(allowed)]})
    with suppress(OSError):
        os.execve(command[0], list(command), environment)
    os.write(2, f"'{command[0]}' cannot be run\n".encode())


__all__ = ["Kept", "keep"]
