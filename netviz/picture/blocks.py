"""Sort a graph into what is drawn: which box stands in which, what is plugged in where.

Every namespace is a box, and every device that has ports (a bridge, a bond) is one of its own in
the namespace's box. The root is the outermost frame. A namespace with a bridge and a network of its
own is a host, and so is one over whose card others travel, and one whose loopback's alias says so:
those whose every cable leads there stand inside it, as containers do.

Pure, and without coordinates: `netviz.picture.rows` finds a place for what is sorted here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netviz.model import Interface, Key, Namespace
from netviz.picture import words
from netviz.picture.shapes import Cable, Port
from netviz.text import printable

if TYPE_CHECKING:
    import networkx as nx

Own = list[tuple[Key, Interface]]
MASTERS = {"bridge", "openvswitch", "bond", "team", "vrf"}
_MOST_WARNINGS = 6


@dataclass(slots=True)
class Block:
    """A box to be drawn: ``lines`` are (text, style), ``inside`` are the boxes that stand in it.

    ``hub`` tells that others gather around it: a bridge, or the root's own stack.
    """

    gid: str
    kind: str
    name: str
    lines: list[tuple[str, str]] = field(default_factory=list)
    plugs: list[Port] = field(default_factory=list)
    inside: list[Block] = field(default_factory=list)
    loopback: Port | None = None
    note: str = ""
    title: str = ""
    hub: bool = False

    def all(self) -> Iterator[Block]:
        """Yield the block and all that stands in it."""
        yield self
        for child in self.inside:
            yield from child.all()

    def tags(self) -> Iterator[Port]:
        """Yield the tags that are drawn: interfaces, and a loopback."""
        yield from (plug for plug in self.plugs if plug.text)
        if self.loopback:
            yield self.loopback


@dataclass(slots=True)
class Scene:
    """The outermost frame with all that stands in it, and every wire."""

    frame: Block
    wires: list[Cable]
    warnings: list[str] = field(default_factory=list)


def scene(g: nx.MultiGraph) -> Scene:
    """Return the boxes, one in another, and the wires of a graph that `netviz.graph` made."""
    return _Sorting(g).scene()


def gid(key: Key, prefix: str = "if") -> str:
    """Return the id of the artist that shows an interface, or with ``ns`` a namespace."""
    return f"{prefix}-{key[0]}-{key[1]}"


def wire(a: Key, b: Key, kind: str) -> str:
    """Return the id of the artist that shows a wire from one interface to another."""
    return "-".join(("wire", *map(str, (*a, *b)), kind))


class _Sorting:
    """One graph being sorted."""

    def __init__(self, g: nx.MultiGraph) -> None:
        self.g = g
        self.spaces: tuple[Namespace, ...] = g.graph["namespaces"]
        self.odd = {warning.where.key for warning in g.graph["warnings"] if warning.where}
        self.links: dict[Key, Interface] = dict(g.nodes(data="interface"))
        held = {link.master.key for link in self.links.values() if link.master}
        self.masters = {
            key for key, link in self.links.items() if link.kind in MASTERS or key in held
        }
        self.switches = {space for space, _ in self.masters}
        self.hosts = words.hosts((key[0], link) for key, link in self.links.items())
        self.joined: dict[Key, set[Key]] = defaultdict(set)
        for a, b, kind in g.edges(keys=True):
            if kind != "port":
                self.joined[a].add(b)
                self.joined[b].add(a)
        self.root = self.spaces[0].id if self.spaces else 0
        self.homes = {space.id: self._home(space) for space in self.spaces[1:]}
        self.under: dict[Key, list[str]] = defaultdict(list)
        self.wires = [*self._wires()]
        self.wired = {end for wire in self.wires for end in wire.owners}

    def scene(self) -> Scene:
        found = self.g.graph["warnings"]
        warnings = [words.short(f"⚠ {warning}", 110) for warning in found[:_MOST_WARNINGS]]
        if len(found) > len(warnings):
            warnings.append(f"⚠ and {len(found) - len(warnings)} more warnings")
        blocks = {space.id: self._block(space) for space in self.spaces}
        for space, home in self.homes.items():
            blocks[home].inside.append(blocks[space])
        frame = blocks.get(self.root) or Block("frame", "frame", "nothing")
        return Scene(frame, self.wires, warnings)

    def _home(self, space: Namespace) -> int:
        """Return the namespace in whose box this one stands."""
        far = {b[0] for link in space.interfaces for b in self.joined[space.id, link.index]}
        far.discard(space.id)
        alone = space.id not in self.switches and not self._is_host(space.id) and len(far) == 1
        return far.pop() if alone and self._is_host(*far) else self.root

    def _is_host(self, space: int) -> bool:
        """Tell a host, whose containers stand in it, from a mere switch."""
        if space == self.root or space in self.hosts:
            return space != self.root
        return space in self.switches and any(
            words.addresses(link) if key in self.masters else self.joined[key] and not link.master
            for key, link in self.links.items()
            if key[0] == space
        )

    def _block(self, space: Namespace) -> Block:
        own = self._sorted(space)
        masters = [each for each in own if each[0] in self.masters]
        plain = [each for each in own if each[0] not in self.masters and not each[1].master]
        edge = [each for each in plain if each[1].kind != "loopback"]
        wired = [it for it in edge if gid(it[0]) in self.wired or it[0] in self.under]
        inward = [each for each in wired if self._leads_in(each[0])]
        if space.id in self.hosts:  # What the host itself has on such a card stands there, too.
            cards = {key for key, _ in inward}
            inward += [it for it in edge if it[1].lower and it[1].lower.key in cards - {it[0]}]
        edge = [each for each in edge if each not in inward]
        root, hosts = space.id == self.root, self._is_host(space.id)
        block = Block(
            gid((space.id, 0), "ns"),
            "frame" if root else "host" if hosts or masters else "namespace",
            "root namespace" if root else words.short(space.name),
            [*self._lines(space, [link for _, link in edge])],
            self._plugs(space, edge),
            title=words.about(space),
        )
        if block.kind == "host":
            block.note = "namespace as a host" if hosts else "namespace"
        for key, link in plain:
            if link.kind == "loopback":
                block.loopback = self._plug(space, key, link)
                block.plugs += [Port(place) for place in self.under[key]]
        if inward:
            block.inside.append(self._stack(space, inward))
        block.inside += [self._master(space, *each) for each in masters]
        return block

    def _sorted(self, space: Namespace) -> Own:
        """Return the interfaces of a namespace with their keys, in the order of their names."""
        links = sorted(space.interfaces, key=lambda link: words.natural(link.name))
        return [((space.id, link.index), link) for link in links]

    def _leads_in(self, key: Key) -> bool:
        """Tell whether an interface leads to what stands in its own namespace's box."""
        own = key[0]
        homes = {far: own if far == own else self.homes.get(far) for far, _ in self.joined[key]}
        others = [home for far, home in homes.items() if far != own]
        within = own in others if own in self.hosts else {*homes.values()} <= {own}
        return own == self.root or (own in self.switches | self.hosts and within)

    def _plugs(self, space: Namespace, own: Own) -> list[Port]:
        """Return the tags of interfaces, and the places where what travels over them ends."""
        tags = [self._plug(space, *each) for each in own]
        return tags + [Port(place) for key, _ in own for place in self.under[key]]

    def _plug(self, space: Namespace, key: Key, link: Interface, prefix: str = "if") -> Port:
        state = "warning" if key in self.odd else words.state(link)
        return Port(gid(key, prefix), words.tag(link), words.hover(space, link), state)

    def _stack(self, space: Namespace, own: Own) -> Block:
        """Return the box of a host's own stack, with the interfaces that lead to what is inside."""
        lines = [("the namespace itself", "note")]
        lines += words.facts(space, [link for _, link in own], several=True)
        if words.forwards(space):
            lines.append(("forwards packets", "note"))
        name, plugs = words.short(space.name), self._plugs(space, own)
        place, title = gid((space.id, 0), "stack"), words.about(space)
        return Block(place, "stack", name, lines, plugs, title=title, hub=True)

    def _master(self, space: Namespace, key: Key, link: Interface) -> Block:
        """Return the box of a bridge, or of another device that has ports."""
        ports = [
            (end, port)
            for end, port in self._sorted(space)
            if port.master and port.master.key == key
        ]
        lines = [(words.subtitle(link), "note")]
        lines += words.few(words.networked(space, link), "note")
        lines += words.facts(space, [port for _, port in ports], several=True)
        plugs = [
            self._plug(space, end, port, "port" if end in self.masters else "if")
            for end, port in ports
        ]
        own = gid(key, "own-if")
        if own in self.wired:
            plugs.append(Port(own))
        name, title = words.short(link.name), words.hover(space, link)
        return Block(gid(key), "bridge", name, lines, plugs, title=title, hub=True)

    def _lines(self, space: Namespace, own: list[Interface]) -> Iterator[tuple[str, str]]:
        held = words.held(space)
        if held:
            yield held, "note"
        yield from words.few(words.contained(space), "note")
        several = len(own) > 1
        yield from words.facts(space, own, several=several)
        if space.id != self.root:
            mac = words.mac(own[0]) if len(own) == 1 else None
            if mac:
                yield mac, "small"
            if several and words.forwards(space):
                yield "forwards packets", "note"

    def _wires(self) -> Iterator[Cable]:
        for a, b, kind in self.g.edges(keys=True):
            if kind == "port" and not {a, b} <= self.masters:
                continue  # The port's tag sits on its bridge: that says it.
            if kind == "lower" and a[0] == b[0]:
                continue  # Within one namespace words say it: see `words.facts`.
            state = "up" if self.links[a].running and self.links[b].running else "down"
            text = words.tunnel(self.links[a], state) if kind == "tunnel" else ""
            title = f"{self._say(a)} ↔ {self._say(b)}"
            yield Cable(wire(a, b, kind), kind, self._ends(a, b, kind), text, title, state)

    def _ends(self, a: Key, b: Key, kind: str) -> tuple[str, str]:
        """Return where a wire's ends are plugged in: a bridge's own one has no tag, but a place."""
        if kind == "port":  # A bond in a bridge: from the bond's box to its tag on the bridge.
            bond = a if (master := self.links[a].master) and master.key == b else b
            return gid(bond, "own-if"), gid(bond, "port")
        own, far = (gid(key, "own-if" if key in self.masters else "if") for key in (a, b))
        if kind == "lower":
            above, card = (a, b) if self._lies_on(a, b) else (b, a)
            if card not in self.masters and not self.links[card].master:
                # It ends beside the card's tag, which is where the cable is plugged in.
                place = gid(above, "over")
                self.under[card].append(place)
                return (place, far) if card == a else (own, place)
        return own, far

    def _lies_on(self, above: Key, below: Key) -> bool:
        lower = self.links[above].lower
        return lower is not None and lower.key == below

    def _say(self, key: Key) -> str:
        space: Any = self.g.nodes[key]["namespace"]
        return printable(f"{space.name}:{self.links[key].name}")
