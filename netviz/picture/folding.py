"""Fold what is equal in a large scene: of sixty-one namespaces or more, leaves become one box."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from netviz.picture.blocks import Block, Plug, Scene, Wire

MOST = 60
_FEW = 4


def fold(scene: Scene) -> Scene:
    """Return a scene in which equal leaves are one box with a count, if it is a large one.

    Leaves are equal when they hang by one cable of the same kind and state on the same box, and
    differ in nothing but their own names, their addresses and the ports at the other end.
    """
    if _count(scene.frame) <= MOST:
        return scene
    owners = {plug.gid: block.gid for block in scene.frame.all() for plug in block.plugs}
    wires: dict[str, list[Wire]] = defaultdict(list)
    for wire in scene.wires:
        for end in wire.ends:
            wires[owners[end]].append(wire)
    gone: set[str] = set()
    names: dict[str, str] = {}
    frame = _folded(scene.frame, wires, owners, gone, names)
    kept = [wire for wire in scene.wires if not gone & set(wire.ends)]
    return replace(scene, frame=_without(frame, gone, names), wires=kept)


def _count(frame: Block) -> int:
    return sum(block.kind in ("namespace", "host") for block in frame.all())


def _folded(
    block: Block,
    wires: dict[str, list[Wire]],
    owners: dict[str, str],
    gone: set[str],
    names: dict[str, str],
) -> Block:
    """Fold the leaves in a box; note in ``gone`` the plugs that go, in ``names`` what stays."""
    groups: dict[object, list[Block]] = defaultdict(list)
    for child in block.inside:
        groups[_looks(child, wires[child.gid], owners)].append(child)
    inside = []
    for looks, group in groups.items():
        if looks is None or len(group) < _FEW:
            inside += [_folded(each, wires, owners, gone, names) for each in group]
            continue
        inside.append(_bundle(group))
        for each in group:
            for plug in each.plugs if each is not group[0] else []:
                (wire,) = wires[each.gid]
                gone.update(wire.ends)
                gone.add(plug.gid)
        for wire in wires[group[0].gid]:
            names |= {end: f"{len(group)} ports" for end in wire.ends}
        names |= {plug.gid: f"{len(group)} of {plug.text}" for plug in group[0].plugs}
    inside.sort(key=lambda each: block.inside.index(each) if each in block.inside else -1)
    return replace(block, inside=inside)


def _looks(block: Block, wires: list[Wire], owners: dict[str, str]) -> object:
    """Return what two leaves must have in common to be folded; None for what is no leaf."""
    if block.kind != "namespace" or len(block.plugs) > 1 or len(wires) != len(block.plugs):
        return None
    tags = tuple((plug.text, plug.state) for plug in block.tags())
    lines = tuple((style, text if style == "note" else "") for text, style in block.lines)
    if not wires:
        return tags, lines
    far = [owners[end] for end in wires[0].ends if owners[end] != block.gid]
    return (wires[0].kind, wires[0].state, *far, tags, lines) if far else None


def _bundle(group: list[Block]) -> Block:
    first, last = group[0], group[-1]
    lines = [(f"{len(group)} equal namespaces", "note")]
    shown = [text for text, style in first.lines if style == "address"][:1]
    shown += [text for text, style in last.lines if style == "address"][:1]
    if len(shown) == 2:
        lines.append((" … ".join(shown), "address"))
    return replace(first, kind="folded", name=f"{first.name} … {last.name}", lines=lines)


def _without(block: Block, gone: set[str], names: dict[str, str]) -> Block:
    """Take the plugs of folded leaves away, here and in what stands inside."""
    plugs = [
        Plug(plug.gid, names.get(plug.gid, plug.text), plug.title, plug.state)
        for plug in block.plugs
        if plug.gid not in gone
    ]
    inside = [_without(child, gone, names) for child in block.inside]
    return replace(block, plugs=plugs, inside=inside)
