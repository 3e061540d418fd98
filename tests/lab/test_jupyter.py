"""``netviz lab``: JupyterLab on the learner's copy of a lesson."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.error
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
import websocket
from jupyter_client.session import Session
from kernels import DEADLINE, all_end, processes_of
from labs import component, fetched
from servers import Server, command, served
from tornado.websocket import websocket_connect


async def run_cell(server: Server, kernel: str, code: str) -> str:
    """Run a cell through the WebSocket, as a browser does, and return what it printed."""
    address = server.root.replace("http", "ws", 1)
    socket = await websocket_connect(
        f"{address}/api/kernels/{kernel}/channels?token={server.token}"
    )
    session, text = Session(), ""
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
    message = session.msg("execute_request", content) | {"channel": "shell", "buffers": []}
    await socket.write_message(json.dumps(message, default=str))
    while True:
        heard = json.loads(await socket.read_message())
        if heard["parent_header"].get("msg_id") != message["msg_id"]:
            continue
        if heard["msg_type"] == "stream":
            text += heard["content"]["text"]
        if heard["content"].get("execution_state") == "idle":
            socket.close()
            while await socket.read_message() is not None:
                pass
            return text


def new_kernel(server: Server, lesson: str = "00-start-here") -> str:
    """Open a lesson as a browser does, and return its kernel's id."""
    file, kernel = f"{lesson}.ipynb", {"name": "netviz"}
    session = {"path": file, "type": "notebook", "name": file, "kernel": kernel}
    return server.ask("/api/sessions", session)["kernel"]["id"]


def in_kernel(server: Server, kernel: str, code: str) -> str:
    """Run a cell."""
    return asyncio.run(asyncio.wait_for(run_cell(server, kernel, code), DEADLINE))


def in_new_kernel(server: Server, code: str) -> str:
    """Open the first lesson, and run a cell in it."""
    return in_kernel(server, new_kernel(server), code)


@dataclass
class Screen:
    """A terminal in the browser."""

    socket: websocket.WebSocket
    seen: str = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        self.socket.send(json.dumps(["stdin", keys]))

    def wait_for(self, text: str) -> None:
        """Read until ``text`` appears, and forget what was before it."""
        while text not in self.seen:
            assert self._read(), f"no {text!r} in {self.seen!r}"
        self.seen = self.seen.split(text, 1)[1]

    def end(self) -> str:
        """Read until the server says that it has ended, and return the rest."""
        while self._read():
            pass
        return self.seen

    def _read(self) -> bool:
        kind, *content = json.loads(self.socket.recv())
        if kind == "stdout":
            self.seen += content[0]
        return kind != "disconnect"


@contextmanager
def terminal(server: Server, **asked: object) -> Iterator[Screen]:
    """Open a terminal as a browser does, and ask for more than a browser would."""
    name = server.ask("/api/terminals", asked)["name"]
    address = f"{server.root}/terminals/websocket/{name}?token={server.token}"
    socket = websocket.create_connection(address.replace("http", "ws", 1), timeout=DEADLINE)
    with closing(socket):
        yield Screen(socket)


def refusal(url: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urlopen(url, timeout=DEADLINE)
    with refused.value as answer:
        return answer.code


def test_first_lesson_opens_on_the_loopback_with_a_token(tmp_path: Path) -> None:
    with served(home=tmp_path) as server:
        assert server.root == "http://127.0.0.1:8888"
        assert "/tree/00-start-here.ipynb?token=" in server.url
        assert "jupyter-config-data" in server.page()
        assert refusal(f"{server.root}/api/kernels") == 403


def test_notebook_runs_in_the_lab_and_in_the_learner_s_folder(tmp_path: Path) -> None:
    with served("--folder", str(tmp_path / "mine"), home=tmp_path) as server:
        seen = in_new_kernel(server, "!id -un; hostname; pwd; ls 00*; ip -o link | wc -l")
    assert seen.splitlines() == ["root", "lab", str(tmp_path / "mine"), "00-start-here.ipynb", "1"]


def test_no_other_kernel_is_offered(tmp_path: Path) -> None:
    with served(home=tmp_path) as server:
        offered = server.ask("/api/kernelspecs")
        assert offered["default"] == "netviz"
        assert sorted(offered["kernelspecs"]) == ["netviz", "netviz-own"]


@pytest.mark.long
def test_lesson_that_needs_what_the_machine_lacks_opens_on_its_own_kernel(tmp_path: Path) -> None:
    component("own-kernel")
    metadata = {"netviz": {"needs": ["ipip"]}}
    notebook = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    with served(home=tmp_path, **fetched()) as server:
        folder = tmp_path / "netviz-lessons"
        (folder / "ipip.ipynb").write_text(json.dumps(notebook))
        kernel = new_kernel(server, "ipip")
        make = "ip link add tun1 type ipip local 192.0.2.1 remote 192.0.2.2; ip -br link show tun1"
        told = in_kernel(server, kernel, f"!{make}\n!echo $NETVIZ_WHY; uname -r")
    assert told.startswith("tun1@NONE")
    why, release = told.splitlines()[1:]
    if release != os.uname().release:
        assert why.startswith("this lesson needs ipip, which Linux ")


def test_terminal_waits_for_a_lesson_and_enters_its_lab(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    with served("--folder", str(folder), home=tmp_path) as server, terminal(server) as screen:
        screen.wait_for("Open a lesson: this terminal enters its lab as soon as it runs.")
        kernel = new_kernel(server, "02-veth")
        screen.wait_for("root@lab")
        screen.type("ip netns add fromterm; id -un; hostname; pwd; echo d''one\r")
        screen.wait_for(f"root\r\nlab\r\n{folder}\r\ndone")
        assert in_kernel(server, kernel, "!ip netns list; hostname other") == "fromterm\n"
        screen.type("hostname\r")
        screen.wait_for("other")


def test_terminal_ends_with_the_shell_and_with_the_lab(tmp_path: Path) -> None:
    with served(home=tmp_path) as server:
        kernel = new_kernel(server)
        in_kernel(server, kernel, "pass")
        with terminal(server) as first, terminal(server) as second:
            for screen in (first, second):
                screen.wait_for("root@lab")
            first.type("exit\r")
            assert first.end().endswith("exit\r\n")
            server.ask(f"/api/kernels/{kernel}/restart", {})
            second.end()
        assert server.ask("/api/terminals") == []


def test_terminal_asks_which_of_several_lessons_is_meant(tmp_path: Path) -> None:
    with served(home=tmp_path) as server:
        for name in ("02-veth", "04-bridge"):
            in_kernel(server, new_kernel(server, name), f"!ip netns add in-{name}")
        with terminal(server) as screen:
            screen.wait_for("  04-bridge  ")
            screen.wait_for("  02-veth  ")
            screen.wait_for("[1]: ")
            screen.type("2\r")
            screen.wait_for("root@lab")
            screen.type("ip netns list\r")
            screen.wait_for("in-02-veth\r\n")


@pytest.mark.parametrize(
    "asked",
    [
        {"shell_command": ["/bin/sh", "-c", "echo mine; sleep 1000"]},
        {"extra_env": {"ASKED": "mine"}},
    ],
)
def test_no_request_gets_another_program_or_environment(tmp_path: Path, asked: dict) -> None:
    with served(home=tmp_path) as server, terminal(server, **asked) as screen:
        screen.wait_for("Open a lesson: ")
        new_kernel(server)
        screen.wait_for("root@lab")
        screen.type("echo ${ASKED-nothing} was heard\r")
        screen.wait_for("nothing was heard")


def test_killed_server_leaves_no_terminal(tmp_path: Path) -> None:
    with served(home=tmp_path) as server:
        in_new_kernel(server, "pass")
        with terminal(server) as screen:
            screen.wait_for("root@lab")
            screen.type("sleep 1000\r")
            with all_end(processes_of(server.process.pid)):
                server.process.kill()


def test_page_asks_for_no_news_and_no_extensions(tmp_path: Path) -> None:
    with served(home=tmp_path) as server:
        page = server.page()
        settings = server.ask("/lab/api/settings/@jupyterlab/apputils-extension:notification")
    assert '"@jupyterlab/extensionmanager-extension"' in page
    defaults = settings["schema"]["properties"]
    assert defaults["fetchNews"]["default"] == "false"
    assert defaults["checkForUpdates"]["default"] is False


def test_second_one_runs_beside_the_first(tmp_path: Path) -> None:
    with served(home=tmp_path) as first, served("4", home=tmp_path) as second:
        assert first.root != second.root
        assert "/tree/04-bridge.ipynb?" in second.url
        assert first.ask("/api/status")["kernels"] == second.ask("/api/status")["kernels"] == 0


def test_port_is_the_one_asked_for(tmp_path: Path) -> None:
    with served("--port", "9123", home=tmp_path) as server:
        assert server.root == "http://127.0.0.1:9123"


def test_interrupt_ends_it_and_its_kernels(tmp_path: Path) -> None:
    with served(home=tmp_path) as server:
        in_new_kernel(server, "!sleep 1000 &")
        with all_end(processes_of(server.process.pid)):
            server.process.send_signal(signal.SIGINT)
        assert server.process.wait() == 0


def test_killed_server_leaves_no_kernel(tmp_path: Path) -> None:
    with served(home=tmp_path) as server:
        in_new_kernel(server, "!sleep 1000 &")
        with all_end(processes_of(server.process.pid)):
            server.process.kill()


def test_learner_s_file_is_not_taken_for_a_module(tmp_path: Path) -> None:
    (tmp_path / "netviz-lessons").mkdir()
    (tmp_path / "netviz-lessons/json.py").write_text("raise SystemExit('taken')")
    with served(home=tmp_path) as server:
        assert in_new_kernel(server, "!hostname") == "lab\n"


def test_unknown_lesson_is_one_line_and_status_2(tmp_path: Path) -> None:
    ended = command("99", home=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "netviz: cannot find lesson '99'; the lessons are: 00-start-here"
    )
    assert ended.stderr.count("\n") == 1


def test_fresh_keeps_the_learner_s_own_lesson_beside(tmp_path: Path) -> None:
    copy = tmp_path / "netviz-lessons/02-veth.ipynb"
    copy.parent.mkdir()
    copy.write_text("mine")
    with served("veth", home=tmp_path):
        assert copy.read_text() == "mine"
    with served("veth", "--fresh", home=tmp_path):
        assert copy.read_text().startswith("{")
    assert copy.with_name("02-veth.mine-1.ipynb").read_text() == "mine"
