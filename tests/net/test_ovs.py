"""Open vSwitch as a snapshot has it, its cards and its picture, against real daemons."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from net.oracle import sh
from net.switches import folder, host, on, patch, pod

from netviz.graphs import graph
from netviz.model import UNREAL, Snapshot
from netviz.net.discovery import snapshot
from netviz.net.exports import export
from netviz.net.history import checkpoint, restore
from netviz.net.ovs import switched
from netviz.net.ovsdb import Daemon
from netviz.net.scripts import script
from netviz.picture.cards import cards
from netviz.picture.drawing import draw
from netviz.records import snapshot_of


@pytest.fixture
def network() -> Snapshot:
    """Give the test two bridges, joined by a patch cable, with pods in two VLANs and a trunk."""
    host()
    on("root", "ovs-vsctl add-br br0\novs-vsctl add-br br1")
    for name, address, bridge, tag in (
        ("a", "10.1.1.1", "br0", 10),
        ("b", "10.1.1.2", "br0", 20),
        ("c", "10.1.1.3", "br1", 10),
        ("d", "10.1.1.4", "br1", None),
    ):
        pod(name, address, bridge, tag)
    patch("br0", "br1")
    on(
        "root",
        """
        ovs-vsctl set port v-d trunks=10,20
        ovs-vsctl set bridge br1 fail_mode=secure
        ovs-ofctl add-flow br1 table=0,priority=7,actions=NORMAL
        ovs-ofctl add-flow br1 table=3,ip,nw_dst=10.0.0.0/8,actions=mod_vlan_vid:5,goto_table:4
        ovs-vsctl add-port br1 vx -- set interface vx type=vxlan options:remote_ip=10.9.9.9 \
            options:key=42
        ip netns exec a ping -c1 -W2 10.1.1.3
        """.replace("\\\n            ", ""),
    )
    return snapshot()


def test_bridges_ports_tags_patches_and_tunnels_are_read(network: Snapshot) -> None:
    root = network.namespaces[0]
    links = {link.name: link for link in root.interfaces}
    assert (links["br0"].kind, links["br0"].parameters["fail_mode"]) == (
        "openvswitch",
        "standalone",
    )
    assert links["br1"].parameters["fail_mode"] == "secure"
    masters = {name: link.master.name for name, link in links.items() if link.master}
    assert masters == {
        **dict.fromkeys(("v-a", "v-b", "br0-br1"), "br0"),
        **dict.fromkeys(("v-c", "v-d", "br1-br0", "vx"), "br1"),
    }
    assert [links[f"v-{pod}"].port.get("tag") for pod in "abcd"] == [10, 20, 10, None]
    assert links["v-d"].port["trunks"] == [10, 20]
    assert str(links["br0-br1"].peer) == "root:br1-br0"
    assert links["vx"].parameters == {"remote": "10.9.9.9", "id": 42, "port": 4789}
    assert {name for name, link in links.items() if link.index >= UNREAL} == {
        *("br0-br1", "br1-br0", "vx")
    }
    assert network.warnings == ()


def test_flows_and_what_was_learned_are_read(network: Snapshot) -> None:
    root, mac = network.namespaces[0], on("a", "cat /sys/class/net/eth0/address").strip()
    assert [str(flow) for flow in root.flows if flow.bridge == "br1"] == [
        "table=0, priority=7 actions=NORMAL",
        "table=3, priority=32768,ip,nw_dst=10.0.0.0/8 actions=mod_vlan_vid:5,resubmit(,4)",
    ]
    known = [(it.master, it.dev, it.vlan) for it in root.fdb if it.mac == mac and it.vlan]
    assert known == [("br0", "v-a", 10), ("br1", "br1-br0", 10)]


def test_it_is_written_down_and_read_back_and_differs_by_what_was_changed(
    network: Snapshot,
) -> None:
    assert snapshot_of(json.loads(json.dumps(network.to_dict()))) == network
    on("root", "ovs-ofctl add-flow br0 dl_vlan=9,actions=drop\novs-vsctl set port v-b tag=30")
    told = [str(change) for change in network.diff(snapshot())]
    assert "~ root: interface v-b port tag: 20 → 30" in told
    assert "+ root: flow br0 table=0, priority=32768,dl_vlan=9 actions=drop" in told


def test_picture_and_cards_tell_of_it(network: Snapshot) -> None:
    g = graph(network)
    names = {link.name for _, link in g.nodes(data="interface")}
    assert "ovs-netdev" not in names  # The switch's own, and told by nothing else.
    kinds = sorted(kind for _, _, kind in g.edges(keys=True))
    assert (kinds.count("patch"), kinds.count("port"), kinds.count("veth")) == (1, 7, 4)
    picture = draw(network)
    for text in ("Open vSwitch", "v-a · VLAN 10", "v-d · VLANs 10,20", "br0-br1"):
        assert f">{text}<" in picture.svg
    assert picture.svg == draw(snapshot()).svg
    assert "patch cable br0-br1, port of br0, joined with root:br1-br0" in picture.alt
    shown = {
        card.title: {it.heading: it for it in card.sections} for card in cards(network).values()
    }
    flows = shown["root:br1"]["Flows, in short"]
    assert flows.command == "ovs-ofctl dump-flows br1"
    assert flows.lines[0] == "table=0, priority=7 actions=NORMAL"
    assert "VLAN 10" in shown["root:v-a"]["Open vSwitch, in short"].lines[0]
    assert shown["root:vx"]["Open vSwitch, in short"].command == "ovs-vsctl list interface vx"
    assert "patch" in export(network, "dot")


def test_scripts_and_the_way_back_leave_it_to_its_daemons(network: Snapshot) -> None:
    told = script(network)
    assert "# Not built: root:br0 is of Open vSwitch: ovs-vsctl makes it.\n" in told
    assert not {"br0", "vx", "ovs-netdev"} & set(told.partition("ip netns")[2].split())
    checkpoint("before")
    sh("ip -n a address add 10.7.7.7/24 dev eth0")
    on("root", "ovs-vsctl set port v-b tag=30")
    told = [str(it) for it in restore("before") if it.kind != "fdb"]  # What it learns, it learns.
    assert told == ["- a: address eth0 10.7.7.7/24"]
    assert "tag: 30" in on("root", "ovs-vsctl show")


def test_each_host_has_its_own() -> None:
    for name in ("host1", "host2"):
        sh(f"ip netns add {name}")
        on(host(name), "ovs-vsctl add-br br-int")
    found = {
        space.name: [link.name for link in space.interfaces if link.kind == "openvswitch"]
        for space in snapshot().namespaces
    }
    assert found == {"root": [], "host1": ["br-int"], "host2": ["br-int"]}


def test_port_without_a_device_and_a_patch_without_a_peer_are_cautions() -> None:
    on(host(), "ovs-vsctl add-br br0")
    sh("ovs-vsctl --no-wait add-port br0 gone 2>/dev/null")
    sh("ovs-vsctl --no-wait add-port br0 p -- set interface p type=patch options:peer=nobody")
    told = [str(each) for each in snapshot().warnings]
    assert any("root:br0: its port 'gone' carries nothing: could not open" in it for it in told)
    assert "root:p: its peer 'nobody' is not there" in told


def test_names_that_lie_are_shown_escaped() -> None:
    on(host(), "ovs-vsctl add-br br0")
    name = "<script>"
    sh(f"ovs-vsctl add-port br0 '{name}' -- set interface '{name}' type=patch options:peer=x")
    picture = draw(snapshot())
    assert name not in picture.svg
    assert "&lt;script&gt;" in picture.svg


def test_daemon_that_hangs_or_is_dead_costs_a_moment() -> None:
    on(host(), "ovs-vsctl add-br br0")
    pid = int((folder("root") / "ovs-vswitchd.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    before = time.monotonic()
    seen = snapshot()
    assert time.monotonic() - before < 3  # It is 0.5 s, on a machine with nothing else to do.
    late = "Open vSwitch at '/run/openvswitch/db.sock' cannot be read: it does not answer in time"
    assert [str(it) for it in seen.warnings] == [late]
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_text():
        time.sleep(0.01)
    assert snapshot().warnings == ()  # Its sockets are still there, and nobody behind them.


def test_answer_that_comes_too_late_is_not_read() -> None:
    with (
        socket.create_server("/run/late", family=socket.AF_UNIX) as late,
        Daemon("/run/late", time.monotonic() + 10) as daemon,
    ):

        def answer() -> None:
            with late.accept()[0] as wire:
                wire.recv(100)
                time.sleep(0.05)  # By now it is waited for.
                daemon._until = 0
                wire.sendall(b'{"id":0,"result":[]}')

        Thread(target=answer).start()
        with pytest.raises(TimeoutError):
            daemon.ask("echo")


RUBBISH = (
    b"",
    b"\x00\xff" * 100,
    b"}" * 100,
    b"[[[[" * 100_000 + b"}",
    b'{"id":0,"result":null}',
    b'{"id":0,"result":[{"rows":[{}]}]}',
    b'{"id":0,"result":[{"rows":7}, {"rows":[]}, {"rows":[]}, {"rows":[]}]}',
    b'{"id":0,"error":"no","result":null}',
)


@contextmanager
def answering(path: Path, rubbish: bytes) -> Iterator[None]:
    """Be a daemon that answers rubbish to whatever it is asked, once."""
    (path / "ovs-vswitchd.pid").write_text(f"{os.getpid()}\n")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path / "db.sock"))
        listening.listen()

        def answer() -> None:
            talk, _ = listening.accept()
            with talk:
                talk.recv(1 << 16)
                talk.sendall(rubbish)

        thread = Thread(target=answer)
        thread.start()
        yield
        thread.join()
    (path / "db.sock").unlink()


def test_daemon_that_answers_rubbish_is_a_caution(tmp_path: Path) -> None:
    run = tmp_path / "openvswitch"
    run.mkdir()
    spaces = snapshot().namespaces
    for rubbish in RUBBISH:
        cautions: list[object] = []
        with answering(run, rubbish):
            assert switched(spaces, cautions, tmp_path) == spaces
        assert [str(it).startswith("Open vSwitch at") for it in cautions] == [True]


def test_without_a_switch_nothing_is_said(tmp_path: Path) -> None:
    spaces = snapshot().namespaces
    cautions: list[object] = []
    assert (switched(spaces, cautions, tmp_path), cautions) == (spaces, [])
