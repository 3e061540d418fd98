"""Frames are what `draw` draws, only cheaper; and a film says each thing once."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from generated import networks
from hypothesis import HealthCheck, given, settings
from networks import DEVICES, DOWN, NAMES, ROOT, Net, address

import netviz
from netviz.model import FdbEntry, Namespace, Neighbour, Qdisc, Route, Rule, Snapshot
from netviz.picture.drawing import Picture
from netviz.picture.film import Camera, Frame, film, latest
from netviz.picture.themes import THEMES
from netviz.picture.words import short
from netviz.text import printable

pytestmark = pytest.mark.long

SLOW = settings(
    deadline=None, max_examples=15, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
ALLOWED = {"g", "path", "text", "title"}
NET1, NET2 = ROOT + 1, ROOT + 2


def example() -> Net:
    """Return a bridge with a cable into net1, and one from net1 to net2."""
    net = Net()
    net.cable(ROOT, net.space("net1"), "p1", "eth0", port=net.bridge(ROOT), at=["10.0.0.1/24"])
    net.cable(NET1, net.space("net2"), "eth1", "eth0")
    net.spaces[NET1]["sysctls"] = switched(on=False)
    return net


def switched(*, on: bool) -> dict[str, Any]:
    return {"ipv4": {"all": {"forwarding": on}}}


def changed(seen: Snapshot, space: int, **fields: Any) -> Snapshot:
    """Return a snapshot in which a namespace is another one."""
    return Snapshot(
        tuple(replace(it, **fields) if it.id == space else it for it in seen.namespaces)
    )


def without(seen: Snapshot, *gone: tuple[int, str]) -> Snapshot:
    def rest(space: Namespace) -> Namespace:
        kept = (link for link in space.interfaces if (space.id, link.name) not in gone)
        return replace(space, interfaces=tuple(kept))

    return Snapshot(tuple(map(rest, seen.namespaces)))


def link(seen: Snapshot, space: int, name: str, **fields: Any) -> Snapshot:
    """Return a snapshot in which an interface is another one."""
    (old,) = (it for it in seen.namespaces if it.id == space)
    links = (replace(it, **fields) if it.name == name else it for it in old.interfaces)
    return changed(seen, space, interfaces=tuple(links))


def gid(space: int, name: str) -> str:
    (found,) = (
        it.index for there, it in example().snapshot() if (there.id, it.name) == (space, name)
    )
    return f"if-{space}-{found}"


def filmed(*seen: Snapshot) -> list[Frame]:
    camera = Camera()
    frames = [camera.take(seen[0])]
    for before, after in pairwise(seen):
        frames.append(camera.take(after, before.diff(after)))
    return frames


def ids(frame: Frame) -> set[str]:
    roots = (ElementTree.fromstring(part) for part in frame.parts)
    return {root.get("id", "") for root in roots} - {""}


def said(group: ElementTree.Element) -> tuple[str, str]:
    """Return the id of a group, and what is written in it."""
    return group.get("id", ""), "".join(group.itertext())


def read(packed: bytes) -> Any:
    return json.loads(zlib.decompress(packed))


BOX, TAG, BRIDGE = f"ns-{NET1}-0", gid(NET1, "eth1"), gid(ROOT, "br0")
EDITS: dict[str, tuple[Callable[[Snapshot], Snapshot], set[str]]] = {
    "link": (lambda it: link(it, NET1, "eth1", mtu=1400), {TAG}),
    "link of a bridge": (lambda it: link(it, ROOT, "p1", flags=()), {gid(ROOT, "p1"), BRIDGE}),
    "address": (lambda it: link(it, NET1, "eth1", addresses=(address("10.1.0.1/24"),)), {TAG, BOX}),
    "address gone": (lambda it: link(it, NET1, "eth0", addresses=()), {gid(NET1, "eth0"), BOX}),
    "route": (lambda it: changed(it, NET1, routes=(Route("10.9.0.0/16", "inet"),)), {BOX}),
    "route by a device": (
        lambda it: changed(it, NET1, routes=(Route("10.9.0.0/16", "inet", "eth1"),)),
        {TAG},
    ),
    "rule": (lambda it: changed(it, NET1, rules=(Rule(7, "inet", table=7),)), {BOX}),
    "neighbour": (
        lambda it: changed(it, NET1, neighbours=(Neighbour("10.0.0.9", "eth1", "inet"),)),
        {TAG, BOX},
    ),
    "forwarding entry": (
        lambda it: changed(
            it, ROOT, fdb=(FdbEntry("02:00:00:00:00:09", "p1", "br0", state="static"),)
        ),
        {gid(ROOT, "p1"), BRIDGE},
    ),
    "queue": (lambda it: changed(it, NET1, qdiscs=(Qdisc("eth1", "tbf", "1:", "root"),)), {TAG}),
    "switch": (lambda it: changed(it, NET1, sysctls=switched(on=True)), {BOX}),
    "filters": (lambda it: changed(it, NET1, nft=({"table": {"name": "x"}},)), {BOX}),
    "cable gone": (lambda it: without(it, (NET1, "eth1"), (NET2, "eth0")), {BOX, f"ns-{NET2}-0"}),
    "namespace gone": (
        lambda it: replace(without(it, (NET1, "eth1")), namespaces=(*it.namespaces[:2],)),
        set(),
    ),
    "namespace": (lambda it: Snapshot((*it.namespaces, Namespace(7, "net7"))), {"ns-7-0"}),
}


@SLOW
@given(networks())
def test_first_frame_has_what_draw_draws(seen: Snapshot) -> None:
    frame, drawn = Camera().take(seen), netviz.draw(seen)
    groups = [*ElementTree.fromstring(drawn.svg)][2:]  # After the title and the page.
    own = [ElementTree.fromstring(part) for part in frame.parts]
    # With a memory, even an empty one, a thing may stand elsewhere, and so be drawn later.
    assert sorted(map(said, own)) == sorted(map(said, groups))
    assert frame.svg == Picture(frame.plan, THEMES["light"], drawn.alt).svg


def test_what_looks_the_same_is_not_drawn_again() -> None:
    seen = example().snapshot()
    *_, first, second = filmed(seen, seen, link(seen, NET1, "eth1", mtu=1400))
    new = [new for old, new in zip(first.parts, second.parts, strict=True) if old is not new]
    assert len(new) == 1
    assert f'id="{TAG}"' in new[0]


def test_what_did_not_move_is_not_drawn_again() -> None:
    seen = example().snapshot()
    first, second = filmed(seen, Snapshot((*seen.namespaces, Namespace(7, "net7"))))
    old = {id(part) for part in first.parts}
    kept = {shape for shape in second.plan.shapes if shape in {*first.plan.shapes}}
    same = [part for part in second.parts if id(part) in old]
    assert 0 < len(kept) == len(same) < len(second.parts)


def test_camera_keeps_no_more_than_what_is_drawn() -> None:
    camera, net = Camera(), example()
    for number in range(5):
        shown = camera.take(changed(net.snapshot(), NET2, id=NET2 + number, interfaces=()))
        assert camera.drawn.keys() == {*shown.plan.shapes}
        assert len(camera.memory.places) <= len(shown.plan.boxes)


@pytest.mark.parametrize("kind", EDITS)
def test_what_changed_glows(kind: str) -> None:
    edit, glowing = EDITS[kind]
    before = example().snapshot()
    frame = filmed(before, edit(before))[-1]
    assert glowing <= {*frame.changed}, frame.told
    assert {*frame.changed} <= ids(frame)
    assert frame.told


@pytest.mark.parametrize("kind", [kind for kind in EDITS if kind != "namespace"])
def test_what_is_changed_back_glows_too(kind: str) -> None:
    before = example().snapshot()
    frame = filmed(EDITS[kind][0](before), before)[-1]
    assert set() < {*frame.changed} <= ids(frame)


def test_both_ends_of_a_new_cable_and_the_cable_glow() -> None:
    after = example().snapshot()
    frame = filmed(without(after, (NET1, "eth1"), (NET2, "eth0")), after)[-1]
    assert {TAG, gid(NET2, "eth0")} <= {*frame.changed}
    assert [each for each in frame.changed if each.startswith("wire-")]


def test_route_does_not_let_a_device_glow_that_is_called_as_a_word_is() -> None:
    net = example()
    net.device(NET1, "to")
    before = net.snapshot()
    frame = filmed(before, changed(before, NET1, routes=(Route("10.9.0.0/16", "inet", "eth1"),)))[1]
    assert frame.changed == (TAG, *(each for each in frame.changed if each.startswith("wire-")))


def test_neighbour_that_the_kernel_moves_on_does_not_glow() -> None:
    seen = example().snapshot()
    states = [
        changed(seen, NET1, neighbours=(Neighbour("10.0.0.9", "eth1", "inet", None, (state,)),))
        for state in ("REACHABLE", "STALE")
    ]
    assert filmed(*states)[-1].changed == ()


@pytest.mark.parametrize(("count", "lines"), [(8, 8), (9, 9), (20, 9)])
def test_no_more_than_eight_changes_are_told(count: int, lines: int) -> None:
    before, after = Net(), Net()
    for _ in range(count):
        after.device(ROOT)
    told = filmed(before.snapshot(), after.snapshot())[-1].told
    assert len(told) == lines
    assert (told[-1] == f"and {count - 8} more changes") == (count > 8)


def test_counters_only_give_other_cards() -> None:
    seen = example().snapshot()
    counted = {"rx": {"packets": 7, "bytes": 700, "errors": 0, "dropped": 0}}
    later = link(seen, NET1, "eth1", statistics=counted | {"tx": counted["rx"]})
    camera = Camera()
    before = replace(camera.take(seen), trouble="it was busy")
    after = camera.count(before, later)
    assert after.parts is before.parts
    assert after.cards[TAG] != before.cards[TAG]
    assert (after.changed, after.told, after.trouble) == ((), (), None)


def test_film_is_what_the_view_reads() -> None:
    seen = example().snapshot()
    frames = filmed(seen, link(seen, NET1, "eth1", mtu=1400))
    told = read(film(frames))
    assert told.keys() == {"parts", "cards", "frames"}
    for frame, row in zip(frames, told["frames"], strict=True):
        assert row.keys() == {"size", "alt", "order", "cards", "changed", "told", "trouble"}
        assert row["size"] == [frame.plan.width, frame.plan.height]
        assert [told["parts"][number] for number in row["order"]] == [*frame.parts]
        assert {k: told["cards"][number] for k, number in row["cards"].items()} == {
            name: card.to_dict() for name, card in frame.cards.items()
        }
        assert (row["alt"], row["changed"]) == (frame.alt, [*frame.changed])


def test_recorded_frame_says_when_and_what_was_typed() -> None:
    (frame,) = filmed(example().snapshot())
    (row,) = read(film([replace(frame, at=1.5, command="ip link")]))["frames"]
    assert (row["at"], row["command"]) == (1.5, "ip link")


def test_film_says_each_part_and_card_once() -> None:
    seen = example().snapshot()
    told = read(film(filmed(*(link(seen, NET1, "eth1", mtu=1400 + n % 2) for n in range(10)))))
    assert len(told["parts"]) == len({*told["parts"]})
    assert len(told["cards"]) == len({json.dumps(card) for card in told["cards"]})
    assert len(told["parts"]) < 2 * len(told["frames"][0]["order"])


def test_whatever_has_a_card_is_drawn() -> None:
    (frame,) = filmed(example().snapshot())
    assert frame.cards.keys() <= ids(frame)
    assert {BOX, TAG, BRIDGE} <= frame.cards.keys()


@pytest.mark.parametrize("name", NAMES)
def test_hostile_name_is_text_in_parts(name: str) -> None:
    net = Net()
    net.cable(net.space(name), net.space("net2"), name[:15], state=DOWN)
    (frame,) = filmed(net.snapshot())
    roots = [ElementTree.fromstring(part) for part in frame.parts]
    assert {element.tag for root in roots for element in root.iter()} <= ALLOWED
    assert short(name) in ["".join(text.itertext()) for root in roots for text in root.iter("text")]


@pytest.mark.parametrize("name", DEVICES)
def test_hostile_device_is_told_in_printable_words(name: str) -> None:
    before, after = Net(), Net()
    after.device(ROOT, name)
    frame = filmed(before.snapshot(), after.snapshot())[-1]
    assert any(printable(name) in line for line in frame.told)
    assert all(line == printable(line) for line in frame.told)


@SLOW
@given(networks(), networks())
def test_every_picture_after_another_is_whole(before: Snapshot, after: Snapshot) -> None:
    frames = filmed(before, after)
    for frame in frames:
        assert {*frame.changed} <= ids(frame)
        drawn = [ElementTree.fromstring(part).get("id") for part in frame.parts]
        assert drawn == [getattr(shape, "gid", None) for shape in frame.plan.shapes]
    assert read(film(frames))["frames"][1]["alt"] == netviz.draw(after).alt


def test_who_missed_frames_learns_from_the_last_what_is_new_in_all() -> None:
    first = Camera().take(netviz.snapshot())
    some = replace(first, changed=(first.plan.shapes[0].gid, "gone"), told=("+ one",))
    last = latest([some, replace(first, told=("+ two",))])
    assert last.changed == (first.plan.shapes[0].gid,)
    assert last.told == ("+ one", "+ two")
