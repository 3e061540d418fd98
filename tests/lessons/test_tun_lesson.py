"""Lesson 03, where /dev/net/tun can be opened and where it cannot, and what its text says."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from lessons import lesson
from running import assert_solved, echo_request, run, say, titles

if TYPE_CHECKING:
    from kernels import Notebook
    from running import Said

# Of a mount without devices no device can be opened, whoever asks.
CLOSED = "!mount --bind /dev/net/tun /dev/net/tun\n!mount -o remount,bind,nodev /dev/net/tun"
HOLDS = r"python3, pid \d+"


@pytest.fixture
def closed_lab(own_lab: Notebook) -> Notebook:
    """Give a lab in which nobody may open /dev/net/tun, not even its root."""
    assert say(own_lab, CLOSED).strip() == ""
    return own_lab


def test_a_program_is_the_other_end(own_lab: Notebook) -> None:
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("this kernel, or this user, cannot make a tun")
    said = run(own_lab, "03")
    assert "it can be opened" in said.by("!ls -l /dev/net/tun")
    assert any(re.search(r"tun tun0 \(down\), its other end: python", t) for t in own_lab.redrawn)
    told_in_both_ways(said)
    traced = said.by('nv.trace("root"')
    assert titles(traced) == ["ICMP echo request 1", "ICMP echo reply 1"]
    assert "192.168.1.77 · handed to python3" in traced
    assert re.search(rf"root:tun0 +out(?:.*\n)+? +handed to {HOLDS}, tun0's", traced)
    vm = said.by('nv.trace("net1", "ping -c 1 10.1.2.9")')
    assert re.search(rf"4 +root:tap0 +out +handed to {HOLDS}", vm)
    assert re.search(r"root:tap0 +in", vm.split("ICMP echo reply")[1])
    packet = echo_request(said.by('nv.trace("net1", "ping -c 1 192.168.1.1")'))
    places = re.findall(r"^ (\d) +(\S+) +(in|out)", packet, re.MULTILINE)
    ways = ["net1:tun0 out", "net1:eth0 out", "net2:eth0 in", "net2:tun0 in"]
    assert [" ".join(each) for each in places] == [f"{n} {way}" for n, way in enumerate(ways, 1)]
    explained = said.by('nv.explain("net1", "192.168.1.1")')
    assert re.search(rf"\? {HOLDS} reads what net1:tun0 sends: no table says more", explained)
    drawn = said.by("nv.draw()", turn=1)
    assert len(re.findall(rf"tun0 with 192\S+ fd00::\S+ its other end: {HOLDS}", drawn)) == 2
    opens = next(source for source, _ in said if source.startswith("import sys"))
    say(own_lab, opens)
    assert "busy" in own_lab.run(opens).error
    say(own_lab, "end.close()\n" + opens)


@pytest.mark.long
def test_substitute_where_the_file_is_closed(closed_lab: Notebook) -> None:
    said = run(closed_lab, "03")
    assert "Permission denied" in said.by("!ls -l /dev/net/tun")
    assert "tun0@tun0-end" in said.by("ip -brief address show tun0")
    told_in_both_ways(said)
    packet = echo_request(said.by('nv.trace("net1", "ping -c 1 192.168.1.1")'))
    assert "net1:tun0-end" in packet
    assert len(re.findall(r"^ \d ", packet, re.MULTILINE)) == 6  # Two more.
    assert "LOST" in said.by('nv.trace("root"')  # As the lesson says: it hears, and takes nothing.
    explained = said.by('nv.explain("net1", "192.168.1.1")')
    assert "✗ net1:tun0 does not speak ARP" in explained
    assert explained.endswith("arp on")


def told_in_both_ways(said: Said) -> None:
    """Hold what the text says against what was said, whichever way the program listens."""
    assert_solved(said.by("installed("))
    assert said.happened == [
        "it waits in the file",
        "nothing: device, address and route are gone",
        "another one, which only the program knows",
        "UDP, from 10.1.1.11 to 10.1.1.1",
    ]
    assert "192.168.1.0/24 dev tun0" in said.by("ip -brief address show tun0")
    assert "1 packets transmitted, 0 received" in said.by("!ping -c 1 -W 1 192.168.1.1")
    told = said.by("inet_ntoa")
    assert "84 bytes, protocol 1 " in told
    assert "from 192.168.1.11 to 192.168.1.1" in told
    assert "ICMP type 8 " in told
    left = said.by("end.close()")
    assert left.split()[0] == "lo"
    assert "tun0" not in left
    assert said.by("!ping -c 1 192.168.1.77").count(" 0% packet loss") == 2
    assert "0% packet loss" in said.by("10.1.2.9\n!ip -n net1 neighbour")
    heard = said.by("tcpdump -lnq")
    assert heard.count(".5555: UDP, length 84") == 2
    fits, more = said.by("-s 1445").split("PING")[1:]
    assert "1444(1472)" in fits
    assert "1 received" in fits
    assert "message too long, mtu=1472" in more
    packet = echo_request(said.by('nv.trace("net1", "ping -c 1 192.168.1.1")'))
    assert packet.count("+ UDP") == packet.count("- UDP") == 1
    assert "+ UDP" in packet.split("net1:eth0 ")[1].split("net2:eth0 ")[0]
    assert re.search(r"net2:tun0 +in (.*\n)*.* delivered: ", packet)
    assert "✓ net1: route 192.168.1.0/24" in said.by('nv.explain("net1", "192.168.1.1")')
    large = said.by("-s 1472")
    assert "IPv4 fragment from byte 1480: 10.1.1.11 → 10.1.1.1 · delivered" in large
    assert titles(large)[0] == "ICMP echo request 1"
    assert "2 received" in said.by("fd00::11/64")
    assert "works" in said.by('nv.explain("net1", "10.1.1.1")').splitlines()[0]


def test_forty_lines_are_forty_lines() -> None:
    cells = [it for it in lesson("03").sources if re.match("%%writefile /run/(vpn|device)", it)]
    lines = [line for cell in cells for line in cell.splitlines()[1:] if line.strip()]
    assert len(lines) <= 40
