"""The lesson about Open vSwitch, from top to bottom, and that nothing of it outlives its kernel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from kernels import all_end, processes_of
from running import assert_solved, echo_request, run, say

if TYPE_CHECKING:
    from kernels import Notebook
    from running import Said

LOST, ANSWERED = "100% packet loss", "1 received"


@pytest.mark.long
def test_07_open_vswitch(own_lab: Notebook) -> None:
    said = run(own_lab, "07")
    assert said.happened == ["no", "no", "yes"]
    assert_a_switch(said)
    assert_flows(said)
    assert_vlans(said)
    assert_compute_nodes(said)
    assert "✗ a1 does not reach b1: " in said.by('task="exercise"')
    assert_scripts_may_run_twice(own_lab)


def assert_a_switch(said: Said) -> None:
    assert_solved(said.by("installed("))
    assert said.by("nv.needs(").startswith("✓ ovs ")
    assert len(re.findall(r"^\d+ \S*ovs(?:db-server|-vswitchd) ", said.by("pgrep"), re.M)) == 2
    plugged = said.by("ping -c 2 10.1.1.5")
    assert "2 received" in plugged
    assert sorted(re.findall("Port (.*)", plugged)) == ["ovs-br", "ovs-veth0", "ovs-veth1"]
    assert said.by("!bridge link show").startswith("ovs-veth0@")
    assert "ovs-veth0, port of ovs-br, joined with net1:veth0" in said.by("nv.draw()", turn=1)
    wrapper = said.by("tx-checksumming")
    assert all(part in wrapper for part in ('"datapath_type=', " tx off", ":exec ", "ing: off"))
    learned = said.by("!ovs-appctl fdb/show")
    assert re.search(" 1 +0 +02:00:00:00:00:02 ", learned)
    assert re.search(" 2 +0 +02:00:00:00:00:05 ", learned)
    assert re.findall("priority=.*", learned) == ["priority=0 actions=NORMAL"]
    request = echo_request(said.by('nv.trace("net1", "ping'))
    assert re.search(r"3 +root:ovs-br +through(?:.*\n)+? +ovs-br: table=0, priority=0", request)


def assert_flows(said: Said) -> None:
    dropped = said.by("!ip netns exec net2 ping -c 1 -W 1 10.1.1.2")
    assert dropped.count(LOST) == 2
    # What is not counted yet is counted for the flow that is there then.
    assert re.search(r"n_packets=[23],.*priority=100,icmp,", dropped)
    assert "✗ back: ovs-br: table=0, priority=100,icmp" in said.by('nv.explain("net2"')
    one_way = said.by("icmp_type=8").split("10.1.1.2 (10.1.1.2)")
    assert [LOST in way for way in one_way] == [True, False]
    assert ANSWERED in one_way[1]
    assert "connected\n" in said.by("back = ")
    rewritten = said.by("nv.trace", turn=2)
    assert "TCP destination port 80 → 8000" in rewritten
    assert "NAT" not in rewritten
    assert "TCP source port 8000 → 80" in rewritten
    foretold = said.by("ofproto/trace ovs-br")
    assert re.search(r"priority 200\n +mod_tp_dst:8000\n +NORMAL\n +-> forwarding to le", foretold)


def assert_vlans(said: Said) -> None:
    assert LOST in said.by("!ip netns exec net1 ping -c 1 -W 1 10.1.1.5", turn=2)
    together = said.by("ovs-veth1 tag=10")
    assert ANSWERED in together
    assert len(re.findall(" 10 +02:00:", together)) == 2
    heard = said.by("tcpdump -lnne")
    assert "ethertype 802.1Q" in heard
    assert re.search(r"vlan 10, .*ARP.* who-has 10.1.1.99 tell 10.1.1.2", heard)


def assert_compute_nodes(said: Said) -> None:
    drawn = said.by("nv.live()", turn=2)
    assert "qvo-red, port of br-int in VLAN 1" in drawn
    assert "qvo-red, port of br-int in VLAN 2" in drawn
    assert said.by("!ip netns exec red1 ping -c 2").count("2 received") == 2
    neighbours = re.findall(r"02:00:00:00:0\d:02", said.by("neighbour show"))
    assert [mac[12:14] for mac in neighbours] == ["01", "02", "01"]
    request = echo_request(said.by('nv.trace("red1"'))
    places = ("node1:br-int", "VLAN none → 1", "node1:br-tun", "VLAN 1 → none", "VNI 5001")
    there = ("+ VXLAN vni 5001", "node2:br-tun", "VLAN none → 2", "node2:br-int", "VLAN 2 → none")
    assert re.search(".*".join(map(re.escape, (*places, *there))), request, re.DOTALL)
    foretold = said.by("ofproto/trace br-int")
    order = ('bridge("br-int")', 'bridge("br-tun")', "set_tunnel:0x1389", 'bridge("br-ex")')
    assert re.search(".*".join(map(re.escape, order)), foretold, re.DOTALL)
    too_long = said.by("-s 1472 10.0.0.2\n!grep")
    assert LOST in too_long
    assert "Message too long" in too_long
    fits = said.by("mtu 1450")
    assert ANSWERED in fits
    assert "message too long, mtu=1450" in fits
    explained = said.by('nv.explain("red1"') + said.by('nv.explain("blue1"')
    assert re.search("✗ .*(br-tun|in VLAN)", explained)
    assert "ovs-vsctl" in explained or "ovs-ofctl" in explained


def assert_scripts_may_run_twice(lab: Notebook) -> None:
    """Run them again: what a VM has stays as it is, and so do the flows that lead to it."""
    say(lab, "!ip netns add node1\n!ip link add sw-1 type veth peer name eth0 netns node1")
    say(lab, 'nv.service("ovs", "node1")')
    typed = "%%netns node1\n!sh /run/node.sh 1 2>&1; sh /run/vm.sh red 1 1 5001"
    say(lab, typed)
    again = say(lab, typed).replace('Cannot find device "br-ex"\n', "")
    assert again == 'Cannot create namespace file "/run/netns/red1": File exists\n'
    assert say(lab, "!ip netns exec node1 ovs-ofctl dump-flows br-tun").count("actions=") == 2


def test_nothing_outlives_a_kernel_that_is_killed_in_the_middle(own_lab: Notebook) -> None:
    say(own_lab, 'import netviz as nv\nnv.needs("ovs")\nnv.service("ovs")')
    say(own_lab, "!ovs-vsctl add-br ovs-br")
    with all_end(processes_of(own_lab.pid)):
        own_lab.manager.provisioner.process.kill()
