"""The system calls that Python 3.11 has no name for, and nothing else.

The only importer of ctypes. Each function raises ``OSError`` as the functions of ``os`` do.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from errno import ENOSYS

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000

SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC
"""What is mounted so gives nobody more than he has."""

MNT_DETACH = 2

CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, CAP_SETFCAP = 6, 7, 21, 31

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_SIGSET_SIZE = 128

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_LAST_CAPABILITY = 40
_CAPABILITY_VERSION_3 = 0x20080522
_MOUNT_ATTR_RDONLY = 0x1
_MOUNT_ATTR_IDMAP = 0x00100000
# The newest system calls have the same number on every architecture.
_SYS_open_tree = 428
_SYS_move_mount = 429
_SYS_mount_setattr = 442
_SYS_pidfd_getfd = 438
_AT_FDCWD = -100
_AT_NO_AUTOMOUNT = 0x800
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 0x1
_MOVE_MOUNT_F_EMPTY_PATH = 0x4

_SYS_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_PERF_FLAG_FD_CLOEXEC = 0x8

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the namespaces named by ``flags`` for new ones. Equivalent to: ``unshare(2)``."""
    _check(_libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, flags: int) -> None:
    """Move the calling thread into the namespace behind ``fd``. Equivalent to: ``setns(2)``."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(flags)), f"namespace fd {fd}")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, options: str = "") -> None:
    """Mount. Equivalent to: ``mount -t FSTYPE -o OPTIONS SOURCE TARGET``."""
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            os.fsencode(fstype) or None,
            ctypes.c_ulong(flags),
            os.fsencode(options) or None,
        ),
        target,
    )


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """Unmount, by default as soon as nobody uses it. Equivalent to: ``umount -l TARGET``."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), target)


def set_read_only(target: str) -> None:
    """Make one mount read-only, whatever its other options. Equivalent to: ``mount_setattr(2)``."""
    _set_attributes(_AT_FDCWD, target, _AT_NO_AUTOMOUNT, _MOUNT_ATTR_RDONLY, 0)


def open_tree(folder: str) -> int:
    """Return a copy of the mounts at and below a folder, mounted nowhere yet."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
    tree = int(_libc.syscall(_SYS_open_tree, _AT_FDCWD, os.fsencode(folder), ctypes.c_uint(flags)))
    _check(min(tree, 0), folder)
    return tree


def map_ids(tree: int, user_namespace: int) -> None:
    """Let the files of a tree belong to whom a user namespace maps their owners to."""
    _set_attributes(tree, "", _AT_EMPTY_PATH | _AT_RECURSIVE, _MOUNT_ATTR_IDMAP, user_namespace)


def move_mount(tree: int, target: str) -> None:
    """Mount a tree. Equivalent to: ``mount --move``."""
    flags = ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH)
    _check(_libc.syscall(_SYS_move_mount, tree, b"", _AT_FDCWD, os.fsencode(target), flags), target)


def _set_attributes(folder: int, path: str, flags: int, attributes: int, namespace: int) -> None:
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, namespace)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    where = (ctypes.c_int(folder), os.fsencode(path), ctypes.c_uint(flags))
    _check(_libc.syscall(ctypes.c_long(_SYS_mount_setattr), *where, wanted, size), path)


def show_own_process() -> None:
    """Let this process read its own /proc again, after it has changed its user."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(1), 0, 0, 0))


def keep_capabilities(kept: int) -> None:
    """Give up all capabilities but those of a mask, for good: no program gives them back.

    Equivalent to: ``setpriv --bounding-set=-all --inh-caps=-all``.
    """
    for number in range(_LAST_CAPABILITY + 1):
        if not kept & 1 << number:
            _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0)
    head = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _check(_libc.capset(head, sets))


def die_with_parent(signal: int) -> None:
    """Ask the kernel for ``signal`` when the parent dies. Equivalent to: PR_SET_PDEATHSIG."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal), 0, 0, 0))


def signalfd(numbers: Iterable[int]) -> int:
    """Return a descriptor that tells which of these blocked signals came, and from whom."""
    mask = ctypes.create_string_buffer(_SIGSET_SIZE)
    _libc.sigemptyset(mask)
    for number in numbers:
        _libc.sigaddset(mask, ctypes.c_int(number))
    fd = int(_libc.signalfd(ctypes.c_int(-1), mask, ctypes.c_int(os.O_CLOEXEC)))
    _check(min(fd, 0))
    return fd


def pidfd_getfd(process: int, fd: int) -> int:
    """Return a copy of another process's descriptor; ``process`` is one of itself."""
    copy = int(_libc.syscall(_SYS_pidfd_getfd, process, ctypes.c_int(fd), ctypes.c_uint(0)))
    _check(min(copy, 0))
    return copy


def bind(fd: int, address: bytes) -> None:
    """Bind a socket to an address as the kernel has it, where Python knows only its name."""
    _check(_libc.bind(ctypes.c_int(fd), address, ctypes.c_uint(len(address))))


def perf_event_open(attributes: bytes, cpu: int) -> int:
    """Return a descriptor of an event of the kernel's, whoever causes it, on one processor."""
    number = _SYS_PERF_EVENT_OPEN.get(os.uname().machine)
    if number is None:
        raise OSError(ENOSYS, os.strerror(ENOSYS))
    arguments = (attributes, -1, cpu, -1, ctypes.c_ulong(_PERF_FLAG_FD_CLOEXEC))
    fd = int(_libc.syscall(ctypes.c_long(number), *arguments))
    _check(min(fd, 0))
    return fd


def install_seccomp(program: bytes) -> None:
    """Put a classic BPF program before every system call from now on, for good.

    ``program`` is a sequence of 8-byte ``struct sock_filter``. Needs CAP_SYS_ADMIN in the user
    namespace, and asks for no more: no_new_privs would break setuid programs.
    """

    class Fprog(ctypes.Structure):
        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    code = ctypes.create_string_buffer(program, len(program))
    fprog = Fprog(len(program) // 8, ctypes.cast(code, ctypes.c_void_p))
    _check(
        _libc.prctl(
            _PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(fprog), 0, 0
        )
    )


def _check(result: int, operand: str | None = None) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), operand)
