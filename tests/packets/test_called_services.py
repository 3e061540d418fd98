"""Services: what explain and trace say of rules that deal calls out, and of what mends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from net.oracle import can, sh

import netviz
from netviz.net.discovery import snapshot
from netviz.packets.diagnosis import diagnose

if TYPE_CHECKING:
    from netviz.explanations import Explanation

needs_bridge_nf = pytest.mark.skipif(
    not can("sysctl net.bridge.bridge-nf-call-iptables"), reason="this kernel has no bridge-nf"
)
BACKENDS = "{ 0 : 10.244.1.3, 1 : 10.244.2.2, 2 : 10.244.2.3 }"
SERVICES = f"""table ip services {{
  chain prerouting {{
    type nat hook prerouting priority dstnat
    ip daddr 10.96.0.10 tcp dport 80 dnat to numgen random mod 3 map {BACKENDS}
  }}
}}"""


def load(rules: str, *nodes: str) -> None:
    for node in nodes:
        sh(f"ip netns exec {node} nft -f - <<'END'\n{rules}\nEND")


def tracked(node: str, value: int) -> None:
    sh(f"ip netns exec {node} sysctl -qw net.bridge.bridge-nf-call-iptables={value}")


@pytest.fixture(autouse=True)
def _cluster() -> None:
    """Build two nodes with two pods each, and a Service of three of them."""
    netviz.nodes(2, 2).up()
    load(SERVICES, "node1", "node2")


def ask(where: str, to: str = "10.96.0.10") -> Explanation:
    return diagnose(snapshot(), where, to, "tcp", 80)


def test_each_turn_of_a_rule_that_deals_out_is_tried() -> None:
    told = ask("node1-pod1")
    assert told.broken is None
    assert "map { 0 : 10.244.1.3, 1 : 10.244.2.2, 2 : 10.244.2.3 }, here 10.244.1.3" in str(told)
    assert "another time it is 10.244.2.2 or 10.244.2.3 instead" in told.steps[-1].text
    sh("ip -n node2-pod2 link set eth0 down")
    told = ask("node1-pod1")
    assert ", here 10.244.2.3" in str(told)
    assert "node2-pod2:eth0" in told.broken.text
    sh(told.mend)
    sh("ip -n node2-pod2 route add default via 10.244.2.1")
    assert ask("node1-pod1").broken is None


def test_maps_of_ports_and_of_chains_deal_out_as_well() -> None:
    load("flush ruleset", "node1")
    load(
        """table ip proxy {
  chain one { meta l4proto tcp dnat to 10.244.1.3:8080; }
  chain other { meta l4proto tcp dnat to 10.244.2.2:80; }
  chain prerouting {
    type nat hook prerouting priority dstnat
    ip daddr 10.96.0.10 tcp dport 80 numgen inc mod 2 vmap { 0 : goto one, 1 : goto other }
    ip daddr 10.96.0.11 tcp dport 80 dnat to numgen inc mod 2 map {
      0 : 10.244.1.3 . 81, 1 : 10.244.2.2 . 82
    }
  }
}""",
        "node1",
    )
    told = ask("node1-pod1")
    assert "tcp port 8080 of node1-pod2" in str(told)
    assert "another time it is 10.244.2.2 instead" in told.steps[-1].text
    assert "tcp port 81 of node1-pod2" in str(ask("node1-pod1", "10.96.0.11"))


def test_chance_that_drops_is_no_turn() -> None:
    load(
        "table ip loss { chain forward { type filter hook forward priority 0; "
        "numgen random mod 100 < 20 drop; }; }",
        "node1",
    )
    assert "a snapshot cannot tell if 'numgen random mod 100 < 20' holds" in ask("node1-pod1").doubt


def test_each_rule_that_deals_out_has_turns_of_its_own() -> None:
    load(
        "table ip second { chain input { type filter hook input priority 0; "
        "tcp dport 80 numgen random mod 2 vmap { 0 : accept, 1 : drop }; }; }",
        "node2-pod2",
    )
    load("flush ruleset", "node1")
    load(SERVICES.replace("10.244.2.2", "10.244.2.3").replace("mod 3", "mod 2"), "node1")
    told = ask("node1-pod1")
    assert ", here 10.244.2.3" in str(told)
    assert "table ip second, chain input" in told.broken.text


def test_more_turns_than_are_tried_are_a_doubt() -> None:
    for mod, certain in ((32, True), (33, False)):
        load("flush ruleset", "node1")
        ends = ", ".join(f"{n} : 10.244.1.3" for n in range(mod))
        load(SERVICES.replace("mod 3", f"mod {mod}").replace(BACKENDS, f"{{ {ends} }}"), "node1")
        told = ask("node1-pod1")
        assert told.works
        assert ("more ways than the 32 that were tried" in str(told)) is not certain


def test_comment_that_reads_like_a_rule_that_deals_out_is_none() -> None:
    load(
        "table ip odd { chain forward { type filter hook forward priority 0; "
        """counter comment "'numgen': {'mod': 0"; }; }""",
        "node1",
    )
    assert ask("node1-pod1").works


@needs_bridge_nf
def test_pod_that_calls_itself_needs_a_hairpin_and_another_source() -> None:
    tracked("node2", 1)
    told = ask("node2-pod1")
    assert told.broken.text == (
        "node2:veth1 sends nothing back to where it came from: hairpin is off"
    )
    sh(told.mend)
    told = ask("node2-pod1")
    assert "node2-pod1 has 10.244.2.2 as well, and takes nothing" in told.broken.text
    load(
        "table ip hairpin { chain post { type nat hook postrouting priority srcnat; "
        "ip saddr . ip daddr { 10.244.2.2 . 10.244.2.2 } masquerade; }; }",
        "node2",
    )
    assert ask("node2-pod1").broken is None


@needs_bridge_nf
def test_answer_that_a_bridge_leads_past_the_tracking_is_named_and_mended() -> None:
    tracked("node1", 0)
    told = ask("node1-pod1")
    assert "10.96.0.10 was asked, but the answer comes from 10.244.1.3" in told.broken.text
    sh(told.mend)
    assert ask("node1-pod1").broken is None


@needs_bridge_nf
def test_trace_names_the_rule_where_a_bridge_translates() -> None:
    tracked("node1", 1)
    load(
        SERVICES.replace(BACKENDS, "{ 0 : 10.244.2.2, 1 : 10.244.2.2, 2 : 10.244.2.2 }").replace(
            "table ip services {", "flush ruleset\ntable ip services {"
        ),
        "node1",
    )
    seen = netviz.trace("node1-pod1", netviz.Flow("10.96.0.10", "tcp", 80))
    syn = next(it for it in seen.journeys if it.title.startswith("TCP SYN:"))
    changed = next(hop for hop in syn.hops if "10.244.2.2" in str(hop.changes))
    assert changed.where.namespace == "node1"
    assert any("NAT rule of table ip services" in why.text for why in changed.reasons)
