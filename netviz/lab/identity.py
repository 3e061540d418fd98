"""Becoming root in a user namespace of one's own.

An ordinary user is mapped alone: root inside is that user outside, and nobody else exists. Root
gets the identity map, so that files keep their owners; only a process that stayed behind with
root's capabilities may write it, so a helper is forked first.
"""

from __future__ import annotations

import os
from pathlib import Path

from netviz.lab.syscalls import CLONE_NEWUSER, unshare

_CAP_SETGID, _CAP_SETUID = 6, 7
_PROC = Path("/proc")


def become_root(namespaces: int) -> None:
    """Enter a new user namespace as its root, and with it new ``namespaces`` that it owns.

    Equivalent to: ``unshare --user --map-root-user``. Raises ``OSError``; its ``filename`` tells
    which step was refused: ``unshare`` or ``uid_map``.
    """
    if may_map_everyone():
        _map_everyone(namespaces)
    else:
        _map_self(namespaces)


def may_map_everyone() -> bool:
    """Tell whether this process may write an identity map: root with its capabilities."""
    status = (_PROC / "self/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    needed = 1 << _CAP_SETUID | 1 << _CAP_SETGID
    return os.geteuid() == 0 and effective & needed == needed


def alone() -> bool:
    """Tell whether this user namespace knows one user only, so that nobody else can be become."""
    maps = (_PROC / "self/uid_map").read_text().split()
    return len(maps) == 3 and maps[2] == "1"


def is_root_outside() -> bool:
    """Tell whether root in this user namespace is root in the one around it, too."""
    first, outside, _ = (_PROC / "self/uid_map").read_text().split()[:3]
    return first == outside


def _map_self(namespaces: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    _unshare(namespaces)
    # The kernel lets an unprivileged user map a group only after giving up setgroups(2).
    _write("self/setgroups", "deny")
    _write("self/uid_map", f"0 {uid} 1")
    _write("self/gid_map", f"0 {gid} 1")


def _map_everyone(namespaces: int) -> None:
    # Not getpid(): in a container whose /proc is masked, ours shows the numbers of another lab.
    process = (_PROC / "self").readlink()
    maps = {name: _identity(name) for name in ("uid_map", "gid_map")}
    go_read, go_write = os.pipe()
    helper = os.fork()
    if helper == 0:
        status = 1
        try:
            os.close(go_write)
            if os.read(go_read, 1):
                for name, ranges in maps.items():
                    _write(f"{process}/{name}", ranges)
                status = 0
        finally:
            os._exit(status)
    os.close(go_read)
    try:
        _unshare(namespaces)
        os.write(go_write, b"!")
    finally:
        os.close(go_write)
        refused = os.waitpid(helper, 0)[1] != 0
    if refused:
        raise PermissionError(1, "Operation not permitted", "uid_map")


def _identity(name: str) -> str:
    """Map every id that this namespace knows to itself."""
    lines = (_PROC / "self" / name).read_text().splitlines()
    ranges = [line.split() for line in lines]
    return "\n".join(f"{inside} {inside} {count}" for inside, _, count in ranges)


def _unshare(namespaces: int) -> None:
    try:
        unshare(CLONE_NEWUSER | namespaces)
    except OSError as error:
        error.filename = "unshare"
        raise


def _write(name: str, text: str) -> None:
    try:
        (_PROC / name).write_text(text)
    except OSError as error:
        error.filename = Path(name).name
        raise
