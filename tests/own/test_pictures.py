"""Kinds that not every kernel has are drawn, and drawn anew when they change."""

from __future__ import annotations

import time

import pytest
from net.oracle import sh
from own.networks import BRIDGED, CHILDREN, DUMMY, TUNNELS, VLAN, VRF

import netviz
from netviz.picture.cards import cards
from netviz.picture.live import Live

pytestmark = pytest.mark.own_kernel

NAMED = {
    "ipip": (TUNNELS["ipip"], "IPIP"),
    "gre": (TUNNELS["gre"], "GRE"),
    "vlan": (VLAN, "VLAN"),
    "ipvlan": (CHILDREN["ipvlan l3"], "ipvlan"),
    "vrf": (VRF, "VRF"),
    "dummy": (DUMMY, "dummy"),
}


@pytest.mark.parametrize("kind", NAMED)
def test_picture_names_the_kind(kind: str) -> None:
    script, word = NAMED[kind]
    sh(script)
    picture = netviz.draw(netviz.snapshot())
    assert word.lower() in picture.svg.lower()
    assert word.lower() in picture.alt.lower()


def test_card_of_a_bridge_has_its_vlans() -> None:
    sh(BRIDGED)
    told = str(cards(netviz.snapshot()))
    assert "bridge vlan show" in told
    assert "p1 10 PVID Egress Untagged" in told


def test_living_picture_follows_a_vlan() -> None:
    sh(BRIDGED)
    picture = Live()
    try:
        sh("bridge vlan del dev p2 vid 10")
        end = time.monotonic() + 30
        while ("p2", 10) in {(it.dev, it.vlan) for it in picture.network.namespaces[0].vlans}:
            assert time.monotonic() < end, "it did not come"
            time.sleep(0.05)
    finally:
        picture.stop()
