"""A lab: processes with a network, files, process numbers and a host name of their own.

Three processes make one::

    supervisor   the caller; stays outside, passes signals on, ends as the lab's program ended
    └─ first     PID 1 of the lab: builds it, reaps orphans; when it dies the kernel kills the rest
       └─ program     what was asked for: a command, a Jupyter kernel, a test run

The first process dies with the supervisor (PR_SET_PDEATHSIG, and a life pipe for the moment before
that is set), and everything else dies with the first, because it is PID 1. So a lab leaves nothing
behind, whichever of the three is killed, and no clean-up code has to run.

No root is needed: the caller becomes root of a user namespace of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Never

from netviz.errors import SandboxError
from netviz.lab import filesystem, identity
from netviz.lab.refusals import Facts, refusal
from netviz.lab.seccomp import pretend_to_drop_privileges
from netviz.lab.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUTS,
    die_with_parent,
    unshare,
)

HOSTNAME = "lab"
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# They lead out of the lab, to sockets that are not there any more.
_OUTWARD = ("DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "SSH_AUTH_SOCK", "WAYLAND_DISPLAY", "TMUX")


def inside() -> bool:
    """Tell whether this process lives in a lab."""
    return (filesystem.PRIVATE / "root").exists()


def root_namespace() -> str:
    """Return the path of the lab's root network namespace; outside a lab, of the machine's."""
    if inside():
        return str(filesystem.PRIVATE / "root")
    return "/proc/1/ns/net" if os.access("/proc/1/ns/net", os.R_OK) else "/proc/self/ns/net"


@dataclass(frozen=True, slots=True)
class Supervision:
    """How the supervisor behaves.

    ``tools`` is a tree of unpacked programs whose ``usr`` the lab sees over its own.
    ``forward_interrupt``: pass SIGINT on. A Jupyter client signals the whole process group, and
    the program has heard it already. ``follow`` is a process with which the lab ends.
    """

    tools: Path | None = None
    forward_interrupt: bool = True
    follow: int | None = None


def enter(supervision: Supervision = Supervision()) -> None:  # noqa: B008 (it is frozen)
    """Return inside a new lab; outside, never return, and end as the process inside ends.

    Must be called while the process has one thread. Equivalent to: ``unshare --user
    --map-root-user --net --mount --pid --uts --ipc --fork --kill-child``, and the file systems.

    Raises ``SandboxError``, outside, where the machine refuses.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    home = Path.cwd()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    life_read, life_write = os.pipe()
    outer = os.getpid()
    try:
        identity.become_root()
    except OSError as error:
        raise refusal(error, Facts.of_this_machine()) from error
    first = os.fork()
    if first:
        theirs.close()
        os.close(life_read)
        _supervise(first, ours, supervision)
    ours.close()
    os.close(life_write)
    die_with_parent(signal.SIGKILL)
    if select.select([life_read], [], [], 0)[0]:
        os._exit(1)  # The supervisor died before it could take us along.
    _become_the_lab(theirs, home, supervision.tools, outer)
    program = os.fork()
    if program:
        _reap_until_gone(program, theirs)
    _settle_in(home)
    theirs.send(b"ready")
    theirs.close()


def run(command: list[str], supervision: Supervision = Supervision()) -> Never:  # noqa: B008
    """Run a command in a new lab and end as it ends. Equivalent to: ``netviz run -- COMMAND``."""
    enter(supervision)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        # The numbers that a shell gives for the same two mistakes.
        os.write(2, f"netviz: cannot run '{command[0]}': {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _become_the_lab(
    report: socket.socket, folder: Path, tools: Path | None, next_pid: int
) -> None:
    """Leave the machine's namespaces and build the lab's; on refusal say why, and end."""
    # The supervisor passes on what the program should hear; to the group's signals we are deaf.
    for number in (*_FORWARDED, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    try:
        unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
        filesystem.build(
            writable=(Path.home(), folder, Path("/tmp")), tools=tools, next_pid=next_pid
        )
        socket.sethostname(HOSTNAME)
        loopback_up()
    except OSError as error:
        refused = [error.errno, error.strerror, error.filename]
        report.send(json.dumps({"refused": refused}).encode())
        os._exit(1)


def loopback_up() -> None:
    """Equivalent to: ``ip link set lo up``."""
    get_flags, set_flags, iff_up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, get_flags, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack_from("H", answer, 16)[0]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH22x", b"lo", flags | iff_up))


def _settle_in(folder: Path) -> None:
    """Make this process, just forked, the lab's program."""
    for number in (*_FORWARDED, signal.SIGINT):
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)
    os.chdir(folder)  # The folder was bound onto itself: step onto the new mount.
    if identity.alone():
        pretend_to_drop_privileges()
    os.environ.update(_environment(os.environ))
    for name in _OUTWARD:
        os.environ.pop(name, None)


def _environment(outside: Mapping[str, str]) -> dict[str, str]:
    # An ordinary user's PATH lacks sbin, where ip and tcpdump live.
    path = [str(filesystem.PRIVATE / "bin"), str(Path(sys.executable).parent)]
    path += [entry for entry in outside.get("PATH", "").split(":") if entry]
    path += _SYSTEM_PATH
    return {"PATH": ":".join(dict.fromkeys(path)), "XDG_RUNTIME_DIR": "/run/user/0"}


def _reap_until_gone(program: int, report: socket.socket) -> Never:
    """Be PID 1: bury every orphan, tell how the program ended, and take all along."""
    while True:
        pid, status = os.wait()
        if pid == program:
            report.send(json.dumps({"status": status}).encode())
            os._exit(0)


def _supervise(first: int, report: socket.socket, supervision: Supervision) -> Never:
    messages: dict[str, object] = {}
    program: int | None = None
    waiting = select.poll()
    waiting.register(report, select.POLLIN)
    if supervision.follow:
        waiting.register(followed := os.pidfd_open(supervision.follow), select.POLLIN)

    def forward(number: int, _frame: object) -> None:
        if program and not (number == signal.SIGINT and _in_foreground()):
            os.kill(program, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    signal.signal(signal.SIGINT, forward if supervision.forward_interrupt else signal.SIG_IGN)
    while True:
        ready = dict(waiting.poll())
        if supervision.follow and followed in ready:
            os.kill(first, signal.SIGKILL)
            waiting.unregister(followed)
        if report.fileno() not in ready:
            continue
        data, sender = _receive(report)
        if not data:
            break
        if data == b"ready":
            program = sender
        else:
            messages |= json.loads(data)
    _, status = os.waitpid(first, 0)
    if "refused" in messages:
        number, text, step = messages["refused"]  # type: ignore[misc]
        raise refusal(OSError(number, text, step), Facts.of_this_machine())
    end_as(int(str(messages.get("status", status))))


def _receive(report: socket.socket) -> tuple[bytes, int]:
    """Return a message and the sender's pid: as seen from here, whatever it is in there."""
    ucred = struct.Struct("3i")
    data, ancillary, _, _ = report.recvmsg(4096, socket.CMSG_SPACE(ucred.size))
    sender = ucred.unpack(ancillary[0][2])[0] if ancillary else 0
    return data, sender


def _in_foreground() -> bool:
    """Tell whether a terminal's Ctrl-C reaches the program without our help."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def end_as(status: int) -> Never:
    """End this process as another one ended: by the same exit status, or by the same signal."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        # One core dump, the program's own, is enough.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


__all__ = ["SandboxError", "Supervision", "enter", "inside", "root_namespace", "run"]
