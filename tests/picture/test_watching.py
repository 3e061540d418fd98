"""A living picture on a page that is served, and in a file that is written anew."""

from __future__ import annotations

import base64
import json
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from labs import NETVIZ
from test_live import COMING, PATIENCE, meanwhile, sh, until

from netviz.lab.attaching import listener
from netviz.picture import watching
from netviz.picture.live import Live
from netviz.picture.pages import follower
from netviz.picture.watching import Page

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from labs import Someone

# Whatever proxy the environment names: a lab has no way to it.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PIECES = {"svg": (b"<svg", b"</svg>\n"), "png": (b"\x89PNG", b"IEND\xaeB`\x82")}


@pytest.fixture(autouse=True)
def _noticed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be noticed soon that a page was closed, so that no test waits for another's."""
    monkeypatch.setattr(watching, "_BEAT", 0.05)


@contextmanager
def served(title: str | None = None) -> Iterator[Page]:
    """Lend the page of a living picture, which is served meanwhile."""
    picture = Live()
    with Page(picture, listener(), title) as page:
        serving = threading.Thread(target=page.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield page
        finally:
            until(lambda: not answering())
            page.shutdown()
            serving.join()
            picture.stop()


def get(url: str) -> HTTPResponse:
    return DIRECT.open(url, timeout=PATIENCE)


def refusal(url: str) -> tuple[int, str]:
    """Return the status of an address that is refused, and all that was said."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(url)
    with refused.value as answer:
        return answer.code, str(answer.headers) + answer.read().decode()


def address(page: Page, path: str = "/", query: str | None = None) -> str:
    query = f"token={page.token}" if query is None else query
    return f"{page.url.partition('/?')[0]}{path}?{query}"


def frames(answer: HTTPResponse) -> Iterator[Any]:
    """Yield the frames that a page is told."""
    for line in answer:
        if line.startswith(b"data: "):
            film = json.loads(zlib.decompress(base64.b64decode(line[6:].strip(), validate=True)))
            (frame,) = film["frames"]
            assert max(frame["order"]) < len(film["parts"])
            yield frame


def tellers(page: Page) -> int:
    return len(page.live._listeners)


def answering() -> int:
    """Return how many threads answer somebody."""
    return sum("process_request" in thread.name for thread in threading.enumerate())


@contextmanager
def drawing(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Lend ``netviz draw --watch``, and end it."""
    command = [NETVIZ, "draw", "--watch", *map(str, arguments)]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def end(running: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Press Ctrl-C; return the exit status, and all that was said."""
    running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=PATIENCE)
    return running.returncode, said, errors


def refused(*arguments: object) -> str:
    """Return what ``netviz draw --watch`` says that ends with status 2."""
    command = [NETVIZ, "draw", "--watch", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


@pytest.mark.parametrize("query", ["", "token=", "token=wrong", "token=%ff%00", "t=1", "token"])
@pytest.mark.parametrize("path", ["/", "/events", "/nowhere"])
def test_without_the_token_nothing_is_told(path: str, query: str) -> None:
    with served() as page:
        status, said = refusal(address(page, path, query))
        assert status == 403
        assert page.token not in said
        assert "root" not in said
        assert tellers(page) == 0


def test_each_page_has_a_token_of_its_own() -> None:
    with served() as one, served() as other:
        assert len(one.token) >= 20
        assert refusal(address(one, query=f"token={other.token}"))[0] == 403


def test_page_is_the_picture() -> None:
    with served("My <lab>") as page, get(page.url) as answer:
        text = answer.read().decode()
        assert text == follower(page.live.frame, "My <lab>")
        assert page.token not in text + str(answer.headers)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_unknown_path_is_not_found() -> None:
    with served() as page:
        for path in ("/nowhere", "/events/", "/../etc/passwd"):
            assert refusal(address(page, path))[0] == 404, path


def test_events_tell_the_first_frame_and_then_each_change() -> None:
    with served() as page, get(address(page, "/events")) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        told = frames(answer)
        assert next(told)["alt"] == page.live.frame.alt
        for number in range(5):
            sh(f"ip netns add net{number}")
            new = next(frame for frame in told if f"net{number}" in frame["alt"])
            assert new["changed"]


def test_two_pages_are_told_the_same() -> None:
    with served() as page, get(address(page, "/events")) as one:
        with get(address(page, "/events")) as other:
            sh("ip netns add net1")
            for answer in (one, other):
                assert any("net1" in frame["alt"] for frame in frames(answer))
        sh("ip netns add net2")
        assert any("net2" in frame["alt"] for frame in frames(one))  # Though the other is gone.


def test_page_that_goes_away_leaves_nothing() -> None:
    with served() as page:
        answers = [get(address(page, "/events")) for _ in range(3)]
        until(lambda: tellers(page) == answering() == 3)
        for answer in answers:
            answer.close()
        until(lambda: tellers(page) == answering() == 0)


@pytest.mark.parametrize(
    "asked", [b"GET http://[/ HTTP/1.1", b"\xff\xfe", b"GET", b"POST / HTTP/1.1"]
)
def test_nonsense_is_refused_in_silence(asked: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with served() as page:
        with socket.create_connection(page.socket.getsockname(), PATIENCE) as asking:
            asking.sendall(asked + b"\r\n\r\n")
            said = asking.makefile("rb").read()
        assert b"200" not in said
        assert page.token.encode() not in said
        get(page.url).close()
    assert capfd.readouterr() == ("", "")


def test_page_that_breaks_off_is_passed_over(capfd: pytest.CaptureFixture[str]) -> None:
    with served() as page:
        for part in ("/", "/events"):
            asking = socket.create_connection(page.socket.getsockname(), PATIENCE)
            asking.sendall(f"GET {part}?token={page.token} HTTP/1.1\r\n\r\n".encode())
            # What is closed so answers whatever comes with a reset.
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            asking.close()
        get(page.url).close()  # Those before it are answered by now, or being so.
        until(lambda: not answering())
    assert capfd.readouterr() == ("", "")


def test_taken_port_is_left_alone() -> None:
    with listener() as first:
        host, port = first.getsockname()
        assert host == "127.0.0.1"
        with listener(port) as second:
            assert second.getsockname()[1] not in (0, port)


def test_free_port_is_taken() -> None:
    with listener() as first:
        port = first.getsockname()[1]
    with listener(port) as again:
        assert again.getsockname()[1] == port


@pytest.mark.parametrize("fmt", PIECES)
def test_file_is_whole_at_any_time_and_in_the_end_true(fmt: str, tmp_path: Path) -> None:
    file = tmp_path / f"net.{fmt}"
    begin, finish = PIECES[fmt]
    seen = set()
    with drawing("-o", file, "--title", "Now") as running, meanwhile(COMING):
        until(file.exists)
        while len(seen) < 10:
            assert running.poll() is None
            drawn = file.read_bytes()
            assert drawn.startswith(begin)
            assert drawn.endswith(finish)
            seen.add(drawn)
        assert end(running) == (0, "", "")
    assert [*tmp_path.iterdir()] == [file]


def test_file_follows_the_network(tmp_path: Path) -> None:
    file = tmp_path / "net.svg"
    with drawing("-o", file, "--title", "A <title>", "--dark") as running:
        until(file.exists)
        for script, there in (("ip netns add net1", True), ("ip netns delete net1", False)):
            sh(script)
            until(lambda there=there: ("net1" in file.read_text()) == there)
        texts = "".join(ElementTree.fromstring(file.read_text()).itertext())
        assert "A <title>" in texts
        assert end(running) == (0, "", "")
    assert [*tmp_path.iterdir()] == [file]


def test_file_is_left_alone_while_nothing_changes(tmp_path: Path) -> None:
    file = tmp_path / "net.svg"
    with drawing("-o", file) as running:
        until(file.exists)
        before = file.stat()
        time.sleep(1.5)  # It glances meanwhile.
        assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert end(running)[0] == 0


def test_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert "nowhere/net.svg': No such file" in refused("-o", tmp_path / "nowhere" / "net.svg")


@pytest.mark.parametrize("arguments", [["net.py"], ["--format", "json"], ["-o", "net.json"]])
def test_only_what_is_there_is_watched_and_only_drawn(arguments: list[str]) -> None:
    said = "Error: --watch follows what is there, and draws a picture"
    assert said in refused(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--watch", "--dark"],
        ["--watch", "-o", "net.svg", "--port", "80"],
        ["--lab"],
        ["--port", "80"],
        ["--packets"],
        ["--watch", "-o", "net.svg", "--packets"],
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str]) -> None:
    done = subprocess.run([NETVIZ, "draw", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Usage: netviz draw" in done.stderr


def test_page_in_a_lab_is_refused_with_the_remedy() -> None:
    said = refused()
    assert said.count("\n") == 1
    assert "netviz draw --watch -o" in said


@pytest.mark.outside(only=True)
def test_page_of_the_machine_answers_until_an_interrupt(someone: Someone) -> None:
    with someone.start(NETVIZ, "draw", "--watch") as running:
        try:
            url = running.stdout.readline().split()[-1]
            assert "Ctrl-C ends it" in running.stdout.readline()
            with get(url) as answer, get(url.replace("/?", "/events?")) as events:
                assert "<svg" in answer.read().decode()
                assert "root" in next(frames(events))["alt"]
            assert refusal(url.partition("?")[0])[0] == 403
            assert end(running) == (0, "", "")
        finally:
            running.kill()
