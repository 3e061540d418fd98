"""From a graph to boxes and lines with coordinates.

A frame is laid out from the inside: first what stands in its boxes, then the boxes in rows, one
group of connected boxes after the other. A wire that leads out of a host leaves through its edge.
Then, from the outside, everything gets its place on the page. The rows lie or, where they would be
too long for a page, stand: a few ways are tried, and the first that fits is taken.

Pure, and always the same for the same graph; how wide a text is comes in as a function.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import networkx as nx

from netviz.picture.blocks import scene
from netviz.picture.boxes import FRAME, Writer
from netviz.picture.cables import joined, labelled
from netviz.picture.folding import fold
from netviz.picture.layers import deal
from netviz.picture.measures import measure as measured
from netviz.picture.memory import Memory, stood, within
from netviz.picture.page import NOTHING, Page
from netviz.picture.routes import Routes
from netviz.picture.rows import AFTER, BEFORE, Arrangement, Group, Inside, Link, Node, Way
from netviz.picture.settling import line_up, settle
from netviz.picture.shapes import Box, Cable, Label, Plan, Port

if TYPE_CHECKING:
    from netviz.picture.blocks import Block, Scene
    from netviz.picture.rows import Pair, Place
    from netviz.picture.shapes import Measure, Point, Shape

_WIDTH, _HEIGHT = 1360.0, 1700.0
_WAYS = (
    Way(),
    Way(sides=2),
    Way(standing=True, box=24.0, channel=60.0, sides=2),
    Way(standing=True, box=24.0, channel=60.0, sides=2, depth=2),
)
_LONGEST = {False: (1040.0, 1240.0), True: (1500.0, 1560.0)}
_HOLE = (10.0, 0.0)
_LAYERS: dict[type, int] = {Box: 0, Cable: 1, Port: 2, Label: 3}


def layout(
    graph: nx.MultiGraph,
    measure: Measure,
    *,
    title: str | None = None,
    memory: Memory | None = None,
) -> Plan:
    """Return the picture of a graph that `netviz.graph` made, in shapes with coordinates.

    ``measure(text, style)`` is the width of a text in pixels. With the ``memory`` of the drawing
    before, of the same network, what was there stays where it was; it remembers this one then.
    """
    found, writer = scene(graph), Writer(measure)
    if memory is None:
        return _anew(fold(found), writer, title)[1]
    memory.sort(found)
    found = fold(found)
    made, plan = _anew(found, writer, title, Memory())
    # Where that is too large by now, the page shrinks, or all comes together, or all is forgotten.
    for known in (memory, replace(memory, page=NOTHING), memory.packed()) if memory.way else ():
        kept = _Layout(found, writer, memory.way or made.way, known)
        before = kept.plan(title)
        if memory.keeps(before, plan, (_excess(before), _excess(plan))):
            made, plan = kept, before
            break
    memory.way, memory.places, memory.page = made.way, made.places, made.least
    return plan


def _anew(
    found: Scene, writer: Writer, title: str | None, memory: Memory | None = None
) -> tuple[_Layout, Plan]:
    """Return the first layout that fits a page, or else the one that comes nearest to it."""
    tried = []
    for way in _WAYS:
        made = _Layout(found, writer, way, memory)
        tried.append((made, made.plan(title)))
        if _excess(tried[-1][1]) <= 1:
            return tried[-1]
    return min(tried, key=lambda each: _excess(each[1]))


def _excess(plan: Plan) -> float:
    """Return how many times too large a drawing is for a page; what fits is not above 1."""
    return max(plan.width / _WIDTH, plan.height / _HEIGHT)


class _Layout:
    """A scene being laid out in one way.

    A wire is cut where it leaves a host: one piece inside, one outside. ``links`` are the pieces
    in each frame, and ``exits`` those that pass through the edge of each host.
    """

    def __init__(self, found: Scene, writer: Writer, way: Way, memory: Memory | None) -> None:
        self.scene = found
        self.writer = writer
        self.way = way
        self.memory = memory
        self.places: dict[str, Place] = {}
        self.least = NOTHING
        self.links: dict[str, list[Link]] = defaultdict(list)
        self.exits: dict[str, list[str]] = defaultdict(list)
        self.pieces: dict[str, list[str]] = {}
        self.owners: dict[str, str] = {}
        self.chains: dict[str, tuple[str, ...]] = {}
        self.shapes: list[Shape] = []
        self.paths: dict[str, list[Point]] = {}
        self.words: dict[str, Point] = {}
        self._chain(found.frame, ())
        for wire in found.wires:
            self._cut(wire)

    def plan(self, title: str | None) -> Plan:
        """Return the whole drawing."""
        inside = self._inside(self.scene.frame, {})
        least = self.memory.page if self.memory else None
        page = Page(self.scene, self.writer, inside.size, title, least)
        self.least = page.least
        self.shapes += page.frame()
        self._draw(inside, *page.inner)
        self.shapes += page.rest()
        cables = [
            replace(wire, points=joined([self.paths[piece] for piece in self.pieces[wire.gid]]))
            for wire in self.scene.wires
        ]
        self.shapes += labelled(cables, self.words, self.shapes, self.writer.measure)
        # What lies on a box comes after it, and tags and words after the cables.
        self.shapes.sort(key=lambda shape: _LAYERS[type(shape)])
        return Plan(*page.size, tuple(self.shapes))

    def _chain(self, block: Block, above: tuple[str, ...]) -> None:
        """Note for each plug in which frames it lies, the outermost first, its block last."""
        here = (*above, block.gid)
        for plug in block.plugs:
            self.chains[plug.gid] = here
            self.owners[plug.gid] = block.gid
        for child in block.inside:
            self._chain(child, here)

    def _cut(self, wire: Cable) -> None:
        chains = [self.chains[end] for end in wire.owners]
        pairs = enumerate(zip(*chains, strict=False))
        split = next((depth for depth, (a, b) in pairs if a != b), len(chains[0]) - 1)
        ends: list[str] = []
        pieces: list[list[str]] = [[], []]
        for side, (here, chain) in enumerate(zip(wire.owners, chains, strict=True)):
            for depth in range(len(chain) - 1, split, -1):
                host, piece = chain[depth - 1], f"{wire.gid}/{side}/{depth}"
                self.exits[host].append(piece)
                self.owners |= {piece: piece, f"exit-{piece}": host}
                inner = (here, piece)
                self.links[host].append(Link(piece, inner if side == 0 else inner[::-1]))
                pieces[side].append(piece)
                here = f"exit-{piece}"
            ends.append(here)
        label = self.way.turned(self.writer.words_of(wire))
        link = Link(wire.gid, (ends[0], ends[1]), label, wire.kind != "tunnel")
        self.links[chains[0][split - 1]].append(link)
        self.pieces[wire.gid] = [*pieces[0], wire.gid, *reversed(pieces[1])]

    def _inside(self, block: Block, facing: dict[str, str]) -> Inside:
        """Lay out what stands in a frame; ``facing`` tells for each exit where it leads."""
        rims = {piece: facing[f"exit-{piece}"] for piece in self.exits[block.gid]}
        joined = nx.Graph()
        joined.add_nodes_from([*(child.gid for child in block.inside), *rims])
        for link in self.links[block.gid]:
            joined.add_edge(*(self.owners[end] for end in link.ends))
        groups = [self._group(found, block, rims) for found in nx.connected_components(joined)]
        # What leads out stands next to the edge through which it leads.
        ranks = {frozenset(): 1, frozenset({BEFORE}): 0}
        # Then what was there before, line by line.
        groups.sort(key=lambda each: each.was[::-1] if each.was else (inf, inf))
        groups.sort(key=lambda each: ranks.get(frozenset(e for e, _ in each.exits.values()), 2))
        made = Inside(
            self.way.turned(line_up(groups, self.way, _LONGEST[self.way.standing])), groups
        )
        for each in groups:
            if self.memory:
                children = [child for child, _ in each.children]
                self.places |= stood(block.gid, children, each.routes, each.at)
            made.exits |= {name: (edge, at + each.at[0]) for name, (edge, at) in each.exits.items()}
        return made

    def _group(self, group: set[str], block: Block, rims: dict[str, str]) -> Group:
        """Lay out connected boxes, each with what stands in it."""
        children = [child for child in block.inside if child.gid in group]
        links = [link for link in self.links[block.gid] if self.owners[link.ends[0]] in group]
        nodes = [self._node(child) for child in children]
        out = {rim: side for rim, side in rims.items() if rim in group}
        nodes += [Node(rim, {rim: _HOLE}, rim=side) for rim, side in out.items()]
        made = Arrangement(nodes, links, self.way)
        was = None
        if self.memory:
            made.steady = True
            made.pins, was = within(self.memory.anchors(block.gid, (each.gid for each in children)))
        deal(made)
        # On which side of a host its wires leave: where their other ends stand.
        facing = {
            end: AFTER if step >= 0 else BEFORE
            for link in links
            for end, step in zip(link.ends, (made.step(link), -made.step(link)), strict=True)
        }
        insides = [self._inside(child, facing) for child in children]
        for node, child, inside in zip(nodes, children, insides, strict=False):
            self._fit(node, child, inside)
        measured(made)
        settle(made)
        routes = Routes(made)
        exits = {rim: (side, routes.at(rim)[0]) for rim, side in out.items()}
        return Group([*zip(children, insides, strict=True)], routes, exits, was=was)

    def _node(self, block: Block) -> Node:
        plugs = {plug.gid: self.way.turned(self.writer.tag(plug)) for plug in block.plugs}
        plugs |= {f"exit-{piece}": self.way.turned(_HOLE) for piece in self.exits[block.gid]}
        return Node(block.gid, plugs, hub=block.hub, even=block.kind == "host")

    def _fit(self, node: Node, block: Block, inside: Inside) -> None:
        """Give a box the size that it needs for what is in it."""
        size, at = self.writer.words(block), (0.0, 0.0)
        if block.kind == "host":
            size, at, _ = self._furnish(block, inside)
        node.size, (shift, _) = self.way.turned(size), self.way.turned(at)
        place = self.memory and self.memory.place(block)
        if place:
            node.least = place.outer
            node.size = max(node.size[0], place.inner[0]), max(node.size[1], place.inner[1])
        node.pinned = {f"exit-{p}": (edge, at + shift) for p, (edge, at) in inside.exits.items()}

    def _furnish(self, block: Block, inside: Inside) -> tuple[Pair, Pair, bool]:
        """Return a host's size, where in it stands what is inside, and if its words are below.

        Where wires come in from above they would run through the words: these stand below then,
        and beside where wires come from both.
        """
        header, (width, height) = self.writer.header(block), inside.size
        edges = {edge for edge, _ in inside.exits.values()}
        if not self.way.standing and {BEFORE, AFTER} <= edges:
            size = (header[0] + width + FRAME, max(header[1], height + 2 * FRAME))
            return size, (header[0], (size[1] - height) / 2), False
        below = not self.way.standing and BEFORE in edges
        wide = max(header[0], width + 2 * FRAME)
        aside = FRAME if self.memory else (wide - width) / 2
        at = (aside, FRAME if below else header[1])
        return (wide, header[1] + height + FRAME), at, below

    def _draw(self, inside: Inside, x: float, y: float) -> None:
        """Turn what stands in a frame into shapes, from a place on the page on."""
        for group in inside.groups:
            u, v = self.way.turned(group.at)
            routes = group.routes
            routes.origin = (x + u, y + v)
            for child, inner in group.children:
                self._box(child, inner, routes)
            for link in routes.made.links:
                self.paths[link.id] = [routes.page(spot) for spot in routes.paths[link.id]]
                self.words[link.id] = routes.page(routes.label(link))

    def _box(self, block: Block, inside: Inside, routes: Routes) -> None:
        """Turn a placed block into shapes: its box and words, what stands in it, its tags."""
        outer, free = routes.box(block.gid), routes.box(block.gid, free=True)
        ports = [
            self.writer.port(plug, routes.page(routes.at(plug.gid)), block.gid)
            for plug in block.plugs
            if plug.text
        ]
        corner = (outer[0], free[1])
        if block.kind == "host":
            _, at, below = self._furnish(block, inside)
            size = self.way.turned(routes.made.nodes[block.gid].size)
            if below:
                corner = (outer[0], free[1] + free[3] - self.writer.header(block)[1])
            self.shapes.append(self.writer.frame(block, outer, self._beside(corner, block, ports)))
            self._draw(inside, *(free[n] + (free[n + 2] - size[n]) / 2 + at[n] for n in (0, 1)))
        else:
            self.shapes.append(self.writer.box(block, outer, free))
        self.shapes += self.writer.loopback(block, (*corner, *outer[2:]), ports)
        self.shapes += ports

    def _beside(self, corner: Pair, block: Block, ports: list[Port]) -> Pair:
        """Return where the words of a host begin: right of the tags that would lie on them."""
        x, y = corner
        low = y + self.writer.header(block)[1]
        tags = [port.extent for port in ports if port.x == x]
        return max([x, *(tag[2] - 8 for tag in tags if y < tag[3] and tag[1] < low)]), y
