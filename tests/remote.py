"""Lessons at a JupyterLab elsewhere: its REST and WebSocket API, as a browser uses them.

A ``Notebook`` is one whose kernel the server started, for a file that the server has; what runs
lessons on kernels of this machine runs them there as well.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import kernels
import websocket
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import deserialize_binary_message

sys.path.append(str(Path(__file__).with_name("lessons")))
import test_lessons
from lessons import lesson

PATIENCE = 4 * kernels.DEADLINE
"""Seconds, for an answer from where all is slow; it only bounds a failing test."""
_MOMENT = 0.2
_TRY = 5  # Seconds: who forwards a port may take a connection that nobody answers yet.


class Server:
    """A JupyterLab at ``root``, a URL without a slash at its end, and the token that opens it."""

    def __init__(self, root: str, token: str) -> None:
        self.root = root
        self.headers = {"Authorization": f"token {token}"}

    def ask(
        self,
        path: str,
        body: dict | None = None,
        *,
        method: str | None = None,
        patience: float = PATIENCE,
    ) -> dict | None:
        """Return what its REST interface answers; nothing to what it only does."""
        data = json.dumps(body).encode() if body is not None else None
        request = Request(self.root + path, data, self.headers, method=method)
        with urlopen(request, timeout=patience) as answer:
            return json.loads(answer.read() or "null")

    def wait_until_it_answers(self, patience: float = kernels.DEADLINE) -> dict:
        """Return its status, as soon as it has one; raise ``OSError`` where it has none."""
        give_up = time.monotonic() + patience
        while True:
            try:
                return self.ask("/api/status", patience=_TRY)
            except OSError as error:
                if isinstance(error, HTTPError) or time.monotonic() > give_up:
                    raise
                time.sleep(_MOMENT)


class _Client:
    """What a notebook asks of jupyter_client, over one WebSocket for all channels."""

    def __init__(self, server: Server, kernel: str) -> None:
        url = f"{server.root}/api/kernels/{kernel}/channels".replace("http", "ws", 1)
        self.socket = websocket.create_connection(url, PATIENCE, header=server.headers)
        self.session = Session()
        self.heard: dict[str, deque[dict]] = {}

    def execute(self, code: str, *, allow_stdin: bool) -> str:
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": allow_stdin}
        message = self.session.msg("execute_request", content) | {"channel": "shell"}
        self.socket.send(json.dumps(message, default=str))
        return message["msg_id"]

    def get_iopub_msg(self, timeout: float) -> dict:
        return self._next("iopub")

    def get_shell_msg(self, timeout: float) -> dict:
        return self._next("shell")

    def _next(self, channel: str) -> dict:
        while not self.heard.get(channel):
            told = self.socket.recv()  # Bytes, where a widget has sent some.
            read = json.loads if isinstance(told, str) else deserialize_binary_message
            message = read(told)
            self.heard.setdefault(message["channel"], deque()).append(message)
        return self.heard[channel].popleft()


class Notebook(kernels.Notebook):
    """A notebook that a server has at ``path``, opened as a browser opens it.

    ``said`` is what came of each cell that ran.
    """

    def __init__(self, server: Server, path: str) -> None:
        self.server, self.redrawn, self.said = server, [], []
        self.content = server.ask(f"/api/contents/{path}")["content"]
        kernel = {"name": self.content["metadata"]["kernelspec"]["name"]}
        assert kernel["name"] in server.ask("/api/kernelspecs")["kernelspecs"]
        asked = {"path": path, "type": "notebook", "name": Path(path).name, "kernel": kernel}
        self.session = server.ask("/api/sessions", asked)
        self.client = _Client(server, self.session["kernel"]["id"])

    @property
    def sources(self) -> list[str]:
        """What stands in its code cells."""
        told = (each for each in self.content["cells"] if each["cell_type"] == "code")
        return ["".join(each["source"]) for each in told]

    def run(self, code: str, **options: object) -> kernels.Cell:
        """Run a cell to its end."""
        self.said.append(super().run(code, **options))
        return self.said[-1]

    def close(self) -> None:
        """Close it as a browser that shuts its kernel down."""
        self.client.socket.close()
        self.server.ask(f"/api/sessions/{self.session['id']}", method="DELETE")


@contextmanager
def opened(server: Server, path: str) -> Iterator[Notebook]:
    """Yield a notebook, and end its kernel whatever happens."""
    notebook = Notebook(server, path)
    try:
        yield notebook
    finally:
        notebook.close()


def lesson_holds(server: Server, number: str, folder: str = "") -> str:
    """Test a lesson as test_lessons.py does, and return what its first cell said.

    The server has the lessons in ``folder``, which ends in a slash, or in its root.
    """
    name = lesson(number).path.name
    with opened(server, folder + name) as notebook:
        assert notebook.sources == lesson(number).sources
        # What a lesson breaks is the same each time.
        notebook.run("import os; os.environ['NETVIZ_SEED'] = '1'; del os")
        claims = getattr(test_lessons, f"test_{Path(name).stem.replace('-', '_')}")
        claims(notebook)
        first = notebook.said[1]
        return first.text + (first.value or "")
