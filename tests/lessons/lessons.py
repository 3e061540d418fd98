"""The lessons as files: their cells, and the parts that the text gives a name to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from netviz.lab.lessons import published
from netviz.lab.resources import notebooks

LESSONS = published(notebooks())
MENDING = "# Mend it here: begin each line with an exclamation mark."
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
    def number(self) -> str:
        """Its number, as it stands in its name."""
        return self.path.name[:2]

    @property
    def sources(self) -> list[str]:
        """What stands in its code cells."""
        return [cell.source for cell in self.cells("code")]

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


each_lesson = pytest.mark.parametrize(
    "lesson", [Lesson(path) for path in LESSONS], ids=[path.stem for path in LESSONS]
)
