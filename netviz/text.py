"""Names from the kernel: as text that misleads nobody, and in an order that people expect. Pure."""

from __future__ import annotations

import re
import unicodedata


def printable(name: str) -> str:
    r"""Return ``name`` with every character that could mislead a reader written as an escape.

    A file in /run/netns may be named with newlines, terminal controls or right-to-left marks, and
    an interface with any byte but ``/``, ``:`` and white space. ESC becomes ``\x1b``, so no name
    colours or clears a terminal; a byte that is no UTF-8, ``\udcff``; a newline, ``\n``. What is
    visible stays as it is: to escape quotes or markup is the business of who writes a format.
    """
    return "".join(
        char
        if unicodedata.category(char)[0] not in "CZ" or char == " "
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in name
    )


def in_order(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts net2 before net10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
