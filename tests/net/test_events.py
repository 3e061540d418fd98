"""Signs of change: each kind of change gives one, in whichever namespace, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from labs import PYTHON
from oracle import sh

from netviz.net.events import Events

if TYPE_CHECKING:
    from labs import Someone

PATIENCE = 20
"""Seconds after which a sign that did not come fails a test."""
# Without a carrier: once the kernel has told so, nothing comes by itself, as IPv6 addresses do.
BEGINNING = """ip link set lo up; ip link add br0 type bridge; ip link set br0 up
ip link add one type veth peer name two; ip link set one master br0"""
CHANGES = {
    "link": "ip link set one mtu 1400",
    "new link": "ip link add br1 type bridge",
    "link that is gone": "ip link delete br1",
    "address": "ip address add 10.0.0.1/24 dev br0",
    "IPv6 address": "ip address add fd00::1/64 dev br0 nodad",
    "route": "ip route add 10.9.0.0/16 dev br0",
    "IPv6 route": "ip -6 route add fd09::/64 dev br0",
    "rule": "ip rule add priority 7 table 7",
    "IPv6 rule": "ip -6 rule add priority 7 table 7",
    "neighbour": "ip neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 dev br0",
    "IPv6 neighbour": "ip neighbour add fd00::9 lladdr 02:00:00:00:00:09 dev br0",
    "forwarding entry": "bridge fdb add 02:00:00:00:00:09 dev one master static",
    "queue": "tc qdisc add dev one root tbf rate 1mbit burst 10k latency 10ms",
    "switch": "sysctl -qw net.ipv4.ip_forward=1",
    "switch of one interface": "sysctl -qw net.ipv4.conf.one.rp_filter=2",
    "IPv6 switch": "sysctl -qw net.ipv6.conf.all.forwarding=1",
}
LOOKS = """
import sys
from netviz.net import namespaces
from netviz.net.events import Events
from netviz.net.netlink import Socket
from netviz.net.worker import aside

def numbers():
    found, _ = namespaces.find()
    told = {}
    with Socket() as socket:
        for each in found:
            try:
                with each.opened() as fd:
                    told[each.id] = socket.nsid_of(fd)
            except OSError:
                pass
    return told

def look():
    found, _ = namespaces.find()
    found[0].enter()
    before = numbers()
    with Events() as events:
        events.wait(0.1)
        events.wake()
        assert events.wait(20)
    after = numbers()
    both = before.keys() & after.keys()
    assert {each: before[each] for each in both} == {each: after[each] for each in both}
    print(len(both))

aside(look)
"""


def quiet(events: Events, seconds: float = 0.05) -> None:
    """Wait until nothing more is heard for so long."""
    while events.wait(seconds):
        pass


@contextmanager
def apart(script: str = "true") -> Iterator[int]:
    """Lend the number of a process in a namespace that only it holds."""
    command = ["unshare", "-n", "sh", "-ec", f"{script}; echo; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        try:
            yield running.pid
        finally:
            running.kill()


def unheard(events: Events, prefix: str) -> list[str]:
    """Make each change behind a ``prefix``; return the kinds that gave no sign."""
    found = []
    quiet(events, 1.5)  # Whether a link has a carrier is told a second late.
    for kind, command in CHANGES.items():
        quiet(events)
        sh(f"{prefix} {command}")
        found += [] if events.wait(PATIENCE) else [kind]
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a Path keeps one open meanwhile)


def has(link: str) -> bool:
    return subprocess.run(["ip", "link", "show", link], capture_output=True).returncode == 0


def test_each_kind_of_change_in_the_root_is_heard() -> None:
    sh(BEGINNING)
    with Events() as events:
        assert unheard(events, "") == []


def test_each_kind_of_change_in_a_named_namespace_is_heard() -> None:
    sh(f"ip netns add net1; ip netns exec net1 sh -ec '{BEGINNING}'")
    with Events() as events:
        assert unheard(events, "ip netns exec net1") == []


def test_each_kind_of_change_where_only_a_process_is_is_heard() -> None:
    with apart(BEGINNING) as pid, Events() as events:
        assert unheard(events, f"nsenter --net=/proc/{pid}/ns/net") == []


def test_namespaces_that_come_later_are_heard_once_they_were_waited_for() -> None:
    with Events() as events, apart() as pid:
        sh("ip netns add net1")
        assert events.wait(PATIENCE)
        for place in (f"nsenter --net=/proc/{pid}/ns/net", "ip netns exec net1"):
            quiet(events)
            sh(f"{place} ip link set lo up")
            assert events.wait(PATIENCE), place


def test_name_that_comes_and_goes_is_heard() -> None:
    with Events() as events:
        for script in ("ip netns add net1", "ip netns delete net1"):
            quiet(events)
            sh(script)
            assert events.wait(PATIENCE), script


def test_nothing_is_heard_while_nothing_happens() -> None:
    sh("ip netns add net1")
    with Events() as events:
        quiet(events)
        assert not events.wait(0.2)
        sh("ip netns exec net1 true; ip -n net1 link show; ip netns list")  # Only looks.
        assert not events.wait(0.2)


def test_burst_is_one_sign() -> None:
    sh("ip link add br0 type bridge")
    with Events() as events:
        quiet(events)
        sh("seq -f 'link set br0 mtu 1%03g' 0 99 | ip -batch -")
        assert events.wait(PATIENCE)
        assert not events.wait(0.1)


def test_sign_comes_though_the_burst_never_ends() -> None:
    sh("ip link add br0 type bridge")
    # With a trap the shell waits for its child before it ends, and leaves nobody behind.
    script = "trap exit TERM; while :; do seq -f 'link set br0 mtu 1%03g' 99 | ip -batch -; done"
    with Events() as events, subprocess.Popen(["sh", "-c", script]) as churn:
        for _ in range(10):
            assert events.wait(PATIENCE)
        assert churn.poll() is None
        churn.terminate()


def test_another_thread_can_wake_who_waits() -> None:
    with Events() as events:
        quiet(events)
        waker = threading.Timer(0.05, events.wake)
        waker.start()
        assert events.wait(PATIENCE)
        waker.join()
        assert not events.wait(0.05)


@pytest.mark.parametrize("script", ["ip link add br0 type bridge", "ip netns add net1"])
def test_another_thread_can_ask_whether_something_was_heard(script: str) -> None:
    told: list[bool] = []
    with Events() as events:
        quiet(events)
        for act in ("true", script):
            sh(act)
            for _ in range(2):
                asker = threading.Thread(target=lambda: told.append(events.pending()))
                asker.start()
                asker.join()
        assert told == [False, False, True, True]
        assert events.wait(0)
        assert not events.pending()


def test_more_than_the_socket_holds_is_a_sign_and_no_error() -> None:
    sh("ip link add br0 type bridge")
    with Events() as events:
        quiet(events)
        sh("seq -f 'link set br0 mtu 1%03g' 0 999 | ip -batch -")
        sh("seq -f 'link set br0 mtu 2%03g' 0 999 | ip -batch -")
        rows = Path("/proc/self/net/netlink").read_text().splitlines()[1:]
        assert any(int(row.split()[8]) for row in rows), "no event was dropped: a longer flood"
        assert events.wait(PATIENCE)
        quiet(events)
        sh("ip link set br0 up")
        assert events.wait(PATIENCE)


def test_no_namespace_is_kept_alive() -> None:
    sh("ip netns add net1; ip link add one type veth peer name two netns net1")
    with Events() as events:
        events.wait(0)
        sh("ip netns delete net1")
        while has("one"):  # The kernel takes it away when the namespace ends, a while later.
            assert events.wait(PATIENCE)


def test_namespace_that_goes_while_it_is_numbered_does_no_harm() -> None:
    script = "trap exit TERM; while :; do ip netns add net1; ip netns delete net1; done"
    with Events() as events, subprocess.Popen(["sh", "-c", script]) as churn:
        for _ in range(50):
            assert events.wait(PATIENCE, longest=0)
        churn.terminate()


def test_all_descriptors_are_closed_at_the_end() -> None:
    sh("ip netns add net1")
    before = descriptors()
    for _ in range(5):
        with Events() as events, apart():
            events.wait(0)
            events.wait(0)
    assert descriptors() == before


@pytest.mark.outside(only=True)
def test_outside_a_lab_it_only_reads(someone: Someone) -> None:
    with someone.start("unshare", "-rn", "sh", "-c", "echo; exec sleep 60") as running:
        try:
            running.stdout.readline()
            done = someone.call(PYTHON, "-W", "error", "-c", LOOKS)
        finally:
            running.kill()
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 2
