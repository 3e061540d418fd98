"""A bar for what takes longer than a second, in a notebook and in a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_PATIENCE = 1.0


class Progress:
    """How far many steps are: shown after a second, and gone when they are done.

    Where nobody looks, in a pipe or a script, nothing is shown.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._began = time.monotonic()
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, done: int) -> None:
        """Move the bar to ``done``."""
        if self._bar is None:
            if time.monotonic() - self._began < _PATIENCE:
                return
            self._bar = _bar()
            self._bar.add_task("steps", total=self._total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done)


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
