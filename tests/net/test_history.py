"""A change is made as a whole or not at all, and there is a way back from it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from labs import NETVIZ
from oracle import sh

import netviz
from netviz.errors import KernelError, NetvizError, SandboxError, TopologyError
from netviz.lab import sandbox
from netviz.lab.syscalls import mount
from netviz.net import history
from netviz.net.discovery import snapshot
from netviz.net.lasting import lasting
from netviz.net.steps import AddLink
from netviz.net.topology import Topology
from tests.sandboxed import fresh_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.changes import Change
    from netviz.model import Snapshot
    from netviz.net.steps import Step

pytestmark = pytest.mark.long

REFUSED = AddLink("root:bad0", "nosuchkind")
STANDING = """ip netns add old1; ip link add old0 type veth peer name old0 netns old1
    ip link set old0 up; ip address add 10.9.0.1/24 dev old0; sysctl -qw net.ipv4.ip_forward=0
    nft add table ip mine"""


def ten_steps() -> tuple[Step, ...]:
    net = Topology()
    net.namespace("net1")
    net.bridge("br1", ip="10.1.1.1/24")
    net.veth("net1:veth0", "port0", master="br1", ip="10.1.1.2/24")
    net.route("net1", "default", via="10.1.1.1")
    net.sysctl("root", "net.ipv4.ip_forward", 1)
    net.nft("root", "table ip nat { chain c { type nat hook postrouting priority 100; }; }")
    steps = net.steps()
    assert len(steps) >= 10
    return steps


def kept() -> Snapshot:
    """Return what somebody configured, which nothing may have changed."""
    return lasting(snapshot(), exact=True)


def difference(before: Snapshot) -> list[Change]:
    """Return what is different, but for what takes the kernel a moment."""
    settling = ("carrier", "port state")
    return [change for change in before.diff(kept()) if change.field not in settling]


@pytest.mark.parametrize("place", range(len(ten_steps()) + 1))
def test_refused_step_takes_back_those_before_it(place: int) -> None:
    sh(STANDING)
    before = kept()
    steps = ten_steps()
    with pytest.raises(KernelError, match="nothing was changed") as refused:
        history.change(lambda _: (*steps[:place], REFUSED, *steps[place:]), "up")
    assert refused.value.command == "ip link add bad0 type nosuchkind"
    assert not difference(before)


ADDING = [place for place, step in enumerate(ten_steps()) if " add " in step.command()]


@pytest.mark.parametrize("place", ADDING)
def test_whatever_is_added_twice_leaves_nothing(place: int) -> None:
    sh(STANDING)
    before = kept()
    steps = ten_steps()
    with pytest.raises(KernelError, match=f"step {place + 2} of .* File exists") as refused:
        history.change(lambda _: (*steps[: place + 1], *steps[place:]), "up")
    assert refused.value.command == steps[place].command()
    assert not difference(before)


def test_what_is_set_twice_can_be_undone() -> None:
    sh(STANDING)
    before = kept()
    steps = ten_steps()
    twice = [step for place, step in enumerate(steps) for _ in range(1 + (place not in ADDING))]
    history.change(lambda _: twice, "up")
    history.undo()
    assert not difference(before)


def test_taken_name_is_told_before_anything_is_done() -> None:
    sh("ip netns add net1")
    before = kept()
    with pytest.raises(TopologyError, match="namespace 'net1' is there already"):
        netviz.bridge(2).up()
    assert not difference(before)
    assert history.checkpoints() == ()


def test_no_room_for_another_name_takes_back_the_others() -> None:
    mount("tmpfs", "/run/netns", "tmpfs", options="nr_inodes=4")
    before = kept()
    with pytest.raises(KernelError, match="No space left on device"):
        netviz.bridge(9).up()
    assert not difference(before)


@pytest.mark.parametrize("again", [False, True])
def test_interrupt_takes_back_what_was_done(again: bool) -> None:
    sh(STANDING)
    before = kept()
    with pytest.raises(KeyboardInterrupt):
        build_interrupted(again)
    assert not difference(before)


def build_interrupted(again: bool) -> None:
    impatient = threading.Thread(target=interrupt, args=(again,))
    impatient.start()
    try:
        netviz.bridge(400).up()
    finally:
        impatient.join()


def interrupt(again: bool) -> None:
    """Interrupt this process amid a build, and perhaps again when what it made becomes less."""
    while (most := names()) < 10:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
    while again and (now := names()) >= most:
        most = now
    if again:
        os.kill(os.getpid(), signal.SIGINT)


def names() -> int:
    return len([*Path("/run/netns").iterdir()])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_killed_command_takes_back_what_it_did(number: int, tmp_path: Path) -> None:
    before = kept()
    with up_elsewhere(tmp_path) as build:
        build.send_signal(number)
    assert build.returncode not in (0, -number)
    assert not difference(before)


def test_command_killed_for_good_can_be_undone(tmp_path: Path) -> None:
    sh(STANDING)
    before = kept()
    with up_elsewhere(tmp_path) as build:
        build.kill()
    assert difference(before)
    history.undo()
    assert not difference(before)


def up_elsewhere(folder: Path) -> subprocess.Popen[bytes]:
    """Return a process that is building 400 namespaces at this moment."""
    file = folder / "net.py"
    file.write_text("import netviz\nnet = netviz.bridge(400)\n")
    command = [NETVIZ, "up", str(file)]
    build = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (Path("/run/netns").exists() and names() > 9):
        assert build.poll() is None
        time.sleep(0.001)
    return build


def test_undo_goes_one_change_back_each_time() -> None:
    states = [kept()]
    for net in (netviz.two_hosts(), netviz.docker(1)):
        net.up()
        states.append(kept())
    for wanted in (states[1], states[0]):
        history.undo()
        assert not difference(wanted)
    with pytest.raises(NetvizError, match="nothing to undo"):
        history.undo()


def test_undo_after_down_says_that_it_cannot() -> None:
    netviz.two_hosts().up()
    netviz.docker(1).up().down()
    before = kept()
    with pytest.raises(NetvizError, match="took a network down, and what it was is not kept"):
        history.undo()
    assert not difference(before)


def test_undo_brings_back_what_was_deleted_by_hand() -> None:
    netviz.docker(2).up()
    history.checkpoint("docker")
    before = kept()
    sh("ip netns delete c1; ip link delete docker0; sysctl -qw net.ipv4.ip_forward=0")
    sh("nft flush ruleset; ip -n c2 address flush dev eth0")
    history.undo()
    assert not difference(before)


MISHAPS = {
    "link moved": "ip link set port0 netns net1",
    "link renamed": "ip link set br1-veth0 down; ip link set br1-veth0 name other up",
    "link down": "ip -n net1 link set veth0 down",
    "unplugged": "ip link set br1-veth0 nomaster",
    "another MTU": "ip link set br1-veth0 mtu 1400",
    "another MAC": "ip -n net1 link set veth0 address 02:00:00:00:00:07",
    "bridge gone": "ip link delete br1",
    "STP on": "ip link set br1 type bridge stp_state 1 forward_delay 200",
    "addresses": "ip -n net1 address flush dev veth0; ip address add 10.9.9.9/32 dev lo",
    "route and rule": "ip route add blackhole 10.8.0.0/16; ip rule add from 10.7.0.0/16 table 9",
    "queue": "tc qdisc add dev br1-veth0 root tbf rate 1mbit burst 10k latency 10ms",
    "namespaces": "ip netns delete net2; ip netns add net9",
}


@pytest.mark.parametrize("mishap", MISHAPS.values(), ids=MISHAPS)
def test_restore_mends(mishap: str) -> None:
    sh("ip link add port0 type veth peer name port1")
    netviz.bridge(2).up()
    history.checkpoint("start")
    before = kept()
    sh(mishap)
    assert difference(before)
    assert history.restore("start")
    assert not difference(before)


def test_restored_link_is_the_same_one() -> None:
    sh("ip netns add net1; ip link add p0 type veth peer name p1; ip link set p0 up")
    index = Path("/sys/class/net/p0/ifindex").read_text()
    history.checkpoint("start")
    sh("ip link set p0 netns net1 name q7")
    history.restore("start")
    assert Path("/sys/class/net/p0/ifindex").read_text() == index


def test_running_ping_survives_an_unrelated_undo() -> None:
    netviz.two_hosts().up()
    command = "ip netns exec net1 ping -i 0.02 -c 60 -q 10.1.1.2"
    with subprocess.Popen(command.split(), stdout=subprocess.PIPE, text=True) as ping:
        netviz.docker(3).up()
        history.undo()
        told = ping.communicate()[0]
    assert " 0% packet loss" in told


def test_checkpoints_are_listed_by_name_and_the_last_of_a_name_counts() -> None:
    first = history.checkpoint("one")
    sh("ip link add br0 type bridge")
    second = history.checkpoint("one")
    assert [known.name for known in history.checkpoints()] == ["one"]
    assert history.checkpoints()[0].network == second.network != first.network
    assert repr(second).startswith("'one' of ")


def test_checkpoint_in_a_file_goes_to_another_lab(tmp_path: Path) -> None:
    netviz.nodes(2, 1).up()
    before = kept()
    history.checkpoint("cluster").save(tmp_path / "cluster.json")
    with fresh_network():
        history.restore(tmp_path / "cluster.json")
        # Here the network around is held open by the test.
        assert {str(it)[:19] for it in difference(before)} <= {"+ namespace python-"}


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: history.restore("nowhere"), "there is no checkpoint 'nowhere'; make one"),
        (lambda: history.restore("no.json"), "cannot read 'no.json'"),
        (lambda: history.checkpoint("x").save("/nowhere/x.json"), "cannot write the checkpoint"),
    ],
)
def test_what_cannot_be_restored_or_saved_is_told(act: Callable[[], object], words: str) -> None:
    with pytest.raises(NetvizError, match=words):
        act()


@pytest.mark.parametrize(
    "act",
    [
        lambda: netviz.two_hosts().up(),
        lambda: netviz.two_hosts().down(),
        lambda: history.checkpoint("x"),
        lambda: history.restore("x"),
        history.undo,
    ],
)
def test_outside_a_lab_nothing_is_touched(
    act: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept()
    with monkeypatch.context() as outside:
        outside.setattr(sandbox, "inside", lambda: False)
        with pytest.raises(SandboxError, match="this is the machine itself"):
            act()
    assert not difference(before)
