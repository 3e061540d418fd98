"""What Binder's steps built, in a locked pod: JupyterLab is reached, and lessons hold there.

The sandbox is refused there, so each lesson gets a kernel of its own, and says why.
"""

from __future__ import annotations

import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pod
import pytest
from remote import Server, lesson_holds

LESSONS = ("00", "02", "04")
TOKEN = "of-the-test"
# What repo2docker's image sets.
PREFIX = "/srv/conda/envs/notebook"
ENVIRONMENT = {
    "HOME": "/home/jovyan",
    "USER": "jovyan",
    "NB_USER": "jovyan",
    "NB_PYTHON_PREFIX": PREFIX,
    "REPO_DIR": "/home/jovyan",
    "PATH": f"{PREFIX}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.mark.vm
def test_lessons_hold_in_jupyterlab_in_a_pod_of_what_binder_built(
    built_root: Path, tmp_path: Path
) -> None:
    # Hers, whoever built it; all else is read-only.
    home = shutil.copytree(built_root / "home/jovyan", tmp_path / "home", symlinks=True)
    server = Server(f"http://127.0.0.1:{(port := free_port())}", TOKEN)
    command = ["binder/start", "jupyter", "lab", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--no-browser", f"--IdentityProvider.token={TOKEN}"]
    with pod.engine(built_root), pod.started(*command, home=home, **ENVIRONMENT) as pods:
        server.wait_until_it_answers()
        with ThreadPoolExecutor() as learners:
            for said in learners.map(partial(lesson_holds, server, folder="notebooks/"), LESSONS):
                first = " ".join(said.split())
                assert "of this lab's own, on User-Mode Linux" in first
                assert "a seccomp filter forbids it" in first
    assert pod.LIMIT / 8 < pods.memory < pod.LIMIT
