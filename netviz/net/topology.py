"""Declare a network, see what is wrong with it, and bring it up as a whole or not at all.

A declaration is only written down, with the line where it stands. What it amounts to is a
`Snapshot` of a network that does not exist yet: the steps that build it, the script that does the
same, and its picture all come from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partialmethod
from typing import Any, Self

from netviz.errors import TopologyError
from netviz.model import (
    HOST,
    BridgeVlan,
    Endpoint,
    FdbEntry,
    Interface,
    Neighbour,
    Qdisc,
    Route,
    Rule,
    Snapshot,
)
from netviz.net import history
from netviz.net.declared import Alias, Declared, address, apart, fields_of, line, planned, removal
from netviz.net.entries import SetFilters, SetSysctl
from netviz.net.faults import faults
from netviz.net.planning import plan
from netviz.net.routes import implied_scope
from netviz.net.settings import usual_mtu
from netviz.net.steps import ROOT, Step, split
from netviz.text import in_order

Addresses = str | Iterable[str]
_NOTHING = Snapshot()
_MOST = 12


@dataclass(eq=False, repr=False)
class Topology:
    """A network as code.

    An endpoint is written ``namespace:device``; without a namespace it lies in the lab's root.
    Nothing is done, and nothing refused, before `up`: then what is wrong is told all at once. Links
    come up by themselves, if not declared with ``up=False``; so does each new loopback.
    """

    declared: list[Declared] = field(default_factory=list)
    _back: tuple[Step, ...] = ()

    def namespace(self, *names: str, host: bool = False) -> None:
        """Declare namespaces; a ``host`` is drawn as a frame around those that hang on it alone.

        Equivalent to: ``ip netns add NAME``, ``ip -n NAME link set dev lo alias host``.
        """
        for name in names:
            self.declared.append(Declared(line(), name, "", None))
            if host:
                self.declared.append(Declared(line(), name, "lo", Alias(HOST)))

    def veth(
        self,
        one: str,
        other: str,
        *,
        ip: Addresses = (),
        peer_ip: Addresses = (),
        master: str | None = None,
        one_master: str | None = None,
        mac: str | None = None,
        peer_mac: str | None = None,
        mtu: int = 0,
        up: bool = True,
    ) -> None:
        """Declare a cable: end ``one`` has ``ip``, the ``other`` is plugged into ``master``.

        For the rarer ways round there are ``peer_ip`` and ``one_master``.

        Equivalent to: ``ip link add ONE type veth peer name OTHER``, ``ip link set OTHER master
        MASTER up``, ``ip address add IP dev ONE``.
        """
        self._end(one, "veth", {}, peer=other, mac=mac, mtu=mtu, up=up, master=one_master)
        self._end(other, "veth", {}, peer=one, mac=peer_mac, mtu=mtu, up=up, master=master)
        self.address(one, ip)
        self.address(other, peer_ip)

    def link(
        self,
        at: str,
        kind: str,
        *,
        dev: str | None = None,
        ip: Addresses = (),
        master: str | None = None,
        mac: str | None = None,
        mtu: int = 0,
        up: bool = True,
        **parameters: object,
    ) -> None:
        """Declare any other link; ``dev`` is the endpoint of the device that it travels over.

        Equivalent to: ``ip link add DEVICE link DEV type KIND PARAMETER VALUE …``; the parameters
        have the names that ``ip -d -j link`` gives them.
        """
        self._end(at, kind, parameters, lower=dev, mac=mac, mtu=mtu, up=up, master=master)
        self.address(at, ip)

    bridge = partialmethod(link, kind="bridge")
    vxlan = partialmethod(link, kind="vxlan")
    macvlan = partialmethod(link, kind="macvlan")
    ipvlan = partialmethod(link, kind="ipvlan")
    vlan = partialmethod(link, kind="vlan")
    ipip = partialmethod(link, kind="ipip")
    gre = partialmethod(link, kind="gre")
    bond = partialmethod(link, kind="bond")
    dummy = partialmethod(link, kind="dummy")
    tun = partialmethod(link, kind="tun")
    tap = partialmethod(link, kind="tap")

    def address(self, at: str, addresses: Addresses) -> None:
        """Declare addresses: ``10.1.1.2/24``, ``10.0.0.1 peer 10.0.0.2``.

        Equivalent to: ``ip address add ADDRESS dev DEVICE``.
        """
        several = isinstance(addresses, Iterable) and not isinstance(addresses, str)
        for each in addresses if several else [addresses]:
            self._note(at, address(str(each)) or str(each))

    def route(
        self,
        namespace: str,
        to: str,
        *,
        via: str | None = None,
        dev: str | None = None,
        onlink: bool = False,
        nexthops: Iterable[Mapping[str, object]] = (),
        src: str | None = None,
        **fields: Any,
    ) -> None:
        """Declare a route. Equivalent to: ``ip route add TO via VIA dev DEV``.

        ``nexthops`` are ``{"gateway": …, "dev": …, "weight": 1}``, for a route over several;
        ``fields`` are more of those of `netviz.model.Route`: ``table``, ``metric``, ``type``.
        """
        hops = tuple({"weight": 1, **hop} for hop in nexthops)
        gateways = (to, via, *(hop.get("gateway") for hop in hops))
        six = any(":" in str(each) for each in gateways)
        family = fields.pop("family", "inet6" if six else "inet")
        flags = ("onlink",) if onlink else ()
        known = {"prefsrc": src, "nexthops": hops, "flags": flags, **fields}
        route = Route(to, family, dev, via, **fields_of(Route, known))
        self._note(f"{namespace}:", replace(route, scope=implied_scope(route)))

    def rule(self, namespace: str, priority: int, **fields: Any) -> None:
        """Declare a routing rule: ``source="10.0.0.0/8", table=100``.

        Equivalent to: ``ip rule add from 10.0.0.0/8 table 100 priority PRIORITY``; ``fields`` are
        those of `netviz.model.Rule`.
        """
        six = any(":" in str(fields.get(name)) for name in ("source", "to"))
        family = fields.pop("family", "inet6" if six else "inet")
        self._note(f"{namespace}:", Rule(priority, family, **fields_of(Rule, fields)))

    def neighbour(self, at: str, to: str, mac: str) -> None:
        """Declare a lasting neighbour. Equivalent to: ``ip neighbour replace TO lladdr MAC``."""
        family = "inet6" if ":" in to else "inet"
        self._note(at, Neighbour(to, split(at)[1], family, mac, ("PERMANENT",)))

    def fdb(self, at: str, mac: str, *, dst: str | None = None, vni: int | None = None) -> None:
        """Declare a forwarding entry: of a bridge's port, or with ``dst`` of a VXLAN.

        Equivalent to: ``bridge fdb add MAC dev DEVICE master static``, ``… dst DST``.
        """
        device = split(at)[1]
        if dst:
            state, flags = "permanent", ("self",)
            self._note(at, FdbEntry(mac, device, dst=dst, vni=vni, state=state, flags=flags))
        else:
            self._note(at, FdbEntry(mac, device, "the bridge", state="static"))

    def bridge_vlan(
        self, at: str, vlan: int, *, pvid: bool = False, untagged: bool = False
    ) -> None:
        """Declare a VLAN that a bridge's port is in, or the bridge; it has ``vlan_filtering=1``.

        Each is in VLAN 1 besides, if not the bridge has ``vlan_default_pvid=0``.

        Equivalent to: ``bridge vlan add dev DEVICE vid VLAN pvid untagged``.
        """
        device = split(at)[1]
        self._note(at, BridgeVlan(device, vlan, "the bridge", pvid, untagged))

    def qdisc(self, at: str, kind: str, **options: object) -> None:
        """Declare a queue: ``"tbf", rate=10**6, burst=10240, limit=16490``.

        Equivalent to: ``tc qdisc add dev DEVICE root KIND …``; ``options`` are those of
        `netviz.model.Qdisc`.
        """
        where = "ingress" if kind == "ingress" else "root"
        self._note(at, Qdisc(split(at)[1], kind, "", where, options))

    def sysctl(self, namespace: str, name: str, value: object) -> None:
        """Declare a switch. Equivalent to: ``sysctl -w NAME=VALUE``."""
        self._note(f"{namespace}:", SetSysctl(namespace, name, value))

    def nft(self, namespace: str, ruleset: str) -> None:
        """Declare all packet filters of a namespace. Equivalent to: ``nft -f FILE``."""
        self._note(f"{namespace}:", SetFilters(namespace, ruleset))

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Return the names of the namespaces that were declared."""
        return tuple(dict.fromkeys(it.namespace for it in self.declared if it.what is None))

    def planned(self) -> Snapshot:
        """Return the network as a snapshot would show it, if it were there; numbers are made up."""
        new = self.namespaces
        return planned(self.declared, (ROOT, *sorted(new, key=in_order)), new)

    def steps(self, lab: Snapshot = _NOTHING) -> tuple[Step, ...]:
        """Return the steps that build it where there is nothing yet, or beside what a lab has.

        Raises ``TopologyError`` for all that is wrong with it.
        """
        if wrong := list(faults(self.declared, lab)):
            count = f"{len(wrong)} faults" if len(wrong) > 1 else "a fault"
            rest = f"; and {len(wrong) - _MOST} more" if len(wrong) > _MOST else ""
            raise TopologyError(f"the network has {count}: {'; '.join(wrong[:_MOST])}{rest}")
        new = self.namespaces
        used = {each.namespace for each in self.declared}
        there = [it.name for it in lab.namespaces if it.name in used - {ROOT, *new}]
        beginning = planned((), (ROOT, *there), ())
        return (
            *plan(beginning, planned(self.declared, (ROOT, *there, *new), new)),
            *apart(self.declared),
        )

    def up(self) -> Self:
        """Build it: all of it, or nothing. Equivalent to: ``sh`` of its `netviz.script`.

        Raises ``TopologyError`` for all that is wrong with it or taken, before anything is done;
        ``KernelError`` for a step that the kernel refused, when all is as it was before;
        ``SandboxError`` outside a lab.
        """
        self._back = history.change(self.steps, "up")
        return self

    def down(self) -> None:
        """Take it away again, as far as it is there.

        Equivalent to: ``ip link delete`` of each link in the root, ``ip netns delete``. Raises
        ``KernelError`` for a step that the kernel refused, ``SandboxError`` outside a lab.
        """
        history.take_away((*removal(self.declared), *self._back))
        self._back = ()

    def __repr__(self) -> str:
        """Return how large it is."""
        links = sum(isinstance(each.what, Interface) for each in self.declared)
        return f"<Topology: {len(self.namespaces)} namespaces and {links} interfaces>"

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(self, *_: object) -> None:
        self.down()

    def _note(self, at: str, what: Any) -> None:
        namespace, device = split(at)
        self.declared.append(Declared(line(), namespace, device, what))

    def _end(
        self,
        at: str,
        kind: str,
        parameters: Mapping[str, object],
        *,
        mac: str | None,
        mtu: int,
        up: bool,
        **ends: str | None,
    ) -> None:
        """Note a link, or one end of a cable; ``ends`` are its peer, lower device and master."""
        namespace, device = split(at)
        flags = ("BROADCAST", "MULTICAST", *(("UP", "LOWER_UP") if up else ()))
        known: dict[str, Any] = {
            name: Endpoint(0, 0, *split(end)) for name, end in ends.items() if end
        }
        if "master" in known and ":" not in str(ends["master"]):
            known["master"] = replace(known["master"], namespace=namespace)
        link = Interface(0, device, kind, mac, mtu, flags, parameters=parameters, **known)
        self._note(at, replace(link, mtu=mtu or usual_mtu(link)))
