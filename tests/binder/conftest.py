"""What `make vm` builds, for all tests that start something of it: scripts/test-vm does, before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def built_vm() -> Path:
    """Return the folder with the virtual machine's disk, and the root that it was made of."""
    return Path(os.environ["NETVIZ_VM"])


@pytest.fixture(scope="session")
def built_root(built_vm: Path) -> Path:
    """Return the root that Binder's steps made."""
    return built_vm / "root"
