"""Pages are whole: nothing is loaded, nothing but their own script runs, names in them are text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest
from networks import NAMES, ROOT, Net, address

from netviz.model import Snapshot
from netviz.picture.film import Camera, Frame
from netviz.picture.pages import follower, player, script
from netviz.picture.words import short

pytestmark = pytest.mark.long

SVG = "http://www.w3.org/2000/svg"
LEADS = ("src", "href", "xlink:href", "srcset", "action", "formaction", "data", "poster", "ping")
TITLES = (
    "</script><script>alert(1)</script>", "</title><img src=x onerror=alert(1)>", "<!--", "]]>",
    "\" onload=\"alert(1)' x='", "{script} {policy} {0}", "&lt;b&gt;", "</main></svg><b>", "%s \\u",
)  # fmt: skip
KINDS: dict[str, Callable[[Frame, str], str]] = {
    "player": lambda frame, title: player([frame], title),
    "follower": follower,
}


class Page(HTMLParser):
    """What a browser makes of a page: its elements in order, what is in scripts, and the rest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.texts: list[str] = []
        self.comments: list[str] = []
        self._within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag
        into = {"script": self.scripts, "style": self.styles}.get(tag, [])
        into.append("")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        into = {"script": self.scripts, "style": self.styles}.get(self._within)
        if into is None:
            self.texts.append(data)
        else:
            into[-1] += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    @property
    def policy(self) -> dict[str, str]:
        (told,) = [has["content"] for _, has in self.elements if "http-equiv" in has]
        rules = (rule.strip().partition(" ") for rule in str(told).split(";") if rule.strip())
        return {name: allowed for name, _, allowed in rules}


def example(name: str = "net1") -> Snapshot:
    net = Net()
    bridge = net.bridge(ROOT, at=["10.0.0.254/24"])
    for number, each in enumerate((name, "net2", "net3", "net4"), 1):
        net.cable(ROOT, net.space(each), port=bridge, at=[f"10.0.0.{number}/24"])
    return net.snapshot()


def frame(name: str = "net1") -> Frame:
    return Camera().take(example(name))


@cache
def moments(count: int) -> tuple[Frame, ...]:
    """Return a recording of one network, in which each moment changes an address."""
    camera, before = Camera(), example()
    frames = [replace(camera.take(before), at=0.0)]
    for number in range(1, count):
        *rest, last = before.namespaces
        lo, link = last.interfaces
        link = replace(link, addresses=(address(f"10.0.{number}.4/24"),))
        after = Snapshot((*rest, replace(last, interfaces=(lo, link))))
        taken = camera.take(after, before.diff(after))
        frames.append(replace(taken, at=number * 1.0, command=f"ip address {number}"))
        before = after
    return tuple(frames)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_page_loads_nothing(make: Callable[[Frame, str], str]) -> None:
    text = make(frame(), "Title")
    page = Page(text)
    leads = {(tag, has[name]) for tag, has in page.elements for name in LEADS if name in has}
    assert leads == {("link", "data:,")}
    assert {*re.findall(r"\w+://[^\s\"'`<>]*", text)} == {SVG}
    assert not re.findall(r"@import|\burl\(|\bimport[\s(]|importScripts", text)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_policy_allows_its_own_script_alone(make: Callable[[Frame, str], str]) -> None:
    page = Page(make(frame(), "Title"))
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert page.policy["default-src"] == "'none'"
    assert page.policy["script-src"] == f"'sha256-{digest}'"
    assert page.policy["base-uri"] == page.policy["form-action"] == "'none'"
    assert not any(name.startswith("on") for _, has in page.elements for name in has)


def test_only_the_page_of_a_server_may_ask_it() -> None:
    assert Page(follower(frame(), "Title")).policy["connect-src"] == "'self'"
    assert "connect-src" not in Page(player([frame()], "Title")).policy


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_policy_comes_before_all_that_it_governs(make: Callable[[Frame, str], str]) -> None:
    elements = Page(make(frame(), "Title")).elements
    (place,) = [number for number, (_, has) in enumerate(elements) if "http-equiv" in has]
    assert {tag for tag, _ in elements[:place]} == {"html", "head", "meta"}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_still_picture_is_in_the_page(make: Callable[[Frame, str], str]) -> None:
    shown = frame()
    text = make(shown, "Title")
    assert shown.svg in text
    assert text.index("<main") < text.index(shown.svg) < text.index("</main>")
    (svg,) = [has for tag, has in Page(text).elements if tag == "svg"]
    assert svg["aria-label"] == shown.alt


def test_still_picture_of_a_player_is_the_last_one() -> None:
    frames = moments(3)
    text = player(frames, "Title")
    assert frames[-1].svg in text
    assert frames[0].svg not in text


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_hostile_title_is_text(make: Callable[[Frame, str], str], title: str) -> None:
    page, plain = Page(make(frame(), title)), Page(make(frame(), "Title"))
    assert page.elements == plain.elements
    assert page.scripts == plain.scripts
    assert page.comments == []
    assert page.texts.count(title) == 2


@pytest.mark.parametrize("name", [*NAMES, *TITLES])
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_hostile_name_is_text(make: Callable[[Frame, str], str], name: str) -> None:
    page, plain = Page(make(frame(name), "Title")), Page(make(frame(), "Title"))
    assert page.tags == plain.tags
    assert page.scripts[-1] == plain.scripts[-1]
    assert page.comments == []
    assert short(name) in page.texts


def test_nothing_in_the_script_ends_it() -> None:
    assert not re.search(r"</script|<script|<!--", script(), re.IGNORECASE)


def test_script_has_the_style_and_the_dark_colours() -> None:
    assert "const DARK = {};" not in script()
    assert 'const STYLE = "";' not in script()


def test_player_has_the_film() -> None:
    page = Page(player(moments(3), "Title"))
    (told,) = [has for tag, has in page.elements if tag == "script" and has.get("id") == "film"]
    assert told["type"] == "text/plain"
    film = json.loads(zlib.decompress(base64.b64decode(page.scripts[0], validate=True)))
    assert [row["at"] for row in film["frames"]] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_same_frames_give_the_same_bytes(make: Callable[[Frame, str], str]) -> None:
    assert make(frame(), "Title") == make(frame(), "Title")


def test_film_of_many_moments_is_small() -> None:
    sizes = [len(player(moments(count), "Title").encode()) for count in (1, 30, 60)]
    assert sizes[1] < 150_000
    assert sizes[1] - sizes[0] < 29 * 1_000
    assert sizes[2] - sizes[1] < 30 * 1_000
