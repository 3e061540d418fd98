"""What a lab's notebook knows beyond IPython: ``%%netns NAME``.

The cell's own thread steps into the namespace and, when the cell ends, back out; so everything the
cell does there happens inside: ``!ip address``, a socket of Python's, a server thread it starts.

The line ``%%netns net1`` becomes a first line that steps in, and the lines below it stay an
ordinary cell: its last value is shown, ``await`` works, and an error names the right line.
"""

# IPython's own methods have no annotations.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

from IPython.core.inputtransformer2 import cell_magic as other_cell_magic
from IPython.core.magic import Magics, line_cell_magic, magics_class

from netviz.errors import DiscoveryError
from netviz.lab.syscalls import CLONE_NEWNET, setns

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

NAMED = Path("/run/netns")

_CELL, _LINE = "%%netns", "%netns"


@magics_class
class LabMagics(Magics):
    """The magics of a lab."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        # A cell may run in a thread of its own, a subshell: each knows its own way back.
        self._way_back = threading.local()

    @line_cell_magic
    def netns(self, line: str, cell: str | None = None) -> None:
        """Run the rest of the cell in a network namespace: ``%%netns net1``.

        Equivalent to: ``ip netns exec net1 …`` before each of its commands.
        """
        self._step_in(line.strip())
        if cell is not None:
            cast("InteractiveShell", self.shell).run_cell(cell)

    def _step_in(self, name: str) -> None:
        if not hasattr(self._way_back, "fd"):
            path = "/proc/thread-self/ns/net"
            self._way_back.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        there = _open(name)
        try:
            self._move(there)
        finally:
            os.close(there)

    def step_out(self) -> None:
        """Return to the namespace in which the cell began."""
        if hasattr(self._way_back, "fd"):
            self._move(self._way_back.fd)
            os.close(self._way_back.fd)
            del self._way_back.fd

    def _move(self, namespace: int) -> None:
        setns(namespace, CLONE_NEWNET)
        # %%bash starts its programs from a thread that IPython keeps: it comes along. Left inside,
        # it would take the cells that follow there, and keep a deleted namespace alive.
        scripts = cast("InteractiveShell", self.shell).magics_manager.registry.get("ScriptMagics")
        if loop := getattr(scripts, "event_loop", None):
            asyncio.run_coroutine_threadsafe(_follow(namespace), loop).result()


async def _follow(namespace: int) -> None:
    setns(namespace, CLONE_NEWNET)


def _open(name: str) -> int:
    known = sorted(path.name for path in NAMED.iterdir())
    if name in known:
        return os.open(NAMED / name, os.O_RDONLY | os.O_CLOEXEC)
    if not name:
        raise DiscoveryError("no namespace is named", remedy=f"write one: {_CELL} net1")
    raise DiscoveryError(
        f"cannot find namespace {name!r}; there are: {', '.join(known) or 'none'}",
        command=f"ip netns exec {name} …",
        remedy=f"create it first: ip netns add {name}",
    )


def step_in_first(lines: list[str]) -> list[str]:
    """Make ``%%netns net1`` a line magic, and below it a cell as any: even one of ``%%bash``."""
    if not lines or lines[0].split(maxsplit=1)[:1] != [_CELL]:
        return lines
    step_in = lines[0].replace(_CELL, _LINE, 1)
    return [step_in, *other_cell_magic(lines[1:])]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Teach a shell the lab's magics: ``%load_ext netviz.lab.magics``."""
    magics = LabMagics(shell)
    shell.register_magics(magics)
    shell.input_transformer_manager.line_transforms.insert(0, step_in_first)
    shell.events.register("post_execute", magics.step_out)
