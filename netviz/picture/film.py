"""Pictures of one network as it changes: frames, and the film that a page shows.

A frame is drawn with what the camera keeps from the one before: boxes stay where they were, and
only what looks otherwise is drawn at all. A film says each shape once, however many frames have it,
so one of a hundred frames is not much larger than one of ten.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from netviz.changes import Changes
from netviz.graphs import graph
from netviz.picture import words
from netviz.picture.blocks import gid, wire
from netviz.picture.cards import Card, cards
from netviz.picture.drawing import pieces, text_width
from netviz.picture.layout import layout
from netviz.picture.memory import Memory
from netviz.picture.svg import whole
from netviz.picture.themes import THEMES

if TYPE_CHECKING:
    from netviz.changes import Change
    from netviz.model import JSON, Interface, Namespace, Snapshot
    from netviz.picture.shapes import Plan, Shape

_MOST_TOLD = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: its ``parts`` are SVG text, ``cards`` are what its boxes tell when asked.

    ``changed`` are the ids of what is otherwise than in the frame before, ``told`` tells it, and
    ``trouble`` why the picture may not be what is so. In a recording it has the second that it was
    taken ``at``, and the ``command`` before it; of a journey, what the packet is at this ``hop``.
    The first one of a trace has what the command ``printed``.
    """

    plan: Plan
    parts: tuple[str, ...]
    cards: dict[str, Card]
    alt: str
    changed: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    trouble: str | None = None
    at: float | None = None
    command: str | None = None
    hop: JSON | None = None
    printed: str = ""

    @property
    def svg(self) -> str:
        """The picture as SVG text."""
        return whole(self.plan, self.parts, THEMES["light"].page, self.alt)


@dataclass(slots=True)
class Camera:
    """Takes one frame after the other of a network."""

    memory: Memory = field(default_factory=Memory)
    drawn: dict[Shape, str] = field(default_factory=dict)

    def take(self, network: Snapshot, changes: Changes = Changes()) -> Frame:  # noqa: B008
        """Return a network's picture; ``changes`` are those since the one before."""
        plan = layout(graph(network), text_width, memory=self.memory)
        new = [shape for shape in dict.fromkeys(plan.shapes) if shape not in self.drawn]
        fresh = dict(zip(new, pieces(plan, THEMES["light"], new), strict=True)) if new else {}
        self.drawn = {shape: fresh.get(shape) or self.drawn[shape] for shape in plan.shapes}
        drawn = {shape.gid for shape in plan.shapes if hasattr(shape, "gid")}
        worth = [change for change in changes if not _by_itself(change)]
        told = [str(change) for change in worth[:_MOST_TOLD]]
        if len(worth) > _MOST_TOLD:
            told.append(f"and {len(worth) - _MOST_TOLD} more changes")
        return Frame(
            plan,
            tuple(self.drawn[shape] for shape in plan.shapes),
            _told(network, drawn),
            words.alternative(network),
            tuple(each for each in dict.fromkeys(_changed(changes, network)) if each in drawn),
            tuple(told),
        )

    def count(self, frame: Frame, network: Snapshot) -> Frame:
        """Return a frame again, with what its cards tell now: only counters have changed."""
        told = _told(network, frame.cards.keys())
        return replace(frame, cards=told, changed=(), told=(), trouble=None)


def latest(frames: Sequence[Frame]) -> Frame:
    """Return the last of some frames, with what is otherwise than before the first of them."""
    *_, last = frames
    drawn = {getattr(shape, "gid", None) for shape in last.plan.shapes}
    changed = dict.fromkeys(it for frame in frames for it in frame.changed if it in drawn)
    told = dict.fromkeys(line for frame in frames for line in frame.told)
    return replace(last, changed=tuple(changed), told=(*told,)[-_MOST_TOLD:])


def film(frames: Iterable[Frame]) -> bytes:
    """Return frames as a page reads them: JSON, deflated."""
    parts: dict[str, int] = {}
    told: dict[Card, int] = {}
    shot = []
    for frame in frames:
        shown = {"size": (frame.plan.width, frame.plan.height), "alt": frame.alt}
        order = [parts.setdefault(part, len(parts)) for part in frame.parts]
        about = {name: told.setdefault(card, len(told)) for name, card in frame.cards.items()}
        changes: JSON = {"changed": frame.changed, "told": frame.told, "trouble": frame.trouble}
        is_still = frame.at is None and not frame.hop
        when: JSON = {} if is_still else {"at": frame.at, "command": frame.command}
        more = {"hop": frame.hop, "printed": frame.printed}
        when |= {name: value for name, value in more.items() if value}
        shot.append(shown | {"order": order, "cards": about} | changes | when)
    pool = [card.to_dict() for card in told]
    return zlib.compress(json.dumps({"parts": [*parts], "cards": pool, "frames": shot}).encode())


def _told(network: Snapshot, drawn: Collection[str]) -> dict[str, Card]:
    """Return the cards of what is drawn."""
    return {name: card for name, card in cards(network).items() if name in drawn}


def _by_itself(change: Change) -> bool:
    """Tell whether the kernel only moved an entry on, as time went by."""
    return change.kind == "neighbour" and None not in (change.before, change.after)


def _changed(changes: Iterable[Change], network: Snapshot) -> Iterator[str]:
    """Yield the ids of the shapes that show what is otherwise."""
    spaces = {space.name: space for space in network.namespaces}
    links = {(space.name, link.name): link for space, link in network}
    for change in changes:
        space = spaces.get(change.namespace)
        if space is None or _by_itself(change):
            continue
        link = links.get((space.name, _device(change)))
        yield from _of_link(space, link) if link else ()
        inside = space.held_by != "root" and change.kind in ("address", "neighbour")
        if link is None or inside:  # The root is all around: let its interface alone glow.
            yield gid((space.id, 0), "ns")


def _device(change: Change) -> str:
    """Return the device that a change is about; a route may begin with a word that is one, too."""
    if change.kind in ("interface", "address"):
        return change.name.split(" ")[0]
    noun = change.after or change.before
    return str(getattr(noun, "device" if change.kind == "network" else "dev", ""))


def _of_link(space: Namespace, link: Interface) -> Iterator[str]:
    """Yield the ids of an interface's tag, of its cable and of the box that it is plugged into."""
    here = (space.id, link.index)
    yield gid(here)
    for far, kind in ((link.peer, "veth"), (link.lower, "lower")):
        if far:
            yield from (wire(here, far.key, kind), wire(far.key, here, kind))
    if link.master:
        yield gid(link.master.key)
