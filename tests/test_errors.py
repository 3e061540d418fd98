"""An error is one line that says what failed, the command that shows it, and the remedy."""

from __future__ import annotations

import errno
import inspect
import re

import pytest

from netviz import errors
from netviz.errors import KernelError, NetvizError, SandboxError

CLASSES = dict(inspect.getmembers(errors, inspect.isclass))


def test_message_has_all_three_parts() -> None:
    error = SandboxError("cannot find 'net9'", command="ip netns list", remedy="create it first")
    assert str(error) == "cannot find 'net9' (like: ip netns list); create it first"
    assert (error.what, error.command) == ("cannot find 'net9'", "ip netns list")


def test_message_may_be_what_failed_alone() -> None:
    assert str(NetvizError("no lesson")) == "no lesson"


def test_kernels_refusal_carries_its_number_and_its_words() -> None:
    error = KernelError(errno.EBUSY, "cannot delete 'br0'", command="ip link delete br0")
    assert error.errno == errno.EBUSY
    assert str(error) == "cannot delete 'br0': Device or resource busy (like: ip link delete br0)"


@pytest.mark.parametrize("name", ["new\nline", "\x1b[2Jclear", "\u2028", "\udcff"])
def test_no_name_breaks_the_line(name: str) -> None:
    line = str(NetvizError(f"cannot find '{name}'", command=f"ip netns add '{name}'", remedy=name))
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"^\s*[├└]── (\w+) ", errors.__doc__, re.MULTILINE)
    assert {"NetvizError", *drawn} == CLASSES.keys()
    assert all(CLASSES[name].__mro__[1] is NetvizError for name in drawn)


def test_each_kind_is_described_as_in_the_tree() -> None:
    for name in CLASSES.keys() - {"NetvizError"}:
        first = CLASSES[name].__doc__.splitlines()[0].rstrip(".")
        assert re.search(rf"{name} +{re.escape(first[:20])}", errors.__doc__, re.IGNORECASE)
