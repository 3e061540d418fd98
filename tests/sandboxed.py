"""Run a whole pytest session in a lab: ``pytest -p tests.sandboxed``.

The session enters before pytest captures anything, so output, coverage, debuggers and the exit
status work as ever. Each test then gets a network namespace and a /run/netns of its own: what one
test leaves, the next never sees.

Tests that only look at labs from outside are marked ``outside``. Here they look from the session's
own lab at labs inside it; with ``--no-sandbox`` they, and they alone, run on the machine itself.
Those marked ``outside(only=True)`` run there alone. Those marked ``own_kernel`` are about what not
every machine's kernel has: they run on a kernel of one's own alone, there where all else runs too.
"""

from __future__ import annotations

import getpass
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netviz.errors import SandboxError
from netviz.lab.filesystem import OUTER, PRIVATE, ROOT, bind_over, mount_sysfs
from netviz.lab.linux import here
from netviz.lab.processes import end_others
from netviz.lab.sandbox import Supervision, enter, inside, loopback_up
from netviz.lab.syscalls import (
    CLONE_FS,
    CLONE_NEWNET,
    CLONE_NEWNS,
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    mount,
    setns,
    unshare,
)
from netviz.lab.trees import trees

HISTORY = PRIVATE / "history"
"""Where netviz keeps what was before; a test sees only its own."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--no-sandbox``, for tests about the lab itself, seen from outside."""
    parser.addoption(
        "--no-sandbox", action="store_true", help="run what is marked 'outside', on the machine"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks of those tests."""
    config.addinivalue_line(
        "markers", "outside(only=False): changes nothing around the labs that it starts"
    )
    config.addinivalue_line("markers", "own_kernel: runs on User-Mode Linux alone")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Enter the lab, once; be interruptible, though a shell's background job is not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if early_config.known_args_namespace.no_sandbox or inside():
        return
    # pytest names its folder in /tmp after the user; inside everybody is root.
    os.environ.setdefault("LOGNAME", _user())
    try:
        enter(Supervision(tools=trees()))
    except SandboxError as error:
        raise pytest.UsageError(str(error)) from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what belongs on the other side: above all, nothing may change the machine."""
    left_out = [item for item in items if not _belongs_here(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _belongs_here(item: pytest.Item) -> bool:
    if item.get_closest_marker("own_kernel") and not here():
        return False
    mark = item.get_closest_marker("outside")
    if inside():
        return not (mark and mark.kwargs.get("only"))
    return mark is not None


@pytest.fixture(autouse=True)
def _fresh_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the test an empty network, and end what it left running; nothing on the machine."""
    if inside():
        with fresh_network():
            yield
            end_others()
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
    HISTORY.mkdir(exist_ok=True)
    mount("tmpfs", str(HISTORY), "tmpfs", options="mode=755")
    _fresh_sys()
    bind_over(f"/proc/self/fd/{before[CLONE_NEWNET]}", OUTER)
    bind_over("/proc/self/ns/net", ROOT)
    loopback_up()
    try:
        yield
    finally:
        # Threads that a library has started share the working folder, and that forbids moving.
        unshare(CLONE_FS)
        for kind, fd in before.items():
            setns(fd, kind)
            os.close(fd)
        os.chdir(folder)  # Entering a mount namespace leads to its root folder.


def _fresh_sys() -> None:
    """Let /sys show the network namespace of the caller.

    Only in the two places where it differs: /sys itself stays, because ``ip netns exec`` takes
    away one that it can take away, and then forgets that it may mount a read-only one only.
    """
    fresh = PRIVATE / "fresh"
    fresh.mkdir(exist_ok=True)
    if mount_sysfs(str(fresh)):
        for name in ("class/net", "devices/virtual/net"):
            mount(str(fresh / name), f"/sys/{name}", flags=MS_BIND)
