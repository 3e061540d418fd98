"""Lay out one frame in another, from the inside, and turn what was placed into shapes. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from netviz.picture.boxes import FRAME, Writer
from netviz.picture.finish import Inside, finish
from netviz.picture.layers import AFTER, BEFORE, Edge, Graph, deal
from netviz.picture.routes import Placed, place
from netviz.picture.rows import Link, Node, Pair, Spacing

if TYPE_CHECKING:
    from netviz.picture.blocks import Block, Scene, Wire
    from netviz.picture.shapes import Plan, Port

_BETWEEN_GROUPS = 44.0
_LONGEST = {False: 1040.0, True: 1500.0}


@dataclass(frozen=True, slots=True)
class Way:
    """A way to lay out a picture: whether its rows lie or stand, and how leaves gather at a hub."""

    standing: bool
    spacing: Spacing

    def turned(self, pair: Pair) -> Pair:
        """Turn (x, y) into (u, v), or back."""
        return (pair[1], pair[0]) if self.standing else pair


class Frames:
    """A scene being laid out in one way.

    A wire is cut where it leaves a host: one piece inside, one outside. ``links`` are the pieces
    in each frame, and ``exits`` the places in the edge of each host where wires pass.
    """

    def __init__(self, found: Scene, writer: Writer, way: Way) -> None:
        self.scene = found
        self.writer = writer
        self.way = way
        self.links: dict[str, list[Link]] = defaultdict(list)
        self.exits: dict[str, list[str]] = defaultdict(list)
        self.pieces: dict[str, list[str]] = {}
        self.owners: dict[str, str] = {}
        self.chains: dict[str, tuple[str, ...]] = {}
        self._chain(found.frame, ())
        for wire in found.wires:
            self._cut(wire)

    def plan(self, title: str | None) -> Plan:
        """Return the whole drawing."""
        inside = self._inside(self.scene.frame, {})
        return finish(self.scene, inside, self.pieces, self.writer, title)

    def _chain(self, block: Block, above: tuple[str, ...]) -> None:
        """Note for each plug in which frames it lies, the outermost first, its block last."""
        here = (*above, block.gid)
        for plug in block.plugs:
            self.chains[plug.gid] = here
            self.owners[plug.gid] = block.gid
        for child in block.inside:
            self._chain(child, here)

    def _cut(self, wire: Wire) -> None:
        chains = [self.chains[end] for end in wire.ends]
        pairs = enumerate(zip(*chains, strict=False))
        split = next((depth for depth, (a, b) in pairs if a != b), len(chains[0]) - 1)
        ends: list[str] = []
        pieces: list[list[str]] = [[], []]
        for side, (here, chain) in enumerate(zip(wire.ends, chains, strict=True)):
            for depth in range(len(chain) - 1, split, -1):
                host, piece = chain[depth - 1], f"{wire.gid}/{side}/{depth}"
                hole = f"exit-{piece}"
                self.exits[host].append(hole)
                self.owners |= {hole: host, f"rim-{piece}": f"rim-{piece}"}
                inner = (here, f"rim-{piece}")
                self.links[host].append(Link(piece, inner if side == 0 else inner[::-1]))
                pieces[side].append(piece)
                here = hole
            ends.append(here)
        label = self.way.turned(self.writer.words_of(wire))
        link = Link(wire.gid, (ends[0], ends[1]), label, wire.kind != "tunnel")
        self.links[chains[0][split - 1]].append(link)
        self.pieces[wire.gid] = [*pieces[0], wire.gid, *reversed(pieces[1])]

    def _inside(self, block: Block, facing: dict[str, str]) -> Inside:
        """Lay out what stands in a frame; ``facing`` tells for each exit where it leads."""
        rims = {f"rim-{hole.removeprefix('exit-')}": facing[hole] for hole in self.exits[block.gid]}
        groups = [self._group(group, block, rims) for group in self._groups(block, rims)]
        # What leads out stands next to the edge through which it leads.
        ranks = {frozenset(): 1, frozenset({BEFORE}): 0}
        groups.sort(key=lambda each: ranks.get(frozenset(e for e, _ in each.exits.values()), 2))
        made = Inside()
        u0 = v0 = length = depth = 0.0
        for each in groups:
            u, v = self.way.turned(each.size)
            if u0 and u0 + u > _LONGEST[self.way.standing]:
                u0, v0 = 0.0, depth + _BETWEEN_GROUPS
            made.add(each, *self.way.turned((u0, v0)))
            made.exits |= {name: (edge, at + u0) for name, (edge, at) in each.exits.items()}
            length, depth = max(length, u0 + u), max(depth, v0 + v)
            u0 += u + _BETWEEN_GROUPS
        made.size = self.way.turned((length, depth))
        return made

    def _groups(self, block: Block, rims: dict[str, str]) -> Iterator[set[str]]:
        """Yield what is connected in a frame, in its natural order."""
        joined = nx.Graph()
        joined.add_nodes_from([*(child.gid for child in block.inside), *rims])
        joined.add_edges_from(
            (self.owners[a], self.owners[b]) for a, b in (x.ends for x in self.links[block.gid])
        )
        yield from nx.connected_components(joined)

    def _group(self, group: set[str], block: Block, rims: dict[str, str]) -> Inside:
        """Place connected boxes, each with what stands in it."""
        children = [child for child in block.inside if child.gid in group]
        links = [link for link in self.links[block.gid] if self.owners[link.ends[0]] in group]
        own_rims = {rim: side for rim, side in rims.items() if rim in group}
        facing = self._facing(children, links, own_rims)
        insides = {child.gid: self._inside(child, facing) for child in children}
        nodes = [self._node(child, insides[child.gid]) for child in children]
        nodes += [
            Node(rim, (2.0, 0.0), {rim: (10.0, 0.0)}, rim=side) for rim, side in own_rims.items()
        ]
        placed = place(nodes, links, self.way.spacing)
        made = Inside(self.way.turned(placed.size))
        for child in children:
            self._draw(made, child, placed, insides[child.gid])
        for link in links:
            made.paths[link.id] = [self.way.turned(point) for point in placed.paths[link.id]]
            made.words[link.id] = self.way.turned(placed.labels[link.id])
        made.exits = {
            f"exit-{rim.removeprefix('rim-')}": (side, placed.plugs[rim][0])
            for rim, side in own_rims.items()
        }
        return made

    def _facing(
        self, children: list[Block], links: list[Link], rims: dict[str, str]
    ) -> dict[str, str]:
        """Tell on which side of each host its wires leave: where their other ends will stand."""
        edges = [
            Edge(link.id, (self.owners[a], self.owners[b]), (a, b), link.strong)
            for link in links
            for a, b in [link.ends]
        ]
        hubs = {child.gid for child in children if child.hub}
        graph = Graph([*(child.gid for child in children), *rims], edges, hubs, rims)
        row_of = deal(graph, self.way.spacing.sides, self.way.spacing.depth).row_of
        found = {}
        for edge in edges:
            for here, there in ((0, 1), (1, 0)):
                after = row_of[edge.nodes[there]] >= row_of[edge.nodes[here]]
                found[edge.plugs[here]] = AFTER if after else BEFORE
        return found

    def _node(self, block: Block, inside: Inside) -> Node:
        turned = self.way.turned
        plugs = {plug.gid: turned(self.writer.tag(plug)) for plug in block.plugs}
        plugs |= {hole: turned((10.0, 0.0)) for hole in self.exits[block.gid]}
        if block.kind == "host":
            size, at, _ = self._furnish(block, inside)
        else:
            size, at = self.writer.words(block), (0.0, 0.0)
        shift = turned(at)[0]
        pinned = {name: (edge, at + shift) for name, (edge, at) in inside.exits.items()}
        even = block.kind == "host"
        return Node(block.gid, turned(size), plugs, pinned, block.hub, even)

    def _furnish(self, block: Block, inside: Inside) -> tuple[Pair, Pair, bool]:
        """Return a host's size, where in it stands what is inside, and if its words are below.

        Where wires come in from above they would run through the words: these stand below then,
        and beside where wires come from both.
        """
        header, (width, height) = self.writer.header(block), inside.size
        edges = {edge for edge, _ in inside.exits.values()}
        if self.way.standing or BEFORE not in edges:
            wide = max(header[0], width + 2 * FRAME)
            return (wide, header[1] + height + FRAME), ((wide - width) / 2, header[1]), False
        if AFTER not in edges:
            wide = max(header[0], width + 2 * FRAME)
            return (wide, FRAME + height + header[1]), ((wide - width) / 2, FRAME), True
        size = (header[0] + width + FRAME, max(header[1], height + 2 * FRAME))
        return size, (header[0], (size[1] - height) / 2), False

    def _draw(self, made: Inside, block: Block, placed: Placed, inside: Inside) -> None:
        """Turn a placed block into shapes: its box and words, what stands in it, its tags."""
        turned = self.way.turned
        outer, free = (
            (*turned(area[:2]), *turned(area[2:]))
            for area in (placed.boxes[block.gid], placed.free[block.gid])
        )
        ports = [
            self.writer.port(plug, turned(placed.plugs[plug.gid]), block.gid)
            for plug in block.plugs
            if plug.text
        ]
        corner = (*outer[:1], *free[1:2])
        if block.kind == "host":
            size, at, below = self._furnish(block, inside)
            if below:
                corner = (outer[0], free[1] + free[3] - self.writer.header(block)[1])
            made.shapes.append(self.writer.frame(block, outer, self._beside(corner, block, ports)))
            x, y = (free[n] + (free[n + 2] - size[n]) / 2 + at[n] for n in (0, 1))
            made.add(inside, x, y)
        else:
            made.shapes.append(self.writer.box(block, outer, free))
        made.shapes += self.writer.loopback(block, (*corner, *outer[2:]), ports)
        made.shapes += ports

    def _beside(self, corner: Pair, block: Block, ports: list[Port]) -> Pair:
        """Return where the words of a host begin: right of the tags that would lie on them."""
        x, y = corner
        low = y + self.writer.header(block)[1]
        inward = [
            p.x + p.w / 2 for p in ports if p.x == x and y < p.y + p.h / 2 and p.y - p.h / 2 < low
        ]
        return max([x, *(at - 8 for at in inward)]), y
