"""``netviz lab`` as a user starts it, and what her browser would ask of it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

DEADLINE = 30  # Seconds, for what takes a fraction of one: it only bounds a failing test.
NETVIZ = str(Path(sys.executable).parent / "netviz")


@dataclass
class Server:
    """A JupyterLab that runs."""

    process: subprocess.Popen[str]
    url: str

    @property
    def root(self) -> str:
        return f"http://{urlsplit(self.url).netloc}"

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.url).query)["token"][0]

    def ask(self, path: str, body: dict | None = None) -> dict:
        """Return what the server's REST interface answers."""
        request = Request(self.root + path, headers={"Authorization": f"token {self.token}"})
        request.data = json.dumps(body).encode() if body is not None else None
        with urlopen(request, timeout=DEADLINE) as answer:
            return json.loads(answer.read())

    def page(self) -> str:
        """Return what a browser gets first."""
        with urlopen(self.url, timeout=DEADLINE) as answer:
            return answer.read().decode()


def environment(home: Path) -> dict[str, str]:
    """Return a user's environment whose home is empty."""
    names = ("PATH", "LANG", "PYTHONPATH")
    return {name: os.environ[name] for name in names if name in os.environ} | {"HOME": str(home)}


def command(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run ``netviz lab`` where it is expected to end by itself."""
    return subprocess.run(
        [NETVIZ, "lab", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def served(*arguments: str, home: Path, **variables: str) -> Iterator[Server]:
    """Start ``netviz lab``, wait until it says its URL, and stop it at the end."""
    with subprocess.Popen(
        [NETVIZ, "lab", "--no-browser", *arguments],
        env=environment(home) | variables,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            url = _url(process)
            _wait_until_it_listens(url)
            yield Server(process, url)
        finally:
            _stop(process)


def _url(process: subprocess.Popen[str]) -> str:
    heard = ""
    for line in process.stderr:
        heard += line
        if found := re.search(r"http://127\.0\.0\.1:\S+", line):
            return found[0]
    raise AssertionError(f"it ended without a URL:\n{heard}")


def _wait_until_it_listens(url: str) -> None:
    """Try until a connection is taken: Jupyter says the URL a little before."""
    place = urlsplit(url)
    give_up = time.monotonic() + DEADLINE
    while True:
        try:
            socket.create_connection((place.hostname, place.port), timeout=DEADLINE).close()
        except ConnectionRefusedError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(DEADLINE)
    finally:
        process.kill()
