"""Ourselves: the network as a `Topology`, declared before the clock starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netviz.net.topology import Topology

if TYPE_CHECKING:
    from shapes import Network


class Ours:
    """``Topology.up`` and ``Topology.down``."""

    def __init__(self, network: Network) -> None:
        self._topology = topology(network)

    def up(self) -> None:
        """Build it."""
        self._topology.up()

    def down(self) -> None:
        """Take it down."""
        self._topology.down()


def topology(network: Network) -> Topology:
    """Return a network as code."""
    made = Topology()
    made.namespace(*network.namespaces)
    for namespace, name, address in network.bridges:
        made.bridge(_at(namespace, name), ip=address or ())
    for near, far in (cable.ends for cable in network.cables):
        made.veth(
            _at(near.namespace, near.name),
            _at(far.namespace, far.name),
            ip=near.address or (),
            peer_ip=far.address or (),
            master=far.master or None,
            one_master=near.master or None,
        )
    for namespace, via in network.defaults:
        made.route(namespace, "default", via=via)
    for namespace in network.forwarding:
        made.sysctl(namespace, "net.ipv4.ip_forward", 1)
    return made


def _at(namespace: str, name: str) -> str:
    return f"{namespace}:{name}" if namespace else name
