"""Taps on real interfaces: nothing is lost, nothing is made up, and tshark reads the file."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from shutil import which

import pytest
from net.oracle import sh
from roads import BRIDGE, OVER_BRIDGE

from netviz import bridge, snapshot
from netviz.errors import TraceError
from netviz.packets.capture import Capture
from netviz.packets.pcapng import written

ETHERNET_HEADER = 14
_SENDER = """
import socket, sys, time
count, rate, size = map(int, sys.argv[1:])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.connect(("10.1.1.9", 9))
began = time.monotonic()
for n in range(count):
    out.send(n.to_bytes(size, "big"))
    if n % 100 == 0:
        time.sleep(max(0, began + n / rate - time.monotonic()))
"""


# Nobody has the address; so nobody answers that nobody listens.
_NOBODY = "ip -n net1 neighbour add 10.1.1.9 lladdr 02:00:00:00:00:09 dev veth0"
_NOBODY += "; bridge fdb add 02:00:00:00:00:09 dev port2 master static"


def sent(count: int, rate: int, size: int = 4) -> None:
    told = map(str, (count, rate, size))
    command = ["ip", "netns", "exec", "net1", sys.executable, "-c", _SENDER, *told]
    subprocess.run(command, check=True)


def places(capture: Capture) -> set[tuple[str, str]]:
    return {(str(packet.where), packet.direction) for packet in capture.take()}


@pytest.mark.long
def test_nothing_is_lost_of_30000_packets_a_second_at_four_taps() -> None:
    sh(BRIDGE + _NOBODY)
    seconds, rate = 10, 30_000
    with Capture() as capture:
        sent(seconds * rate, rate)
        capture.settle()
    found: dict[tuple[str, str], list[int]] = {place: [] for place in OVER_BRIDGE[0]}
    for packet in capture.take():
        if packet.data[23:24] == b"\x11" and len(packet.data) == 46:
            place = (str(packet.where), packet.direction)
            found[place].append(int.from_bytes(packet.data[-4:], "big"))
    assert capture.drops == 0
    assert {
        place: numbers == [*range(seconds * rate)] for place, numbers in found.items()
    } == dict.fromkeys(OVER_BRIDGE[0], True)


def test_what_the_kernel_drops_is_told() -> None:
    sh(BRIDGE + _NOBODY)
    with Capture(memory=0) as capture:
        sent(40_000, 1_000_000, 1400)
        capture.settle()
    seen = len(capture.take())
    assert capture.drops > 0
    assert seen + capture.drops >= 4 * 40_000


def test_interface_that_comes_later_is_heard_and_one_that_goes_does_no_harm() -> None:
    sh(BRIDGE)
    with Capture() as capture:
        sh("ip netns exec net1 ping -c1 -W1 10.1.1.2")
        sh("ip netns add late; ip link add l0 type veth peer l1 netns late")
        sh("ip address add 10.9.0.1/24 dev l0; ip link set l0 up; ip -n late link set l1 up")
        sh("ip -n late address add 10.9.0.2/24 dev l1")
        time.sleep(0.2)
        sh("ping -c1 -W1 10.9.0.2")
        sh("ip link set port1 down; ip link set port1 up; ip netns delete net3")
        sh("ip netns delete late")
        capture.settle()
        assert {("late:l1", "in"), ("root:l0", "out"), ("net2:veth0", "in")} <= places(capture)
        deadline = time.monotonic() + 5
        while any(each.name == "late" for each in snapshot().namespaces):
            assert time.monotonic() < deadline, "the tap still holds it"
        sh("until ip link show dev port1 | grep -q LOWER_UP; do sleep 0.05; done")
        sh("ip netns exec net1 ping -c1 -W2 10.1.1.2")
        capture.settle()
        assert ("net1:veth0", "in") in places(capture)


def test_filter_is_the_kernels() -> None:
    sh(BRIDGE)
    with Capture(only="icmp") as capture:
        sh("ip netns exec net1 ping -c3 -i 0.01 10.1.1.2")
        capture.settle()
    packets = capture.take()
    assert len(packets) == 2 * 3 * 4
    assert {packet.data[23] for packet in packets} == {1}


def test_filter_that_is_none_is_refused_in_tcpdumps_words() -> None:
    with pytest.raises(TraceError, match=r"cannot keep 'icmp or nonsense': .*nonsense.*man pcap"):
        Capture(only="icmp or nonsense")


def test_tag_of_a_vlan_that_the_kernel_took_off_is_there_again() -> None:
    sh("ip link add v0 type veth peer v1; ip link set v0 up; ip link set v1 up")
    tagged = bytes(6) + bytes(6) + b"\x81\x00\x00\x2a" + b"\x08\x00" + bytes(46)
    with Capture() as capture, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind(("v0", 0))
        out.send(tagged)
        capture.settle()
    came = [it for it in capture.take() if str(it.where) == "root:v1" and len(it.data) == 64]
    assert [packet.data for packet in came] == [tagged]


def test_tun_has_no_ethernet_header() -> None:
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("this kernel, or this user, cannot make a tun")
    sh("ip tuntap add tun0 mode tun; ip address add 10.3.0.1/24 dev tun0; ip link set tun0 up")
    with Capture() as capture:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(b"hello", ("10.3.0.2", 9))
        capture.settle()
    # Nobody has it open, so the kernel has nowhere to send it to.
    assert {packet.link for packet in capture.take() if packet.where.name == "tun0"} <= {"ip"}


def test_tshark_and_tcpdump_read_the_file_with_names_and_directions(tmp_path: Path) -> None:
    bridge(3).up()
    with Capture() as capture:
        sh("ip netns exec net1 ping -c1 10.1.1.3")
        capture.settle()
    packets = capture.take()
    file = tmp_path / "trace.pcapng"
    file.write_bytes(written(packets, "ping -c1 10.1.1.3"))
    told = sh(f"tcpdump -nr {file} icmp 2>/dev/null")
    assert told.count("ICMP echo request") == told.count("ICMP echo reply") == 4
    if not which("tshark"):
        pytest.skip("this machine has no tshark")
    fields = ("frame.interface_name", "frame.time_epoch", "frame.packet_flags_direction")
    command = ["tshark", "-r", str(file), "-T", "json", *(f"-e{name}" for name in fields)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [each["_source"]["layers"] for each in json.loads(done.stdout)]
    seen = [[row[name][0] for name in fields] for row in rows]
    ways = {"in": "0x00000001", "out": "0x00000002"}
    assert seen == [
        [str(it.where), f"{it.at // 10**9}.{it.at % 10**9:09}", ways[it.direction]]
        for it in packets
    ]


def test_hostile_names_are_tapped_and_written(tmp_path: Path) -> None:
    names = ["<script>", "a'b\"c", "\u202eevil", "\\x1b[31m"]
    for number, name in enumerate(names):
        command = ["ip", "link", "add", name, "type", "veth", "peer", f"p{number}"]
        subprocess.run(command, check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        subprocess.run(["ip", "link", "set", f"p{number}", "up"], check=True)
    raw = b"\xff\xfe<b>"
    subprocess.run([b"ip", b"link", b"add", raw, b"type", b"veth", b"peer", b"raw1"], check=True)
    sh("ip link set raw1 up")
    subprocess.run([b"ip", b"link", b"set", raw, b"up"], check=True)
    with Capture() as capture:
        for number in range(len(names)):
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
                out.bind((f"p{number}", 0))
                out.send(bytes(12) + b"\x88\xb5" + bytes(46))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
            out.bind(("raw1", 0))
            out.send(bytes(12) + b"\x88\xb5" + bytes(46))
        capture.settle()
    packets = [it for it in capture.take() if it.data[12:14] == b"\x88\xb5"]
    heard = {packet.where.name for packet in packets if packet.direction == "in"}
    assert heard == {*names, os.fsdecode(raw)}
    file = tmp_path / "hostile.pcapng"
    file.write_bytes(written(packets))
    assert sh(f"tcpdump -nr {file} 2>/dev/null").count("ethertype") == len(packets)
    assert b"\x1b[" not in file.read_bytes()
