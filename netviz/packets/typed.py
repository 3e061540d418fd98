"""A command as one types it in the lab's root, wherever it is to be carried out. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netviz.model import Namespace


def typed(space: Namespace, *words: str) -> str:
    """Return a command as one types it in the root, to be carried out in a namespace."""
    if space.held_by == "root":
        inside: tuple[str, ...] = ()
    elif space.held_by == "name":
        plain, name = words[0] in ("ip", "bridge"), (*space.names, space.name)[0]
        inside = (words[0], "-n", name) if plain else ("ip", "netns", "exec", name)
        words = words[1:] if plain else words
    else:
        path = f"/proc/{space.pids[0]}/ns/net" if space.pids else space.name
        inside = ("nsenter", f"--net={path}")
    return shlex.join((*inside, *words))


def switch(dev: str, name: str) -> str:
    """Return what ``sysctl`` calls a device's switch: with slashes if its name has a dot."""
    path = f"net/ipv4/conf/{dev}/{name}"
    return path if "." in dev else path.replace("/", ".")
