"""Trees of fetched programs: where they are kept, and which of them a lab lays over its /usr.

Beside the ``usr`` of a tree lies a note: its version and size, the programs that show that it is
there, and what of them the machine had when it was fetched, which did not fit.

Only what is small is imported: every lab asks this when it starts.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from netviz.lab.identity import is_root_of_machine

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOTE = "component.json"
_PARTS = {"version", "size", "programs", "instead"}
_WRITABLE_BY_OTHERS = 0o022

Note = dict[str, Any]
"""``{"version": "20.10.24", "size": bytes, "programs": […], "instead": {path: mtime}}``"""


def trees() -> tuple[Path, ...]:
    """Return the fetched trees of what the machine lacks; a small file is read for each."""
    first = (each[0] for each in fetched().values())
    return tuple(tree for tree, note in first if note.get("laid", True) and not _is_needless(note))


def fetched() -> dict[str, list[tuple[Path, Note]]]:
    """Return each component's trees and notes: the user's own before what root has fetched."""
    found: dict[str, list[tuple[Path, Note]]] = {}
    ending = named("")
    for kept in (own_cache(), shared()):
        with suppress(OSError):  # There is none, or it is closed to this user.
            own = kept != shared() and kept.stat().st_uid == os.geteuid()
            if not (own or _is_roots(kept)):  # With sudo, "own" may be another user's.
                continue
            for tree in sorted(each for each in kept.iterdir() if each.name.endswith(ending)):
                with suppress(OSError, ValueError):
                    told = json.loads((tree / _NOTE).read_text())
                    if isinstance(told, dict) and told.keys() >= _PARTS:
                        found.setdefault(tree.name.removesuffix(ending), []).append((tree, told))
    return found


def note(tree: Path, version: str, programs: Iterable[str], **more: object) -> None:
    """Write the note of a tree that was just unpacked; ``laid=False`` keeps it out of labs."""
    size = sum(path.lstat().st_size for path in tree.rglob("*"))
    shown = list(programs)
    told = {"version": version, "size": size, "programs": shown, "instead": _seen(shown)} | more
    (tree / _NOTE).write_text(json.dumps(told))


def cache() -> Path:
    """Return where is kept what this user fetches."""
    everybodys = is_root_of_machine() and not os.environ.get("XDG_CACHE_HOME")
    return shared() if everybodys else own_cache()


def shared() -> Path:
    """Return where root keeps what is fetched: one fetch serves all users of a machine."""
    return Path(os.environ.get("NETVIZ_SHARED") or "/var/cache/netviz")


def own_cache() -> Path:
    """Return the user's own folder for that."""
    # Path's own expanduser fails where nobody knows a home.
    usual = os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(os.environ.get("XDG_CACHE_HOME") or usual, "netviz")


def named(component: str) -> str:
    """Return what a component's tree for this release of the system is called."""
    return f"{component}-{_system():08x}"


def place(program: str, tree: Path | None = None) -> str | None:
    """Return where a program is, on this machine or in a tree; ``None`` where it is not.

    A path is looked for as it is. Equivalent to: ``command -v PROGRAM``.
    """
    if program.startswith("/"):
        there = f"{tree or ''}{program}"
        return there if os.access(there, os.X_OK) else None
    return shutil.which(program, path=f"{tree}/usr/sbin:{tree}/usr/bin" if tree else path())


def path() -> str:
    """Return where programs are looked for; an ordinary user's PATH lacks sbin."""
    return f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"


def _is_needless(note: Note) -> bool:
    """Tell whether the machine has all of it, and not just what did not fit."""
    seen = _seen(note["programs"])
    return len(seen) == len(note["programs"]) and seen != note["instead"]


def _seen(programs: Iterable[str]) -> dict[str, int]:
    """Return the programs that this machine has, and when each was changed."""
    return {each: Path(each).stat().st_mtime_ns for each in map(place, programs) if each}


def _is_roots(folder: Path) -> bool:
    """Tell whether nobody but root can have put something there; root has many numbers in a lab."""
    there = folder.stat()
    return there.st_uid == Path("/").stat().st_uid and not there.st_mode & _WRITABLE_BY_OTHERS


def _system() -> int:
    """Return a number for this release of the system, and its architecture."""
    made_for = [os.uname().machine]
    with suppress(FileNotFoundError):
        lines = Path("/etc/os-release").read_text().splitlines()
        made_for += [line for line in lines if line.startswith(("ID=", "VERSION_ID="))]
    return zlib.crc32(" ".join(made_for).encode())
