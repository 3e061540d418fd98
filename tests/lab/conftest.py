"""Kernels for the lab's tests, away from the user's own Jupyter files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernels import Notebook, notebook


@pytest.fixture(scope="module")
def jupyter_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give Jupyter and IPython empty folders for what they keep."""
    home = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(home / name.lower()))
        # A kernel that is killed leaves a file or two.
        patch.setenv("TMPDIR", str(home))
        patch.setattr(tempfile, "tempdir", str(home))
        yield home


@pytest.fixture(scope="module")
def lab(jupyter_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """Give all tests of a module one notebook: for cells that leave nothing behind."""
    with notebook(tmp_path_factory.mktemp("folder")) as opened:
        yield opened


@pytest.fixture
def own_lab(jupyter_home: Path, tmp_path: Path) -> Iterator[Notebook]:
    """Give the test a notebook of its own."""
    with notebook(tmp_path) as opened:
        yield opened
