"""The living picture shows what the kernel has: soon, in each namespace, through any storm."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from test_cards import apart

import netviz
from netviz.lab.filesystem import ROOT
from netviz.net.quiet import quietly, tellers
from netviz.picture.live import Live, live

if TYPE_CHECKING:
    from netviz.picture.film import Frame

PATIENCE = 30
"""Seconds after which what does not come fails a test."""
PAIR = """ip netns add net1; ip netns add net2
ip link add eth0 netns net1 type veth peer name eth0 netns net2"""
# With each change something else is in the picture: an address, a link that is up, a route.
STORM = """
for round in $(seq 25); do
    for n in $(seq 20); do
        echo address add 10.$round.$n.1/24 dev eth0; echo link set eth0 mtu $((1300 + n))
        echo link set eth0 down; echo link set eth0 up
        echo address delete 10.$round.$n.1/24 dev eth0
    done | ip -n {0} -force -batch -
    sleep 0.1
done
ip -n {0} address add 10.99.0.1/24 dev eth0"""
COMING = """
while :; do
    ip netns add fleeting; ip link add there type veth peer name here netns fleeting
    ip netns delete fleeting; unshare -n ip link set lo up
done"""
NAMES = "while :; do ip netns add name; ip netns delete name; done"
ROUND = """netns add a{0}
netns add b{0}
link add x netns a{0} type veth peer name y netns b{0}
"""
OVER = "netns delete a{0}\nnetns delete b{0}\n"


def sh(script: str) -> None:
    """Run a shell script; the first command that fails fails the test."""
    subprocess.run(["sh", "-ec", script], check=True, stdout=subprocess.DEVNULL)


def until(true: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


@contextmanager
def following(make: Callable[[], Live] = Live) -> Iterator[Live]:
    """Lend a living picture, and stop it."""
    picture = make()
    try:
        yield picture
    finally:
        picture.stop()


@contextmanager
def meanwhile(*scripts: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run shell scripts meanwhile; what still runs at the end is killed, and its children."""
    running = [subprocess.Popen(["sh", "-c", it], process_group=0) for it in scripts]
    try:
        yield running
    finally:
        for each in running:
            if each.poll() is None:
                os.killpg(each.pid, 9)
            each.wait()


def shown(svg: str) -> tuple[list[str], list[str]]:
    """Return the ids and the texts of a picture."""
    root = ElementTree.fromstring(svg)
    ids = sorted(it.get("id", "") for it in root.iter() if it.get("id"))
    return ids, sorted("".join(it.itertext()) for it in root.iter() if it.tag.endswith("}text"))


def true(picture: Live) -> bool:
    """Tell whether a picture shows what is so; False as well where that changed meanwhile."""
    picture.settle()
    now = netviz.snapshot()
    fresh = netviz.draw(now)
    same = shown(picture.frame.svg) == shown(fresh.svg) and picture.frame.alt == fresh.alt
    return not picture.network.diff(now) and same


def size_of(picture: Live) -> list[int]:
    """Return how much there is of what must not grow: descriptors, threads, what is kept."""
    camera, found = picture._camera, []
    while found[-3:-1] != found[-2:] or len(found) < 3:  # A reading has some of its own.
        memory = camera.memory
        kept = len(camera.drawn), len(memory.order), len(memory.places)
        found.append([descriptors(), threading.active_count(), *kept])
        time.sleep(0.02)
    return found[-1]


def descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def resident() -> int:
    """Return how many KB of memory the process has."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "netviz-live"]


def has(link: str) -> bool:
    return subprocess.run(["ip", "link", "show", link], capture_output=True).returncode == 0


def test_first_frame_is_there_at_once() -> None:
    sh(PAIR)
    with following() as picture:
        assert "net1 has eth0" in picture.frame.alt
        assert repr(picture) == picture.frame.alt
        assert picture.frame.changed == ()


@pytest.mark.parametrize("place", ["", "ip netns exec net1", "nsenter --net=/proc/{pid}/ns/net"])
def test_change_is_seen_and_glows_wherever_it_is(place: str) -> None:
    sh("ip netns add net1")
    frames: list[Frame] = []
    with apart() as running, following() as picture, picture.listening(frames.append):
        sh(place.format(pid=running.pid) + " ip link add br7 type bridge")
        until(lambda: "br7" in picture.frame.alt)
        (new,) = [it for it in frames if any("interface br7" in line for line in it.told)]
        (key,) = [(s.id, it.index) for s, it in picture.network if it.name == "br7"]
        assert f"if-{key[0]}-{key[1]}" in new.changed


def test_what_changes_quietly_is_shown_and_not_told() -> None:
    sh(PAIR)
    frames: list[Frame] = []
    with following() as picture, picture.listening(frames.append):
        sh("ip -n net1 address add 10.0.0.1/24 dev eth0")
        with quietly():
            sh("ip -n net1 address add 10.0.0.2/24 dev eth0; ip -n net1 link set eth0 up")
            until(lambda: "10.0.0.2" in picture.frame.alt)
            sh("ip -n net1 address delete 10.0.0.1/24 dev eth0")
        assert "10.0.0.1" not in picture.frame.alt
        sh("ip -n net1 address add 10.0.0.3/24 dev eth0")
        picture.settle()
    told = [line for it in frames for line in it.told if "address" in line]
    assert [word for line in told for word in line.split() if word.startswith("10.")] == [
        *("10.0.0.1/24", "10.0.0.3/24")
    ]
    assert not any(it.changed and not it.told for it in frames)
    assert not tellers


def test_name_that_comes_and_goes_is_seen() -> None:
    with following() as picture:
        sh("ip netns add net1")
        until(lambda: "net1" in picture.frame.alt)
        sh("ip netns delete net1")
        until(lambda: "net1" not in picture.frame.alt)


def test_settled_picture_shows_what_was_so_before() -> None:
    sh(PAIR)
    with following() as picture:
        for number in range(20):
            sh(f"ip -n net{1 + number % 2} address add 10.0.{number}.1/24 dev eth0")
            picture.settle()
            assert f"10.0.{number}.1" in repr(picture.network)


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ("nft 'add table ip seen; add chain ip seen it'", "seen"),
        ("sysctl -qw net.ipv4.conf.all.rp_filter=2", "rp_filter"),
        ("ip netns exec net1 sysctl -qw net.ipv6.conf.all.forwarding=1", "forwarding"),
    ],
)
def test_filters_and_switches_are_seen(script: str, seen: str) -> None:
    sh("ip netns add net1")
    with following() as picture:
        sh(script)
        until(lambda: seen in repr(picture.network))


def test_process_that_enters_a_namespace_and_leaves_it_is_seen() -> None:
    sh("ip netns add net1")
    with following() as picture:
        with meanwhile("exec ip netns exec net1 sleep 60") as (running,):
            until(lambda: running.pid in picture.network.namespaces[1].pids)
        until(lambda: not picture.network.namespaces[1].pids)


def test_namespaces_that_go_while_they_are_read_do_no_harm() -> None:
    frames: list[Frame] = []
    with following() as picture, picture.listening(frames.append):
        with meanwhile(COMING, NAMES):
            until(lambda: len(frames) > 20)
        until(lambda: true(picture))
        assert picture.trouble is None


def test_picture_is_true_after_a_storm() -> None:
    for name in ("s1", "s2", "s3", "s4"):
        sh(f"ip netns add {name}; ip link add {name} type veth peer name eth0 netns {name}")
    frames: list[Frame] = []
    with following() as picture, picture.listening(frames.append):
        with meanwhile(COMING), meanwhile(*(STORM.format(f"s{n}") for n in (1, 2, 3, 4))) as storms:
            for each in storms:
                assert each.wait() == 0
        until(lambda: true(picture))
        assert picture.trouble is None
        assert picture.frame.alt.count("10.99.0.1/24") == 4
        assert len(frames) > 10


def test_nothing_grows_however_long_it_follows() -> None:
    def churn(rounds: range) -> tuple[list[int], int]:
        for number in rounds:
            script = ROUND.format(number)
            subprocess.run(["ip", "-batch", "-"], input=script.encode(), check=True)
            if number % 5 == 0:
                picture.settle()
                assert f"a{number}" in picture.frame.alt
            subprocess.run(["ip", "-batch", "-"], input=OVER.format(number).encode(), check=True)
        until(lambda: true(picture))
        return size_of(picture), resident()

    with following() as picture:
        before, memory = churn(range(100))
        after, more = churn(range(100, 400))
        assert after == before
        assert more - memory < 4096


def test_stopped_picture_holds_nothing() -> None:
    sh(PAIR)
    before = descriptors()
    with following() as picture:
        picture.settle()
        assert threads()
    picture.stop()
    picture.settle()
    assert threads() == []
    assert descriptors() == before
    sh("ip netns add net3")
    assert "net3" not in picture.frame.alt


def test_no_namespace_is_kept_alive() -> None:
    sh("ip netns add net1; ip link add one type veth peer name two netns net1")
    with following() as picture:
        until(lambda: "one" in picture.frame.alt)
        sh("ip netns delete net1")
        until(lambda: not has("one"))
        until(lambda: "one" not in picture.frame.alt)


def test_live_is_one_until_it_is_stopped() -> None:
    with following(live) as first:
        assert live() is first
        assert netviz.live() is first
    with following(live) as second:
        assert second is not first


def test_shown_again_it_shows_what_is_so_and_not_what_was() -> None:
    with following(live) as picture:
        for number in range(5):
            sh(f"ip netns add net{number}")
            assert f"net{number}" in live().frame.alt
            netviz.reset()
            assert live().frame.alt == netviz.draw().alt
    assert picture.trouble is None


def test_two_pictures_follow_side_by_side() -> None:
    with following() as one, following() as other:
        sh(PAIR)
        until(lambda: true(one) and true(other))
    assert one.frame.alt == other.frame.alt


def test_listener_that_fails_ends_neither_the_picture_nor_other_listeners() -> None:
    frames: list[Frame] = []

    def fail(_: Frame) -> None:
        raise ZeroDivisionError("my own fault")

    with following() as picture, picture.listening(fail), picture.listening(frames.append):
        sh("ip netns add net1")
        until(lambda: "my own fault" in str(picture.trouble))
        sh("ip netns add net2")
        until(lambda: frames and "net2" in frames[-1].alt)


def test_what_cannot_be_read_is_told_and_read_once_it_can_be() -> None:
    with following() as picture:
        sh(f"mount --bind /dev/null {ROOT}; ip netns add net1")
        try:
            until(lambda: "cannot read the network namespace" in str(picture.trouble))
            assert "root" in picture.frame.alt
            assert "the picture cannot follow" in str(picture.frame.trouble)
        finally:
            sh(f"umount {ROOT}")
        until(lambda: picture.trouble is None and "net1" in picture.frame.alt)


def hearing(picture: Live) -> list[dict[str, object]]:
    told: list[dict[str, object]] = []
    picture.traffic.hear(told.append)
    return told


def capturing() -> bool:
    return any(thread.name == "netviz-capture" for thread in threading.enumerate())


def test_packets_are_told_while_they_are_asked_for_and_frames_are_as_ever() -> None:
    netviz.bridge(2).up()
    before = descriptors()
    with following(lambda: live(packets=True)) as picture:
        told, frames = hearing(picture), []
        with picture.listening(frames.append):
            sh("ip netns exec net1 ping -c1 10.1.1.3")
            until(lambda: len([row for it in told for row in it["sights"] if "ICMP" in row]) == 4)
        assert live() is picture
        assert picture.traffic.on
        ids = {shape.gid for shape in picture.frame.plan.ports}
        assert {row[0] for it in told for row in it["sights"]} <= ids
        assert live(packets=False) is picture
        assert "off" in told[-1]
        assert not capturing()
        sh("ip netns exec net1 ping -c1 10.1.1.3")
        time.sleep(0.7)
        assert "off" in told[-1]
        live(packets=True)
        assert capturing()
        ticks = [it["tick"] for it in told]
    assert not capturing()
    assert ticks == sorted(set(ticks))
    assert descriptors() == before
    picture.traffic.switch(True)
    assert not capturing()


def test_listener_to_packets_that_fails_harms_nobody() -> None:
    netviz.bridge(2).up()
    with following(lambda: live(packets=True)) as picture:
        picture.traffic.hear(lambda _: 1 / 0)
        told = hearing(picture)
        sh("ip netns exec net1 ping -c1 10.1.1.3")
        until(lambda: told)
        sh("ip netns add net3")
        until(lambda: "net3" in picture.frame.alt)


DEAF = """
import subprocess, sys, time, netviz
picture, told = netviz.live(packets=True), []
picture.traffic.hear(told.append)
assert not picture.traffic.on
subprocess.run(["ip", "netns", "add", "net3"], check=True)
while "net3" not in picture.frame.alt:
    time.sleep(0.01)
picture.stop()
assert picture.trouble is None
(it,) = told
assert it["trouble"] == str(picture.traffic.trouble)
print(it["trouble"])
"""


def test_who_may_not_listen_is_told_once_and_sees_the_picture() -> None:
    sh(PAIR)
    command = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", sys.executable, "-c"]
    done = subprocess.run([*command, DEAF], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stderr == ""
    assert done.stdout.startswith("cannot listen on every interface: ")
