"""What a lab's notebook knows beyond IPython: ``%%netns NAME``.

The cell's own thread steps into the namespace and back out, so everything the cell does there
happens inside: ``!ip address``, a socket of Python's, a server thread it starts.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, magics_class

from netviz.errors import DiscoveryError
from netviz.lab.syscalls import CLONE_NEWNET, setns

NAMED = Path("/run/netns")


@magics_class
class LabMagics(Magics):
    """The magics of a lab."""

    @cell_magic
    def netns(self, line: str, cell: str) -> None:
        """Run a cell in a network namespace: ``%%netns net1``.

        Equivalent to: ``ip netns exec net1 …`` before each of its commands.
        """
        shell: InteractiveShell = self.shell
        code = ast.parse(shell.transform_cell(cell))
        with namespace(line.strip()):
            for statement in code.body:
                # "single" hands an expression's value to the notebook, as a cell's last line.
                last = statement is code.body[-1]
                mode = "single" if last and isinstance(statement, ast.Expr) else "exec"
                body = [statement]
                tree = ast.Interactive(body) if mode == "single" else ast.Module(body, [])
                exec(compile(tree, f"<%%netns {line}>", mode), shell.user_ns)


@contextmanager
def namespace(name: str) -> Iterator[None]:
    """Put the calling thread, and what it starts, into a named network namespace for a while.

    Raises ``DiscoveryError`` where there is no such namespace.
    """
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            there = os.open(NAMED / name, os.O_RDONLY | os.O_CLOEXEC)
            setns(there, CLONE_NEWNET)
            os.close(there)
        except OSError as error:
            raise DiscoveryError(
                f"cannot enter namespace {name!r}: {error.strerror}",
                command=f"ip netns exec {name} …",
                remedy="see what there is with: ip netns list",
            ) from error
        yield
    finally:
        setns(before, CLONE_NEWNET)
        os.close(before)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Teach a shell the lab's magics: ``%load_ext netviz.lab.magics``."""
    shell.register_magics(LabMagics)
