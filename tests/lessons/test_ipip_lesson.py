"""Lesson 10, which most machines run on the lab's own kernel, and what its text says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from lessons import lesson
from net.oracle import sh
from running import assert_solved, hops, run, say, titles

import netviz as nv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kernels import Notebook
    from running import Said

PING = 'nv.trace("net1", "ping -c 1 10.10.200.10")'
THERE = ["net1:tun1 out", "net1:v1 out", "root:v1_r in", "root:v2_r out", "net2:v2 in"]
BACK = ["net2:tun2 out", "net2:v2 out", "root:v2_r in", "root:v1_r out", "net1:v1 in"]
ECHO = ["ICMP echo request 1", "ICMP echo reply 1"]
# Of a mount without devices no device can be opened, whoever asks.
CLOSED = "mount --bind /dev/net/tun /dev/net/tun; mount -o remount,bind,nodev /dev/net/tun"
# Some kernels put it into every namespace, and nobody types it where it is down.
FALLBACK = r"^[-+] net[12]: interface tunl0$"


@pytest.mark.long
def test_10_ipip(lesson_lab: Callable[[str], Notebook]) -> None:
    lab = lesson_lab("10")
    said = run(lab, "10", other=FALLBACK)
    assert said.happened == ["yes", "104", "net1 does not even send them", "net1 itself"]
    assert_solved(said.by("installed("))
    assert "10.10.200.10 dev tun1 proto kernel" in said.by("ip tunnel add tun2")
    assert "Network is unreachable" in said.by("!ip route get")
    assert "ttl=64" in said.by("!ip route get")
    first, second = (said.by(PING, turn=turn) for turn in (1, 2))
    for traced in (first, second):  # By the kernel's end, and by the program's.
        # What was asked of a neighbour long ago may be asked again meanwhile.
        assert [it for it in titles(traced) if it != "ARP"] == ECHO
        assert hops(traced, ECHO[0]) in ([*THERE, "net2:tun2 in"], _by_cable(THERE, "in"))
        assert hops(traced, ECHO[1]) in ([*BACK, "net1:tun1 in"], _by_cable(BACK, "out"))
        request = traced.split(ECHO[1])[0]
        wrapped, root = re.split(r"^ 4 ", request.split("net1:v1 ")[1], flags=re.MULTILINE)
        assert "+ IPv4 source 10.10.10.2" in wrapped
        assert "+ Ethernet" in wrapped
        assert "IPv4 ttl 64 → 63" in root
        assert "- IPv4 source 10.10.10.2" in root.split("net2:tun2")[1]
    assert "ttl inherit" in said.by("ip tunnel show tun1")
    assert "✓ net1: route 10.10.200.10 dev tun1" in said.by("ip tunnel show tun1")
    of_what_is_large(said)
    assert "1 received" in said.by("dev tunl0 onlink src")
    ways = hops(said.by('nv.trace("net1", "ping -c 1 10.244.2.1")'), ECHO[0])
    assert ways == ["net1:tunl0 out", *THERE[1:], "net2:tun2 in"]
    assert "2 received" in said.by("python3 /run/ipip.py tun2")
    assert "proto IPv6 (41), length 124" in said.by("type sit")
    assert "1 received" in said.by("type sit")
    # A plain route is told from one through the tunnel.
    nodes = next(source for source, _ in said if "nv.nodes(3, 1)" in source)
    say(lab, f"{nodes}\n!ip -n node1 route add 10.244.2.0/24 via 192.168.1.2")
    check = next(source for source, _ in said if 'task="exercise"' in source)
    assert "without a tunnel, as in lesson 09" in say(lab, check)


def of_what_is_large(said: Said) -> None:
    """Hold what the text says of lengths against what was said."""
    heard = said.by("tcpdump -lnv -c 2")
    assert "56(84)" in heard
    assert heard.count("[DF], proto IPIP (4), length 104)") == 2
    assert re.search(
        r"10.10.10.2 > 10.10.20.2: IP \(.*\[DF\], proto ICMP \(1\), length 84\)", heard
    )
    assert "mtu 1500" in said.by("link show v1")
    assert "mtu 1480" in said.by("link show v1")
    fits, more = said.by("-s 1452 10.10.200.10\n!ip").split("PING")[1:]
    assert "1452(1480)" in fits
    assert "1 received" in fits
    assert "message too long, mtu=1480" in more
    cut = said.by("-M dont -s 1453")
    assert titles(cut).count("IPv4 fragment from byte 1456") == 2
    assert [hops(cut, it) for it in titles(cut) if it != "ARP"][:2] == [
        [*THERE, "net2:tun2 in"]
    ] * 2
    narrow = said.by("link set v2_r mtu 1400")
    assert hops(narrow, ECHO[0]) == THERE[:3]
    assert "LOST: 1500 bytes are more than" in narrow
    assert "ICMP fragmentation needed: 10.10.10.1 → 10.10.10.2 · delivered" in narrow
    assert hops(narrow, "ICMP fragmentation needed") == ["root:v1_r out", "net1:v1 in"]
    told = said.by(">/run/said")
    assert "From 10.10.100.10 icmp_seq=1 Frag needed and DF set (mtu = 1380)" in told
    assert "message too long, mtu=1380" in told
    learned = said.by("!ip -n net1 route get 10.10.20.2").split("10.10.200.10 dev")
    assert ["mtu 1400" in learned[0], "mtu 1380" in learned[1]] == [True, True]
    assert "1 received" in said.by("route flush cache")


def test_an_end_is_forty_lines_or_so() -> None:
    cell = next(it for it in lesson("10").sources if it.startswith("%%writefile /run/ipip.py"))
    assert len([line for line in cell.splitlines()[1:] if line.strip()]) <= 48


@pytest.mark.parametrize("tun", ["open", "closed"])
def test_two_programs_make_a_tunnel_without_the_kernels(tun: str, tmp_path: Path) -> None:
    if tun == "open" and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("this kernel, or this user, cannot make a tun")
    network, program = (
        next(it.partition("\n")[2] for it in lesson("10").sources if it.startswith(first))
        for first in ("%%bash\nfor n in 1 2; do\n  ip netns add", "%%writefile /run/ipip.py")
    )
    sh(network)
    written = tmp_path / "ipip.py"
    written.write_text(program)
    closed = f"{CLOSED}; " * (tun == "closed")
    with ExitStack() as running:
        for n, far in ((1, 2), (2, 1)):
            ends = f"10.10.{n}00.10 10.10.{far}00.10 10.10.{n}0.2 10.10.{far}0.2"
            line = f"{closed}exec ip netns exec net{n} {sys.executable} {written} tun{n} {ends}"
            ended = subprocess.Popen(["unshare", "--mount", "sh", "-ec", line])
            running.callback(ended.wait)
            running.callback(ended.kill)
        for n in (1, 2):
            sh(f"timeout 9 sh -c 'until ip -n net{n} route | grep tun{n}; do sleep 0.05; done'")
        request = nv.trace("net1", "ping -c 1 -W 5 10.10.200.10").journeys[0]
    ways = [f"{hop.where} {hop.direction}" for hop in request.hops if "-end" not in str(hop.where)]
    assert ways == [*THERE, "net2:tun2 in"]
    names = [[header.name for header in hop.headers] for hop in request.hops]
    assert ["Ethernet", "IPv4", "IPv4", "ICMP", "Data"] in names
    assert [len(names), request.fate] == [6 + 2 * (tun == "closed"), "delivered"]


def _by_cable(way: list[str], last: str) -> list[str]:
    """Return a way where /dev/net/tun is closed: a program's device is a veth."""
    if last == "in":
        return [*way, "net2:tun2-end out", "net2:tun2 in"]
    return [way[0], "net2:tun2-end in", *way[1:], "net1:tun1 in"]
