"""Fold what is equal in a large scene: of sixty-one namespaces or more, leaves become one box."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netviz.picture.blocks import Block, Scene
    from netviz.picture.shapes import Cable

MOST = 60
_NUMBER = re.compile(r"\d+")
_FEW = 4


def fold(scene: Scene) -> Scene:
    """Return a scene in which equal leaves are one box with a count, if it is a large one.

    Leaves are equal when they hang by one cable of the same kind and state on the same box, and
    differ in nothing but their own names, their addresses and the ports at the other end; where
    that makes none equal, the numbers in their interfaces' names may differ too.
    """
    blocks = [*scene.frame.all()]
    if sum(block.kind in ("namespace", "host") for block in blocks) <= MOST:
        return scene
    owners = {plug.gid: block.gid for block in blocks for plug in block.plugs}
    wires: dict[str, list[Cable]] = defaultdict(list)
    for wire in scene.wires:
        for end in wire.owners:
            wires[owners[end]].append(wire)
    folding = _Folding()
    for block in blocks:
        left = block.inside
        for name in (str, _unnumbered):
            groups: dict[object, list[Block]] = defaultdict(list)
            for child in left:
                groups[_looks(child, wires[child.gid], owners, name)].append(child)
            equal = [it for looks, it in groups.items() if looks is not None and len(it) >= _FEW]
            for group in equal:
                folding.bundle(group, wires)
            left = [] if equal else left
    kept = [wire for wire in scene.wires if not folding.gone & set(wire.owners)]
    return replace(scene, frame=folding.folded(scene.frame), wires=kept)


class _Folding:
    """What becomes of a scene: which blocks and plugs are ``gone``, how the others look."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.texts: dict[str, str] = {}
        self.bundles: dict[str, Block] = {}

    def bundle(self, group: list[Block], wires: dict[str, list[Cable]]) -> None:
        """Let the first of some equal leaves stand for all of them."""
        first, *others = group
        self.bundles[first.gid] = _bundle(group)
        for each in others:
            self.gone |= {each.gid, *(plug.gid for plug in each.plugs)}
            self.gone.update(end for wire in wires[each.gid] for end in wire.owners)
        for wire in wires[first.gid]:
            self.texts |= dict.fromkeys(wire.owners, f"{len(group)} ports")
        for plug, last in zip(first.plugs, group[-1].plugs, strict=True):
            several = f"{plug.text} … {last.text}"
            same = plug.text == last.text
            self.texts[plug.gid] = f"{len(group)} of {plug.text}" if same else several

    def folded(self, block: Block) -> Block:
        """Return a block as it looks then, with what stands in it: the bundles first."""
        block = self.bundles.get(block.gid, block)
        plugs = [plug for plug in block.plugs if plug.gid not in self.gone]
        plugs = [replace(plug, text=self.texts.get(plug.gid, plug.text)) for plug in plugs]
        inside = [self.folded(child) for child in block.inside if child.gid not in self.gone]
        inside.sort(key=lambda child: child.kind != "folded")
        return replace(block, plugs=plugs, inside=inside)


def _unnumbered(name: str) -> str:
    return _NUMBER.sub("#", name)


def _looks(
    block: Block, wires: list[Cable], owners: dict[str, str], name: Callable[[str], str]
) -> object:
    """Return what two leaves must have in common to be folded; None for what is no leaf."""
    if block.kind != "namespace" or len(block.plugs) > 1 or len(wires) != len(block.plugs):
        return None
    tags = tuple((name(plug.text), plug.state) for plug in block.tags())
    lines = tuple((style, text if style == "note" else "") for text, style in block.lines)
    if not wires:
        return tags, lines
    far = [owners[end] for end in wires[0].owners if owners[end] != block.gid]
    return (wires[0].kind, wires[0].state, *far, tags, lines) if far else None


def _bundle(group: list[Block]) -> Block:
    first, last = group[0], group[-1]
    lines = [(f"{len(group)} equal namespaces", "note")]
    shown = [text for text, style in first.lines if style == "address"][:1]
    shown += [text for text, style in last.lines if style == "address"][:1]
    if len(shown) == 2:
        lines.append((" … ".join(shown), "address"))
    return replace(first, kind="folded", name=f"{first.name} … {last.name}", lines=lines)
