"""Who reaches whom on a card that many share: what is foretold is what the kernel does."""

from __future__ import annotations

import pytest
from net.oracle import can, sh
from own.lans import HAIRPIN, LOCKED, lan

from netviz.journeys import LOST
from netviz.packets.explainer import explain
from netviz.packets.tracer import follow

GW, NODE, OTHER = "192.168.1.1", "192.168.1.10", "192.168.1.12"
SWITCH = "ip link add br0 type bridge; ip link set port1 master br0; bridge link set"
APART = "pod1:eth0 is a macvlan on node1:eth0: between these two no frame goes"
REACHED = {
    ("bridge", ""): [GW, OTHER],
    ("private", ""): [GW],
    ("vepa", ""): [GW],
    ("bridge", HAIRPIN): [GW, OTHER, NODE],
    ("private", HAIRPIN): [GW],
    ("vepa", HAIRPIN): [GW, OTHER, NODE],
}

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _macvlan() -> None:
    if not can("ip link add v type veth peer name w; ip link add x link v type macvlan"):
        pytest.skip("this kernel cannot make a macvlan")


@pytest.mark.parametrize(("mode", "hairpin"), REACHED)
def test_mode_and_switch_decide_who_is_reached(mode: str, hairpin: str) -> None:
    sh(lan("macvlan", mode) + hairpin)
    told = {to: explain("pod1", to, verify=True) for to in (GW, OTHER, NODE)}
    assert all(it.certain for it in told.values()), told
    assert all(it.works == it.verified for it in told.values()), told
    assert [to for to, it in told.items() if it.works] == REACHED[mode, hairpin]


def test_one_that_takes_from_some_cards_alone_leaves_a_doubt() -> None:
    sh(lan("macvlan", "source"))
    told = explain("pod1", GW)
    assert not told.certain
    assert "mode source" in str(told)


def test_vepa_goes_to_the_switch_and_back() -> None:
    sh(lan("macvlan", "vepa") + HAIRPIN)
    (request,) = [
        it for it in follow("pod1", f"ping -c1 {OTHER}").journeys if "request" in it.title
    ]
    assert [f"{hop.where} {hop.direction}" for hop in request] == [
        *("pod1:eth0 out", "node1:eth0 out", "root:to-node1 in", "root:switch0 through"),
        *("root:to-node1 out", "node1:eth0 in", "pod2:eth0 in"),
    ]


@pytest.mark.parametrize(("here", "to"), [("pod1", NODE), ("node1", "192.168.1.11")])
def test_host_reaches_its_pods_by_a_macvlan_of_its_own(here: str, to: str) -> None:
    sh(lan("macvlan", "bridge") + "ip -n node1 link add host0 type veth peer name other")
    told = explain(here, to)
    assert told.broken, told
    assert APART in told.broken.text
    assert told.mend == (
        "ip -n node1 link add link eth0 name host1 type macvlan mode bridge && "
        "ip -n node1 link set dev host1 up && ip -n node1 route add 192.168.1.11 dev host1"
    )
    (lost,) = [it for it in follow(here, f"ping -c1 -W1 {to}").journeys if it.fate == LOST]
    assert str(lost.end.end) == told.broken.text
    sh(told.mend)
    after = explain(here, to, verify=True)
    assert (after.works, after.certain, after.verified) == (True, True, True), after


def test_port_that_is_locked_takes_one_card_only() -> None:
    sh(lan("macvlan", "bridge"))
    if not can(f"ip link add port1 type veth peer far; {SWITCH} dev port1 locked on"):
        pytest.skip("this kernel cannot lock a port")
    sh(LOCKED)
    assert explain("node1", GW, verify=True).verified
    told = explain("pod1", GW, verify=True)
    assert told.broken, told
    mac = sh("ip netns exec pod1 cat /sys/class/net/eth0/address").strip()
    why = f"to-node1 is locked: it takes no frame from {mac}, which switch0's FDB does not have"
    assert why in told.broken.text
    assert (told.works, told.certain, told.verified) == (False, True, False)
    seen = follow("pod1", f"ping -c1 -W1 {GW}").journeys
    assert any(why in str(hop.end) for it in seen for hop in it if hop.end), seen
    sh(f"{told.mend}; ip netns exec pod1 ping -c1 -w3 {GW}")
    assert explain("pod1", GW).works
