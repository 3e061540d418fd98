"""Answer what the kernel would decide, from what a snapshot knows of one namespace.

Pure. As in the kernel, rules go by priority and each names a table; in it the longest prefix wins,
then the lowest metric. What is not known is not guessed: `Lookup.doubt` says why, or the answer is
``None``. Not in a snapshot, and taken to be unused: TOS, ports and users in rules, TOS, preference
and encapsulation of routes, labels of IPv6 addresses, force_forwarding.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from netviz.packets.prefixes import EVERYONE, for_many, hops, parsed, prefix, within

if TYPE_CHECKING:
    from netviz.model import FdbEntry, Interface, Namespace, Neighbour, Route, Rule

    _Tables = dict[tuple[bool, int], dict[int, dict[int, list[Route]]]]

_LOCAL, _MAIN, _DEFAULT = 255, 254, 253
_REFUSALS = ("unreachable", "prohibit", "blackhole")
_SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
_NEAR = "224.0.0."
_Some = str | None


@dataclass(frozen=True, slots=True)
class Lookup:
    """The answer of a route lookup: the ``route`` that was taken or refuses, and its ``rule``.

    ``gateways`` are the next hops by device, the destination itself where it is on link; ``source``
    is the packet's, where that is certain; ``refusal`` is ``unreachable``, ``prohibit``,
    ``blackhole``, ``no route`` or ``foreign source``; ``doubt`` is why a snapshot cannot tell.
    """

    route: Route | None = None
    rule: Rule | None = None
    devices: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    source: str | None = None
    refusal: str | None = None
    doubt: str | None = None


class _Question(NamedTuple):
    to: str
    source: str | None = None
    iif: str | None = None
    oif: str | None = None
    mark: int = 0


class Stack:
    """What the tables and switches of one namespace say of a packet; remembers its answers."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._interfaces = {each.name: each for each in namespace.interfaces}
        self._loopback = next((i.name for i in namespace.interfaces if i.kind == "loopback"), "lo")
        self._rules = sorted(namespace.rules, key=lambda rule: rule.priority)
        told = [(rule.priority, rule.table) for rule in self._rules if rule.family == "inet"]
        self._as_begun = told == [(0, _LOCAL), (32766, _MAIN), (32767, _DEFAULT)]
        self._answers: dict[_Question, Lookup] = {}
        resolved = [n for n in namespace.neighbours if "proxy" not in n.flags]
        self._neighbours = {(n.dev, parsed(n.to)): n for n in resolved}
        self._silent = {(n.dev, n.to) for n in resolved if "FAILED" in n.state}
        self._entries = {(e.master, e.mac, e.vlan): e for e in namespace.fdb if e.master}
        self._remotes: dict[tuple[str, str], tuple[FdbEntry, ...]] = defaultdict(tuple)
        for entry in (each for each in namespace.fdb if "self" in each.flags):
            self._remotes[entry.dev, entry.mac] += (entry,)

    def interface(self, name: str | None) -> Interface | None:
        """Return the device of this name. Equivalent to: ``ip link show NAME``."""
        return self._interfaces.get(name or "")

    def vrf(self, dev: str | None) -> Interface | None:
        """Return the VRF that a device is, or is in."""
        link = self.interface(dev)
        master = self.interface(link.master.name) if link and link.master else link
        return master if master and master.kind == "vrf" else None

    def local(self, address: str, dev: str | None = None) -> Interface | None:
        """Return the device that has the address, all of 127.0.0.0/8 included; no broadcast.

        What is in a VRF has its addresses to itself: for others there, ask with their ``dev``.
        """
        route = self._near(address, dev)
        return self.interface(route.dev) if route and route.type in ("local", "anycast") else None

    def broadcast(self, address: str, dev: str | None = None) -> bool:
        """Tell whether it is for many: 255.255.255.255, a subnet's broadcast, multicast."""
        route = self._near(address, dev)
        return for_many(address) or (route is not None and route.type == "broadcast")

    def _near(self, address: str, dev: str | None) -> Route | None:
        table = (vrf := self.vrf(dev)) and vrf.parameters.get("table")
        asked = _Question(address)
        found = self._search(asked, _LOCAL)
        return found or (self._search(asked, table) if isinstance(table, int) else None)

    def neighbour(self, address: str, dev: str) -> Neighbour | None:
        """Return who has it. Equivalent to: ``ip neighbour get ADDRESS dev DEVICE``."""
        return self._neighbours.get((dev, parsed(address)))

    def entry(self, bridge: str, mac: str, vlan: int | None = None) -> FdbEntry | None:
        """Return what a bridge knows of an address. Equivalent to: ``bridge fdb get MAC br …``.

        Own addresses are ``permanent``. A bridge that filters by VLAN asks in one; others in none.
        """
        filters = (on := self.interface(bridge)) and on.parameters.get("vlan_filtering")
        return self._entries.get((bridge, mac.lower(), vlan if filters else None))

    def remotes(self, vxlan: str, mac: str) -> tuple[FdbEntry, ...]:
        """Return a VXLAN's entries for an address, else those of zeros: ``bridge fdb show dev``."""
        told = self._remotes.get((vxlan, mac.lower()))
        return told or self._remotes.get((vxlan, "00:00:00:00:00:00"), ())

    def forwards(self, family: str, dev: str) -> bool | None:
        """Tell whether what came in there may leave; IPv6 has one switch for all devices."""
        on = self._switch(family, dev if family == "inet" else "all", "forwarding")
        return None if on is None else bool(on)

    def accepts(self, source: str, dev: str, to: str) -> bool | None:
        """Tell whether the kernel takes an unmarked packet with this source from the device.

        Equivalent to: ``sysctl net.ipv4.conf.{all,DEVICE}.rp_filter``, the greater of the two.
        ``None`` where accept_local, route_localnet or send_redirects decide: no snapshot has them.
        """
        loops = parsed(source).is_loopback or parsed(to).is_loopback
        if dev == self._loopback:
            return True  # Such a packet keeps the route with which it was sent.
        if for_many(source) or ":" in to:
            return not (for_many(source) or loops)
        if int(parsed(source)) == 0:
            return to == EVERYONE or to.startswith(_NEAR)
        many, onward = self.broadcast(to, dev), self.route(to, source=source, iif=dev)
        told = [self._switch("inet", name, "rp_filter") for name in ("all", dev)]
        if loops or None in told or (onward.doubt and not many):
            return None
        # What is refused on its way is so before its source is looked at.
        outs = (self._loopback,) if many else onward.devices
        outs = (dev,) if self.vrf(dev) else outs  # The way back is looked up where it came in.
        back = [self.route(source, source=None if many else to, iif=out) for out in outs]
        answers = {self._takes(dev, way, max(each or 0 for each in told)) for way in back} or {True}
        return answers.pop() if len(answers) == 1 else None

    def _takes(self, dev: str, back: Lookup, filters: int) -> bool | None:
        """Tell it by the way back to the source; 1 is the strict filter, 2 the loose one."""
        if back.doubt or back.refusal or not back.route:
            return None if back.doubt else not filters
        if back.route.type != "unicast":
            return None if back.route.type == "local" or not filters else False
        on, users = self.interface(dev), {back.route.dev, *(h["dev"] for h in back.route.nexthops)}
        loose = filters == 2 and on and any(each.family == "inet" for each in on.addresses)
        return not filters or dev in users or bool(loose)

    def route(
        self, to: str, *, source: _Some = None, iif: _Some = None, oif: _Some = None, mark: int = 0
    ) -> Lookup:
        """Return the way of a packet from here, or of one that came in by ``iif``.

        Equivalent to: ``ip route get TO from SOURCE iif DEVICE oif DEVICE mark MARK``. ``oif`` is
        what a socket is bound to. What came in may still fail at `accepts` or `forwards`.
        """
        asked = _Question(to, source, iif, oif, mark)
        if asked not in self._answers:
            self._answers[asked] = self._routed(asked)
        return self._answers[asked]

    def _routed(self, asked: _Question) -> Lookup:
        to, source, iif, oif, _ = asked
        many, bound = for_many(to), self.interface(oif)
        on_link = ":" in to and (many or parsed(to).is_link_local)
        if (on_link and not (iif or oif)) or int(parsed(to)) == 0:
            return Lookup(doubt="such a destination needs a device")
        if ":" in to or iif:
            return self._answer(asked)
        owner = self.local(source, oif) if source else None
        if (source and not owner) or (oif and not (bound and bound.up)):
            return Lookup(refusal="foreign source" if source and not owner else "no route")
        dev = oif or (owner.name if many and owner else None)
        found = Lookup(refusal="no route") if many and dev else self._answer(asked)
        if found.refusal and dev:
            # Who names the device is believed: the destination is taken to be on its link.
            wide = many and to != EVERYONE and not to.startswith(_NEAR)
            chosen = source or self._source("global" if wide else "link", dev, None, to)
            found = Lookup(devices=(dev,), gateways=(to,), source=chosen)
        if source and parsed(source).is_loopback and {*found.devices} - {self._loopback}:
            return Lookup(doubt="route_localnet decides whether 127.0.0.0/8 may leave")
        return found

    def _answer(self, asked: _Question) -> Lookup:
        found, to = self._decide(asked), asked.to
        route = found.route
        if self._as_begun and route and ":" not in to:
            # Until somebody touches the rules, the kernel has local and main in one table.
            other = self._search(asked, _DEFAULT if found.refusal else _MAIN)
            if other and (found.refusal or prefix(other.to)[0] > prefix(route.to)[0]):
                return Lookup(doubt="which table comes first depends on what the rules once were")
        if not route or found.refusal:
            return found
        twins = [r for r in self._routes[False, route.table].get(0, {}).get(0, []) if r.via]
        if route in twins and [r.metric for r in twins].count(route.metric) > 1:
            return Lookup(doubt="of equal default routes one is taken whose gateway answers")
        own = route.type in ("local", "anycast") or (asked.iif and route.type == "broadcast")
        ways = [(self._loopback, None)] if own else hops(route, self._bound(asked.oif))
        itself = own or (":" in to and self.local(to))  # IPv6 likes the same address best.
        chosen = asked.source or route.prefsrc or (to if itself else None)
        sources = {chosen or self._source(route.scope, dev, via, to) for dev, via in ways}
        # A default route's gateway is no way to everyone on a link.
        alone = to == EVERYONE or (":" not in to and for_many(to) and route.to == "default")
        gateways = tuple((not alone and via) or to for _, via in ways)
        source = sources.pop() if len(sources) == 1 else None
        return Lookup(route, found.rule, tuple(dev for dev, _ in ways), gateways, source)

    def _decide(self, asked: _Question) -> Lookup:
        for rule in self._rules:
            if rule.action == "nop" or not self._applies(rule, asked):
                continue
            if rule.action in _REFUSALS:
                return Lookup(rule=rule, refusal=rule.action)
            vrf = self.vrf(asked.iif or asked.oif)
            table = rule.table or (vrf.parameters.get("table") if vrf else None)
            if rule.action == "lookup" and not table:
                continue  # It is for VRFs, and leads each to its own.
            if rule.action != "lookup" or not isinstance(table, int):
                return Lookup(doubt=f"a snapshot does not have where rule {rule.priority} leads")
            route = self._search(asked, table)
            least = -1 if rule.suppress_prefixlength is None else rule.suppress_prefixlength
            if route and route.type in _REFUSALS:
                return Lookup(route, rule, refusal=route.type)
            if route and route.type != "throw" and prefix(route.to)[0] > least:
                return Lookup(route, rule)
        return Lookup(refusal="no route")

    def _bound(self, oif: str | None) -> str | None:
        """Return the device by which all has to leave; a socket in a VRF may use each in it."""
        link = self.interface(oif)
        return None if link and link.kind == "vrf" else oif

    def _applies(self, rule: Rule, asked: _Question) -> bool:
        mask = rule.fwmask if rule.fwmask is not None else 0xFFFFFFFF if rule.fwmark else 0
        return (":" in asked.to) == (rule.family == "inet6") and rule.inverted != (
            rule.iif in (None, asked.iif or self._loopback)
            and rule.oif in (None, asked.oif)
            and not ((rule.fwmark or 0) ^ asked.mark) & mask
            and within(asked.to, rule.to)
            and within(asked.source or (None if ":" in asked.to else "0.0.0.0"), rule.source)
        )

    def _search(self, asked: _Question, table: int) -> Route | None:
        address, v6, oif = parsed(asked.to), ":" in asked.to, self._bound(asked.oif)
        ends = () if v6 else (*_REFUSALS, "throw")  # Whatever the device; those of IPv6 lie on lo.
        # Only a host, not a router, prefers gateways that have not failed to answer.
        host = v6 and self._switch("inet6", "all", "forwarding") == 0
        for shunned in (self._silent, set()) if host else (set(),):
            for length, networks in sorted(self._routes[v6, table].items(), reverse=True):
                routes = networks.get(int(address) >> address.max_prefixlen - length, [])
                fit = [r for r in routes if {*hops(r, oif)} - shunned or r.type in ends]
                if v6 and asked.iif and fit:
                    # Of equals, back to where it came from; all but the first metric are equal.
                    fit = [r for r in fit if r.metric == routes[0].metric] or fit
                    fit.sort(key=lambda route: asked.iif not in dict(hops(route)))
                if fit:
                    return fit[0]
        return None

    @cached_property
    def _routes(self) -> _Tables:
        found: _Tables = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        for route in sorted(self._namespace.routes, key=lambda route: route.metric or 0):
            length, network = prefix(route.to)
            found[route.family == "inet6", route.table][length][network].append(route)
        return found

    def _source(self, reach: str, dev: str, via: str | None, to: str) -> str | None:
        """Return the first address that reaches as far, best a near one; that alone, for IPv6."""
        v6, far = ":" in to, [name for name in _SCOPES if _SCOPES[name] <= _SCOPES.get(reach, 0)]
        if v6:
            far = ["link" if for_many(to) or parsed(to).is_link_local else "global"]
        known = [(i.name, a) for i in self._interfaces.values() for a in i.addresses]
        fit = [(name, a) for name, a in known if a.scope in far and "secondary" not in a.flags]
        fit = [(name, a) for name, a in fit if (a.family == "inet6") == v6]
        own, toward = [a for name, a in fit if name == dev], to if v6 else via
        near = [a for a in own if toward and within(toward, f"{a.peer or a.local}/{a.prefixlen}")]
        # Else another device's, but in which order the kernel keeps these is not known.
        rest = own or [a for _, a in fit if not v6 and a.scope != "link"]
        found = near or ([] if v6 else own) or (rest if len(rest) == 1 else [])
        odd = v6 and any({"tentative", "deprecated", "temporary"} & {*a.flags} for a in own)
        return found[0].local if found and not odd else None

    def _switch(self, family: str, dev: str, name: str) -> int | None:
        told: Any = self._namespace.sysctls.get("ipv4" if family == "inet" else "ipv6", {})
        found: int | None = told.get(dev, {}).get(name)
        return found
