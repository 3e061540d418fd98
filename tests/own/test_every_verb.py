"""Every verb of the library once, on a kernel of one's own, across a tunnel that it makes."""

from __future__ import annotations

import json

import pytest
from net.oracle import sh
from net.rebuilding import chosen, look, rebuilt, steps
from own.networks import TUNNELS

import netviz
from netviz.net.topology import Topology

pytestmark = pytest.mark.own_kernel


def test_what_was_done_is_taken_back() -> None:
    sh(TUNNELS["ipip"])
    before = look()
    netviz.checkpoint("tunnel")
    sh("ip -n net1 link delete tun1; ip -n net2 link set tun1 down")
    netviz.restore("tunnel")
    assert steps(look(), before) == ()
    net = Topology()
    net.link("gre1", "gre", local="10.0.0.1", remote="10.0.0.2")
    net.up()
    netviz.undo()
    assert steps(look(), before) == ()
    netviz.reset()
    assert [link.name for _, link in look()] == ["lo"]


def test_what_is_there_is_told_in_every_way() -> None:
    sh(TUNNELS["ipip"])
    seen = look()
    assert chosen(seen.diff(rebuilt(seen, exact=True))) == []
    assert json.loads(netviz.export(seen, "json"))["namespaces"][1]["name"] == "net1"
    assert "tun1" in netviz.export(seen, "dot")
    assert "tun1" in netviz.draw(seen).svg
    assert netviz.graph(seen).number_of_edges() == 4


def test_what_travels_is_foretold_followed_and_recorded() -> None:
    sh(TUNNELS["ipip"])
    assert netviz.explain("net1", "10.9.0.2", verify=True).verified
    followed = netviz.trace("net1", "ping -c1 10.9.0.2")
    assert {journey.fate for journey in followed} == {"delivered"}
    kept = netviz.record()
    sh("ip -n net1 link set tun1 down")
    kept.stop()
    assert "tun1" in str([moment.changes for moment in kept.moments])
