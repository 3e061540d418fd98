"""Three Python libraries that build networks, each as its manual shows.

pyroute2 is a dependency of the project; Mininet and NeST are fetched into the cache, and imported
from there. Both choose names and processes of their own, so their stars are only like ours.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from shapes import GATEWAY, Network

FORWARD = "/proc/sys/net/ipv4/ip_forward"
BOOT = 3  # The protocol of a route that a person typed; pyroute2 would say "static".


class Pyroute2:
    """``IPRoute`` in the root, ``NetNS`` in each namespace, one request after the other."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._library: Any = importlib.import_module("pyroute2")

    def up(self) -> None:
        """Build it."""
        network, library = self._network, self._library
        for name in network.namespaces:
            library.netns.create(name)
        with library.IPRoute() as root:
            self._cable(root)
            self._furnish(root, "")
        for name in network.namespaces:
            with library.NetNS(name) as inside:
                inside.link("set", index=1, state="up")
                self._furnish(inside, name)
        for name in network.forwarding:
            library.netns.pushns(name)
            Path(FORWARD).write_text("1")
            library.netns.popns()
        for name, via in network.defaults:
            with library.NetNS(name) as inside:
                inside.route("add", dst="default", gateway=via, proto=BOOT)

    def down(self) -> None:
        """Take it down."""
        with self._library.IPRoute() as root:
            for namespace, name, _ in self._network.bridges:
                if not namespace:
                    root.link("del", index=root.link_lookup(ifname=name)[0])
        for name in self._network.namespaces:
            self._library.netns.remove(name)

    def _cable(self, root: Any) -> None:
        for cable in self._network.cables:
            near, far = ({"ifname": end.name} for end in cable.ends)
            for ends, end in zip((near, far), cable.ends, strict=True):
                ends.update({"net_ns_fd": end.namespace} if end.namespace else {})
            root.link("add", kind="veth", peer=far, **near)

    def _furnish(self, place: Any, here: str) -> None:
        """Do what is to be done in one namespace but its routes."""
        ends = [it for cable in self._network.cables for it in cable.ends if it.namespace == here]
        for namespace, name, address in self._network.bridges:
            if namespace == here:
                place.link("add", ifname=name, kind="bridge")
                self._set(place, name, address)
        for end in ends:
            master = place.link_lookup(ifname=end.master)[0] if end.master else None
            self._set(place, end.name, end.address, **({"master": master} if master else {}))

    def _set(self, place: Any, name: str, address: str, **fields: int) -> None:
        index = place.link_lookup(ifname=name)[0]
        place.link("set", index=index, state="up", **fields)
        if address:
            ip, _, length = address.partition("/")
            place.addr("add", index=index, address=ip, prefixlen=int(length))


class Mininet:
    """Mininet with Linux' own bridge as its switch, and no controller: a star only."""

    def __init__(self, network: Network, cache: Path) -> None:
        sys.path.append(str(cache / "usr/lib/python3/dist-packages"))
        os.environ["PATH"] += f":{cache}/usr/bin:{cache}/usr/sbin"
        self._net: Any = importlib.import_module("mininet.net")
        self._bridge = importlib.import_module("mininet.nodelib").LinuxBridge
        self._network = network

    def up(self) -> None:
        """Build it."""
        self._made = self._net.Mininet(switch=self._bridge, controller=None)
        switch = self._made.addSwitch("br1")
        for cable in self._network.cables:
            route = f"via {GATEWAY}"
            host = self._made.addHost(cable.near[0], ip=cable.near_address, defaultRoute=route)
            self._made.addLink(host, switch)
        self._made.start()

    def down(self) -> None:
        """Take it down."""
        self._made.stop()


class Nest:
    """NeST, whose bridge lies in a namespace of its own: a star only."""

    def __init__(self, network: Network, cache: Path) -> None:
        sys.path.append(str(cache))
        self._library: Any = importlib.import_module("nest.topology")
        self._cleaning: Any = importlib.import_module("nest.clean_up")
        self._network = network

    def up(self) -> None:
        """Build it."""
        library = self._library
        switch = library.Switch("br1")
        switch.set_address(f"{GATEWAY}/16")
        for cable in self._network.cables:
            node = library.Node(cable.near[0])
            near, _ = library.connect(node, switch)
            near.set_address(cable.near_address)
            node.add_route("DEFAULT", near, GATEWAY)

    def down(self) -> None:
        """Take it down, as it does by itself at the end of a program."""
        self._cleaning.delete_namespaces()
