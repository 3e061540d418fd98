"""Lessons on the kernels that they ask for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kernels import Notebook, notebook
from lessons import lesson


@pytest.fixture
def lesson_lab(jupyter_home: Path, tmp_path: Path) -> Iterator[Callable[[str], Notebook]]:
    """Give the test a way to open lessons by their numbers, as a learner's session opens them."""
    with ExitStack() as opened:

        def open_lesson(number: str) -> Notebook:
            # What a learner has done is kept beside her notebook: hers, and not the published one.
            copy = Path(shutil.copy(lesson(number).path, tmp_path))
            return opened.enter_context(notebook(tmp_path, session=copy))

        yield open_lesson
