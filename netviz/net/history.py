"""Where a lab has been, and the way back: so far to its beginning."""

from __future__ import annotations

import os
import shutil
import socket as sockets
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from netviz.errors import NetvizError, SandboxError
from netviz.lab import processes
from netviz.lab.filesystem import PRIVATE
from netviz.lab.sandbox import HOSTNAME, inside, root_namespace
from netviz.lab.syscalls import CLONE_NEWNET, setns, umount
from netviz.net import iptables, namespaces, nftables
from netviz.net.beginning import Beginning, Standing
from netviz.net.links import links
from netviz.net.netlink import RTM_DELLINK, RTM_SETLINK, Socket, attribute

_IFLA_GROUP = 27
_DOOMED = attribute(_IFLA_GROUP, b"\xffnv\0")  # No other group is so called.
_LASTING = ("loopback", "device")

_link_header = struct.Struct("BxHiII")


def reset() -> None:
    """Empty the lab: afterwards it is as it was when it began.

    Equivalent to: ``kill`` of each background process; ``ip -all netns delete``; ``ip link delete``
    of each link; ``ip address flush``, ``ip rule flush``, ``ip route flush table all``, ``ip
    neighbour flush``; ``tc qdisc delete``; ``nft flush ruleset``; ``sysctl -w`` of each switch that
    was moved; ``hostname lab``.

    The notebook's kernel lives on, with its variables and open sockets: what listens in the root
    goes on listening, and a namespace that only a socket holds has lost its name and its cables.

    Raises ``SandboxError`` outside a lab, before anything is touched; ``NetvizError`` naming what
    stands nonetheless.
    """
    if not inside():
        raise SandboxError(
            "cannot reset: this is the machine itself, not a lab",
            remedy="work in one: netviz lab for a notebook, netviz run -- COMMAND for a program",
        )
    standing = [
        Standing(f"process {each.pid} ({each.name})", "it would not end", f"kill -9 {each.pid}")
        for each in processes.end_others()
    ]
    standing += namespaces.aside(lambda: list(_begin_again()))
    if standing:
        first = standing[0]
        raise NetvizError(
            f"the lab is not empty: {', '.join(each.what for each in standing)}: {first.reason}",
            command=first.command,
            remedy="restart the kernel: a new lab is empty",
        )


def _begin_again() -> Iterator[Standing]:
    """Empty the lab's network from a thread that may step into its namespaces."""
    if sockets.gethostname() != HOSTNAME:
        sockets.sethostname(HOSTNAME)
    root = os.open(root_namespace(), os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(root, CLONE_NEWNET)
        with Socket() as socket:
            _delete_links(socket)
            yield from _forget_namespaces()
            namespaces.enter_new()
            began = Beginning()
            setns(root, CLONE_NEWNET)
            yield from _clear_filters()
            yield from began.put_back(socket)
    finally:
        os.close(root)


def _forget_namespaces() -> Iterator[Standing]:
    """Delete every namespace that a file holds, and first its links.

    A socket may hold it on; then both ends of its cables would stay.
    """
    named = namespaces.files(namespaces.NAMED)
    mounts = [path for _, path in namespaces.mounts()]
    elsewhere = [path for path in mounts if not Path(path).is_relative_to(PRIVATE)]
    for path in dict.fromkeys((*named, *elsewhere)):
        with suppress(OSError):  # It is no namespace of networks, or another tmpfs hides it.
            _empty(path)
    for path in (*elsewhere, *named):
        try:
            _remove(Path(path))
        except OSError as error:
            command = f"umount '{path}'; rm -r '{path}'"
            yield Standing(f"'{path}'", str(error.strerror), command)


def _empty(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        setns(fd, CLONE_NEWNET)
        with Socket() as socket:
            _delete_links(socket)
    finally:
        os.close(fd)


def _remove(path: Path) -> None:
    """Unmount and delete a file; outside of the lab's own /run it is the user's, and stays."""
    if not path.is_symlink():
        with suppress(OSError):
            while True:  # One may be mounted over another.
                umount(str(path))
    if path.is_relative_to("/run"):
        if not path.is_symlink() and path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def _delete_links(socket: Socket) -> None:
    """Delete every link that can be. Equivalent to: ``ip link delete group N``.

    The kernel lets a link go only when nobody can be looking at it any more, and waits for that
    once a request: so they are put into one group and deleted together.
    """
    doomed = [link for link in links(socket) if link.fields["kind"] not in _LASTING]
    for link in doomed:
        with suppress(OSError):  # Its other end went meanwhile, and took it along.
            socket.change(RTM_SETLINK, _about(link.index) + _DOOMED)
    try:
        if doomed:
            socket.change(RTM_DELLINK, _about() + _DOOMED)
    except OSError:
        # One that refuses keeps the whole group.
        for link in doomed:
            with suppress(OSError):
                socket.change(RTM_DELLINK, _about(link.index))


def _about(index: int = 0) -> bytes:
    return _link_header.pack(0, 0, index, 0, 0)


def _clear_filters() -> Iterator[Standing]:
    clearing: tuple[tuple[Callable[[], None], str], ...] = (
        (nftables.flush, "nft flush ruleset"),
        (iptables.flush, "iptables-legacy --flush"),
    )
    for flush, command in clearing:
        try:
            flush()
        except OSError as error:
            yield Standing("a packet filter", str(error.strerror), command)
