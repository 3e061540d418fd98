"""Who starts labs: whoever runs the tests, and where that is root, an ordinary user as well.

And notebooks on kernels of their own, away from the user's own Jupyter files.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from kernels import Notebook, notebook
from labs import NETVIZ, SOMEONES, Someone

# A folder of examples would belong to whoever ran the tests first, and refuse the other.
settings.register_profile("netviz", database=None)
settings.load_profile("netviz")


@pytest.fixture(params=SOMEONES.items(), ids=SOMEONES.keys())
def someone(request: pytest.FixtureRequest) -> Iterator[Someone]:
    """Give the test one who may start labs, with a home that is empty."""
    name, uid = request.param
    with tempfile.TemporaryDirectory(prefix="netviz-home-") as home:
        person = Someone(uid, Path(home))
        if uid is not None:
            os.chown(home, uid, uid)
            if not _may_run_netviz(person):
                pytest.skip(f"an {name} may not enter the folder where netviz is installed")
        yield person


def _may_run_netviz(person: Someone) -> bool:
    try:
        return person.call(NETVIZ, "--version").returncode == 0
    except (PermissionError, subprocess.SubprocessError):
        return False


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
