"""The learner's copies of the lessons, in a folder of her own.

What she wrote is never overwritten: of the notebooks only what is missing is copied, and one that
is restored leaves the old one beside it under another name. The glossary and the pictures are not
her work: they are renewed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from netviz.errors import NetvizError

_SUFFIX = ".ipynb"


def published(source: Path) -> list[Path]:
    """Return the lessons in a folder, in their order."""
    return sorted(source.glob(f"[0-9]*{_SUFFIX}"))


def question(lesson: Path) -> str:
    """Return what a lesson asks: its title."""
    return str(json.loads(lesson.read_text())["cells"][0]["source"][0]).strip("# \n")


def find(source: Path, name: str) -> Path:
    """Return the published lesson that ``name`` means: ``4``, ``04``, ``bridges``, ``04-bridges``.

    Raises ``NetvizError`` naming the lessons there are.
    """
    lessons = published(source)
    wanted = Path(name).name.removesuffix(_SUFFIX).casefold()
    for lesson in lessons:
        number, _, words = lesson.stem.casefold().partition("-")
        same_number = wanted.isdecimal() and int(wanted) == int(number)
        if same_number or wanted in (words, lesson.stem.casefold()):
            return lesson
    there_are = ", ".join(lesson.stem for lesson in lessons) or "none"
    raise NetvizError(f"cannot find lesson {name!r}", remedy=f"the lessons are: {there_are}")


def copy_missing(source: Path, folder: Path) -> list[Path]:
    """Copy what the learner's folder lacks, and return the new files.

    What is no notebook, as a picture, is also copied over one that differs. Equivalent to: ``cp
    --recursive --no-clobber SOURCE/. FOLDER``.
    """
    try:
        return [
            _copy(published, copy)
            for published, copy in _pairs(source, folder)
            if not os.path.lexists(copy)
            or (copy.suffix != _SUFFIX and copy.is_file() and not _same(published, copy))
        ]
    except OSError as error:
        raise _not_written(error, folder) from error


def restore(lesson: Path, folder: Path) -> Path | None:
    """Put a lesson back as it was published; return where the learner's own one is kept.

    Nothing is kept, and ``None`` returned, when there was none or she had not changed it.
    """
    copy = folder / lesson.name
    try:
        kept = None
        if os.path.lexists(copy) and not _same(lesson, copy):
            kept = free_name(copy, "mine")
            copy.rename(kept)
        _copy(lesson, copy)
    except OSError as error:
        raise _not_written(error, folder) from error
    return kept


def _pairs(source: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    for path in sorted(source.rglob("*")):
        place = path.relative_to(source)
        # Whoever works in the published folder itself has results of her own there.
        hidden = any(part.startswith((".", "_", "progress.")) for part in place.parts)
        if path.is_file() and not hidden:
            yield path, folder / place


def _copy(published: Path, copy: Path) -> Path:
    """Copy whole or not at all, and writable, however the package was installed."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    half = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        shutil.copyfile(published, half)
        half.replace(copy)
    finally:
        half.unlink(missing_ok=True)
    return copy


def _same(lesson: Path, copy: Path) -> bool:
    return copy.is_file() and lesson.read_bytes() == copy.read_bytes()


def free_name(file: Path, word: str) -> Path:
    """Return a name beside a file's own that nothing has: ``04-bridge.mine-1.ipynb``."""
    number = 1
    while os.path.lexists(free := file.with_name(f"{file.stem}.{word}-{number}{file.suffix}")):
        number += 1
    return free


def _not_written(error: OSError, folder: Path) -> NetvizError:
    return NetvizError(
        f"cannot write the lessons to '{folder}': {error.strerror}",
        command=f"mkdir -p '{folder}'",
        remedy="name a folder of your own with --folder",
    )
