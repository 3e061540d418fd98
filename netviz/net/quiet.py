"""Changes of which nobody here tells: whoever is to find a fault must not read what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

tellers: set[Callable[[], AbstractContextManager[None]]] = set()
"""Of each who tells what changes in this process: what keeps it quiet for a block."""


@contextmanager
def quietly() -> Iterator[None]:
    """Keep pictures that run here quiet for a block: they show what changes, and do not tell it.

    What changed before the block is told before it begins. Where none runs, it costs nothing.
    """
    with ExitStack() as held:
        for quiet in tuple(tellers):
            held.enter_context(quiet())
        yield
