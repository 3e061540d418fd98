"""What matplotlib draws is what the plan says, and is the same every time."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from extents import of_box, of_label, of_port
from generated import networks
from hypothesis import HealthCheck, given, settings
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from networks import DOWN, NAMES, ROOT, Net, tunnels

import netviz
from netviz.errors import NetvizError
from netviz.model import Snapshot
from netviz.picture.drawing import FORMATS, Picture, draw
from netviz.picture.shapes import Label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

pytestmark = pytest.mark.long

SLOW = settings(
    deadline=None, max_examples=15, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
MAGIC = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}


def network() -> Net:
    """Give a bit of everything: a bridge, hosts, a tunnel, what is down, what is odd."""
    net = Net()
    bridge, hosts = net.bridge(ROOT, at=["10.0.0.1/24"]), []
    for number in (1, 2):
        host = net.space(f"node{number}")
        own = net.bridge(host, "cni0", at=["10.244.1.1/24"])
        net.cable(host, net.space(f"pod{number}"), port=own, at=["10.244.1.2/24"])
        net.cable(ROOT, host, port=bridge, at=[f"10.0.0.{number + 1}/24"])
        hosts.append(host)
    tunnels(net, hosts, {})
    net.cable(ROOT, net.space("off"), port=bridge, state=DOWN)
    net.cable(ROOT, net.space("near"), "up0", "eth0", at=["fd00::1/64"])
    net.device(net.space("child"), "m0", "macvlan", lower=net.device(ROOT, "eth0"))
    net.warn(net.device(ROOT, "torn", "veth"))
    return net


def drawn(figure: Figure) -> Figure:
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_begins_as_it_must(fmt: str) -> None:
    assert draw(network().snapshot()).render(fmt).startswith(MAGIC[fmt])


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_same_snapshot_gives_the_same_bytes(fmt: str) -> None:
    first, second = (draw(network().snapshot(), title="Twice").render(fmt) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_bytes_are_the_same_in_a_process_that_hashes_otherwise(fmt: str) -> None:
    here = hashlib.sha256(draw(network().snapshot()).render(fmt)).hexdigest()
    code = (
        "import hashlib, test_drawing as t;"
        f"print(hashlib.sha256(t.draw(t.network().snapshot()).render({fmt!r})).hexdigest())"
    )
    folder = str(Path(__file__).parent)
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": folder}
        done = subprocess.run(
            [sys.executable, "-B", "-c", code], env=environment, capture_output=True, text=True
        )
        assert done.stdout.strip() == here, done.stderr


@SLOW
@given(networks())
def test_every_artist_has_an_id_of_its_own_and_every_thing_an_artist(snapshot: Snapshot) -> None:
    picture = draw(snapshot)
    names = [artist.get_gid() for artist in picture.figure().findobj() if artist.get_gid()]
    assert len(names) == len(set(names))
    wanted = {f"ns-{namespace.id}-0" for namespace in snapshot.namespaces}
    wanted |= {f"if-{namespace.id}-{interface.index}" for namespace, interface in snapshot}
    assert wanted <= set(names)
    veths = {
        frozenset({(namespace.id, interface.index), interface.peer.key})
        for namespace, interface in snapshot
        if interface.peer and interface.peer.id in {each.id for each in snapshot.namespaces}
    }
    assert sum(name.startswith("wire-") and name.endswith("-veth") for name in names) == len(veths)


def test_the_artists_lie_where_the_plan_says() -> None:
    picture = draw(network().snapshot())
    figure = drawn(picture.figure())
    height = picture.plan.height
    artists = {artist.get_gid(): artist for artist in figure.findobj() if artist.get_gid()}
    extents = {box.gid: of_box(box) for box in picture.plan.boxes}
    extents |= {port.gid: of_port(port) for port in picture.plan.ports}
    for gid, (left, top, right, bottom) in extents.items():
        found = artists[gid].get_window_extent()
        assert (found.x0, height - found.y1, found.x1, height - found.y0) == pytest.approx(
            (left, top, right, bottom), abs=2
        )


@pytest.mark.parametrize("title", [None, "A title"])
@rc_context({"text.hinting": "none"})
def test_the_words_are_as_large_as_the_plan_says(title: str | None) -> None:
    picture = draw(network().snapshot(), title=title)
    figure = drawn(picture.figure())
    words = {(t.get_text(), t.get_position()): t for t in figure.findobj(Text) if t.get_text()}
    for label in picture.plan.labels:
        found = words[label.text, (label.x, label.y)].get_window_extent()
        left, top, right, bottom = of_label(label)
        assert found.width <= right - left + 3
        assert found.height <= bottom - top + 4
        assert found.x0 == pytest.approx(left, abs=3)
        assert picture.plan.height - found.y1 == pytest.approx(top, abs=4)


@rc_context({"text.hinting": "none"})
def test_no_two_words_meet_as_drawn_and_none_leaves_its_tag() -> None:
    picture = draw(network().snapshot())
    figure = drawn(picture.figure())
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    extents = [text.get_window_extent() for text in texts]
    for number, one in enumerate(extents):
        assert not any(one.overlaps(other) for other in extents[number + 1 :])
    for port in picture.plan.ports:
        inside = [e for e in extents if e.contains(port.x, picture.plan.height - port.y)]
        assert len(inside) == 1
        assert inside[0].width < port.w


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fmt", FORMATS)
def test_no_name_makes_matplotlib_warn_or_log(
    name: str, fmt: str, caplog: pytest.LogCaptureFixture
) -> None:
    net = Net()
    net.cable(net.space(name), net.space("other"), name[:15])
    with caplog.at_level(logging.WARNING, "matplotlib"):
        draw(net.snapshot()).render(fmt)
    assert not caplog.records


def test_a_picture_of_nothing_at_all() -> None:
    picture = draw(Snapshot())
    assert picture.alt == "There is nothing to see: no namespace was found."
    assert all(picture.render(fmt).startswith(MAGIC[fmt]) for fmt in FORMATS)


def test_kinds_differ_in_shape_and_not_in_colour_alone() -> None:
    artists = {a.get_gid(): a for a in draw(network().snapshot()).figure().findobj() if a.get_gid()}
    kinds = {name.rsplit("-", 1)[1]: a for name, a in artists.items() if name.startswith("wire-")}
    assert kinds["tunnel"].get_linewidth() > 2 * kinds["veth"].get_linewidth()
    assert kinds["lower"].get_linestyle() != kinds["veth"].get_linestyle()


def test_what_is_down_is_dashed() -> None:
    picture = draw(network().snapshot())
    artists = {a.get_gid(): a for a in picture.figure().findobj() if a.get_gid()}
    for shape in (*picture.plan.ports, *picture.plan.cables):
        if getattr(shape, "kind", "") != "lower":
            solid = artists[shape.gid].get_linestyle() in ("solid", "-")
            assert solid == (shape.state == "up"), shape


def test_drawing_works_while_an_event_loop_runs() -> None:
    async def cell() -> Picture:
        return draw()

    assert "root" in asyncio.run(cell()).alt


@pytest.mark.parametrize("fmt", ["gif", "", "SVG"])
def test_an_unknown_format_is_refused_with_the_known_ones(fmt: str) -> None:
    with pytest.raises(NetvizError, match=f"'{fmt}'; choose of: svg, png, pdf"):
        draw(Snapshot()).render(fmt)


def test_an_unknown_theme_is_refused() -> None:
    with pytest.raises(NetvizError, match="'pink'; choose of: light, dark"):
        draw(Snapshot(), theme="pink")


@pytest.mark.parametrize("name", ["net.svg", "net.PNG", "net.pdf"])
def test_a_file_is_saved_in_the_format_of_its_name(name: str, tmp_path: Path) -> None:
    draw(network().snapshot()).save(tmp_path / name)
    magic = MAGIC[name.rsplit(".", 1)[1].lower()]
    assert (tmp_path / name).read_bytes().startswith(magic)


@pytest.mark.parametrize("name", ["net", "net.gif"])
def test_a_file_of_an_unknown_kind_is_not_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(NetvizError, match="choose of"):
        draw(Snapshot()).save(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(NetvizError, match=r"nowhere/net\.svg': No such file"):
        draw(Snapshot()).save(tmp_path / "nowhere" / "net.svg")


def test_a_notebook_gets_markup_an_image_and_words() -> None:
    bundle = draw(network().snapshot())._repr_mimebundle_()
    assert bundle.keys() == {"text/html", "image/svg+xml", "text/plain"}
    assert "Namespace off has" in bundle["text/plain"]


def test_draw_is_served_at_the_top() -> None:
    assert netviz.draw is draw


def test_titles_are_drawn_above_the_frame() -> None:
    plan = draw(network().snapshot(), title="Two hosts").plan
    (title,) = (
        shape for shape in plan.shapes if isinstance(shape, Label) and shape.style == "title"
    )
    assert title.text == "Two hosts"
    assert title.y < plan.boxes[0].y
