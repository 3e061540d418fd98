"""Which link of one network is which of another, and which have to go. Pure.

A link is the same where it has its name; one that was moved or renamed is known by its card. What
cannot be changed in a link that exists, its kind, its far end, what it travels over, makes it
another; and with a link goes the other end of a cable, and what travels over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from netviz.net.lasting import without
from netviz.net.parameters import unusual

if TYPE_CHECKING:
    from netviz.model import Endpoint, Interface, Key, Namespace, Snapshot

Place = tuple[str, str]
"""Namespace and name of a link."""

RIDING = {"macvlan", "macvtap", "ipvlan", "ipvtap", "vlan", "vxlan", "macsec"}
"""The kinds that go when the device goes over which they travel."""
ADJUSTABLE = {"bridge", "bond", "macvlan", "ipvlan"}
"""The kinds whose parameters can all be changed."""


class Match:
    """How two networks fit: ``links`` are those of the first.

    Of these ``moved`` have another place in the second, and ``doomed`` none.
    """

    def __init__(self, before: Snapshot, after: Snapshot) -> None:
        self.links = {(space.id, link.index): (space, link) for space, link in before}
        self._wanted = {(space.name, link.name): link for space, link in after}
        self.moved = dict(self._find_moved())
        self.doomed = self._find_doomed()

    def left(self, space: Namespace) -> Namespace:
        """Return what is left of a namespace: its tables lose what was on a link that goes."""
        stay = [link for link in space.interfaces if self._stays((space.id, link.index))]
        came = [
            replace(self.links[key][1], name=name, master=None, addresses=(), flags=())
            for key, (where, name) in self.moved.items()
            if where == space.name
        ]
        plugged = [
            replace(link, master=None) if link.master and not self._stays(link.master.key) else link
            for link in stay
        ]
        gone = {link.name for link in space.interfaces} - {link.name for link in stay}
        down = {link.name for link in stay if link.up and self._goes_down(space, link)}
        return replace(without(space, gone, down), interfaces=(*plugged, *came))

    def _stays(self, key: Key) -> bool:
        return key not in self.doomed and key not in self.moved

    def _goes_down(self, space: Namespace, link: Interface) -> bool:
        wanted = self._wanted.get((space.name, link.name))
        return wanted is not None and not wanted.up

    def _find_moved(self) -> Iterator[tuple[Key, Place]]:
        places = {(space.name, link.name) for space, link in self.links.values()}
        cards = {_card(space.name, it): key for key, (space, it) in self.links.items() if it.mac}
        for place, wanted in self._wanted.items():
            key = cards.get(_card(place[0], wanted))
            if key and place not in places:
                space, link = self.links[key]
                if (space.name, link.name) not in self._wanted:
                    yield key, place

    def _find_doomed(self) -> set[Key]:
        doomed = {key for key, (_, link) in self.links.items() if self._cannot_stay(key, link)}
        while True:
            along = {key for key, (_, link) in self.links.items() if _goes_along(link, doomed)}
            if along <= doomed:
                return doomed
            doomed |= along

    def _cannot_stay(self, key: Key, link: Interface) -> bool:
        """Tell whether a link is not wanted, or is wanted as what it cannot become."""
        wanted = self._wanted.get(self._place(key))
        if link.kind in ("loopback", "device"):
            return False  # No command deletes them.
        if wanted is None or wanted.kind != link.kind:
            return True
        ends = ((link.peer, wanted.peer), (link.lower, wanted.lower))
        if any(self._leads(old) != (str(new) if new else None) for old, new in ends):
            return True
        own = (unusual(it.kind, it.parameters) for it in (link, wanted))
        return link.kind not in ADJUSTABLE and next(own) != next(own)

    def _place(self, key: Key) -> Place:
        space, link = self.links[key]
        return self.moved.get(key) or (space.name, link.name)

    def _leads(self, end: Endpoint | None) -> str | None:
        """Return where an end will be, once all has moved that moves."""
        if end is None or end.key not in self.links:
            return str(end) if end else None
        return ":".join(self._place(end.key))


def _goes_along(link: Interface, doomed: set[Key]) -> bool:
    below = link.lower.key if link.lower and link.kind in RIDING else None
    return below in doomed or bool(link.peer and link.peer.key in doomed)


def _card(space: str, link: Interface) -> tuple[str | None, str, str]:
    """Return what knows a link again; loopbacks have no cards, and never leave."""
    return link.mac, link.kind, space * (link.kind == "loopback")
