"""A living picture outside of notebooks: a page on this machine, or a file that is written anew.

The page is served on the loopback only, to whoever knows its token; a server-sent event a frame,
and one a tick of its traffic, is all that it is told.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from netviz.errors import NetvizError
from netviz.net.worker import aside
from netviz.picture.film import latest
from netviz.picture.pages import encoded, follower

if TYPE_CHECKING:
    import socket

    from netviz.model import JSON
    from netviz.picture.film import Frame
    from netviz.picture.live import Live

_LOOPBACK = "127.0.0.1"
_BEAT = 5.0  # Seconds, until a page that has been closed is noticed.
_TICK = 0.1
_MOST_MISSED = 50  # Frames, of which a slow page still learns what is new in them.
_TITLE = "The network, as it is"
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Page(ThreadingHTTPServer):
    """The page of a picture. ``url`` is its address, with the token."""

    daemon_threads = True

    def __init__(self, live: Live, heard: socket.socket, title: str | None = None) -> None:
        super().__init__(heard.getsockname(), _Answer, bind_and_activate=False)
        self.socket.close()
        self.socket = heard
        self.live = live
        self.title = title or _TITLE
        self.token = secrets.token_urlsafe(16)
        self.url = f"http://{_LOOPBACK}:{heard.getsockname()[1]}/?token={self.token}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a page that was closed while it was sent."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Answer(BaseHTTPRequestHandler):
    """What is said to one request, in a thread of its own."""

    server: Page

    def do_GET(self) -> None:
        """Send the page, or tell it the frames as they come."""
        path, _, query = self.path.partition("?")
        token = parse_qs(query).get("token", [""])[0]
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self.send_error(403, "The token is missing or wrong")
        elif path == "/":
            self._begin("text/html; charset=utf-8")
            self.wfile.write(follower(self.server.live.frame, self.server.title).encode())
        elif path == "/events":
            self._begin("text/event-stream")
            self._tell(self.server.live)
        else:
            self.send_error(404)

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _tell(self, live: Live) -> None:
        new = Event()
        passing: deque[JSON] = deque(maxlen=1)  # Whoever is slow misses some.
        frames: deque[Frame] = deque(maxlen=_MOST_MISSED)

        def see(frame: Frame) -> None:
            frames.append(frame)
            new.set()

        def hear(told: JSON) -> None:
            passing.append(told)
            new.set()

        with live.listening(see), live.traffic.hearing(hear):
            see(live.frame)
            while True:
                lines = ["" if new.wait(_BEAT) else ":\n\n"]  # That a page is gone is noticed.
                new.clear()
                if missed := [frames.popleft() for _ in range(len(frames))]:
                    lines.append(f"data: {encoded([latest(missed)])}\n\n")
                while passing:
                    lines.append(f"event: traffic\ndata: {json.dumps(passing.popleft())}\n\n")
                self.wfile.write("".join(lines).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing: the library never prints."""


def keep_drawn(live: Live, file: Path, fmt: str, theme: str, title: str | None) -> None:
    """Write the picture to a file, and anew whenever it is another one, until an interrupt.

    Whoever reads it finds a whole picture at any time.
    """
    from netviz.picture.drawing import draw

    changed, ended = Event(), Event()
    shown: tuple[str, ...] = ()

    def notice(frame: Frame) -> None:
        if frame.parts != shown:
            changed.set()

    def write() -> None:
        nonlocal shown
        while not ended.is_set():
            shown = live.frame.parts
            half = file.with_name(f".{file.name}.{os.getpid()}")
            try:
                half.write_bytes(draw(live.network, title=title, theme=theme).render(fmt))
                half.replace(file)
            except OSError as error:
                why = f"cannot write '{file}': {error.strerror}"
                raise NetvizError(why, remedy="name another file with -o") from error
            finally:
                half.unlink(missing_ok=True)
            while not changed.wait(_TICK) and not ended.is_set():
                pass
            changed.clear()

    with live.listening(notice):
        # Amid a drawing, matplotlib would lose an interrupt; and who only waits may not notice it.
        aside(write, watch=lambda: None, stop=ended)
