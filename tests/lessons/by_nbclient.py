"""A lesson's test with nbclient as the client: ``python by_nbclient.py 00``.

For where pytest has no lab to live in. It writes, as JSON, what the first cell said and how many
seconds each cell took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import nbformat
import test_lessons
from kernels import DEADLINE, Cell
from nbclient import NotebookClient


class Client(NotebookClient):
    """A client that keeps the messages of the cell that it runs."""

    def process_message(self, message: dict, *where: object) -> object:
        self.heard.append(message)
        return super().process_message(message, *where)


class Notebook:
    """What a lesson's test asks of a notebook."""

    def __init__(self) -> None:
        new = nbformat.v4.new_notebook()
        self.client = Client(new, kernel_name="netviz", timeout=6 * DEADLINE)
        self.redrawn: list[str] = []
        self.took: list[tuple[str, float]] = []
        self.first: str | None = None

    def run(self, source: str) -> Cell:
        """Run one more cell; ``CellExecutionError`` where it raises something."""
        began, self.client.heard = time.monotonic(), []
        cells = self.client.nb.cells
        cells.append(nbformat.v4.new_code_cell(source))
        self.client.execute_cell(cells[-1], len(cells) - 1)
        self.took.append((source, time.monotonic() - began))
        done = Cell("ok", self.client.heard)
        self.redrawn += done.redrawn
        if self.first is None:
            self.first = done.text + (done.value or "")
        return done


def test(number: str) -> dict[str, object]:
    """Test a lesson as test_lessons.py does, and return what is to be written."""
    named = f"test_{number}_"
    claims = next(each for name, each in vars(test_lessons).items() if name.startswith(named))
    notebook, began = Notebook(), time.monotonic()
    with notebook.client.setup_kernel():
        notebook.took.append(("the kernel's start", time.monotonic() - began))
        claims(notebook)
    return {"first": notebook.first, "took": notebook.took}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(test(sys.argv[1])))
