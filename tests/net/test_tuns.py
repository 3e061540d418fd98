"""Who is at the other end of a tun or a tap, as the kernel tells it of each descriptor."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from net.oracle import sh

from netviz import draw
from netviz.model import Program, Snapshot
from netviz.net.discovery import snapshot
from netviz.net.tuns import programs
from netviz.picture.cards import cards
from netviz.records import snapshot_of

pytestmark = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK),
    reason="this kernel, or this user, cannot make a tun",
)
TUNSETIFF, TUN, TAP, SEVERAL = 0x400454CA, 0x1001, 0x1002, 0x0100
HOLDER = """
import fcntl, os, struct
fcntl.ioctl(os.open("/dev/net/tun", os.O_RDWR), 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))
open("/proc/self/comm", "w").write("<b>vpn, x")
print("ready", flush=True)
input()
"""

# Seccomp, as containers have it: pidfd_getfd, 438, is refused.
REFUSED = """
import struct
from netviz.lab.syscalls import install_seccomp
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 438), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
install_seccomp(b"".join(struct.pack("=HBBI", *each) for each in code))
from netviz.net.discovery import snapshot
print(*(f"{s.name}:{k.name} {k.other_end}" for s, k in snapshot() if k.other_end))
"""


@contextmanager
def opened(name: str, mode: int = TUN) -> Iterator[int]:
    """Hold a device in this process."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name.encode(), mode))
        yield end
    finally:
        os.close(end)


@contextmanager
def holder(*inside: str) -> Iterator[int]:
    """Let a program hold a tun0, in a namespace of its own where that is said."""
    command = [*inside, sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        try:
            yield child.pid
        finally:
            child.kill()


def ends(seen: Snapshot) -> dict[str, str]:
    """Return who is the other end of what."""
    return {f"{space.name}:{link.name}": link.other_end for space, link in seen if link.other_end}


def own() -> str:
    return f"{Path('/proc/self/comm').read_text().strip()}, pid {os.getpid()}"


@pytest.mark.parametrize("mode", [TUN, TAP])
def test_program_is_named_as_long_as_it_has_the_device_open(mode: int) -> None:
    with opened("dev0", mode):
        assert ends(snapshot()) == {"root:dev0": own()}
    assert programs() == {}


def test_device_that_stays_has_another_end_only_while_one_has_it_open() -> None:
    sh("ip tuntap add tun0 mode tun")
    assert ends(snapshot()) == {}
    with opened("tun0"):
        assert ends(snapshot()) == {"root:tun0": own()}
    assert ends(snapshot()) == {}


def test_one_name_in_several_namespaces_is_several_devices() -> None:
    sh("ip netns add net1; ip netns add net2; ip -n net2 tuntap add tun0 mode tun")
    with holder("ip", "netns", "exec", "net1") as pid, opened("tun0"):
        assert ends(snapshot()) == {"net1:tun0": f"<b>vpn, x, pid {pid}", "root:tun0": own()}


def test_device_is_followed_where_it_moves_away_from_its_program() -> None:
    sh("ip netns add net1")
    with opened("tun0"):
        sh("ip link set tun0 netns net1; ip -n net1 link set tun0 name far")
        assert ends(snapshot()) == {"net1:far": own()}


def test_who_may_not_borrow_a_descriptor_takes_its_device_to_be_where_its_program_is() -> None:
    sh("ip netns add net1")
    with holder("ip", "netns", "exec", "net1") as pid:
        told = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True)
        assert told.stdout == f"net1:tun0 <b>vpn, x, pid {pid}\n", told.stderr


def test_queues_of_one_device_may_be_of_several_programs() -> None:
    with opened("tun0", TUN | SEVERAL), opened("tun0", TUN | SEVERAL):
        assert ends(snapshot()) == {"root:tun0": own()}  # Two descriptors, one program.


def test_descriptor_without_a_device_is_nobodys_end() -> None:
    end = os.open("/dev/net/tun", os.O_RDWR)
    assert programs() == {}
    os.close(end)


def test_snapshot_is_read_back_with_its_programs() -> None:
    with opened("tun0"):
        seen = snapshot()
    (link,) = (link for _, link in seen if link.programs)
    assert link.programs == (Program(own().partition(",")[0], os.getpid()),)
    assert snapshot_of(seen.to_dict()) == seen


def test_who_has_it_open_is_no_change() -> None:
    sh("ip tuntap add tun0 mode tun; ip link set tun0 up")
    before = snapshot()
    with opened("tun0"):
        changed = before.diff(snapshot())
    assert [it.field for it in changed if it.kind == "interface"] == ["carrier"]


def test_picture_says_who_it_is_and_escapes_the_name() -> None:
    sh("ip netns add net1")
    with holder("ip", "netns", "exec", "net1") as pid:
        drawn, told = draw(), cards(snapshot())
    named = f"vpn, x, pid {pid}"
    assert f"net1 has tun tun0 (down), its other end: <b>{named}" in drawn.alt
    assert "tun0 ends in &lt;b&gt;vpn, x<" in drawn.svg
    assert f"its other end: &lt;b&gt;{named}" in drawn.svg
    (card,) = (it for it in told.values() if it.title == "net1:tun0")
    assert f"its other end: <b>{named}" in [line for each in card.sections for line in each.lines]
