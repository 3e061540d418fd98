"""A learner's results, in one file beside her notebooks; nobody else is told of them.

Several lessons may be open, so whoever changes the file does it alone, and puts a whole new one in
its place. One that is not ours, or no longer whole, is kept under another name.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from netviz.errors import NetvizError
from netviz.lab.lessons import free_name
from netviz.records import read

Tasks = dict[str, dict[str, Any]]
"""``{task: {"attempts": 2, "right": 1, "solved": "2026-05-01T10:00:00+02:00"}}``, or None."""
Results = dict[str, dict[str, Tasks]]
"""By the lesson, and in it by the kind of task."""

FILE = "progress.json"
_OURS = {"netviz": "progress", "version": 1}
_MOST = 1 << 20  # Bytes.


def kept(folder: Path) -> Results:
    """Return the results that a folder has; none where there is no file.

    Raises ``NetvizError`` where there is one that cannot be understood.
    """
    file = folder / FILE
    if not os.path.lexists(file):
        return {}
    if not file.is_file() or file.stat().st_size > _MOST:
        raise NetvizError(f"'{file}' is no file, or a huge one")
    told = read(file, remedy="begin a new one")
    if not _is_ours(told):
        raise NetvizError(f"'{file}' holds no results that this netviz knows")
    lessons: Results = told["lessons"]
    return lessons


def change(folder: Path, act: Callable[[Results], object]) -> str | None:
    """Let ``act`` change the results of a folder, which are kept at once.

    Return, if there was a file that cannot be understood, why, and where it is now. Raises
    ``OSError`` where nothing can be kept.
    """
    file, said = folder / FILE, None
    half = file.with_name(f".{FILE}.{os.getpid()}")
    with _alone(folder):
        try:
            found = kept(folder)
        except NetvizError as error:
            aside = free_name(file, "broken")
            file.rename(aside)
            said = f"{error.what}. It is now called '{aside.name}', and a new one begins."
            found = {}
        act(found)
        try:
            half.write_text(json.dumps(_OURS | {"lessons": found}, indent=1), encoding="utf-8")
            half.replace(file)
        finally:
            half.unlink(missing_ok=True)
    return said


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other lesson change the file meanwhile. Equivalent to: ``flock FOLDER``."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _is_ours(told: Any) -> bool:
    with suppress(AttributeError, KeyError, TypeError):
        lessons = told["lessons"].values()
        tasks = [it for lesson in lessons for kind in lesson.values() for it in kind.values()]
        counted = all(type(it["attempts"]) is type(it["right"]) is int for it in tasks)
        dated = all(isinstance(it["solved"], str | None) for it in tasks)
        return _OURS.items() <= told.items() and counted and dated
    return False
