"""The last step of Binder's image: JupyterLab is set up, and what cannot be fetched is said."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import pytest
from labs import NETVIZ
from servers import DEADLINE, Server

CHECKOUT = Path(__file__).parents[2]
URL = "http://127.0.0.1:8888/lab/tree/notebooks/00-start-here.ipynb?token=mine"
OPTIONS = ("--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=mine", "--no-browser")


@pytest.fixture
def session(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user whose system has no archive of packages."""
    (tmp_path / "apt.conf").write_text(
        'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "-";'
    )
    return {
        "APT_CONFIG": str(tmp_path / "apt.conf"),
        "HOME": str(tmp_path / "home"),
        "JUPYTER_CONFIG_PATH": str(tmp_path / "prefix/etc/jupyter"),
        "NB_PYTHON_PREFIX": str(tmp_path / "prefix"),
        "NETVIZ_SHARED": str(tmp_path / "shared"),
        "PATH": f"{Path(NETVIZ).parent}:{os.environ['PATH']}",
    }


def post_build(session: dict[str, str]) -> list[str]:
    """Run it, and return the lines that it complained with."""
    done = subprocess.run(
        [CHECKOUT / "binder/postBuild"], cwd=CHECKOUT, env=session, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


@contextmanager
def jupyterlab(session: dict[str, str], folder: Path) -> Iterator[Server]:
    """Start JupyterLab as a hub does: with its own options, and none of ours."""
    root = [] if os.geteuid() else ["--allow-root"]
    start = [CHECKOUT / "binder/start", "jupyter-lab", *OPTIONS, *root]
    with subprocess.Popen(start, cwd=folder, env=session, stderr=subprocess.DEVNULL) as process:
        server = Server(process, URL)
        deadline = time.monotonic() + DEADLINE
        try:
            while True:
                try:
                    server.ask("/api/status")
                    break
                except URLError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield server
        finally:
            process.terminate()


def test_what_cannot_be_had_is_said_and_fails_no_image(session: dict[str, str]) -> None:
    *each, fetched, built, verdict = post_build(session)
    assert all(line.startswith("netviz: cannot fetch ") for line in each)  # In a lab some are laid.
    assert "Unable to locate package user-mode-linux" in fetched
    assert built.startswith("netviz: cannot build 'own-kernel'")
    assert verdict.startswith("postBuild: this image has to do without: ")
    assert verdict.endswith("own-kernel")


def test_jupyterlab_that_another_starts_is_as_netviz_lab_starts_it(
    session: dict[str, str], tmp_path: Path
) -> None:
    post_build(session)
    with jupyterlab(session, tmp_path) as server:
        offered = server.ask("/api/kernelspecs")
        assert offered["default"] == "netviz"
        assert sorted(offered["kernelspecs"]) == ["netviz", "netviz-own"]
        assert '"@jupyterlab/extensionmanager-extension"' in server.page()
        server.ask("/api/terminals", {"shell_command": ["sh", "-c", "echo mine; sleep 1000"]})
        running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
        assert [each for each in running if each.endswith(b"\0attach\0--wait\0")]
        assert not [each for each in running if each.startswith(b"sh\0")]
