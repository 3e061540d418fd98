"""Packets through Open vSwitch: our own reading of its flows is held against ``ofproto/trace``."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from net.oracle import sh
from net.switches import foretold, host, on, patch, pod

from netviz.net.discovery import snapshot
from netviz.packets.explainer import explain
from netviz.packets.flows import DoubtError, actions, change, matches
from netviz.packets.pipelines import Pipelines
from netviz.packets.relations import Relations
from netviz.packets.tracer import follow
from netviz.picture.drawing import draw

if TYPE_CHECKING:
    from netviz.journeys import Followed, Journey
    from netviz.model import Interface, Snapshot

pytestmark = pytest.mark.long

EVERYBODY, NOBODY = "ff:ff:ff:ff:ff:ff", "02:00:00:00:99:99"


def plain() -> None:
    on(host(), "ovs-vsctl add-br br0")
    for number in (1, 2, 3):
        pod(f"net{number}", f"10.1.1.{number}", "br0")


def two_vlans() -> None:
    on(host(), "ovs-vsctl add-br br0")
    for number, tag in ((1, 10), (2, 10), (3, 20), (4, 20)):
        pod(f"net{number}", f"10.1.1.{number}", "br0", tag)


def trunk() -> None:
    two_vlans()
    on("root", "ovs-vsctl set port v-net4 trunks=10,30 -- remove port v-net4 tag 20")
    pod("net5", "10.1.1.5", "br0", 10)
    on("root", "ovs-vsctl set port v-net5 vlan_mode=native-untagged trunks=20")


def patched() -> None:
    two_vlans()
    on("root", "ovs-vsctl add-br br1")
    pod("net5", "10.1.1.5", "br1", 10)
    patch("br0", "br1")


def by_flows() -> None:
    plain()
    two = "$(ovs-vsctl get interface v-net2 ofport)"
    many = "01:00:00:00:00:00/01:00:00:00:00:00"
    on(
        "root",
        f"""
        ovs-ofctl del-flows br0
        ovs-ofctl add-flow br0 priority=40001,ip,in_port=v-net3,actions=drop
        ovs-ofctl add-flow br0 priority=40000,icmp,nw_dst=10.1.1.3/32,actions=drop
        ovs-ofctl add-flow br0 priority=5,arp,actions=FLOOD
        ovs-ofctl add-flow br0 "ip,in_port=v-net1,actions=load:{two}->reg0,goto_table:4"
        ovs-ofctl add-flow br0 "table=4,reg0={two},actions=output:NXM_NX_REG0[]"
        ovs-ofctl add-flow br0 "ip,in_port=v-net2,actions=set_field:1->metadata,resubmit(,5)"
        ovs-ofctl add-flow br0 table=5,metadata=1,dl_dst={many},actions=drop
        ovs-ofctl add-flow br0 table=5,priority=3,actions=output:v-net1
        """,
    )


SWITCHES: dict[str, Callable[[], None]] = {
    "plain": plain,
    "two VLANs": two_vlans,
    "trunk": trunk,
    "patch cable": patched,
    "flows": by_flows,
}


def two_hosts() -> None:
    """Build two compute nodes: two tenants with the same addresses, a VLAN here, a VNI between."""
    sh("""
    ip netns add host1; ip netns add host2
    ip link add eth0 netns host1 type veth peer name eth0 netns host2""")
    for number in (1, 2):
        at = host(f"host{number}")
        other = 3 - number
        sh(f"ip -n {at} link set lo up; ip -n {at} link set eth0 up")
        on(at, "ovs-vsctl add-br br-ex -- add-port br-ex eth0 -- add-br br-int -- add-br br-tun")
        patch("br-int", "br-tun", at)
        remote = f"options:remote_ip=192.168.0.{other} options:key=flow"
        on(at, f"ovs-vsctl add-port br-tun vx -- set interface vx type=vxlan {remote}")
        sh(f"""
        ip -n {at} address add 192.168.0.{number}/24 dev br-ex
        ip -n {at} link set br-ex up""")
        on(at, "ovs-ofctl del-flows br-tun")
        for tenant, tag, vni in (("a", number, 100), ("b", number + 10, 200)):
            pod(f"{tenant}{number}", f"10.0.0.{number}", "br-int", tag, at)
            out = f"in_port=br-tun-br-int,dl_vlan={tag},actions=strip_vlan,set_tunnel:{vni},vx"
            back = f"in_port=vx,tun_id={vni},actions=mod_vlan_vid:{tag},output:br-tun-br-int"
            on(at, f"ovs-ofctl add-flow br-tun {out}\novs-ofctl add-flow br-tun {back}")


def plugged(network: Snapshot) -> Iterator[tuple[Interface, str]]:
    """Yield the root's ports that lead to pods, with the cards there."""
    macs = {(space.id, link.index): str(link.mac) for space, link in network}
    for link in network.namespaces[0].interfaces:
        if link.master and link.peer and link.kind == "veth":
            yield link, macs[link.peer.key]


def way(journey: Journey, *, seen: bool = True) -> list[str]:
    return [f"{hop.where} {hop.direction}" for hop in journey if hop.packet or not seen]


def request(followed: Followed) -> Journey:
    return next(it for it in followed.journeys if it.title.startswith("ICMP echo request"))


@pytest.mark.parametrize("name", SWITCHES)
def test_where_a_frame_leaves_is_what_the_switch_itself_says(name: str) -> None:
    SWITCHES[name]()
    follow("net1", "ping -c1 -W1 10.1.1.2")
    network = snapshot()
    root, relations = network.namespaces[0], Relations(network)
    pipelines, ports = Pipelines(relations), [*plugged(network)]
    asked = 0
    for came, source in ports:
        for to in (*(mac for _, mac in ports if mac != source), EVERYBODY, NOBODY):
            frame = {"dl_src": number(source), "dl_dst": number(to), "dl_type": 0x0800}
            frame |= {"nw_src": 0x0A010101, "nw_dst": 0x0A010103, "nw_proto": 1}
            found = pipelines.passage((root.id, came.index), frame)
            ours = {relations.links[each[-1].port].name for each in found.ways}
            flow = f"in_port={came.name},dl_src={source},dl_dst={to},icmp"
            assert came.master
            told = foretold("root", came.master.name, f"{flow},nw_src=10.1.1.1,nw_dst=10.1.1.3")
            assert ours == told, (came.name, to)
            asked += 1
    assert asked >= 12


def number(mac: str) -> int:
    return int(mac.replace(":", ""), 16)


def test_journey_through_patched_bridges_tells_each_and_why() -> None:
    patched()
    journey = request(follow("net1", "ping -c1 -W1 10.1.1.5"))
    assert way(journey) == [*("net1:eth0 out", "root:v-net1 in", "root:v-net5 out", "net5:eth0 in")]
    assert way(journey, seen=False)[2:6] == [
        *("root:br0 through", "root:br0-br1 out", "root:br1-br0 in", "root:br1 through")
    ]
    first, last = (hop for hop in journey if hop.direction == "through")
    assert str(first.reasons[0]) == "br0: table=0, priority=0 actions=NORMAL"
    assert "in VLAN 10 is behind br0-br1" in str(first.reasons[1])
    assert [str(it) for it in (*first.changes, *last.changes)] == [
        "802.1Q VLAN none → 10",
        "802.1Q VLAN 10 → none",
    ]


def test_copies_of_what_is_for_many_part_in_the_switch() -> None:
    patched()
    seen = follow("net1", "ping -c1 -W1 10.1.1.5")
    question = next(it for it in seen.journeys if it.title.startswith("ARP: who has 10.1.1.5"))
    assert {"root:v-net2 out", "root:v-net5 out"} <= {*way(question)}
    assert not {"root:v-net3 out", "root:v-net4 out"} & {*way(question)}  # VLAN 20.
    assert [str(hop.where) for hop in question].count("root:br0") == 1


def test_frame_that_a_flow_drops_is_lost_by_that_flow() -> None:
    by_flows()
    journey = request(follow("net1", "ping -c1 -W1 10.1.1.3"))
    assert (str(journey.end.where), journey.fate) == ("root:v-net1", "lost")
    assert journey.end.end
    assert journey.end.end.command == "ovs-ofctl dump-flows br0"
    assert "priority=40000,icmp,nw_dst=10.1.1.3 actions=drop" in journey.end.end.text


def test_two_tenants_on_two_hosts_have_a_vlan_in_the_switch_and_a_vni_on_the_wire() -> None:
    two_hosts()
    for tenant, tags, vni in (("a", (1, 2), 100), ("b", (11, 12), 200)):
        followed = follow(f"{tenant}1", "ping -c1 -W2 10.0.0.2")
        journey = request(followed)
        assert followed.status == 0, followed.output
        assert way(journey) == [
            *(f"{tenant}1:eth0 out", f"host1:v-{tenant}1 in", "host1:eth0 out"),
            *("host2:eth0 in", f"host2:v-{tenant}2 out", f"{tenant}2:eth0 in"),
        ]
        through = [str(hop.where) for hop in journey if hop.direction == "through"]
        assert through == [
            *("host1:br-int", "host1:br-tun", "host1:vx", "host1:br-ex"),
            *("host2:br-ex", "host2:vx", "host2:br-tun", "host2:br-int"),
        ]
        changes = [str(change) for hop in journey for change in hop.changes]
        assert [it for it in changes if it.startswith("802.1Q")] == [
            *(f"802.1Q VLAN none → {tags[0]}", f"802.1Q VLAN {tags[0]} → none"),
            *(f"802.1Q VLAN none → {tags[1]}", f"802.1Q VLAN {tags[1]} → none"),
        ]
        assert {f"+ VXLAN vni {vni}", f"- VXLAN vni {vni}"} <= {*changes}
        frame = f"in_port=v-{tenant}1,dl_dst={EVERYBODY},icmp,nw_dst=10.0.0.2"
        assert "eth0" in foretold("host1", "br-int", frame)
        explained = explain(f"{tenant}1", "10.0.0.2", verify=True)
        assert (explained.works, explained.verified, explained.doubt) == (True, True, None)


def test_where_taps_are_refused_the_switch_is_read_and_followed_all_the_same() -> None:
    sh("mount -t tmpfs -o nodev none /dev/net")
    patched()
    network = snapshot()
    made_up = [link.name for _, link in network if link.kind == "openvswitch" and link.unreal]
    assert (made_up, network.warnings) == (["br0", "br1"], ())
    journey = request(follow("net1", "ping -c1 -W1 10.1.1.5"))
    through = [str(hop.where) for hop in journey if hop.direction == "through"]
    assert (through, journey.fate) == (["root:br0", "root:br1"], "delivered")
    assert draw(network).svg.count(">Open vSwitch<") == 2


def test_lost_at_the_tunnel_where_no_flow_takes_it() -> None:
    two_hosts()
    on("host1", "ovs-vsctl set port v-a1 tag=9")
    seen = follow("a1", "ping -c1 -W1 10.0.0.2")
    lost = next(it for it in seen.journeys if it.title.startswith("ARP: who has 10.0.0.2"))
    assert lost.fate == "lost"
    assert "no flow in table 0 of br-tun takes it" in str(lost.end.end)


def test_lost_at_the_far_end_of_the_tunnel_where_the_vlan_does_not_match() -> None:
    two_hosts()
    sh("ip netns exec a1 ping -c1 -W2 10.0.0.2")
    on("host2", "ovs-vsctl set port v-a2 tag=7")
    told = explain("a1", "10.0.0.2")
    assert told.broken
    assert told.broken.text.endswith("host2:vx is in VLAN 2, host2:v-a2 in 7")
    assert told.broken.command == "ip netns exec host2 ovs-vsctl show"
    journey = request(follow("a1", "ping -c1 -W1 10.0.0.2"))
    assert way(journey, seen=False)[-6:] == [
        *("host2:br-ex through", "host2:vx through", "host2:br-tun through"),
        *("host2:br-tun-br-int out", "host2:br-int-br-tun in", "host2:br-int through"),
    ]
    assert (str(journey.end.where), journey.fate) == ("host2:br-int", "lost")
    assert journey.end.end
    assert journey.end.end.text == "no port of br-int takes it in VLAN 2"
    sh(str(told.broken.mend))
    assert explain("a1", "10.0.0.2", verify=True).works


SERVER = "import socket; s = socket.create_server(('', 8000)); s.accept()[0].close()"


def test_what_a_flow_rewrites_is_told_where_it_does_and_by_which() -> None:
    plain()
    there = "priority=9,tcp,in_port=v-net1,tp_dst=80,actions=mod_tp_dst:8000,NORMAL"
    back = f"tcp,in_port=v-net2,actions=set_field:80->tcp_src,mod_dl_src:{NOBODY},NORMAL"
    on("root", f"ovs-ofctl add-flow br0 {there}\novs-ofctl add-flow br0 '{back}'")
    server = subprocess.Popen(["ip", "netns", "exec", "net2", sys.executable, "-c", SERVER])
    sh("until ip netns exec net2 ss -tln | grep -q :8000; do sleep 0.05; done")
    seen = follow("net1", "bash -c ': < /dev/tcp/10.1.1.2/80'")
    server.wait(5)
    assert seen.status == 0, seen.output
    opens, answer = (it for it in seen.journeys if it.title.startswith("TCP SYN"))
    told = [(str(hop.where), str(it)) for hop in opens for it in hop.changes]
    assert told == [("root:br0", "TCP destination port 80 → 8000")]
    told = [(str(hop.where), str(it)) for hop in answer for it in hop.changes]
    assert told[0][1].startswith("Ethernet source ")
    assert told[0][1].endswith(f" → {NOBODY}")
    assert told[1:] == [("root:br0", "TCP source port 8000 → 80")]
    reasons = [[str(it) for it in hop.reasons] for hop in opens]
    assert "priority=9,tcp,in_port=1,tp_dst=80 actions=mod_tp_dst:8000,NORMAL" in reasons[2][0]
    assert reasons[3:] == [[], []]  # No NAT.
    told = explain("net1", "10.1.1.2", proto="tcp", port=80)
    assert told.doubt == "a flow of br0 rewrites it"


def test_explanation_tells_of_vlans_and_of_flows_and_what_mends_them() -> None:
    two_vlans()
    assert_told_and_mended("v-net1 is in VLAN 10, and v-net3 in VLAN 20$")
    on("root", "ovs-vsctl clear port v-net1 tag")
    assert_told_and_mended("what comes by v-net1 is in no VLAN, v-net3 in 20$")
    on("root", "ovs-ofctl add-flow br0 priority=9,icmp,in_port=v-net3,actions=drop")
    assert_told_and_mended("priority=9,icmp")


def assert_told_and_mended(cause: str) -> None:
    told = explain("net1", "10.1.1.3", verify=True)
    assert told.broken
    assert (told.verified, told.works) == (False, False)
    assert re.search(cause, told.broken.text)
    sh(str(told.broken.mend))
    mended = explain("net1", "10.1.1.3", verify=True)
    assert (mended.verified, mended.works) == (True, True)


def test_what_a_snapshot_cannot_tell_is_a_question_mark() -> None:
    plain()
    on("root", "ovs-ofctl add-flow br0 'ip,actions=ct(commit),NORMAL'")
    told = explain("net1", "10.1.1.2")
    assert told.works
    assert told.doubt == "what br0 does with it is not in a snapshot: a flow says ct"
    journey = request(follow("net1", "ping -c1 -W1 10.1.1.2"))
    unknown = next(hop for hop in journey if hop.direction == "through")
    assert "how br0 passed it on is not in a snapshot: a flow says ct" in str(unknown.reasons[0])


FRAME = {"dl_type": 0x0800, "nw_proto": 6, "nw_dst": 0x0A010203, "vlan_tci": 0x100A, "tun_id": 5}


@pytest.mark.parametrize(
    ("match", "taken"),
    [
        ("", True),
        ("ip", True),
        ("tcp", True),
        ("udp", False),
        ("arp", False),
        ("ip,nw_dst=10.1.0.0/16", True),
        ("ip,nw_dst=10.2.0.0/255.255.0.0", False),
        ("dl_vlan=10", True),
        ("dl_vlan=0xffff", False),
        ("vlan_tci=0x1000/0x1000", True),
        ("vlan_tci=0x0000", False),
        ("tun_id=0x5", True),
        ("udp,ct_state=+new", False),
    ],
)
def test_match(match: str, taken: bool) -> None:
    assert matches(match, FRAME) is taken


@pytest.mark.parametrize("match", ["ct_state=+new", "ip,nw_tos=4", "mpls", "in_port=eth7"])
def test_what_is_not_known_of_a_frame_is_not_guessed(match: str) -> None:
    with pytest.raises(DoubtError, match="a flow"):
        matches(match, FRAME)


@pytest.mark.parametrize(
    ("action", "changed"),
    [
        ("mod_vlan_vid:7", {"vlan_tci": 0x1007}),
        ("strip_vlan", {"vlan_tci": 0}),
        ("load:0x9->NXM_NX_TUN_ID[0..31]", {"tun_id": 9}),
        ("set_field:4103->vlan_vid", {"vlan_tci": 0x1007}),
        ("mod_dl_dst:02:00:00:00:00:01", {"dl_dst": 0x020000000001}),
        ("move:NXM_OF_IP_DST[0..15]->NXM_NX_REG1[16..31]", {"reg1": 0x02030000}),
        ("learn(table=9,load:0->NXM_OF_VLAN_TCI[],output:NXM_OF_IN_PORT[])", {}),
    ],
)
def test_change(action: str, changed: dict[str, int]) -> None:
    frame = dict(FRAME)
    ((name, told),) = actions(action)
    change(name, told, frame)
    assert frame == FRAME | changed
