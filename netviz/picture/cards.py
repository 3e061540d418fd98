"""What a box or a tag of a picture tells when it is clicked: tables, each with its command.

A card's lines are what its commands print, modulo white space, so that who types one sees the same;
but what a snapshot does not know they leave out: ``pref``, ``expires``, ``nhid``, metrics of routes
and addresses, a rule's ``goto`` and ``[detached]``, what a VXLAN's entry goes ``via``, ``@if5`` if
the far end is out of sight or a VXLAN without one has moved. What is told in short is a summary.

Pure. Names are hostile: a line shows them escaped, a command quotes them so that it can be typed.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import starmap
from typing import TYPE_CHECKING, Any

from netviz.graphs import MIRRORED, NUMBERED
from netviz.net import parameters
from netviz.picture import entries, switches, words
from netviz.picture.blocks import MASTERS, gid
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import Interface, Namespace, Snapshot

MOST_LINES = 12
_OPENED = re.compile(r"-(\d+)-fd(\d+)$")  # So discovery names what only an open file holds.


@dataclass(frozen=True, slots=True)
class Section:
    """One table: the command prints in the lab's root what the lines say; of nothing, none."""

    heading: str
    command: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """All that is told of one box or tag; as JSON it is short, for it comes with every picture."""

    title: str
    about: str
    sections: tuple[Section, ...]

    def to_dict(self) -> dict[str, object]:
        """Return ``{"t": title, "a": about, "s": [[heading, command, [line, …]], …]}``."""
        told = [[each.heading, each.command, list(each.lines)] for each in self.sections]
        return {"t": self.title, "a": self.about, "s": told}


def cards(snapshot: Snapshot) -> dict[str, Card]:
    """Return a card for every box and tag of a snapshot's picture, by the id of its artist.

    Equivalent to: ``ip -all netns exec ip address; … ip route; … bridge fdb``, box by box. Cables
    have none: their titles say what they join. The tag of a bond in a bridge has the bond's own.
    """
    hosts = words.hosts((space.id, link) for space, link in snapshot)
    told = (_Telling(space, host=space.id in hosts) for space in snapshot.namespaces)
    return {name: card for each in told for name, card in each.cards()}


class _Telling:
    """One namespace being told, and how its commands begin."""

    def __init__(self, space: Namespace, *, host: bool) -> None:
        self.space, self._title = space, _safe(space.name)
        self._host = host or space.held_by == "root"
        self.up = {link.index: link.up for link in space.interfaces}
        self.ports = _by((it.master.index, it) for it in space.interfaces if it.master)
        self.fdb = _by((entry.dev, entry) for entry in space.fdb)
        self.queues = _by((queue.dev, queue) for queue in space.qdiscs)
        path = _path(space)
        self._inside = ["nsenter", f"--net={path}"] if path else []
        named = space.held_by != "root" and not path
        self._named = ["-n", (*space.names, space.name)[0]] if named else []

    def cards(self) -> Iterator[tuple[str, Card]]:
        space, own = self.space, self.namespace()
        masters = {it.index for it in space.interfaces if it.kind in MASTERS} | {*self.ports}
        yield gid((space.id, 0), "ns"), own
        if masters or self._host:
            yield gid((space.id, 0), "stack"), own
        for link in space.interfaces:
            key, card = (space.id, link.index), self.interface(link, master=link.index in masters)
            yield gid(key), card
            if link.index in masters and link.master:
                yield gid(key, "port"), card

    def namespace(self) -> Card:
        space, links = self.space, [it for it in self.space.interfaces if not it.unreal]
        main = [route for route in space.routes if route.table == entries.MAIN]
        four, six = ([r for r in main if r.family == name] for name in ("inet", "inet6"))
        rules = (rule for rule in space.rules if rule.family == "inet")
        tables = [
            ("Addresses", "ip -brief address", map(self._addressed, links)),
            ("Routes", "ip route", entries.routes(four)),
            ("IPv6 routes", "ip -6 route", entries.routes(six)),
            ("Neighbours", "ip neighbour", map(entries.neighbour, space.neighbours)),
            ("Rules", "ip rule", map(entries.rule, rules)),
            ("Packet filters, in short", "nft list ruleset", entries.filters(space.nft)),
            ("Counters, in short", "ip -statistics link", entries.counters(links)),
        ]
        if all(route.to.startswith(("fe80::/64", "ff")) for route in six):
            del tables[2]
        sections = [self._section(*table) for table in tables if space.nft or "nft" not in table[1]]
        sections = [*self._contained(), *sections]
        about = words.about(space).removeprefix(f"{printable(space.name)} · ")
        return Card(self._title, about, tuple(sections))

    def interface(self, link: Interface, *, master: bool) -> Card:
        """Return the card of an interface; of a ``master``, its ports come first."""
        name, ports = link.name, self.ports.get(link.index, [])
        title, about = f"{self._title}:{_safe(name)}", _about(link)
        if link.unreal and not master:
            return Card(title, about, (self._section(*switches.port(link)),))
        plugged, queues = map(self._brief, ports), map(entries.queue, self.queues.get(name, ()))
        first = [self._section("Ports", "ip -brief link show master", plugged, name)]
        own = [
            self._section("Link, in short", "ip -details link show dev", _facts(link), name),
            self._section("Addresses", "ip -brief address show dev", [self._addressed(link)], name),
        ]
        forwarded = self._forwarding(link, ports)
        if link.kind == "openvswitch":
            first, forwarded = [], self._switching(link, ports)
        sections = [*first, *forwarded, *reversed(own)] if master else [*own, *forwarded]
        if vlans := [it for it in self.space.vlans if name in (it.dev, it.master)]:
            lines = map(entries.vlan, vlans)
            sections.append(self._section("VLANs", "bridge vlan show", lines))
        sections += self._networked(link)
        if name in self.queues:
            sections.append(self._section("Queue, in short", "tc qdisc show dev", queues, name))
        counted = "ip -statistics link show dev"
        counts = entries.counters([link])
        sections.append(self._section("Counters, in short", counted, counts, name))
        return Card(title, about, tuple(sections))

    def _switching(self, link: Interface, ports: list[Interface]) -> Iterator[Section]:
        """Yield what a bridge of Open vSwitch knows."""
        flows = [flow for flow in self.space.flows if flow.bridge == link.name]
        fdb = [entry for entry in self.space.fdb if entry.master == link.name]
        yield from starmap(self._section, switches.bridge(link, ports, flows, fdb))

    def _forwarding(self, link: Interface, ports: list[Interface]) -> Iterator[Section]:
        """Yield what is forwarded by MAC: by a bridge, to its port, or by a VXLAN alone."""
        if "ofport" in link.port:
            yield self._section(*switches.port(link))
            return
        where = "br" if link.kind == "bridge" else "brport" if link.port else "dev"
        if where == "dev" and link.kind != "vxlan":
            return
        near = [link.name, *(port.name for port in ports if where == "br")]
        known = [entry for name in near for entry in self.fdb.get(name, ())]
        # A table is cut: what was learned comes before what the kernel listens to anyway.
        known.sort(key=lambda entry: (entry.state != "", "self" in entry.flags))
        lines = [entries.entry(each, named=where == "br") for each in known]
        yield self._section("Forwarding table (FDB)", f"bridge fdb show {where}", lines, link.name)

    def _section(self, heading: str, command: str, lines: Iterable[str], *names: str) -> Section:
        """Return a section, long ones cut; ``names`` follow the command."""
        program, *rest = command.split()
        start = [*self._inside, program, *self._named]
        if program not in ("ip", "bridge", "tc") and self._named:  # It has no -n.
            start = ["ip", "netns", "exec", self._named[1], program]
        return _section(heading, [*start, *rest, *names], lines)

    def _contained(self) -> Iterator[Section]:
        """Yield what the engines tell of the containers whose network it is; they live outside."""
        for engine, some in _by((it.engine, it) for it in self.space.containers).items():
            command = [_client(engine), "ps"]
            yield _section("Containers, in short", command, map(entries.container, some))

    def _networked(self, link: Interface) -> Iterator[Section]:
        """Yield the engines' networks that a bridge is."""
        for each in self.space.networks:
            if each.device == link.name:
                command = [_client(each.engine), "network", "inspect", each.name]
                lines = entries.told(driver=each.driver, subnet=", ".join(each.subnets) or None)
                yield _section("Network, in short", command, [f"name {each.name}", *lines])

    def _addressed(self, link: Interface) -> str:
        told = [self._name(link), link.state]
        for at in link.addresses:
            told.append(f"{at.local} peer {at.peer}/{at.prefixlen}" if at.peer else str(at))
        return " ".join(told)

    def _brief(self, link: Interface) -> str:
        far, mac = link.peer or link.lower, [link.mac] if link.mac else []
        here = far and self._name(link) == f"{link.name}@{far.name}" and far.id == self.space.id
        # This flag `ip` makes up: the other end lies here too, and is down.
        down = ["M-DOWN"] if far and here and not self.up.get(far.index, True) else []
        return " ".join([self._name(link), link.state, *mac, f"<{','.join([*link.flags, *down])}>"])

    def _name(self, link: Interface) -> str:
        """Return a name as ``ip`` writes it: with its far end, or what it travels over."""
        far, name = link.peer or link.lower, link.name
        if far is None:
            return f"{name}@NONE" if link.kind in MIRRORED else name
        if link.kind in NUMBERED:  # Of these the kernel tells no more than that they have moved.
            return name if far.id == self.space.id else f"{name}@if{link.index}"
        return f"{name}@{far.name}" if far.id == self.space.id else f"{name}@if{far.index}"


def _client(engine: str) -> str:
    return engine if engine in ("docker", "podman") else "crictl"


def _section(heading: str, command: Iterable[str], lines: Iterable[str]) -> Section:
    told = [_safe(line) for line in lines]
    if len(told) > MOST_LINES:
        told[MOST_LINES:] = [f"and {len(told) - MOST_LINES} more"]
    return Section(heading, " ".join(map(_quoted, command)), tuple(told))


def _by(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    found = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


def _path(space: Namespace) -> str:
    """Return the file that leads into a namespace without a name, else nothing."""
    if space.held_by == "process" and space.pids:
        return f"/proc/{space.pids[0]}/ns/net"
    if space.held_by == "file" and (found := _OPENED.search(space.name)):
        return f"/proc/{found[1]}/fd/{found[2]}"
    return "" if space.held_by in ("root", "name") else (*space.names, space.name)[0]


def _safe(text: str) -> str:
    return text if text.isprintable() else printable(text)


def _quoted(word: str) -> str:
    """Return a word for bash, which the lab's ``!`` is: what cannot be shown, byte by byte."""
    if word.isprintable():
        return shlex.quote(word)
    raw = word.encode("utf-8", "surrogateescape")
    shown = re.sub(rb"[^\w/=.-]", lambda byte: b"\\x%02x" % ord(byte[0]), raw)
    return f"$'{shown.decode()}'"


def _about(link: Interface) -> str:
    far = {"joined with": link.peer, "over": link.lower, "port of": link.master}
    condition = "up, no carrier" if link.up and not link.running else words.state(link)
    kind = switches.NAMES.get(link.kind, link.kind)
    return _safe(" · ".join([kind, condition, *entries.told(**far)]))


def _facts(link: Interface) -> Iterator[str]:
    yield from entries.told(MAC=link.mac, MTU=link.mtu, state=link.state)
    own = parameters.words(link.kind, parameters.unusual(link.kind, link.parameters))
    yield " ".join(["kind", link.kind, *own])
    yield from entries.told(peer=link.peer, over=link.lower, master=link.master)
    yield from entries.told(**{"its other end:": link.other_end or None})
    if link.port and "ofport" not in link.port:
        own = parameters.words("port", parameters.unusual("port", link.port))
        yield " ".join(["port", str(link.port.get("state", "")), *own])
    yield from entries.told(alias=link.alias)
