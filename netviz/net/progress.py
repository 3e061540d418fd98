"""A bar for what takes longer than a second, in a notebook and in a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_PATIENCE = 1.0


class Progress:
    """How far many steps are: shown after a second, and gone when they are done.

    Where nobody looks, in a pipe or a script, nothing is shown.
    """

    def __init__(self, total: int, *, patience: float = _PATIENCE) -> None:
        self._total = total
        self._patience = patience
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
            if time.monotonic() - self._began < self._patience:
                return
            self._bar = _bar()
            self._bar.add_task("steps", total=self._total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, refresh=True)


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    # rich knows a notebook by the name of IPython's own shell, and a lab's kernel has another.
    notebook = "ipykernel" in sys.modules
    console = Console(stderr=not notebook, force_jupyter=notebook or None)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    looked_at = console.is_terminal or console.is_jupyter
    look: Any = {"console": console, "transient": True, "auto_refresh": False}
    return Progress(*columns, disable=not looked_at, **look)
