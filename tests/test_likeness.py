"""Two networks that are built alike are equal without what was made up, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from net.oracle import sh

import netviz
from netviz.likeness import likeness

if TYPE_CHECKING:
    from netviz.model import Snapshot


def built(port: str, mac: str, address: str = "10.0.0.1/24") -> Snapshot:
    """Return a bridge with one port, as it is seen; and take it away."""
    sh(
        "ip link add br0 address 02:00:00:00:00:09 type bridge; ip link set br0 up; ip netns add c1"
        f"; ip link add {port} address {mac} type veth"
        " peer name eth0 address 02:00:00:00:00:08 netns c1"
        f"; ip link set {port} master br0 up; ip -n c1 link set eth0 up"
        f"; ip -n c1 address add {address} dev eth0; tc qdisc add dev {port} root pfifo limit 7"
    )
    seen = netviz.snapshot()
    sh(f"ip link delete {port}; ip link delete br0; ip netns delete c1")
    return seen


def test_names_and_addresses_that_nobody_chose_make_no_difference() -> None:
    one, other = built("veth1", "02:00:00:00:00:01"), built("veth7f3a", "02:00:00:00:00:02")
    told = {change.kind for change in one.diff(other)}
    assert {"interface", "address", "qdisc"} <= told
    assert one.diff(other, made_up=False) == ()


def test_what_was_chosen_makes_one() -> None:
    one, other = (
        built("veth1", "02:00:00:00:00:01"),
        built("veth2", "02:00:00:00:00:02", "10.0.0.2/24"),
    )
    told = [str(change) for change in one.diff(other, made_up=False)]
    assert told == ["- c1: address eth0 10.0.0.1/24", "+ c1: address eth0 10.0.0.2/24"]


def test_a_network_is_like_its_likeness() -> None:
    seen = built("veth1", "02:00:00:00:00:01")
    assert likeness(likeness(seen)) == likeness(seen)
    assert {link.name for _, link in likeness(seen)} == {"lo", "br0", "eth0", "peer-of-c1:eth0"}
