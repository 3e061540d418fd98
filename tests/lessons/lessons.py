"""The lessons as files: their cells, and the parts that the text gives a name to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from netviz.lab.lessons import published
from netviz.lab.resources import notebooks

LESSONS = published(notebooks())
EXERCISE = "# Your commands here: begin each line with an exclamation mark."
_SOLUTION = re.compile(r"<details><summary>A solution</summary>.*?```bash\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Lesson:
    """A lesson, read from its file."""

    path: Path

    @property
    def notebook(self) -> nbformat.NotebookNode:
        """The notebook as it was published."""
        return nbformat.read(self.path, as_version=4)

    def cells(self, kind: str) -> list[nbformat.NotebookNode]:
        """Return the cells of one kind, ``code`` or ``markdown``."""
        return [cell for cell in self.notebook.cells if cell.cell_type == kind]

    @property
    def prose(self) -> str:
        """All that is said, in one text."""
        return "\n".join(cell.source for cell in self.cells("markdown"))

    @property
    def solution(self) -> str:
        """The shell script that solves the exercise."""
        return _SOLUTION.search(self.prose)[1]


def lesson(number: str) -> Lesson:
    """Return a lesson by its number."""
    return Lesson(next(path for path in LESSONS if path.name.startswith(number)))
