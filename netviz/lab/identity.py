"""Becoming root in a user namespace of one's own.

One user is mapped: root inside is that user outside, and nobody else exists. For an ordinary user
that is the user. The machine's own root becomes a user whom nobody else is: so the kernel lets root
in a lab do no more to the machine than any ordinary user's. Root's folders are shown so that what
belongs to their owner belongs to that user inside (idmapped mounts). Only who stayed behind as
root can arrange that, so a helper is forked first.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netviz.lab.syscalls import (
    CAP_SETGID,
    CAP_SETUID,
    CAP_SYS_ADMIN,
    CLONE_NEWUSER,
    map_ids,
    open_tree,
    show_own_process,
    unshare,
)

_EVERYONE = ["0", "0", "4294967295"]
_STRANGER = 2147483000  # Beyond what is given to users, services and containers.
_PROC = Path("/proc")

Trees = dict[Path, int]
"""A folder, and a descriptor of what is to be mounted there for the user inside."""


def become_root(namespaces: int, folders: Iterable[Path] = ()) -> Trees:
    """Enter a new user namespace as its root, and with it new ``namespaces`` that it owns.

    Returns the ``folders`` that must be mounted anew to belong to this root. Equivalent to:
    ``unshare --user --map-root-user``. Raises ``OSError``; its ``filename`` tells which step was
    refused: ``unshare`` or ``uid_map``.
    """
    if is_root_of_machine():
        return _become_stranger(namespaces, list(folders))
    uid, gid = os.geteuid(), os.getegid()
    _unshare(namespaces)
    # The kernel lets an unprivileged user map a group only after giving up setgroups(2).
    _write("self/setgroups", "deny")
    _map("self", uid, gid, inside=0)
    return {}


def is_root_of_machine() -> bool:
    """Tell whether this process is root, with its capabilities, where everybody is known."""
    status = (_PROC / "self/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    needed = 1 << CAP_SETUID | 1 << CAP_SETGID | 1 << CAP_SYS_ADMIN
    everyone = (_PROC / "self/uid_map").read_text().split() == _EVERYONE
    return everyone and os.geteuid() == 0 and effective & needed == needed


def _become_stranger(namespaces: int, folders: list[Path]) -> Trees:
    # Not getpid(): in a container whose /proc is masked, ours shows the numbers of another lab.
    process = str((_PROC / "self").readlink())
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    helper = os.fork()
    if helper == 0:
        ours.close()
        _help(process, folders, theirs)
    theirs.close()
    try:
        _unshare(namespaces)
        ours.send(b"!")
        trees: Trees = {}
        while (message := socket.recv_fds(ours, 8, 1, socket.MSG_CMSG_CLOEXEC))[0] != b"done":
            data, fds = message[:2]
            if not data:
                raise PermissionError(1, "Operation not permitted", "uid_map")
            trees[folders[int(data)]] = fds[0]
    finally:
        ours.close()
        os.waitpid(helper, 0)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    show_own_process()
    return trees


def _help(process: str, folders: list[Path], caller: socket.socket) -> None:
    """Do, still as root, what the caller can no longer do; then end."""
    with suppress(OSError):
        if caller.recv(1):
            _map(process, _STRANGER, _STRANGER, inside=0)
            for number, folder in enumerate(folders):
                # A file system that cannot do it is shown as it is, as to any other user.
                with suppress(OSError):
                    socket.send_fds(caller, [str(number).encode()], [_tree(folder)])
            caller.send(b"done")
    os._exit(0)


def _tree(folder: Path) -> int:
    """Return a folder's mounts, in which its owner's files are the stranger's."""
    owner = folder.stat()
    tree = open_tree(str(folder))
    with _user_namespace(owner.st_uid, owner.st_gid) as namespace:
        map_ids(tree, namespace)
    return tree


@contextmanager
def _user_namespace(uid: int, gid: int) -> Iterator[int]:
    """Lend a user namespace that maps one user and group to the stranger."""
    told, tell = os.pipe()
    ended, end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        unshare(CLONE_NEWUSER)
        os.write(tell, b"!")
        os.read(ended, 1)
        os._exit(0)
    os.close(tell)
    os.close(ended)
    try:
        os.read(told, 1)
        _map(str(child), _STRANGER, _STRANGER, inside=(uid, gid))
        namespace = os.open(_PROC / str(child) / "ns/user", os.O_RDONLY | os.O_CLOEXEC)
        yield namespace
        os.close(namespace)
    finally:
        os.close(told)
        os.close(end)
        os.waitpid(child, 0)


def _map(process: str, uid: int, gid: int, *, inside: int | tuple[int, int]) -> None:
    """Let one user and group outside be known inside."""
    ids = (inside, inside) if isinstance(inside, int) else inside
    _write(f"{process}/uid_map", f"{ids[0]} {uid} 1")
    _write(f"{process}/gid_map", f"{ids[1]} {gid} 1")


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
