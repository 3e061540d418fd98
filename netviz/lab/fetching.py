"""Fetch components: download, unpack, keep. Nothing is installed, started, or run.

What does not fit, or has not what it should, is not kept, and what was kept before stays.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from netviz.errors import ComponentError
from netviz.lab import packages, trees
from netviz.lab.components import (
    PROGRAMS,
    Component,
    Standing,
    lacking,
    standing,
    version_in,
    version_of,
    with_needs,
)
from netviz.lab.trees import place


def fetch(*names: str, heard: Callable[[str, str], object] = lambda *_: None) -> list[Standing]:
    """Fetch components and what they need, where the machine has none that fits; return all.

    ``heard`` is told, with the component's name, what is being done. Raises ``ComponentError``
    where there is no apt, no network, no room, or nothing that fits; what was there stays.
    """
    found = []
    for component in with_needs(names):
        now = standing(component)
        if component.foreign:
            raise ComponentError(f"cannot fetch '{component.name}': {component.foreign}")
        if not now.origin:
            _fetch(component, partial(heard, component.name))
            now = standing(component)
        found.append(now)
    return found


def _fetch(component: Component, heard: packages.Heard) -> None:
    with packages.archive([component.name], component.remedy, heard) as archive:
        if standing(component).origin:  # Another has fetched it meanwhile.
            return
        asked = archive.known(component.packages)
        needed = archive.needed(asked)
        version = "".join(version_in(each.version) for each in needed if each.name == asked[0])
        if not component.fits(version):
            raise _unfit(component, f"{version}, and {component.oldest} is the oldest that fits")
        archive.announce(needed)
        new = archive.unpacked(asked, needed)
        if lacks := lacking(component, new):
            raise _unfit(component, f"{version}, without '{lacks[0]}'")
        _come_first(component, new)
        if not component.laid:  # Only what is used as it lies can be asked here.
            version = version_of(component, new) or version
        told = "" if component.name == PROGRAMS else version
        trees.note(new, told, component.programs, laid=component.laid)
        archive.place(new, trees.cache() / trees.named(component.name))


def _come_first(component: Component, tree: Path) -> None:
    """Let a tree's programs be found, and not those of /usr/local that did not do."""
    for program in component.programs:
        old, new = place(program), place(program, tree)
        covers = tree / (old or "/").lstrip("/")
        if old and new and old.startswith("/usr/") and not covers.exists():
            covers.parent.mkdir(parents=True, exist_ok=True)
            covers.symlink_to(os.path.relpath(new, covers.parent))


def _unfit(component: Component, why: str) -> ComponentError:
    return ComponentError(
        f"cannot fetch '{component.name}': this system's archive has {why}",
        remedy="use a newer release of the system; what is in PATH is used where it fits",
    )
