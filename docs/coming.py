"""The lessons whose notebooks are not written yet, and the networks they are about."""

from __future__ import annotations

from netviz import Topology, nodes, router, two_hosts


def tunnel(kind: str, **parameters: object) -> Topology:
    """Return two routed subnets, and a tunnel from one end to the other."""
    net = router()
    for n in (1, 2):
        ends = {"local": f"10.1.{n}.2", "remote": f"10.1.{3 - n}.2"}
        net.link(f"net{n}:tun{n}", kind, dev=f"net{n}:v{n}", **ends, **parameters)
    return net


def shared() -> Topology:
    """Return two pods that share the card of a host."""
    net = two_hosts()
    for n in (1, 2):
        net.namespace(f"pod{n}")
        net.macvlan(f"pod{n}:eth0", dev="net1:veth0", mode="bridge", ip=f"10.1.1.1{n}/24")
    return net


COMING = {
    "08": ("How does Linux route?", router()),
    "09": ("Across hosts by routes: who must know the way?", nodes(2, 1)),
    "10": ("Across hosts in a tunnel: what is a packet in a packet?", tunnel("ipip")),
    "11": ("Across hosts in an overlay: what does VXLAN carry?", tunnel("vxlan", id=7, port=4789)),
    "12": ("How can many share one card?", shared()),
    "13": ("What is the network of a whole cluster?", nodes(2, 2)),
}
"""By number: what the lesson asks, and its network, as far as netviz can declare it already."""
