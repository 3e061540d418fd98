"""Which kernel a notebook gets, and why: tried for real, beside a kernel that is only a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netviz.lab import linux, trees
from netviz.lab.choosing import FETCH, needs, this_kernel

ASK = """
import json, os, sys
from netviz.errors import NetvizError
from netviz.lab import choosing

try:
    choice = choosing.choose(os.environ, sys.argv[1])
    print(json.dumps([choice.own, choice.why]))
except NetvizError as error:
    print(json.dumps(str(error)))
"""
AS_ROOT = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
REFUSING = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
WITHOUT_TUN = '[ ! -e /dev/net/tun ] || mount --bind /dev/null /dev/net/tun; exec "$@"'
NOTHING = "nothing here needs another kernel"


@pytest.fixture
def own(cache: Path) -> Path:
    """Give the test a cache with a kernel in it, as far as one sees without starting it."""
    tree = cache / trees.named(linux.BUILT)
    (binary := tree / "usr/bin/linux.uml").parent.mkdir(parents=True)
    binary.touch(mode=0o755)
    trees.note(tree, "6.1.192", [], laid=False, sha256=linux.checksum(binary))
    return tree


def choose(asked: str = "", *, on: str = 'exec "$@"', **environment: str) -> tuple[bool, str] | str:
    """Return what was chosen, or the error; of kernels of one's own only a built one counts."""
    clean = {name: it for name, it in os.environ.items() if name != "JPY_SESSION_NAME"}
    clean["NETVIZ_SHARED"] = "/nowhere"
    done = subprocess.run(
        [*AS_ROOT, on, "sh", sys.executable, "-P", "-c", ASK, asked],
        env={**clean, "NETVIZ_KERNEL": "", "NETVIZ_OWN_KERNEL": "built", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    return answer if isinstance(answer, str) else tuple(answer)


def notebook(folder: Path, *needed: str) -> str:
    """Write a notebook that needs something, and return where it is."""
    path = folder / "lesson.ipynb"
    path.write_text(json.dumps({"cells": [], "metadata": {"netviz": {"needs": list(needed)}}}))
    return str(path)


def test_environment_decides_before_anything_else(own: Path, tmp_path: Path) -> None:
    tap = notebook(tmp_path, "tap")
    sandbox = choose("own", on=WITHOUT_TUN, JPY_SESSION_NAME=tap, NETVIZ_KERNEL="sandbox")
    assert sandbox == (False, "NETVIZ_KERNEL is sandbox")
    assert choose(NETVIZ_KERNEL="own") == (True, "NETVIZ_KERNEL is own")


def test_environment_that_names_no_kernel_is_told(cache: Path) -> None:
    assert choose(NETVIZ_KERNEL="mine") == (
        "cannot choose a kernel: NETVIZ_KERNEL is 'mine'; set it to own or sandbox, or not at all"
    )


def test_kernel_that_the_learner_chose_is_hers(own: Path) -> None:
    assert choose("own") == (True, "the kernel 'netviz lab, own kernel' was chosen")


def test_notebook_that_needs_nothing_gets_the_sandbox(own: Path, tmp_path: Path) -> None:
    assert choose() == (False, NOTHING)
    assert choose(JPY_SESSION_NAME=notebook(tmp_path)) == (False, NOTHING)


def test_lesson_whose_needs_the_machine_has_gets_the_sandbox(own: Path, tmp_path: Path) -> None:
    veth = notebook(tmp_path, "veth", "ip netns exec")
    assert choose(JPY_SESSION_NAME=veth) == (False, "it has all that this lesson needs")


def test_lesson_that_needs_what_lacks_gets_a_kernel_of_its_own(own: Path, tmp_path: Path) -> None:
    tap = notebook(tmp_path, "veth", "tun", "tap")
    why = f"this lesson needs tun, tap, which {this_kernel()} lacks"
    assert choose(on=WITHOUT_TUN, JPY_SESSION_NAME=tap) == (True, why)


def test_lesson_opens_even_where_no_kernel_has_what_it_needs(cache: Path, tmp_path: Path) -> None:
    tap = notebook(tmp_path, "tap")
    own, why = choose(on=WITHOUT_TUN, JPY_SESSION_NAME=tap)
    assert not own
    assert why.endswith(f"which {this_kernel()} lacks; and there is no other kernel")


def test_need_that_nobody_knows_keeps_no_lesson_closed(own: Path, tmp_path: Path) -> None:
    for known in ([], ["veth"]):
        odd = notebook(tmp_path, *known, "\x1b" + "x" * 100)
        chosen, why = choose(JPY_SESSION_NAME=odd)
        assert not chosen
        assert why.endswith(rf"; of '\x1b{'x' * 36}', which it names too, nothing is known")


def test_refused_sandbox_is_a_reason_for_a_kernel_of_its_own(own: Path) -> None:
    chosen, why = choose(on=REFUSING)
    assert chosen
    assert why.startswith("cannot start a sandbox here: 'unshare' was refused")
    assert why.endswith("(user.max_user_namespaces = 0)")


def test_where_neither_can_be_had_both_remedies_are_told(cache: Path) -> None:
    told = choose(on=REFUSING)
    assert told.startswith("cannot start a lab: 'unshare' was refused")
    assert told.endswith(f"max_user_namespaces=15000; or get a kernel that needs no leave: {FETCH}")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"asked": "own"}, "the kernel 'netviz lab, own kernel' was chosen"),
        ({"NETVIZ_KERNEL": "own"}, "NETVIZ_KERNEL is own"),
    ],
)
def test_wish_that_cannot_be_met_is_told(cache: Path, how: dict[str, str], why: str) -> None:
    told = choose(**how)
    assert told.startswith(f"cannot start a kernel of its own, though {why}: there is none; run: ")
    assert FETCH in told
    assert "NETVIZ_KERNEL=sandbox" in told


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"not JSON",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"metadata": null}',
        b'{"metadata": {"netviz": []}}',
        b'{"metadata": {"netviz": {"needs": "ipip"}}}',
        b'{"metadata": {"netviz": {"needs": {"ipip": 1}}}}',
        b'{"metadata": {"netviz": {"needs": 7}}}',
    ],
)
def test_file_that_is_no_lesson_needs_nothing(tmp_path: Path, content: bytes) -> None:
    (path := tmp_path / "odd.ipynb").write_bytes(content)
    assert needs(path) == []


def test_what_is_no_file_needs_nothing_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ipynb")
    for path in (Path(), tmp_path, tmp_path / "none.ipynb", tmp_path / "pipe.ipynb"):
        assert needs(path) == []
