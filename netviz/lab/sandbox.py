"""A lab: processes with a network, files, process numbers and a host name of their own.

Three processes make one::

    supervisor   the caller; stays outside, passes signals on, ends as the lab's program ended
    └─ first     PID 1 of the lab: builds it, reaps orphans; when it dies the kernel kills the rest
       └─ program     what was asked for: a command, a Jupyter kernel, a test run

The first process dies with the supervisor (PR_SET_PDEATHSIG, and a life pipe for the moment before
that is set), and everything else dies with the first, because it is PID 1. So a lab leaves nothing
behind, whichever of the three is killed, and no clean-up code has to run.

No root is needed: the first process becomes root of a user namespace of its own, and builds the
files there. The program becomes root of a second one inside it, which owns the network: root in
there can do all that a network needs, and cannot undo what the first has built.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Never

from netviz.errors import SandboxError
from netviz.lab import filesystem, identity
from netviz.lab.refusals import Facts, refusal
from netviz.lab.seccomp import pretend_to_drop_privileges
from netviz.lab.supervisor import Supervision, hold_signals, supervise
from netviz.lab.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
    die_with_parent,
    setns,
    unshare,
)

HOSTNAME = "lab"
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# They lead out of the lab, to sockets that are not there any more.
_OUTWARD = (
    "CONTAINER_HOST",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "DOCKER_HOST",
    "NOTIFY_SOCKET",
    "SSH_AUTH_SOCK",
    "TMUX",
    "WAYLAND_DISPLAY",
)
_OWNED = CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC


def inside() -> bool:
    """Tell whether this process lives in a lab."""
    return filesystem.ROOT.exists()


def must_be_inside(verb: str) -> None:
    """Raise ``SandboxError`` outside a lab: there nothing may be changed."""
    if not inside():
        raise SandboxError(
            f"cannot {verb}: this is the machine itself, not a lab",
            remedy="work in one: netviz lab for a notebook, netviz run -- COMMAND for a program",
        )


def root_namespace() -> str:
    """Return the path of the lab's root network namespace; outside a lab, of the machine's."""
    if inside():
        return str(filesystem.ROOT)
    return "/proc/1/ns/net" if os.access("/proc/1/ns/net", os.R_OK) else "/proc/self/ns/net"


def enter(supervision: Supervision = Supervision()) -> None:  # noqa: B008 (it is frozen)
    """Return inside a new lab; outside, never return, and end as the process inside ends.

    Must be called while the process has one thread. Equivalent to: ``unshare --user
    --map-root-user --net --mount --pid --uts --ipc --fork --kill-child``, and the file systems.
    A working folder that is gone, or that the lab does not show, becomes ``/``.

    Raises ``SandboxError``, outside, where the machine refuses.
    """
    ready_the_streams()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    life_read, life_write = os.pipe()
    outer = os.getpid()
    facts = Facts.of_this_machine()  # In a new user namespace the limits are others.
    working = working_folder()
    own = filesystem.own_folders((_home(), working, Path("/tmp")))
    held_before = hold_signals()
    try:
        trees = identity.become_root(CLONE_NEWPID, own)
        first = os.fork()
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_before)
        raise refusal(error, facts) from error
    if first:
        theirs.close()
        for fd in (life_read, *trees.values()):
            os.close(fd)
        supervise(first, ours, supervision, held_before, facts)
    ours.close()
    _live_no_longer_than(life_read, life_write)
    with _outcome_told(theirs):
        umask = os.umask(0o022)
        unshare(CLONE_NEWNS)
        filesystem.build(own, trees, tools=supervision.tools, next_pid=outer)
        _become_the_program(theirs, working)
        os.umask(umask)
        signal.pthread_sigmask(signal.SIG_SETMASK, held_before)


def refused() -> SandboxError | None:
    """Return why no lab can start here; ``None`` where one did, in a child of this process.

    That takes 15 ms, and this process, which must have one thread, stays where it is.
    """
    ready_the_streams()
    heard, told = os.pipe()
    if not (child := os.fork()):
        try:
            enter(Supervision(follow=os.getppid()))
            os.write(told, b"null")
        except SandboxError as error:
            os.write(told, json.dumps(vars(error)).encode())
        finally:
            os._exit(0)
    os.close(told)
    with os.fdopen(heard, "rb") as answer:
        why = json.loads(answer.read() or '{"what": "cannot start a lab: it ended too soon"}')
    os.waitpid(child, 0)
    return SandboxError(**why) if why else None


def _live_no_longer_than(life: int, others_end: int) -> None:
    """End when the supervisor does, or now if it died before it could take us along."""
    os.close(others_end)
    die_with_parent(signal.SIGKILL)
    if select.select([life], [], [], 0)[0]:
        os._exit(1)
    os.close(life)


def run(command: list[str], supervision: Supervision = Supervision()) -> Never:  # noqa: B008
    """Run a command in a new lab and end as it ends. Equivalent to: ``netviz run -- COMMAND``."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    enter(supervision)
    execute(command)


def execute(command: list[str]) -> Never:
    """Become a command; where it cannot be run, say why and end as a shell would."""
    # Python ignores these two, and a program would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        status, why = _mistake(command[0], error)
        os.write(2, f"netviz: cannot run '{command[0]}': {why}\n".encode())
        os._exit(status)


def _mistake(program: str, error: OSError) -> tuple[int, str | None]:
    """Return the exit status that a shell gives for a program that cannot be run, and why."""
    folders = [""] if "/" in program else os.get_exec_path()
    # A folder in PATH that may not be entered is an error of its own, and would hide this one.
    if any(os.access(Path(folder, program), os.F_OK) for folder in folders):
        return 126, error.strerror
    return 127, os.strerror(errno.ENOENT)


def ready_the_streams() -> None:
    """Write out what was printed, and see to it that the three standard streams are open."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # Else nobody could be waited for.
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.flush()
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Else the next file to be opened would pass for a standard stream.
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)


def _become_the_program(report: socket.socket, folder: Path) -> None:
    """Return in the lab's program, a child of its first process, in namespaces of its own."""
    here, there = socket.socketpair()
    program = os.fork()
    if program:
        there.close()
        if here.recv(1):
            # Follow it into what it owns, and do there what it may not.
            setns(os.pidfd_open(program), _OWNED)
            filesystem.show_namespaces()
            socket.sethostname(HOSTNAME)
            loopback_up()
            here.send(b"!")
        _reap_until_gone(program, report)
    here.close()
    identity.become_root(_OWNED)
    there.send(b"!")
    if not there.recv(1):
        os._exit(1)
    there.close()
    unshare(CLONE_NEWNS)
    settle_in(folder)


@contextmanager
def _outcome_told(report: socket.socket) -> Iterator[None]:
    """Tell the supervisor that the program is ready; where the kernel refuses, why, and end."""
    try:
        yield
    except OSError as error:
        refused = [error.errno, error.strerror, error.filename]
        report.send(json.dumps({"refused": refused}).encode())
        os._exit(1)
    report.send(b"ready")
    report.close()


def _home() -> Path:
    return Path(os.path.expanduser("~"))  # noqa: PTH111 (Path's fails where there is none)


def working_folder() -> Path:
    """Return where one is; where that is gone, ``/``."""
    with suppress(OSError):
        return Path.cwd()
    return Path("/")


def loopback_up() -> None:
    """Equivalent to: ``ip link set lo up``."""
    get_flags, set_flags, iff_up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, get_flags, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack_from("H", answer, 16)[0]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH22x", b"lo", flags | iff_up))


def settle_in(folder: Path) -> None:
    """Make this process, just forked, the lab's program."""
    os.chdir("/")
    with suppress(OSError):
        os.chdir(folder)  # The folder was bound onto itself: step onto the new mount.
    pretend_to_drop_privileges()
    os.environ.update(_environment(os.environ))
    for name in _OUTWARD:
        os.environ.pop(name, None)
    if not os.access(os.environ.get("TMPDIR", "/tmp"), os.W_OK):
        os.environ.pop("TMPDIR", None)


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


__all__ = [
    "SandboxError",
    "Supervision",
    "enter",
    "execute",
    "inside",
    "must_be_inside",
    "refused",
    "root_namespace",
    "run",
    "settle_in",
]
