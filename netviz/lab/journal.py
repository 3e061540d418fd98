"""What is typed in a lab, as it happens: cells, ``!commands``, and commands in a terminal.

A notebook's shell owns the `Journal`, and tells it what begins and what ends; the journal tells
those who listen. Shells that were entered from a terminal are other processes: each appends what
it ran to one file, which `Typed` follows.
"""

from __future__ import annotations

import ast
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Protocol, cast

from netviz.lab.filesystem import PRIVATE

TYPED = PRIVATE / "typed"
"""``BEGAN<TAB>ENDED<TAB>COMMAND<NUL>`` for each command of a terminal, in seconds since 1970."""

_SHELL_COMMAND = "get_ipython().system"


@dataclass(frozen=True, slots=True)
class Command:
    """What was typed; ``began`` and ``ended`` are seconds since 1970, None while it runs.

    ``kind`` is ``cell``, ``!``, ``terminal``, or the magic that has the whole cell: ``%%bash``.
    """

    text: str
    kind: str
    began: float
    ended: float | None = None


class Listener(Protocol):
    """Whoever wants to know; what it does takes part of the command's time."""

    def begins(self, command: Command) -> None:
        """Hear of a command before it runs."""

    def ends(self, command: Command) -> None:
        """Hear of it again: the same, with the time when it ended."""


class Journal:
    """What is typed in a notebook.

    ``transform`` makes Python of a cell. A cell that is ``!commands`` and nothing else is told as
    those, and not once more. One that runs inside another, as under ``%%capture``, is not told.
    """

    def __init__(self, transform: Callable[[str], str]) -> None:
        self._transform = transform
        self._listeners: list[Listener] = []
        self._running: list[Command] = []
        self._here = threading.local()  # A subshell runs its cells in a thread of its own.

    def listen(self, listener: Listener) -> None:
        """Tell a listener from now on, and first of what is running."""
        for command in tuple(self._running):
            listener.begins(command)
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """Tell it no more."""
        with suppress(ValueError):
            self._listeners.remove(listener)

    @contextmanager
    def told(self, text: str, kind: str) -> Iterator[None]:
        """Tell of a command that the block is, however it ends."""
        command = Command(text, kind, time.time())
        try:
            self._begin(command)
            yield
        finally:
            self._end(command)

    def cell_begins(self, info: Any) -> None:
        """Tell of a cell. Called by IPython, as is `cell_ends`."""
        cells = self._cells()
        text = info.raw_cell.strip()
        told = not cells and not self._has_commands_only(info.raw_cell)
        kind = text.split(maxsplit=1)[0] if text.startswith("%%") else "cell"
        command = Command(text, kind, time.time()) if told else None
        cells.append((info, command))
        if command:
            self._begin(command)

    def cell_ends(self, result: Any) -> None:
        """Tell of its end. An empty one has no beginning, an interrupted one may have no result."""
        cells = self._cells()
        if cells and (result is None or result.info is cells[-1][0]):
            command = cells.pop()[1]
            if command:
                self._end(command)

    def _cells(self) -> list[tuple[Any, Command | None]]:
        if not hasattr(self._here, "cells"):
            self._here.cells = []
        return cast("list[tuple[Any, Command | None]]", self._here.cells)

    def _has_commands_only(self, cell: str) -> bool:
        # What cannot be understood is a cell as any: Python will say what is wrong with it.
        with suppress(Exception):
            return all(_is_command(line) for line in ast.parse(self._transform(cell)).body)
        return False

    def _begin(self, command: Command) -> None:
        self._running.append(command)
        self._tell("begins", command)

    def _end(self, command: Command) -> None:
        self._running.remove(command)
        self._tell("ends", replace(command, ended=time.time()))

    def _tell(self, what: str, command: Command) -> None:
        for listener in tuple(self._listeners):
            # Whoever listens looks after its own errors: no cell may fail of them.
            with suppress(Exception):
                getattr(listener, what)(command)


class Typed:
    """What is typed in the lab's terminals from now on."""

    def __init__(self) -> None:
        self._read = 0
        self._rest = b""
        self.new()

    def new(self) -> list[Command]:
        """Return the commands that ended since the last time; half a record waits for its rest."""
        try:
            with TYPED.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError:
            return []
        self._read += len(data)
        *records, self._rest = (self._rest + data).split(b"\0")
        return [command for record in records if (command := _command(record))]


def journal() -> Journal | None:
    """Return the journal of the notebook that this process is the kernel of; None in a script."""
    # Asked only where it is loaded: a script need not wait for all of IPython.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "journal", None)


def _is_command(line: ast.stmt) -> bool:
    called = line.value if isinstance(line, ast.Expr) else None
    return isinstance(called, ast.Call) and ast.unparse(called.func) == _SHELL_COMMAND


def _command(record: bytes) -> Command | None:
    """Return the command of a terminal's record; None for what is none, for anybody may write."""
    with suppress(ValueError):
        began, ended, text = record.decode(errors="replace").split("\t", 2)
        times = float(began), float(ended)
        if all(map(isfinite, times)) and times[0] <= times[1]:
            return Command(text.strip(), "terminal", *times)
    return None
