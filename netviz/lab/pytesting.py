"""Run a whole pytest session in a lab: ``pytest -p netviz.lab.pytesting``.

The session enters before pytest captures anything, so output, coverage, debuggers and the exit
status work as ever. Each test then gets a network namespace and a /run/netns of its own: what one
test leaves, the next never sees.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netviz.errors import SandboxError
from netviz.lab.components import tree
from netviz.lab.filesystem import PRIVATE
from netviz.lab.sandbox import Supervision, enter, inside, loopback_up
from netviz.lab.syscalls import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    mount,
    setns,
    unshare,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--no-sandbox``, for tests about the lab itself, seen from outside."""
    parser.addoption("--no-sandbox", action="store_true", help="stay on the machine itself")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Enter the lab, once."""
    if early_config.known_args_namespace.no_sandbox or inside():
        return
    try:
        enter(Supervision(tools=tree()))
    except SandboxError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(autouse=True)
def _fresh_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the test an empty network; nothing where pytest stays on the machine."""
    if inside():
        with fresh_network():
            yield
    else:
        yield


@contextmanager
def fresh_network() -> Iterator[None]:
    """Live in a new network namespace that is the lab's root for a while, with no names in it."""
    folder = Path.cwd()
    before = {
        kind: os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        for name, kind in (("mnt", CLONE_NEWNS), ("net", CLONE_NEWNET))
    }
    unshare(CLONE_NEWNS | CLONE_NEWNET)
    # `ip netns add` shares /run/netns with every mount namespace that it was copied to.
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", "/run/netns", "tmpfs", options="mode=755")
    mount("sysfs", "/sys", "sysfs")
    mount("/proc/self/ns/net", str(PRIVATE / "root"), flags=MS_BIND)
    loopback_up()
    try:
        yield
    finally:
        for kind, fd in before.items():
            setns(fd, kind)
            os.close(fd)
        os.chdir(folder)  # Entering a mount namespace leads to its root folder.
