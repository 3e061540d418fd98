"""Find the programs at the other ends of tun and tap devices.

Such a device has two halves: an interface, and what a program reads and writes, a descriptor of
/dev/net/tun. For each descriptor the kernel tells in /proc/PID/fdinfo which device it belongs to,
but only by its name. In which namespace that device lies, which may have moved away from the one
that opened it, tells the descriptor itself: to ask, a copy is borrowed.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from netviz.lab.syscalls import pidfd_getfd
from netviz.model import Program
from netviz.net.namespaces import files

_FILE = "/net/tun"
_TUNGETDEVNETNS = 0x54E3
_ATTACHED = re.compile(rb"^iff:\t(.+)$", re.MULTILINE)
_DESCRIPTOR = re.compile(r"/proc/(\d+)/fd/(\d+)")


def programs() -> dict[tuple[int, str], tuple[Program, ...]]:
    """Return who has which tun or tap open, by the namespace's id and the device's name.

    Equivalent to: ``lsof /dev/net/tun; grep iff: /proc/*/fdinfo/*``. An ordinary user sees her own
    programs only. Threads and children that share a descriptor are as many programs.
    """
    found: dict[tuple[int, str], dict[int, Program]] = {}
    for path in _descriptors():
        pid, fd = map(int, _DESCRIPTOR.fullmatch(path).groups())  # type: ignore[union-attr]
        with suppress(OSError):  # It was closed meanwhile, or is none of ours.
            told = _ATTACHED.search(Path(f"/proc/{pid}/fdinfo/{fd}").read_bytes())
            if told:
                name = os.fsdecode(Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n"))
                place = _namespace(pid, fd), os.fsdecode(told[1])
                found.setdefault(place, {})[pid] = Program(name, pid)
    return {place: tuple(known[pid] for pid in sorted(known)) for place, known in found.items()}


def _descriptors() -> Iterator[str]:
    for entry in os.scandir("/proc"):
        for path in files(f"{entry.path}/fd") if entry.name.isdecimal() else ():
            with suppress(OSError):
                if os.readlink(path).endswith(_FILE):  # noqa: PTH115 (there are thousands)
                    yield path


def _namespace(pid: int, fd: int) -> int:
    """Return the id of the namespace in which a descriptor's device lies.

    Where it may not be borrowed, that is taken to be the one of the program.
    """
    opened: list[int] = []
    try:
        opened.append(os.pidfd_open(pid))
        opened.append(pidfd_getfd(opened[0], fd))
        opened.append(fcntl.ioctl(opened[1], _TUNGETDEVNETNS))
        return os.fstat(opened[2]).st_ino
    except OSError:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    finally:
        for each in opened:
            os.close(each)
