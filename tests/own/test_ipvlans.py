"""Pods that share their host's card by ipvlan, on a LAN: what is foretold comes, and is mended."""

from __future__ import annotations

import pytest
from net.oracle import sh
from own.lans import HAIRPIN, LOCKED, SWITCHED, lan

from netviz.packets.explainer import explain

pytestmark = pytest.mark.own_kernel

GW, NODE, OTHER = "192.168.1.1", "192.168.1.10", "192.168.1.12"
ROUTED = """for n in 1 2; do
    ip netns add pod$n; ip -n node1 link add link eth0 name eth1 type ipvlan mode l3
    ip -n node1 link set eth1 netns pod$n name eth0; ip -n pod$n link set eth0 up
    ip -n pod$n address add 10.244.1.1$n/32 dev eth0; ip -n pod$n route add default dev eth0
done
"""


@pytest.mark.parametrize(
    ("change", "reached"),
    [("", [GW, OTHER]), (LOCKED, [GW, OTHER]), (HAIRPIN, [GW, OTHER, NODE])],
    ids=["as it is", "one MAC only", "hairpin"],
)
def test_ipvlans_are_reached_where_one_mac_is_enough(change: str, reached: list[str]) -> None:
    sh(lan("ipvlan", "l2") + change)
    told = {to: explain("pod1", to, verify=True) for to in (GW, OTHER, NODE)}
    assert all(it.certain and it.works == it.verified for it in told.values()), told
    assert [to for to, it in told.items() if it.works] == reached


def test_host_reaches_its_pods_by_an_ipvlan_of_its_own() -> None:
    sh(lan("ipvlan", "l2"))
    told = explain("pod1", NODE)
    assert told.broken, told
    assert "pod1:eth0 is an ipvlan on node1:eth0: between" in told.broken.text
    assert told.mend is None  # It would need an address of its own, and nobody knows which.
    sh("""ip -n node1 link add link eth0 name host0 type ipvlan mode l2
        ip -n node1 address add 192.168.1.31/32 dev host0; ip -n node1 link set host0 up
        ip -n node1 route add 192.168.1.11 dev host0""")
    for here, to in (("node1", "192.168.1.11"), ("pod1", "192.168.1.31")):
        after = explain(here, to, verify=True)
        assert (after.works, after.certain, after.verified) == (True, True, True), after


def test_way_back_to_what_is_routed_leads_by_the_card_below() -> None:
    sh(SWITCHED + ROUTED)
    told = explain("pod1", GW, verify=True)
    assert told.broken, told
    assert "back: gw has no way to 10.244.1.11: no route" in told.broken.text
    assert (told.certain, told.verified) == (True, False)
    assert told.mend == f"ip -n gw route add 10.244.1.11 via {NODE}"
    sh(told.mend)
    assert explain("pod1", GW, verify=True).verified
