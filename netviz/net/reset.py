"""The way back to where a lab began."""

from __future__ import annotations

import os
import shutil
import socket as sockets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from netviz.errors import NetvizError
from netviz.lab import processes
from netviz.lab.filesystem import PRIVATE
from netviz.lab.sandbox import HOSTNAME, must_be_inside, root_namespace
from netviz.lab.syscalls import CLONE_NEWNET, setns, umount
from netviz.net import cni, iptables, links, names, namespaces, nftables
from netviz.net.beginning import Beginning, Standing
from netviz.net.netlink import Socket
from netviz.net.worker import aside, enter_new

_LASTING = ("loopback", "device")


def reset() -> None:
    """Empty the lab: afterwards it is as it was when it began.

    Equivalent to: ``kill`` of each background process; ``ip -all netns delete``; ``ip link delete``
    of each link; ``ip address flush``, ``ip rule flush``, ``ip route flush table all``, ``ip
    neighbour flush``; ``tc qdisc delete``; ``nft flush ruleset``; ``sysctl -w`` of each switch that
    was moved; ``hostname lab``; ``rm -r /run/cni``.

    The notebook's kernel lives on, with its variables and open sockets: what listens in the root
    goes on listening, and a namespace that only a socket holds has lost its name and its cables.

    Raises ``SandboxError`` outside a lab, before anything is touched; ``NetvizError`` naming what
    stands nonetheless.
    """
    must_be_inside("reset")
    standing = [
        Standing(f"process {each.pid} ({each.name})", "it would not end", f"kill -9 {each.pid}")
        for each in processes.end_others()
    ]
    standing += aside(lambda: list(_begin_again()))
    shutil.rmtree(cni.MEMORY, ignore_errors=True)
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
            enter_new()
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
    named = namespaces.files(names.FOLDER)
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
    """Delete every link that can be; what refuses is told of in the end."""
    doomed = [link.index for link in links.links(socket) if link.fields["kind"] not in _LASTING]
    links.delete(socket, doomed)


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
