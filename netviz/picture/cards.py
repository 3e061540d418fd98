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
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netviz.graphs import MIRRORED, NUMBERED
from netviz.net import parameters
from netviz.picture import words
from netviz.picture.blocks import MASTERS, gid
from netviz.text import printable

if TYPE_CHECKING:
    from netviz import model
    from netviz.model import Interface, Namespace, Snapshot

MOST_LINES = 12
_TABLES = {None: "[l3mdev-table]", 253: "default", 254: "main", 255: "local"}
_UNITS = {"delay": (1e3, "ms"), "jitter": (1e3, "ms"), "loss": (100, "%"), "rate": (1e-6, "Mbit")}
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
    return {name: card for space in snapshot.namespaces for name, card in _Telling(space).cards()}


class _Telling:
    """One namespace being told, and how its commands begin."""

    def __init__(self, space: Namespace) -> None:
        self.space, self._title = space, _safe(space.name)
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
        if masters or space.held_by == "root":
            yield gid((space.id, 0), "stack"), own
        for link in space.interfaces:
            key, card = (space.id, link.index), self.interface(link, master=link.index in masters)
            yield gid(key), card
            if link.index in masters and link.master:
                yield gid(key, "port"), card

    def namespace(self) -> Card:
        space, links = self.space, self.space.interfaces
        main = [route for route in space.routes if _TABLES.get(route.table) == "main"]
        four, six = ([r for r in main if r.family == name] for name in ("inet", "inet6"))
        rules = (rule for rule in space.rules if rule.family == "inet")
        near = (
            [n.to, *_told(dev=n.dev, lladdr=n.mac), *n.flags, *n.state] for n in space.neighbours
        )
        tables = [
            ("Addresses", "ip -brief address", map(self._addressed, links)),
            ("Routes", "ip route", _routes(four)),
            ("IPv6 routes", "ip -6 route", _routes(six)),
            ("Neighbours", "ip neighbour", map(" ".join, near)),
            ("Rules", "ip rule", map(_rule, rules)),
            ("Packet filters, in short", "nft list ruleset", _filters(space.nft)),
            ("Counters, in short", "ip -statistics link", _counters(links)),
        ]
        if all(route.to.startswith(("fe80::/64", "ff")) for route in six):
            del tables[2]
        sections = [self._section(*table) for table in tables if space.nft or "nft" not in table[1]]
        about = words.about(space).removeprefix(f"{printable(space.name)} · ")
        return Card(self._title, about, tuple(sections))

    def interface(self, link: Interface, *, master: bool) -> Card:
        """Return the card of an interface; of a ``master``, its ports come first."""
        name, ports = link.name, self.ports.get(link.index, [])
        plugged, queues = map(self._brief, ports), map(_queue, self.queues.get(name, ()))
        first = [self._section("Ports", "ip -brief link show master", plugged, name)]
        own = [
            self._section("Link, in short", "ip -details link show dev", _facts(link), name),
            self._section("Addresses", "ip -brief address show dev", [self._addressed(link)], name),
        ]
        forwarded = self._forwarding(link, ports)
        sections = [*first, *forwarded, *reversed(own)] if master else [*own, *forwarded]
        if name in self.queues:
            sections.append(self._section("Queue, in short", "tc qdisc show dev", queues, name))
        counted = "ip -statistics link show dev"
        sections.append(self._section("Counters, in short", counted, _counters([link]), name))
        return Card(f"{self._title}:{_safe(name)}", _about(link), tuple(sections))

    def _forwarding(self, link: Interface, ports: list[Interface]) -> Iterator[Section]:
        """Yield what is forwarded by MAC: by a bridge, to its port, or by a VXLAN alone."""
        where = "br" if link.kind == "bridge" else "brport" if link.port else "dev"
        if where == "dev" and link.kind != "vxlan":
            return
        near = [link.name, *(port.name for port in ports if where == "br")]
        entries = [entry for name in near for entry in self.fdb.get(name, ())]
        # A table is cut: what was learned comes before what the kernel listens to anyway.
        entries.sort(key=lambda entry: (entry.state != "", "self" in entry.flags))
        lines = [_entry(entry, named=where == "br") for entry in entries]
        yield self._section("Forwarding table (FDB)", f"bridge fdb show {where}", lines, link.name)

    def _section(self, heading: str, command: str, lines: Iterable[str], *names: str) -> Section:
        """Return a section, long ones cut; ``names`` follow the command."""
        told = [_safe(line) for line in lines]
        if len(told) > MOST_LINES:
            told[MOST_LINES:] = [f"and {len(told) - MOST_LINES} more"]
        program, *rest = command.split()
        start = [*self._inside, program, *self._named]
        if program == "nft" and self._named:  # It has no -n.
            start = ["ip", "netns", "exec", self._named[1], program]
        return Section(heading, " ".join(map(_quoted, [*start, *rest, *names])), tuple(told))

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
    return _safe(" · ".join([link.kind, condition, *_told(**far)]))


def _facts(link: Interface) -> Iterator[str]:
    yield from _told(MAC=link.mac, MTU=link.mtu, state=link.state)
    own = parameters.words(link.kind, parameters.unusual(link.kind, link.parameters))
    yield " ".join(["kind", link.kind, *own])
    yield from _told(peer=link.peer, over=link.lower, master=link.master)
    if link.port:
        own = parameters.words("port", parameters.unusual("port", link.port))
        yield " ".join(["port", str(link.port.get("state", "")), *own])
    yield from _told(alias=link.alias)


def _told(**named: object) -> list[str]:
    return [f"{name} {value}" for name, value in named.items() if value is not None]


def _routes(routes: list[model.Route]) -> Iterator[str]:
    for route in routes:
        said = [route.type] if route.type != "unicast" else []
        said += [route.to, *_via(route.via, route.family), *_told(dev=route.dev)]
        said += _told(proto=route.protocol) if route.protocol != "boot" else []
        said += _told(scope=route.scope) if route.scope != "global" else []
        yield " ".join([*said, *_told(src=route.prefsrc, metric=route.metric), *route.flags])
        for hop in map(dict[str, Any], route.nexthops):
            said = ["nexthop", *_via(hop.get("gateway"), route.family)]
            said += _told(dev=hop["dev"], weight=hop.get("weight", 1))
            yield " ".join([*said, *hop.get("flags", ())])


def _via(gateway: str | None, family: str) -> list[str]:
    other = gateway and ":" in gateway and family == "inet"
    return _told(via=f"inet6 {gateway}" if other else gateway)


def _rule(rule: model.Rule) -> str:
    said = [f"{rule.priority}:", *(["not"] if rule.inverted else []), f"from {rule.source}"]
    said += [f"to {rule.to}"] if rule.to != "all" else []
    if rule.fwmark is not None or rule.fwmask is not None:
        mask = f"/{rule.fwmask:#x}" if rule.fwmask is not None else ""
        said.append(f"fwmark {f'{rule.fwmark:#x}' if rule.fwmark else 0}{mask}")
    said += _told(iif=rule.iif, oif=rule.oif)
    table = _TABLES.get(rule.table, rule.table)
    said.append(f"lookup {table}" if rule.action == "lookup" else rule.action)
    return " ".join([*said, *_told(suppress_prefixlength=rule.suppress_prefixlength)])


def _entry(entry: model.FdbEntry, *, named: bool) -> str:
    said = _told(dev=entry.dev if named else None, dst=entry.dst, vlan=entry.vlan)
    said += [*_told(port=entry.port, vni=entry.vni), *entry.flags, *_told(master=entry.master)]
    return " ".join([entry.mac, *said, entry.state]).rstrip()


def _filters(nft: tuple[Mapping[str, Any], ...]) -> Iterator[str]:
    """Yield a line a chain: how many rules it has, and what becomes of what none of them takes."""
    rules, chains = ([it[kind] for it in nft if kind in it] for kind in ("rule", "chain"))
    counts = Counter((rule["family"], rule["table"], rule["chain"]) for rule in rules)
    for chain in chains:
        place = (chain["family"], chain["table"], chain["name"])
        count, policy = counts[place], chain.get("policy", "accept")
        otherwise = f", policy {policy}" if policy != "accept" else ""
        yield f"{' '.join(place)}: {count} rule{'s' * (count != 1)}{otherwise}"


def _queue(queue: model.Qdisc) -> str:
    place = queue.parent if queue.parent == "root" else f"parent {queue.parent}"
    said = ["qdisc", queue.kind, queue.handle, place]
    for name, value in queue.options.items():
        times, unit = _UNITS.get(name, (1, ""))
        said.append(f"{name} {float(str(value)) * times:.9g}{unit}")
    return " ".join(said)


def _counters(links: Iterable[Interface]) -> Iterator[str]:
    for link in links:
        counts = link.statistics
        if counts and (link.kind != "loopback" or counts["rx"]["packets"]):
            yield f"{link.name}  received {_amount(counts['rx'])}  sent {_amount(counts['tx'])}"


def _amount(counts: Mapping[str, int]) -> str:
    packets, size = counts["packets"], float(counts["bytes"])
    unit, *larger = ("B", "kB", "MB", "GB", "TB")
    while size >= 999.95 and larger:
        size, unit = size / 1000, larger.pop(0)
    told = [f"{packets} packet{'s' * (packets != 1)}", f"{size:.{unit != 'B':d}f} {unit}"]
    return ", ".join([*told, *(f"{counts[it]} {it}" for it in ("dropped", "errors") if counts[it])])
