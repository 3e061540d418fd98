"""The files that come with netviz: the lessons, and the list of system programs they need.

In a wheel they lie inside the package; in a checkout where a reader looks for them.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def notebooks() -> Path:
    """Return the folder of the lessons as they were published."""
    return _shipped("notebooks")


def apt_list() -> Path:
    """Return the list of Debian packages that the lessons use, one a line."""
    return _shipped("apt.txt", checkout="binder/apt.txt")


def listed(listing: Path) -> dict[str, str]:
    """Return the Debian packages of a file, one a line, each with what follows its ``#``."""
    lines = (line.partition("#") for line in listing.read_text().splitlines())
    return {name.strip(): told.strip() for name, _, told in lines if name.strip()}


def _shipped(name: str, *, checkout: str | None = None) -> Path:
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / (checkout or name)
