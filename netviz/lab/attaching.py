"""Enter a lab that runs: what ``netviz attach`` does.

Nobody keeps a list of labs. One is found by what it is: its first process is number 1 of a pid
namespace, and shows the lab's own file. One enters where its program is. Two processes are made of
the one that enters::

    parent    stays in the terminal's pid namespace, passes signals on, ends as the child ended
    └─ child      a process of the lab as any other: it ends with the lab

The kernel lets in whoever it would let trace the program: who started the lab, and root. Only the
standard library is imported: a process with threads cannot enter.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Never

from netviz.errors import NetvizError
from netviz.lab import filesystem
from netviz.lab.identity import is_root_of_machine
from netviz.lab.processes import BEGAN, Process, numbered_as_here, running, stat
from netviz.lab.sandbox import execute, inside, settle_in
from netviz.lab.supervisor import SENT_BY_KERNEL, Terminal, end_as, hold_signals
from netviz.lab.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    die_with_parent,
    setns,
    show_own_process,
)

_EVERY_NAMESPACE = (
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC
)
_FILE_OF_A_LAB = str(filesystem.ROOT).lstrip("/")
# Who the lab's user is, and where her programs are.
_HERS = ("HOME", "LOGNAME", "PATH", "USER")
_SHELLS = ("bash", "dash", "fish", "ksh", "sh", "zsh")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that runs: the pids, as seen from here, of who stands for it and of its program.

    ``name`` is the notebook's, ``02-veth``, else ``shell`` or the program's; ``started`` is in
    seconds since 1970.
    """

    supervisor: int
    program: int
    name: str = field(compare=False)  # Another one, when the program becomes another by exec.
    started: float = field(compare=False)


def labs() -> list[Lab]:
    """Return the labs that run and that the caller may enter, the newest first.

    Equivalent to: ``lsns --type pid``, and a look at the files of each. Labs inside of labs are
    their own. In a container whose /proc is the machine's there is nothing to be found.
    """
    if not numbered_as_here():
        return []
    alive = running()
    found = []
    for process in alive.values():
        if process.numbers[1:] == (1,):
            # It may have ended, or be somebody else's.
            with suppress(OSError, ValueError, IndexError):
                found += _lab(process, alive)
    return sorted(found, key=lambda lab: (lab.started, lab.supervisor), reverse=True)


def on_own_kernels() -> list[str]:
    """Return the names of the labs that run on kernels of their own, and that nobody can enter."""
    alive, found = running(), set()
    for process in alive.values():
        keeper = alive.get(process.parent)
        with suppress(OSError):  # It may have ended, or be somebody else's.
            if keeper and _boots_a_lab(process.pid) and not _boots_a_lab(keeper.pid):
                found.add(_name(keeper.parent))
    return sorted(found)


def closed(names: Sequence[str]) -> str:
    """Say of labs that they are on kernels of their own."""
    return f"no terminal can enter a lab that is on a kernel of its own ({', '.join(names)})"


def matching(labs: Sequence[Lab], wanted: str | None = None) -> list[Lab]:
    """Return the labs that are meant by a supervisor's pid, a lesson's number or part of a name.

    Raises ``NetvizError`` naming the labs there are.
    """
    if not labs:
        # In a lab somebody looks for the one that she is in.
        what = "cannot attach: this is in a lab already" if inside() else "no lab is running"
        start = "start one: netviz lab for a notebook, netviz shell for a shell"
        if beyond := on_own_kernels():
            what, start = f"cannot attach: {closed(beyond)}", "type !COMMAND in a cell"
        raise NetvizError(what, remedy="use a terminal of the machine" if inside() else start)
    if wanted is None:
        return list(labs)
    found = [lab for lab in labs if wanted == str(lab.supervisor)]
    found = found or [lab for lab in labs if _is_called(lab, wanted)]
    if not found:
        raise NetvizError(f"cannot find lab {wanted!r}", remedy=f"running are: {_named(labs)}")
    return found


def choose(labs: Sequence[Lab], wanted: str | None = None) -> Lab:
    """Return the one lab that is meant, as `matching` understands it.

    Raises ``NetvizError`` where none is, or several are.
    """
    if len(found := matching(labs, wanted)) > 1:
        which = f"{len(found)} labs are running" if wanted is None else f"{wanted!r} means several"
        raise NetvizError(which, remedy=f"name one by its number: {_named(found)}")
    return found[0]


def enter(lab: Lab, farewell: signal.Signals = signal.SIGHUP) -> None:
    """Return inside a lab that runs; outside, never return, and end as the process inside ends.

    Must be called while the process has one thread. ``farewell`` is the signal that the process
    inside gets when the one outside is killed. Equivalent to: ``nsenter --target PROGRAM --all``.

    Raises ``NetvizError``, outside, where the lab is gone or the kernel refuses.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # Else nobody could be waited for.
    terminal = Terminal()
    held_before = hold_signals()
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    life, others_end = os.pipe()
    try:
        program = os.pidfd_open(lab.program)
        folder = _step_in(lab, program)
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_before)
        raise NetvizError(
            f"cannot enter lab '{lab.supervisor}' ({lab.name}): {error.strerror}",
            command=f"nsenter --target {lab.program} --all",
            remedy="netviz attach --list names those that run and are yours",
        ) from error
    child = os.fork()
    if child:
        os.close(life)
        _stand_for(child, terminal)
    os.close(others_end)
    die_with_parent(farewell)
    if select.select([life], [], [], 0)[0]:  # It was killed before it could take us along.
        os._exit(1)
    os.close(life)
    show_own_process()
    settle_in(folder)
    signal.pthread_sigmask(signal.SIG_SETMASK, held_before)


def attach(lab: Lab, command: str | None = None) -> Never:
    """Become a shell in a lab that runs, or one command of a shell; end as it ends."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if command is None:
        enter(lab)
        execute(shell())
    enter(lab, farewell=signal.SIGKILL)
    execute([*shell()[:1], "-c", command])


def shell() -> list[str]:
    """Return the user's shell, as a command. Bash tells in ``TYPED`` what is typed in it."""
    program = os.environ.get("SHELL", "")
    if Path(program).name not in _SHELLS or not shutil.which(program):
        program = "/bin/bash"  # An account that may not log in has a shell that says so.
    if Path(program).name != "bash":
        return [program]
    return [program, "--rcfile", str(Path(__file__).with_name("attached.bashrc"))]


def listener(port: int = 0) -> socket.socket:
    """Return a socket on this machine's loopback, to serve there what is in a lab.

    Where the port is taken, it is another one.
    """
    for number in (port, 0):
        with suppress(OSError):
            return socket.create_server(("127.0.0.1", number))
    raise NetvizError("cannot listen on 127.0.0.1", remedy="bring the loopback up")


def _lab(first: Process, alive: dict[int, Process]) -> list[Lab]:
    """Return the lab whose PID 1 is ``first``; nothing where it is no lab, or not ready yet."""
    supervisor = alive[first.parent].numbers if first.parent in alive else ()
    children = [each for each in alive.values() if each.parent == first.pid]
    # Adopted orphans are its children too. The program bears the supervisor's number, or is eldest.
    children.sort(key=lambda each: (each.numbers[-1:] != supervisor[-1:], _ticks(each.pid)))
    if not (supervisor and children and _is_ready(first.pid, children[0].pid)):
        return []
    program = children[0].pid
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    started = booted + _ticks(first.pid) / os.sysconf("SC_CLK_TCK")
    return [Lab(first.parent, program, _name(program), started)]


def _boots_a_lab(process: int) -> bool:
    return b"\0netviz.lab.guest\0" in (_PROC / str(process) / "cmdline").read_bytes()


def _is_ready(first: int, program: int) -> bool:
    """Tell whether the program has left the first process's namespaces for its own."""
    moved = all(
        os.readlink(f"/proc/{first}/ns/{kind}") != os.readlink(f"/proc/{program}/ns/{kind}")  # noqa: PTH115
        for kind in ("user", "mnt")
    )
    return moved and (_PROC / str(program) / "root" / _FILE_OF_A_LAB).exists()


def _ticks(pid: int) -> int:
    """Return when a process started, in ticks since the machine did."""
    return int(stat(pid)[BEGAN])


def _name(program: int) -> str:
    if notebook := _environment(program).get("JPY_SESSION_NAME"):
        return Path(notebook).name.removesuffix(".ipynb")
    words = (_PROC / str(program) / "cmdline").read_bytes().split(b"\0")[:-1]
    name = Path(os.fsdecode(words[0])).name.lstrip("-")
    return "shell" if len(words) == 1 and name in _SHELLS else name


def _environment(process: int) -> dict[str, str]:
    """Return the environment that a process began with."""
    text = os.fsdecode((_PROC / str(process) / "environ").read_bytes())
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def _is_called(lab: Lab, wanted: str) -> bool:
    name, part = lab.name.casefold(), Path(wanted).name.removesuffix(".ipynb").casefold()
    number = name.partition("-")[0]
    if part.isdecimal():
        return number.isdecimal() and int(part) == int(number)
    return bool(part) and part in name


def _named(labs: Iterable[Lab]) -> str:
    return ", ".join(f"{lab.supervisor} ({lab.name})" for lab in labs)


def _step_in(lab: Lab, program: int) -> Path:
    """Move this process to where the lab's program is, and return the program's folder.

    Its pid namespace is for the children that it has from now on.
    """
    if lab not in labs():  # The descriptor is one of the process that was looked at, or of none.
        raise ProcessLookupError(0, "it has ended")
    hers = _environment(lab.program)
    folder = (_PROC / str(lab.program) / "cwd").readlink()
    if is_root_of_machine():
        os.setgroups([])
    setns(program, _EVERY_NAMESPACE)
    # Root was nobody in there: become the one who is root there, and whoever she is out here.
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    for name in _HERS:
        os.environ.pop(name, None)
    os.environ.update({name: hers[name] for name in _HERS if name in hers})
    return folder


def _stand_for(child: int, terminal: Terminal) -> Never:
    """Pass on the signals that somebody sends, and end as the child ends."""
    awaited = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    while True:
        heard = signal.sigwaitinfo(awaited)
        if heard.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                terminal.take_back()
                end_as(status)
        # What the terminal sends, the child has heard; but for its end, which its leader hears.
        elif heard.si_code != SENT_BY_KERNEL or heard.si_signo == signal.SIGHUP:
            with suppress(ProcessLookupError):
                os.kill(child, heard.si_signo)
