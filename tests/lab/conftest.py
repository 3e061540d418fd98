"""What tests of components share: a cache, an archive and programs of the test's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import STUB, Archive


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a cache of its own, and look into no other."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NETVIZ_SHARED", str(tmp_path / "nowhere"))
    return tmp_path / "cache/netviz"


@pytest.fixture
def archive(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Give apt one archive, and no other."""
    made = Archive(tmp_path)
    for name, text in made.environment.items():
        monkeypatch.setenv(name, text)
    return made


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that puts programs on this machine: scripts that tell a version."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(version: str, *programs: str) -> None:
        for program in programs:
            (folder / program).write_text(STUB.format(version=version))
            (folder / program).chmod(0o755)

    return put
