"""What stands on a card, macvlans and ipvlans, and what each of them gets, by its mode. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from netviz.packets.facts import typed
from netviz.packets.relations import named

if TYPE_CHECKING:
    from netviz.explanations import Step
    from netviz.model import Interface, Key
    from netviz.packets.ports import Frame
    from netviz.packets.relations import Relations
    from netviz.packets.segments import Wires

# A frame for many that its switch sends back: in which modes others get what one in this mode sent.
_COMES_BACK = {"vepa": {"vepa", "bridge"}, "bridge": {"vepa"}}


def beside(wires: Wires, key: Key, frame: Frame) -> Iterator[tuple[Key, Step | None]]:
    """Yield those on the same card that a frame is for, each with what keeps it from there."""
    for twin in wires.relations.twins(key):
        if frame.many or _meant(wires, twin, frame):
            odd = next((k for k in (key, twin) if not _joins(wires.links[k])), None)
            yield twin, _alone(wires, odd) if odd else None


def above(wires: Wires, key: Key, frame: Frame) -> tuple[list[Key], bool]:
    """Return those on a card that get a frame from its cable, and whether its own stack does."""
    there = {k: wires.links[k] for k in wires.relations.above.get(key, ())}
    there = {k: link for k, link in there.items() if link.kind != "vlan"}
    if not frame.many:
        meant = [k for k in there if _meant(wires, k, frame)]
        return meant[:1], not meant
    sender = next((it for it in there.values() if it.mac == frame.source), None)
    if sender is None or sender.kind == "ipvlan":
        return [*there], True
    modes = _COMES_BACK.get(str(sender.parameters.get("mode")), set())
    others = (k for k, it in there.items() if it != sender and it.parameters.get("mode") in modes)
    return [*others], bool(modes)


def choosy(wires: Wires, key: Key) -> Step | None:
    """Return that a macvlan takes only what comes from cards that it was told; not which."""
    if wires.links[key].parameters.get("mode") != "source":
        return None
    text = f"{wires.told(key)} is in mode source: it takes what comes from some cards alone"
    return wires.shows(key, text, None)


def _meant(wires: Wires, key: Key, frame: Frame) -> bool:
    """Tell whether a frame for one card is for what stands on it: all ipvlans have the same MAC."""
    link = wires.links[key]
    if link.kind == "ipvlan":
        return wires.relations.has(key, frame.address)
    return link.mac == frame.to


def _joins(link: Interface) -> bool:
    """Tell whether what stands on a card is joined with what stands beside it."""
    own = link.parameters
    return "flag" not in own if link.kind == "ipvlan" else own["mode"] == "bridge"


def _alone(wires: Wires, key: Key) -> Step:
    link, space = wires.links[key], wires.spaces[key[0]]
    known = link.kind != "ipvlan"
    mode = link.parameters.get("mode" if known else "flag")
    words = ("dev", link.name, "type", link.kind, "mode", "bridge")
    mend = typed(space, "ip", "link", "set", *words) if known else None
    text = f"{wires.told(key)} is {named(link.kind)} in mode {mode}"
    return replace(wires.shows(key, text, False if known else None), mend=mend)


def apart(wires: Wires, key: Key, asks: str, owners: list[Key], address: str) -> Step | None:
    """Return that who asks and who has an address are a card and what stands on it.

    What mends it is another one on the card, which is its host's own, and a route by it.
    """
    if not (found := on_another(wires.relations, key, owners)):
        return None
    upper, lower, text = found
    mend = _beside(wires, lower, wires.links[upper], asks if upper == key else address)
    return replace(wires.shows(upper, text), mend=mend)


def on_another(
    relations: Relations, key: Key, owners: Iterable[Key]
) -> tuple[Key, Key, str] | None:
    """Return which of two devices stands on the other, this one and an owner, and what that means.

    None where neither does.
    """
    for owner in owners:
        upper = key if owner in relations.lower(key) else owner
        lower = owner if upper == key else key
        if lower in relations.lower(upper):
            one, other = (relations.called(it).removeprefix("root:") for it in (upper, lower))
            kind = named(relations.links[upper].kind)
            return upper, lower, f"{one} is {kind} on {other}: between these two no frame goes"
    return None


def _beside(wires: Wires, card: Key, child: Interface, address: str) -> str | None:
    """Return what gives a card's host one of its own beside another, and a route to that one."""
    if ":" in address or child.kind != "macvlan" or not _joins(child):
        return None  # An ipvlan would need an address of its own besides.
    space, name = wires.spaces[card[0]], wires.links[card].name
    taken = {link.name for link in space.interfaces}
    own = next(it for it in (f"host{n}" for n in count()) if it not in taken)
    lines = (
        ("link", "add", "link", name, "name", own, "type", "macvlan", "mode", "bridge"),
        ("link", "set", "dev", own, "up"),
        ("route", "add", address, "dev", own),
    )
    return " && ".join(typed(space, "ip", *words) for words in lines)
