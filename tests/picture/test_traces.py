"""What a trace shows: numbers where the packet was, tables, pages; and names are but names."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from functools import cache
from itertools import combinations
from math import dist
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
import travels
from labs import NETVIZ
from networks import ROOT, Net
from test_pages import Page

import netviz
from netviz.errors import NetvizError
from netviz.graphs import graph
from netviz.journeys import Reason
from netviz.picture import hops
from netviz.picture.corners import Corners
from netviz.picture.curve import Way
from netviz.picture.drawing import text_width
from netviz.picture.film import film
from netviz.picture.layout import layout
from netviz.picture.shapes import Disc, Plan, Port
from netviz.picture.traces import Trace

if TYPE_CHECKING:
    from netviz.journeys import Journey
    from netviz.model import Snapshot

pytestmark = pytest.mark.long

HOSTILE = ("<script>alert</script>"[:15], "</svg><b>x", 'a"onload=', "&lt;", "\x1b[31m", "]]>")
CASES = (
    "bridged",
    "back",
    "flooded",
    "masqueraded",
    "lost",
    "tunnelled",
    "switched",
    "pods",
    "hosts",
)


@cache
def case(name: str) -> tuple[Snapshot, Journey]:
    """Return a network, and a journey through it."""
    bridge, router = netviz.bridge(3).planned(), netviz.router().planned()
    if name == "tunnelled":
        net = Net()
        one, two = net.space("h1"), net.space("h2")
        under = net.cable(one, two, "eth0", "eth0")
        for host, peer, key in ((one, "192.168.1.2", under[0]), (two, "192.168.1.1", under[1])):
            pod, switch = net.space(), net.bridge(host)
            net.cable(host, pod, "p0", "eth0", port=switch)
            ends = {"local": f"192.168.1.{host - ROOT}", "remote": peer}
            told = {"id": 42, "port": 4789, **ends}
            net.device(host, "vx42", "vxlan", master=switch, lower=key, parameters=told)
        network = net.snapshot()
        ends = ("h1:eth0", "h2:eth0"), ("h1:vx42", "h2:vx42")
        return network, travels.tunnelled(network, *ends)
    if name == "switched":
        return switched()
    if name == "hosts":
        network = netviz.two_hosts().planned()
        travel = travels.Travel(network).hop("net1:veth0", "out")
        return network, travel.hop("net2:veth1", "in", fate="delivered").journey()
    if name == "pods":
        network = netviz.nodes().planned()
        return network, pods(network)
    if name == "masqueraded":
        return router, travels.masqueraded(router)
    if name == "back":
        return bridge, travels.bridged(bridge, back=True)
    return bridge, getattr(travels, name)(bridge)


def switched() -> tuple[Snapshot, Journey]:
    """Return two hosts whose tunnels' packets leave by another bridge, and pass a switch."""
    net = Net()
    switch = net.bridge(ROOT)
    for number in (1, 2):
        host, pod = net.space(f"h{number}"), net.space(f"pod{number}")
        tun, out = (
            net.bridge(host, "br-tun"),
            net.bridge(host, "out", at=[f"192.168.1.{number}/24"]),
        )
        net.cable(host, pod, f"p{number}", "eth0", port=tun)
        remote = {"id": 42, "remote": f"192.168.1.{3 - number}"}
        net.device(host, "vxlan0", "vxlan", master=tun, parameters=remote)
        up = net.cable(ROOT, host, f"s{number}", "eth0", port=switch)[1]
        net.links[up]["master"] = out
    network = net.snapshot()
    travel = travels.Travel(network).hop("pod1:eth0", "out").hop("h1:p1", "in")
    for where in ("h1:br-tun", "h1:vxlan0", "h1:out"):
        travel.hop(where, "through", seen=False)
    travel.hop("h1:eth0", "out").hop("root:s1", "in").hop("root:br0", "through", seen=False)
    travel.hop("root:s2", "out").hop("h2:eth0", "in")
    for where in ("h2:out", "h2:vxlan0", "h2:br-tun"):
        travel.hop(where, "through", seen=False)
    travel.hop("h2:p2", "out").hop("pod2:eth0", "in", fate="delivered")
    return network, travel.journey()


def pods(network: Snapshot) -> Journey:
    travel = travels.Travel(network)
    ways = (
        "node1-pod1:eth0 out", "node1:veth1 in", "node1:cni0 through", "node1:cni0 in",
        "node1:eth0 out", "root:port1 in", "root:switch0 through", "root:port2 out",
        "node2:eth0 in", "node2:cni0 out", "node2:veth2 out", "node2-pod2:eth0 in",
    )  # fmt: skip
    for where, direction in (way.split() for way in ways):
        travel.hop(where, direction, seen=direction != "through")
    return travel.mark(fate="delivered").journey()


def way(name: str) -> tuple[Plan, Way]:
    network, journey = case(name)
    plan = layout(graph(network), text_width)
    return plan, Way(Corners(plan, text_width), journey, hops.said)


def trace(*names: str, **more: object) -> Trace:
    seen = [case(name) for name in names]
    return Trace(travels.followed(seen[0][0], *(journey for _, journey in seen), **more))


def meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize("name", CASES)
def test_every_hop_has_its_number_near_its_place(name: str) -> None:
    _, drawn = way(name)
    assert drawn.discs.keys() == {hop.number for hop in case(name)[1]}
    for number, disc in drawn.discs.items():
        left, top, right, bottom = drawn.places[number].extent
        near = (min(max(disc.x, left), right), min(max(disc.y, top), bottom))
        assert dist(near, (disc.x, disc.y)) < 60


@pytest.mark.parametrize("name", CASES)
def test_numbers_hide_no_tag_no_word_and_each_other(name: str) -> None:
    plan, drawn = way(name)
    extents = [disc.extent for disc in drawn.discs.values()]
    assert not any(meet(a, b) for a, b in combinations(extents, 2))
    fixed = [port.extent for port in plan.ports if port.text]
    fixed += [label.extent(text_width) for label in plan.labels]
    assert not any(meet(a, b) for a in extents for b in fixed)
    assert all(min(e[:2]) > 0 and e[2] < plan.width and e[3] < plan.height for e in extents)


@pytest.mark.parametrize("name", CASES)
def test_curve_leads_from_tag_to_tag_and_hides_no_word(name: str) -> None:
    plan, drawn = way(name)
    chain = drawn.chains[0]
    places = [drawn.places[hop.number] for hop in chain.hops]
    spots = [chain.line.point(at) for at in range(int(chain.line.length) + 1)]
    for place in places:
        left, top, right, bottom = place.extent
        if isinstance(place, Port):
            assert any(left - 3 <= x <= right + 3 and top - 3 <= y <= bottom + 3 for x, y in spots)
    strokes = [p for curve in drawn.curves(99) for stroke in curve.strokes for p in stroke]
    words = [label.extent(text_width) for label in plan.labels]
    assert not any(a < x < c and b < y < d for x, y in strokes for a, b, c, d in words)


def test_numbers_on_the_curve_come_one_after_the_other() -> None:
    for name in CASES:
        for chain in way(name)[1].chains:
            places = [chain.at[hop.number] for hop in chain.hops]
            assert places == sorted(places), name


def test_curve_runs_beside_its_cable() -> None:
    plan, drawn = way("bridged")
    x = plan.cables[0].points[0][0]
    beside = {round(drawn.discs[number].x - x) for number in (1, 2)}
    assert beside == {12}


def test_copies_are_dashed_and_what_nobody_wants_ends_in_a_bar() -> None:
    drawn = way("flooded")[1]
    kinds = {curve.kind: curve for curve in drawn.curves(99)}
    assert kinds.keys() == {"path", "copy"}
    assert [len(kinds[kind].head[0]) for kind in ("path", "copy")] == [3, 2]
    states = {number: disc.state for number, disc in drawn.discs.items()}
    assert [number for number, state in states.items() if state == "copy"] == [5, 7]


def test_lost_packet_has_a_cross_and_a_word() -> None:
    drawn = way("lost")[1]
    assert [len(curve.head) for curve in drawn.curves(99) if curve.kind == "lost"] == [2]
    assert [each.text for each in drawn.numbers(99) if not isinstance(each, Disc)] == ["✗ lost"]


@pytest.mark.parametrize(("name", "kind"), [("lost", "lost"), ("flooded", "copy")])
def test_what_ends_at_a_hop_in_ends_past_the_tag_in_the_box_and_hides_no_word(
    name: str, kind: str
) -> None:
    plan, drawn = way(name)
    (number, (extent, box)), *rest = drawn.ends.items()
    assert not rest
    tag = drawn.places[number]
    assert isinstance(tag, Port)
    assert box == drawn.corners.shapes[tag.owner].extent
    (curve,) = (each for each in drawn.curves(99) if each.kind == kind)
    for x, y in (point for stroke in curve.head for point in stroke):
        assert box[0] < x < box[2]
        assert box[1] < y < box[3]
        assert not any(meet((x, y, x, y), port.extent) for port in plan.ports)
        assert extent[0] <= x <= extent[2]
    words = [label.extent(text_width) for label in plan.labels]
    assert not any(meet(extent, it) for it in [tag.extent, *words])
    assert [*case(name)[1]][number - 1].direction == "in"


def test_no_plate_is_behind_a_title() -> None:
    svg = trace("lost").draw().svg
    heading = next(part for part in svg.splitlines() if "LOST</text>" in part)
    assert "<path" not in heading


def test_inferred_hop_looks_otherwise_and_says_so() -> None:
    drawn = way("bridged")[1]
    assert [disc.state for disc in drawn.discs.values()].count("inferred") == 1
    assert "worked out from the tables: it is not seen there" in drawn.discs[3].title


def test_what_the_picture_does_not_show_is_passed_over() -> None:
    network = netviz.bridge(70).planned()
    travel = travels.Travel(network).hop("net1:veth0", "out").hop("root:br1-veth0", "in")
    travel.hop("root:br1-veth40", "out").hop("net41:veth40", "in", fate="delivered")
    shown = Trace(travels.followed(network, travel.journey()))
    assert len(shown.frames()) == 4
    assert "<circle" in shown.draw().svg


def test_frames_grow_by_a_hop_and_the_packet_keeps_its_id() -> None:
    frames = trace("bridged").frames()
    ids = [[ElementTree.fromstring(part).get("id", "") for part in each.parts] for each in frames]
    counts = [sum(bool(re.fullmatch(r"hop-\d+", it)) for it in each) for each in ids]
    assert counts == [1, 2, 3, 4, 5]
    assert all(each.count("hop-now") == 1 for each in ids)
    assert frames[2].command == "packet 1 of 1 · hop 3 of 5 · root:br1 · through"
    assert [frame.at and round(frame.at * 1e6, 1) for frame in frames] == [0, 7.3, None, 21.9, 29.2]


def test_frames_tell_their_journey_and_with_which_one_begins() -> None:
    frames = trace("flooded", "bridged", "lost").frames()
    told = [(frame.hop["journey"], frame.hop["number"]) for frame in frames if frame.hop]
    assert told == [*((0, n) for n in range(1, 8)), *((1, n) for n in range(1, 6)), (2, 1), (2, 2)]
    assert [it.hop["journey"] for it in frames if it.hop and it.hop["chosen"]] == [2, 2]
    assert {it.hop["prelude"] for it in frames if it.hop and it.hop["journey"] == 0} == {True}
    assert {frame.command.split(" · ")[0] for frame in frames[-2:] if frame.command} == {
        "packet 3 of 3"
    }


def test_journey_to_begin_with_is_shown_however_late_it_comes() -> None:
    network, whole = case("bridged")
    short = replace(whole, hops=whole.hops[:1])
    made = Trace(travels.followed(network, *[replace(short, prelude=True)] * 70, whole))
    assert [it.hop["journey"] for it in made.frames() if it.hop and it.hop["chosen"]] == [70] * 5
    assert "9 more journeys are not shown" not in made.to_html()
    assert "10 more journeys are not shown" in made.to_html()


def test_first_lost_journey_is_drawn_else_the_first_that_is_no_prelude() -> None:
    assert "; LOST." in trace("flooded", "bridged", "lost").draw().alt
    assert "LOST" in trace("bridged", "lost").draw().svg
    assert "id 7 seq 1 · delivered" in trace("flooded", "bridged").draw().svg
    assert "ARP request" in trace("flooded").draw().svg


def test_headers_say_what_was_put_around_and_what_changed() -> None:
    last = trace("masqueraded").frames()[2].hop
    assert last
    (ethernet, ip, icmp) = last["layers"]
    assert ("ttl", "63", "64") in ip["fields"]
    assert ("dst", "10.1.1.3", None) in ip["fields"]
    assert [each["note"] for each in (ethernet, ip, icmp)] == ["", "", ""]
    assert last["changed"] == [(6, 12), (22, 23), (26, 30)]
    wrapped = trace("tunnelled").frames()
    notes = [layer["note"] for layer in wrapped[1].hop["layers"]]
    assert notes == ["put around"] * 4 + [""] * 3
    assert [layer["note"] for layer in wrapped[3].hop["layers"]] == ["taken off"] * 4 + [""] * 3


def test_table_tells_number_place_way_changes_and_why() -> None:
    told = trace("masqueraded", drops=3).table(120)
    assert re.search(r"3 +root:v2_r +out +IPv4 ttl 64 → 63 +10.1.2.0/24 dev v2_r, main", told)
    assert "delivered: 10.1.2.2 is an address of net2" in told
    assert "3 packets were dropped by the kernel" in told
    assert "LOST: nft dropped it" in trace("lost").table()
    assert repr(trace("lost")) == trace("lost").table()
    assert all(len(line) <= 60 for line in trace("masqueraded").table(60).splitlines())


def test_lost_reason_is_followed_by_its_command_and_a_stack_has_no_colon() -> None:
    network, journey = case("lost")
    end = Reason("no route", "ip -n net1 route get 10.9.9.9")
    nowhere = replace(journey.hops[0].where, index=0, name="")
    hop = replace(journey.hops[0], where=nowhere, fate="lost", end=end)
    made = Trace(travels.followed(network, replace(journey, hops=(hop,))))
    see = "see: ip -n net1 route get 10.9.9.9"
    assert re.search(rf"1 +net1 +out +LOST: no route\n +{see}", made.table())
    assert f"LOST: no route<br>{see}" in made.to_html()
    assert "net1:" not in made.table()
    (frame,) = made.frames()
    assert frame.command == "packet 1 of 1 · hop 1 of 1 · net1 · out"
    assert frame.hop
    assert frame.hop["why"] == [("LOST: no route", end.command)]
    assert frame.told == ()


def test_what_a_program_gets_is_handed_to_it_and_not_called_delivered() -> None:
    network, journey = case("bridged")
    end = Reason("handed to <python3>, pid 7, tun0's other end")
    handed = replace(journey.hops[-1], fate="delivered", end=end)
    made = Trace(travels.followed(network, replace(journey, hops=(*journey.hops[:-1], handed))))
    assert made.table().splitlines()[0].endswith(" · handed to <python3>")
    assert "; handed to <python3>." in made.draw().alt
    titles = {frame.hop["title"] for frame in made.frames() if frame.hop}
    assert titles == {"ICMP echo request, id 7 seq 1 · handed to <python3>"}
    assert "handed to &lt;python3&gt;</caption>" in made.to_html()
    assert "delivered" not in made.table() + made.to_html()
    both = replace(journey, hops=(*journey.hops[:-1], handed, journey.hops[-1]))
    assert hops.title(both).endswith(" · delivered")


def test_what_the_command_printed_is_text() -> None:
    made = trace("bridged", output="<b>\x1b[31m 1\t2\nend")
    first, *rest = made.frames()
    assert first.printed == r"<b>\x1b[31m 1      2" + "\nend"
    assert {frame.printed for frame in rest} == {""}
    page = Page(made.to_html())
    assert page.tags == Page(trace("bridged").to_html()).tags
    assert "What the command printed" in page.texts
    assert "details" not in Page(trace("bridged", output="").to_html()).tags
    assert (
        trace("bridged", output="a" * 30_000)
        .frames()[0]
        .printed.endswith("… and 10000 more letters")
    )


def test_alternative_text_tells_the_way() -> None:
    alt = trace("bridged").draw().alt
    assert "net1:veth0, root:br1-veth0, root:br1, root:br1-veth1, net2:veth1; delivered." in alt


def test_trace_is_a_sequence_of_journeys_with_all_that_was_seen() -> None:
    seen = travels.pinged()
    made = Trace(seen)
    assert (len(made), [*made], made[-1]) == (4, [*seen.journeys], seen.journeys[-1])
    assert (made.command, made.status, made.packets) == (seen.command, 0, seen.packets)
    assert "reply" in made.draw(3).alt
    with pytest.raises(NetvizError, match="no journey 9"):
        made.draw(9)


def test_same_journey_gives_the_same_bytes() -> None:
    assert trace("flooded").to_html() == trace("flooded").to_html()
    assert trace("flooded").draw().svg == trace("flooded").draw().svg


def test_dot_moves_along_the_curve_but_not_for_who_wants_no_motion() -> None:
    svg = trace("bridged").draw().svg
    root = ElementTree.fromstring(svg)
    (motion,) = root.iter("{http://www.w3.org/2000/svg}animateMotion")
    assert motion.get("repeatCount") == "indefinite"
    assert "prefers-reduced-motion: reduce" in svg
    assert "animateMotion" not in trace("bridged").frames()[0].svg


def named(name: str) -> Trace:
    """Return a journey in which everything has the same name."""
    net = Net()
    net.cable(ROOT, net.space(name), name, name)
    network = net.snapshot()
    travel = travels.Travel(network, title=name).hop(f"{name}:{name}", "out", name, role=name)
    journey = travel.mark(fate="lost", end=name).journey()
    return Trace(travels.followed(network, journey, command=name))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_is_text_wherever_it_is_shown(name: str) -> None:
    shown, plain = named(name), named("plain")
    page = Page(shown.to_html())
    assert page.tags == Page(plain.to_html()).tags
    assert page.comments == []
    assert not any(has.startswith("on") for _, attributes in page.elements for has in attributes)
    assert ElementTree.fromstring(shown.draw().svg).get("role") == "img"
    assert json.loads(shown.exported("json"))["journeys"][0]["title"] == name
    assert "\x1b" not in shown.table() + repr(shown.frames()[0].hop)
    assert film(shown.frames())


def test_page_loads_nothing_and_stands_without_javascript() -> None:
    text = Trace(travels.pinged()).to_html(title="A <ping>")
    page = Page(text)
    assert page.policy["default-src"] == "'none'"
    assert page.tags.count("table") == page.tags.count("caption") == 4
    assert {has.get("scope") for tag, has in page.elements if tag == "th"} == {"col", "row"}
    assert "A <ping>" in page.texts
    assert "<animateMotion" in text


@pytest.mark.parametrize("ending", ["html", "json", "svg", "png", "pdf", "pcapng"])
def test_trace_is_saved_by_the_ending_of_its_file(ending: str, tmp_path: Path) -> None:
    made = trace("bridged")
    made.save(tmp_path / f"ping.{ending}")
    begins = {"html": b"<!DOC", "json": b"{", "svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}
    data = (tmp_path / f"ping.{ending}").read_bytes()
    assert data.startswith(begins.get(ending, b"\x0a\x0d\x0d\x0a"))
    exported = netviz.export(made, ending)
    same = exported.encode() if isinstance(exported, str) else exported
    assert ending == "pdf" or same == data


def test_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NetvizError, match="formats are: html, json, pcapng, svg, png, pdf"):
        trace("bridged").save(tmp_path / "ping.txt")


def test_nothing_seen_is_said_and_drawn() -> None:
    empty = Trace(replace(travels.pinged(), journeys=(), packets=()))
    assert empty.table() == "No packet was seen."
    assert empty.draw().svg.count("hop-") == 0
    (frame,) = empty.frames()
    assert (frame.trouble, frame.printed) == ("No packet was seen.", "1 received")
    assert "No packet was seen." in empty.to_html()


def test_command_traces_writes_and_ends_as_its_command_ends(tmp_path: Path) -> None:
    netviz.bridge(2).up()
    files = [f"-o{tmp_path / name}" for name in ("ping.html", "ping.pcapng")]
    line = [NETVIZ, "trace", *files, "net1", "ping", "-c1", "-W1", "10.1.1.3"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PING 10.1.1.3")
    assert re.search(r"1 +net1:veth0 +out", done.stdout)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ping.html", "ping.pcapng"]
    line = [NETVIZ, "trace", "--json", "net1", "exit 7"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (7, 7)
