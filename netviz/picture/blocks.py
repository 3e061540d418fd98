"""Sort a graph into what is drawn: which box stands in which, what is plugged in where.

Every namespace is a box, and every device that has ports (a bridge, a bond) is one of its own in
the namespace's box. The root is the outermost frame. A namespace with a bridge and a network of its
own is a host: those whose every cable leads there stand inside it, as containers do.

Pure, and without coordinates: `netviz.picture.rows` finds a place for what is sorted here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netviz.model import Interface, Key, Namespace, printable
from netviz.picture import words

if TYPE_CHECKING:
    import networkx as nx

_MASTERS = {"bridge", "bond", "team", "vrf"}
_MOST_WARNINGS = 6


@dataclass(slots=True)
class Plug:
    """Where a cable ends: an interface's tag on the edge of a block; without text only a place."""

    gid: str
    text: str = ""
    title: str = ""
    state: str = "up"


@dataclass(slots=True)
class Block:
    """A box to be drawn: ``lines`` are (text, style), ``inside`` are the boxes that stand in it.

    ``hub`` tells that others gather around it: a bridge, or the root's own stack.
    """

    gid: str
    kind: str
    name: str
    lines: list[tuple[str, str]] = field(default_factory=list)
    plugs: list[Plug] = field(default_factory=list)
    inside: list[Block] = field(default_factory=list)
    loopback: Plug | None = None
    note: str = ""
    title: str = ""
    hub: bool = False

    def all(self) -> Iterator[Block]:
        """Yield the block and all that stands in it."""
        yield self
        for child in self.inside:
            yield from child.all()

    def tags(self) -> Iterator[Plug]:
        """Yield the tags that are drawn: interfaces, and a loopback."""
        yield from (plug for plug in self.plugs if plug.text)
        if self.loopback:
            yield self.loopback


@dataclass(slots=True)
class Wire:
    """A line between two plugs, known by their gid: ``veth``, ``lower``, ``tunnel`` or ``port``."""

    gid: str
    kind: str
    ends: tuple[str, str]
    label: str = ""
    title: str = ""
    state: str = "up"


@dataclass(slots=True)
class Scene:
    """The outermost frame with all that stands in it, and every wire."""

    frame: Block
    wires: list[Wire]
    warnings: list[str] = field(default_factory=list)


def scene(g: nx.MultiGraph) -> Scene:
    """Return the boxes, one in another, and the wires of a graph that `netviz.graph` made."""
    return _Sorting(g).scene()


def gid(key: Key, prefix: str = "if") -> str:
    """Return the id of the artist that shows an interface, or with ``ns`` a namespace."""
    return f"{prefix}-{key[0]}-{key[1]}"


class _Sorting:
    """One graph being sorted."""

    def __init__(self, g: nx.MultiGraph) -> None:
        self.g = g
        self.spaces: tuple[Namespace, ...] = g.graph["namespaces"]
        self.odd = {warning.where.key for warning in g.graph["warnings"] if warning.where}
        self.links: dict[Key, Interface] = dict(g.nodes(data="interface"))
        self.masters = {key for key, link in self.links.items() if link.kind in _MASTERS} | {
            link.master.key for link in self.links.values() if link.master
        }
        self.masters &= self.links.keys()
        self.joined: dict[Key, set[Key]] = defaultdict(set)
        for a, b, kind in g.edges(keys=True):
            if kind != "port":
                self.joined[a].add(b)
                self.joined[b].add(a)
        self.root = self.spaces[0].id if self.spaces else 0
        self.homes = {space.id: self._home(space) for space in self.spaces[1:]}
        self.wired: set[str] = set()

    def scene(self) -> Scene:
        wires = list(self._wires())
        blocks = {space.id: self._block(space) for space in self.spaces}
        if not blocks:
            return Scene(Block("frame", "frame", "nothing"), [], self._warnings())
        frame = blocks[self.root]
        for space in self.spaces[1:]:
            blocks[self.homes[space.id]].inside.append(blocks[space.id])
        return Scene(frame, wires, self._warnings())

    def _warnings(self) -> list[str]:
        found = self.g.graph["warnings"]
        lines = [words.short(f"⚠ {warning}", 110) for warning in found[:_MOST_WARNINGS]]
        more = len(found) - len(lines)
        return [*lines, f"⚠ and {more} more warnings"] if more else lines

    def _home(self, space: Namespace) -> int:
        """Return the namespace in whose box this one stands."""
        if self._has_masters(space.id):
            return self.root
        far = {b[0] for link in space.interfaces for b in self.joined[space.id, link.index]}
        hosts = far - {space.id}
        if len(hosts) == 1 and self._is_host(host := hosts.pop()):
            return host
        return self.root

    def _has_masters(self, space: int) -> bool:
        return any(key[0] == space for key in self.masters)

    def _is_host(self, space: int) -> bool:
        """Tell a host, whose containers stand in it, from a mere switch."""
        if space == self.root or not self._has_masters(space):
            return False
        own = [(key, link) for key, link in self.links.items() if key[0] == space]
        return any(
            link.addresses and key in self.masters and words.addresses(link) for key, link in own
        ) or any(
            key not in self.masters and not link.master and self.joined[key] for key, link in own
        )

    def _block(self, space: Namespace) -> Block:
        links = sorted(space.interfaces, key=lambda link: words.natural(link.name))
        own = [(gid((space.id, link.index)), link) for link in links]
        masters = [(place, link) for place, link in own if (space.id, link.index) in self.masters]
        plain = [
            (place, link)
            for place, link in own
            if (space.id, link.index) not in self.masters and not link.master
        ]
        block = Block(
            gid((space.id, 0), "ns"),
            "frame" if space.id == self.root else "host" if masters else "namespace",
            "root namespace" if space.id == self.root else words.short(space.name),
            note=self._note(space),
            title=words.about(space),
        )
        for place, link in plain:
            if link.kind == "loopback":
                block.loopback = self._plug(place, link, space)
        edge = [(p, link) for p, link in plain if link.kind != "loopback"]
        stacked = [(p, link) for p, link in edge if p in self.wired and self._leads_in(space, link)]
        edge = [each for each in edge if each not in stacked]
        if stacked:
            block.inside.append(self._stack(space, stacked))
        block.plugs = [self._plug(place, link, space) for place, link in edge]
        block.lines = list(self._namespace_lines(space, [link for _, link in edge]))
        block.inside += [self._master(space, place, link) for place, link in masters]
        return block

    def _note(self, space: Namespace) -> str:
        if space.id == self.root or not self._has_masters(space.id):
            return ""
        return "namespace as a host" if self._is_host(space.id) else "namespace"

    def _leads_in(self, space: Namespace, link: Interface) -> bool:
        """Tell whether an interface leads to what stands in its own namespace's box."""
        return space.id == self.root or all(
            self.homes.get(far) == space.id for far, _ in self.joined[space.id, link.index]
        )

    def _plug(self, place: str, link: Interface, space: Namespace) -> Plug:
        odd = (space.id, link.index) in self.odd
        state = "warning" if odd else words.state(link)
        return Plug(place, words.short(link.name, 15), words.hover(space, link), state)

    def _stack(self, space: Namespace, own: list[tuple[str, Interface]]) -> Block:
        """Return the box of a host's own stack, with the interfaces that lead to what is inside."""
        lines = [("the namespace itself", "note")]
        lines += words.facts(space, [link for _, link in own], several=True)
        if words.forwards(space):
            lines.append(("forwards packets", "note"))
        plugs = [self._plug(place, link, space) for place, link in own]
        title, name = words.about(space), words.short(space.name)
        return Block(
            gid((space.id, 0), "stack"), "stack", name, lines, plugs, title=title, hub=True
        )

    def _master(self, space: Namespace, place: str, link: Interface) -> Block:
        key = (space.id, link.index)
        ports = [
            (gid(end := (space.id, port.index), "port" if end in self.masters else "if"), port)
            for port in sorted(space.interfaces, key=lambda link: words.natural(link.name))
            if port.master and port.master.key == key
        ]
        lines = [(words.subtitle(link), "note")]
        lines += words.facts(space, [port for _, port in ports], several=True)
        block = Block(
            place,
            "bridge",
            words.short(link.name),
            lines,
            [self._plug(end, port, space) for end, port in ports],
            title=words.hover(space, link),
            hub=True,
        )
        if f"own-{place}" in self.wired:
            block.plugs.append(Plug(f"own-{place}"))
        return block

    def _namespace_lines(self, space: Namespace, own: list[Interface]) -> Iterator[tuple[str, str]]:
        held = words.held(space)
        if held:
            yield held, "note"
        several = len(own) > 1
        yield from words.facts(space, own, several=several)
        mac = words.mac(own[0]) if len(own) == 1 else None
        if mac and space.id != self.root:
            yield mac, "small"
        if words.forwards(space) and space.id != self.root and several:
            yield "forwards packets", "note"

    def _wires(self) -> Iterator[Wire]:
        for a, b, kind, _data in self.g.edges(keys=True, data=True):
            both = [self.links[key] for key in (a, b)]
            if kind == "port" and not {a, b} <= self.masters:
                continue  # The port's tag sits on its bridge: that says it.
            if kind == "lower" and a[0] == b[0]:
                continue  # Within one namespace words say it: see `_facts`.
            ends = self._ends(a, b, kind)
            self.wired.update(ends)
            state = "up" if all(link.running for link in both) else "down"
            yield Wire(
                "-".join(("wire", *map(str, (*a, *b)), kind)),
                kind,
                ends,
                words.tunnel(both[0], state) if kind == "tunnel" else "",
                f"{self._say(a)} ↔ {self._say(b)}",
                state,
            )

    def _ends(self, a: Key, b: Key, kind: str) -> tuple[str, str]:
        """Return where a wire's ends are plugged in: a bridge's own one has no tag, but a place."""
        if kind == "port":  # A bond in a bridge: from the bond's box to its tag on the bridge.
            bond = a if (master := self.links[a].master) and master.key == b else b
            return f"own-{gid(bond)}", gid(bond, "port")
        own, far = (f"own-{gid(key)}" if key in self.masters else gid(key) for key in (a, b))
        return own, far

    def _say(self, key: Key) -> str:
        space: Any = self.g.nodes[key]["namespace"]
        return printable(f"{space.name}:{self.links[key].name}")
