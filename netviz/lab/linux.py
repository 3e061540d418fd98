"""Which Linux there is: the one this process runs on, and one of one's own to start.

User-Mode Linux is a kernel that is a program. Debian has it as a package, whose devices are
modules; or it is built here (`kernelbuild`), with everything in the one file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from netviz.errors import ComponentError
from netviz.lab import trees

OWN = "own-kernel"
"""The component: Debian's package."""
BUILT = "own-kernel-built"
"""What the tree of the built one is called."""
BINARY = "usr/bin/linux.uml"
"""Where the program is in either tree."""

_PROCESSOR = "x86_64"
_MODULES = "usr/lib/uml/modules"
_KINDS = ("", "built", "packaged")


@dataclass(frozen=True, slots=True)
class OwnKernel:
    """A kernel to start; ``modules`` has a folder for its ``version``, which ``kmod`` loads.

    ``modules`` and ``kmod`` are ``None`` for the one that was ``built``.
    """

    binary: Path
    version: str
    modules: Path | None
    kmod: Path | None
    built: bool


@cache
def here() -> bool:
    """Tell whether this process runs on User-Mode Linux."""
    with Path("/proc/cpuinfo").open() as told:
        return "User Mode Linux" in told.read(512)


def own() -> OwnKernel | None:
    """Return the best kernel of one's own: what was built, else Debian's; ``None`` without one.

    ``NETVIZ_OWN_KERNEL``, ``built`` or ``packaged``, chooses one of them. Raises
    ``ComponentError`` where what was built is damaged.
    """
    if os.uname().machine != _PROCESSOR:
        return None
    if found := built():
        tree, note = found
        if why := damage(tree, note):
            raise ComponentError(why, remedy="run: netviz components build own-kernel")
        return OwnKernel(tree / BINARY, note["version"], None, None, True)
    return next(_packaged(), None) if _asked() != "built" else None


def built() -> tuple[Path, trees.Note] | None:
    """Return the tree that was built and its note, unless Debian's was chosen."""
    return kept() if _asked() != "packaged" else None


def kept() -> tuple[Path, trees.Note] | None:
    """Return the tree that was built and its note, whatever was chosen."""
    return next(iter(trees.fetched().get(BUILT, [])), None)


def damage(tree: Path, note: trees.Note) -> str:
    """Return what is wrong with a tree that was built, or nothing."""
    try:
        same = checksum(tree / BINARY) == note.get("sha256")
    except OSError as error:
        return f"what was built, '{tree / BINARY}', cannot be read: {error.strerror}"
    return "" if same else f"what was built, '{tree / BINARY}', is not as it was built any more"


def checksum(file: Path) -> str:
    """Return a file's SHA-256 in hexadecimal digits. Equivalent to: ``sha256sum FILE``."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _asked() -> str:
    asked = os.environ.get("NETVIZ_OWN_KERNEL", "")
    if asked not in _KINDS:
        raise ComponentError(
            f"NETVIZ_OWN_KERNEL is '{asked}', which names no kernel",
            remedy="set it to built, to packaged, or not at all",
        )
    return asked


def _packaged() -> Iterator[OwnKernel]:
    for tree in (*(each for each, _ in trees.fetched().get(OWN, [])), Path("/")):
        modules, kmod = tree / _MODULES, trees.place("kmod", tree) or trees.place("kmod")
        if kmod and os.access(tree / BINARY, os.X_OK) and modules.is_dir():
            for each in sorted(modules.iterdir(), reverse=True):
                yield OwnKernel(tree / BINARY, each.name, modules, Path(kmod), False)
