"""The names of namespaces: files in /run/netns on which they are mounted."""

from __future__ import annotations

import os
from pathlib import Path

from netviz.lab.syscalls import (
    CLONE_NEWNET,
    MS_BIND,
    MS_REC,
    MS_SHARED,
    mount,
    setns,
    umount,
    unshare,
)
from netviz.net import links
from netviz.net.netlink import (
    NLM_F_CREATE,
    RTM_DELLINK,
    RTM_NEWLINK,
    RTNLGRP_LINK,
    Socket,
)

FOLDER = "/run/netns"
_PATIENCE = 10.0


def ready() -> None:
    """Make the folder what ``ip netns add`` would make it, if it is not: a shared mount.

    Else the next ``ip netns add`` mounts it over itself, and all that is in it twice: then no name
    could be taken away any more. Raises ``OSError`` where the kernel refuses.
    """
    Path(FOLDER).mkdir(parents=True, exist_ok=True)
    try:
        mount("", FOLDER, flags=MS_SHARED | MS_REC)
    except OSError:
        mount(FOLDER, FOLDER, flags=MS_BIND | MS_REC)
        mount("", FOLDER, flags=MS_SHARED | MS_REC)


def add(name: str) -> None:
    """Make a namespace, and move the calling thread into it. Equivalent to: ``ip netns add NAME``.

    The folder must be `ready`.

    The thread must be one that `netviz.net.worker.aside` began. Raises ``OSError`` where the kernel
    refuses, ``FileExistsError`` where the name is taken; then nothing is left of it.
    """
    path = f"{FOLDER}/{name}"
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        unshare(CLONE_NEWNET)
        mount("/proc/thread-self/ns/net", path, flags=MS_BIND)
    except OSError:
        os.unlink(path)  # noqa: PTH108 (a thousand of them are made in a second)
        raise


def delete(name: str) -> None:
    """Take the name away; the namespace ends when nothing else holds it.

    Equivalent to: ``ip netns delete NAME``. Raises ``OSError`` where there is none.
    """
    path = f"{FOLDER}/{name}"
    umount(path)
    os.unlink(path)  # noqa: PTH108 (the same)


def forgotten(*, looked_into: bool = False) -> None:
    """Return when the kernel has forgotten all namespaces that ended before, cables and all.

    Say if one was ``looked_into`` just now: a socket lets go of its namespace a moment after it was
    closed.

    It clears them away in the order in which they ended, later, and tells nobody. But when a cable
    goes because its far end's namespace is cleared away, that is told. So the calling thread, which
    `netviz.net.worker.aside` began, lets go of one more, made for that; it is left elsewhere.
    """
    unshare(CLONE_NEWNET)
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    with Socket() as socket:
        unshare(CLONE_NEWNET)
        there = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        last = Socket() if looked_into else None
        setns(here, CLONE_NEWNET)
        os.close(here)
        peer = links.setting(0, {"name": "far", "netns": there})
        near = links.setting(0, {"name": "near"}) + links.described("veth", peer=peer)
        socket.change(RTM_NEWLINK, near, NLM_F_CREATE)
        socket.follow(RTNLGRP_LINK)
        os.close(there)
        if last:
            last.close()
        socket.heard(RTM_DELLINK, _PATIENCE)
