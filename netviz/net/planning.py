"""From one network to another: the smallest list of steps between two snapshots.

What is the same on both sides is not touched. What stands in the way is deleted first, and what
vanishes with it counts as gone; then come namespaces, links from the lowest up, and in each
namespace the settings of its links and its tables. Both snapshots hold only what somebody
configured (`netviz.net.lasting`). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from netviz.changes import BEGINNING_RULES, FORWARDING, LOOPBACK, Row, between, rows, switches
from netviz.model import Address, Interface, Key, Namespace, Route, Rule, Snapshot
from netviz.net.entries import (
    AddAddress,
    AddEntry,
    DeleteAddress,
    DeleteEntry,
    SetFilters,
    SetSysctl,
)
from netviz.net.lasting import FALLBACK, LOCALHOST, possible
from netviz.net.matching import ADJUSTABLE, RIDING, Match
from netviz.net.parameters import settable, unusual
from netviz.net.settings import SetLink, SetParameters, settings
from netviz.net.steps import (
    ROOT,
    AddFallback,
    AddLink,
    AddNamespace,
    AddTap,
    AddVeth,
    DeleteLink,
    DeleteNamespace,
    Step,
)
from netviz.net.vlans import given

if TYPE_CHECKING:
    from netviz.net.entries import Noun

BEGINNING = Snapshot(
    (
        Namespace(
            0,
            ROOT,
            "root",
            interfaces=(replace(LOOPBACK, flags=("LOOPBACK", "UP")),),
            rules=BEGINNING_RULES,
        ),
    )
)
"""What a lab has when it begins."""

_ENTRIES = ("route", "rule", "neighbour", "vlan", "fdb", "qdisc")
_FILTERS = ("nft", "ruleset")
_UNNAMED = "netviz-new0"


def plan(before: Snapshot, after: Snapshot, *, fresh: Namespace | None = None) -> tuple[Step, ...]:
    """Return the steps that lead from one network to the other, in an order that the kernel takes.

    ``fresh`` is what a new namespace has here, for its switches; without it, what the kernel itself
    begins with.
    """
    return tuple(_Plan(before, after, fresh).steps())


class _Plan:
    """Two networks, and what is left of the first once all is gone that must go."""

    def __init__(self, before: Snapshot, after: Snapshot, fresh: Namespace | None) -> None:
        after = possible(after, before)
        self.before = {space.name: space for space in before.namespaces}
        self.after = {space.name: space for space in after.namespaces}
        self.match = Match(before, after)
        self.fresh = fresh or Namespace(0, "", interfaces=(LOOPBACK,), rules=BEGINNING_RULES)
        bases = [self.before.get(name) or replace(self.fresh, name=name) for name in self.after]
        self.base = {space.name: self.match.left(space) for space in bases}

    def steps(self) -> Iterator[Step]:
        """Yield them."""
        for name in self.after:
            if name in self.before:
                yield from self._emptying(self.base[name], self.after[name])
        new = self.after.keys() - self.before.keys()
        held = (name for it in self.before.values() for name in it.names if name in new)
        yield from map(DeleteNamespace, held)  # Second names of what has another.
        yield from (AddNamespace(name) for name in self.after if name in new)
        yield from self._moving()
        yield from self._deleting()
        order = sorted(self.after, key=self._depth)
        for name in order:
            yield from _moved_switches(self.base[name], self.after[name], wide=True)
        yield from self._adding()
        for name in order:
            yield from self._setting(self.base[name], self.after[name])

    def _emptying(self, base: Namespace, after: Namespace) -> Iterator[Step]:
        """Yield the deletion of what tables hold and should not, the latest first.

        A first address takes along those that came after it from the same network.
        """
        for change in reversed([*between(base, after)]):
            if change.before is None or change.field or change.before == change.after:
                continue
            if isinstance(change.before, Address):
                device = change.name.split(" ")[0]
                yield DeleteAddress(f"{base.name}:{device}", change.before)
            elif change.kind in _ENTRIES and change.before not in BEGINNING_RULES:
                yield DeleteEntry(base.name, cast("Noun", change.before))

    def _moving(self) -> Iterator[Step]:
        for key, (name, device) in self.match.moved.items():
            space, link = self.match.links[key]
            where = f"{space.name}:{link.name}"
            for address in reversed(link.addresses) if name == space.name else ():
                yield DeleteAddress(where, address)
            # Older kernels rename no link that is up.
            yield SetLink(where, {"up": False} | ({"master": ""} if link.master else {}))
            chosen: dict[str, object] = {"name": device} if device != link.name else {}
            yield SetLink(where, chosen | ({"netns": name} if name != space.name else {}))

    def _deleting(self) -> Iterator[Step]:
        """Yield the deletion of links and namespaces; a cable goes with that of its far end."""
        told: set[Key] = set()
        old = self.before.items()
        gone = {name for name, it in old if name not in self.after and it.held_by == "name"}
        later = []
        links, doomed = self.match.links, self.match.doomed
        for key in sorted(doomed, key=lambda key: links[key][0].name):
            space, link = links[key]
            along = link.kind in RIDING and link.lower and link.lower.key in doomed
            if along or space.name in gone or (link.peer and link.peer.key in told):
                continue
            told.add(key)
            step = DeleteLink(f"{space.name}:{link.name}")
            if link.peer and link.peer.namespace in gone:
                later.append(step)
            else:
                yield step
        yield from (DeleteNamespace(self.before[name].names[0]) for name in sorted(gone))
        yield from later

    def _depth(self, name: str, above: tuple[str, ...] = ()) -> int:
        """Return how many namespaces must be ready before one: links lie on links in others."""
        over = {link.lower.namespace for link in self.after[name].interfaces if link.lower}
        lower = (over - {name, *above}) & self.after.keys()
        return max((1 + self._depth(each, (*above, name)) for each in lower), default=0)

    def _adding(self) -> Iterator[Step]:
        """Yield the new links, what lies below before what lies above."""
        made = {(name, link.name) for name, space in self.base.items() for link in space.interfaces}
        waiting = [(name, link) for name, space in self.after.items() for link in space.interfaces]
        while waiting:
            ready: list[tuple[str, Interface]] = []
            held: list[tuple[str, Interface]] = []
            for name, link in waiting:
                if (name, link.name) in made:
                    continue
                lower = (link.lower.namespace, link.lower.name) if link.lower else None
                waits = lower is not None and lower not in made and lower[0] in self.after
                (held if waits else ready).append((name, link))
            for name, link in ready:
                if (name, link.name) not in made:
                    made |= {(name, link.name)}
                    made |= {(link.peer.namespace, link.peer.name)} if link.peer else set()
                    below = link.lower.namespace if link.lower else name
                    yield from _made(name, link, taken=(below, link.name) in made and below != name)
            if not ready:
                return
            waiting = held

    def _setting(self, base: Namespace, after: Namespace) -> Iterator[Step]:
        """Yield what makes a namespace's links and tables as they should be."""
        old = {link.name: link for link in base.interfaces}
        kinds = {link.name: link.kind for link in after.interfaces}
        # No tunnel takes packets that are too large for what lies below it.
        for link in sorted(after.interfaces, key=lambda it: it.lower is not None):
            was = old.get(link.name)
            where = f"{after.name}:{link.name}"
            if chosen := settings(was, link):
                yield from _set(where, chosen, was, kinds)
            yield from _adjusted(where, was, link)
            held = dict(rows(replace(_only(base), interfaces=(was,)))) if was else {}
            for row, address in rows(replace(_only(after), interfaces=(link,))):
                if was and was.up and str(address) == LOCALHOST:
                    continue  # A loopback that was up has it.
                if isinstance(address, Address) and held.get(row) != address:
                    yield AddAddress(where, address)
        yield from _moved_switches(base, after, wide=False)
        had, wanted = dict(rows(base)), dict(rows(after))
        for usual in given(base, after):
            row = ("vlan", f"{usual.dev} {usual.vlan}")
            had[row] = usual
            if row not in wanted:
                yield DeleteEntry(after.name, usual)
        new = [(k, it) for k, it in wanted.items() if k[0] in _ENTRIES and had.get(k) != it]
        for _, entry in sorted(new, key=_late):
            yield AddEntry(after.name, cast("Noun", entry))
        for rule in base.rules:
            if rule in BEGINNING_RULES and rule not in after.rules:
                yield DeleteEntry(after.name, rule)
        if had.get(_FILTERS) != wanted.get(_FILTERS):
            yield SetFilters(after.name, after.nft)


def _only(space: Namespace) -> Namespace:
    return Namespace(space.id, space.name)


def _late(row: tuple[Row, object]) -> int:
    """Return what sorts entries: a gateway has to be found, by routes and by rules."""
    if isinstance(row[1], Route):
        return bool(row[1].via or row[1].nexthops)
    return 2 * (isinstance(row[1], Rule) and row[1] not in BEGINNING_RULES)


def _made(name: str, link: Interface, *, taken: bool) -> Iterator[Step]:
    """Yield what makes a link; ``taken``, if its name is where the device below lies as well.

    Before Linux 6.13 that is refused: it gets its name where it goes.
    """
    at = f"{name}:{link.name}"
    if link.peer:
        yield AddVeth(at, str(link.peer))
    elif link.kind in ("tun", "tap"):
        yield AddTap(at, link.kind)
    elif link.name in FALLBACK:
        yield AddFallback(at, link.kind)
    else:
        lower = str(link.lower) if link.lower else None
        first = f"{name}:{_UNNAMED}" if taken else at
        yield AddLink(first, link.kind, unusual(link.kind, link.parameters), lower)
        if taken:
            yield SetLink(first, {"name": link.name})


def _set(
    where: str, chosen: dict[str, object], was: Interface | None, kinds: dict[str, str]
) -> Iterator[Step]:
    """Yield what sets a link; a bond takes none that is up, as older kernels make it first."""
    if kinds.get(str(chosen.get("master"))) not in ("bond", "team"):
        yield SetLink(where, chosen)
        return
    up = chosen.pop("up", bool(was and was.up))
    if was and was.up:
        yield SetLink(where, {"up": False})
    yield SetLink(where, chosen)
    if up:
        yield SetLink(where, {"up": True})


def _adjusted(where: str, was: Interface | None, link: Interface) -> Iterator[Step]:
    """Yield the parameters that a link has besides those that it was made with."""
    sides = [("port", was.port if was else {}, link.port)]
    if was and link.kind in ADJUSTABLE:
        sides.append((link.kind, was.parameters, link.parameters))
    for kind, old, new in sides:
        wanted = new if old else unusual(kind, new)
        other = {k: v for k, v in wanted.items() if k in settable(kind) and old.get(k) != v}
        if other:
            yield SetParameters(where, kind, other)


def _moved_switches(base: Namespace, after: Namespace, *, wide: bool) -> Iterator[Step]:
    """Yield the switches that stand differently: those of all interfaces before there are any.

    A new interface begins with the default, and forwarding for all moves it for each.
    """
    known, wanted = dict(switches(base)), dict(switches(after))
    for name, value in wanted.items():
        parts = name.replace("/", ".").split(".")
        all_over = parts[2] != "conf" or parts[3] in ("all", "default")
        if parts[1] == "bridge":
            usual: object = 1
        else:
            usual = 0 if all_over else wanted.get(f"net.{parts[1]}.conf.default.{parts[-1]}", 0)
        if parts[-1] == "mc_forwarding" or known.get(name, usual) == value:
            continue  # Only a daemon for multicast routes moves that one.
        if all_over == wide:
            yield SetSysctl(after.name, name, value)
        if name in FORWARDING.values():
            each = (it for it in wanted if it.endswith("forwarding") and f".{parts[1]}." in it)
            known |= dict.fromkeys(each, value)
