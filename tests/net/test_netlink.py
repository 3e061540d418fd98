"""The kernel's answers, cut into messages and attributes."""

from __future__ import annotations

import subprocess
from errno import ENODEV

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from oracle import sh

from netviz.net.links import links
from netviz.net.messages import attribute, attributes
from netviz.net.netlink import RTM_GETLINK, Socket


@settings(database=None)
@given(some.dictionaries(some.integers(0, 0x3FFF), some.binary(max_size=64)))
def test_attributes_come_back_as_they_were_written(told: dict[int, bytes]) -> None:
    assert attributes(b"".join(attribute(*pair) for pair in told.items())) == told


@settings(database=None)
@given(some.binary(max_size=256), some.integers(0, 300))
def test_no_bytes_are_too_broken_to_be_cut(data: bytes, offset: int) -> None:
    attributes(data, offset)


def test_refusal_carries_its_number() -> None:
    with Socket() as socket, pytest.raises(OSError, match="No such device") as refused:
        socket.ask(RTM_GETLINK, b"\0\0\0\0" + (999).to_bytes(4, "little") + bytes(8))
    assert refused.value.errno == ENODEV


def test_table_that_the_kernel_has_not_got_is_empty() -> None:
    with Socket() as socket:
        assert socket.dump(0xFE, bytes(16)) == []


def test_socket_can_be_asked_again_after_a_refusal() -> None:
    with Socket() as socket:
        with pytest.raises(OSError, match="No such device"):
            socket.ask(RTM_GETLINK, b"\0\0\0\0" + (999).to_bytes(4, "little") + bytes(8))
        assert [link.name for link in links(socket)] == ["lo"]


def test_large_table_comes_in_many_pieces() -> None:
    sh("seq -f 'link add br%g type bridge' 1 300 | ip -batch -")
    with Socket() as socket:
        names = [link.name for link in links(socket)]
    assert names == ["lo", *(f"br{number}" for number in range(1, 301))]


def test_dumps_hold_together_while_links_come_and_go() -> None:
    sh("seq -f 'link add br%g type bridge' 1 100 | ip -batch -")
    # With a trap the shell waits for its child before it ends, and leaves nobody behind.
    script = (
        "trap exit TERM; while :; do ip link add v1 type veth peer name v2; ip link del v1; done"
    )
    with subprocess.Popen(["sh", "-c", script]) as churn, Socket() as socket:
        for _ in range(50):
            found = [link.index for link in links(socket)]
            assert len(found) == len(set(found)) >= 101 or socket.unsettled
        churn.terminate()
