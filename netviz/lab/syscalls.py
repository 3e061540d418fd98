"""The system calls that Python 3.11 has no name for, and nothing else.

The only importer of ctypes. Each function raises ``OSError`` as the functions of ``os`` do.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

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

MNT_DETACH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_SIGSET_SIZE = 128

_MOUNT_ATTR_RDONLY = 0x1
_SYS_mount_setattr = 442
_AT_FDCWD = -100
_AT_NO_AUTOMOUNT = 0x800

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
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    _check(
        _libc.syscall(
            ctypes.c_long(_SYS_mount_setattr),
            ctypes.c_int(_AT_FDCWD),
            os.fsencode(target),
            ctypes.c_uint(_AT_NO_AUTOMOUNT),
            attributes,
            ctypes.c_size_t(ctypes.sizeof(attributes)),
        ),
        target,
    )


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
