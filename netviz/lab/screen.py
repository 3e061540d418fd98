"""The terminal, or the pipes, between which a program on a kernel of its own is put.

A descriptor cannot be handed to another kernel. So what comes to ours is carried there, and back:
a terminal's keys go to a terminal over there, whose lines, echo and Ctrl-C are made there; hence
ours is made raw meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import tty
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

TERMINAL = 3
"""The stream of the terminal; those of the three standard streams have their own numbers."""
_SIZE = struct.Struct("HHHH")


class Screen:
    """Our three standard streams; ``terminal`` tells which of them are the terminal that we own."""

    def __init__(self) -> None:
        self.terminal = [_is_ours(fd) for fd in range(3)]
        self._mode: list[Any] | None = None

    def __enter__(self) -> Self:
        """Make the terminal raw, if keys come from it."""
        if self.terminal[0]:
            with suppress(termios.error):
                self._mode = termios.tcgetattr(0)
                tty.setraw(0)
        return self

    def __exit__(self, *_: object) -> None:
        """Make it as it was."""
        if self._mode:
            with suppress(termios.error):
                termios.tcsetattr(0, termios.TCSADRAIN, self._mode)

    def streams(self) -> Iterator[tuple[int, int | None, int | None]]:
        """Yield the number, the source and the sink of each stream that is to be carried."""
        for fd, is_terminal in enumerate(self.terminal):
            if not is_terminal:
                copy = os.dup(fd)
                yield (fd, copy, None) if fd == 0 else (fd, None, copy)
        if any(self.terminal):
            screen = os.dup(self.terminal.index(True))
            yield TERMINAL, os.dup(0) if self.terminal[0] else None, screen

    def size(self) -> list[int]:
        """Return its rows and columns, and two numbers that nobody uses."""
        with suppress(OSError, ValueError):
            fd = self.terminal.index(True)
            return list(_SIZE.unpack(fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(_SIZE.size))))
        return []


def resize(terminal: int, size: list[int]) -> None:
    """Equivalent to: ``stty rows ROWS columns COLUMNS``."""
    if size:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, _SIZE.pack(*size))


def _is_ours(fd: int) -> bool:
    """Tell whether this is a terminal in whose foreground we are."""
    with suppress(OSError):
        return os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()
    return False
