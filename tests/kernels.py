"""A notebook's side of a kernel: start it, run cells, read what they show."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from jupyter_client import KernelManager

DEADLINE = 60  # Seconds, for what takes a fraction of one: it only bounds a failing test.


@dataclass
class Cell:
    """What came of a cell."""

    status: str = ""
    messages: list[dict] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What it printed, errors included."""
        return "".join(each["content"]["text"] for each in self.of_type("stream"))

    @property
    def value(self) -> str | None:
        """Its last line's value, as text."""
        values = [each["content"]["data"]["text/plain"] for each in self.of_type("execute_result")]
        return values[0] if values else None

    @property
    def pictures(self) -> list[str]:
        """What it displays, in words."""
        return [each["content"]["data"]["text/plain"] for each in self.of_type("display_data")]

    @property
    def redrawn(self) -> list[str]:
        """What it makes of pictures that earlier cells displayed, in words."""
        redrawn = self.of_type("update_display_data")
        return [each["content"]["data"]["text/plain"] for each in redrawn]

    @property
    def error(self) -> str:
        """Its traceback, without colours."""
        raised = [line for each in self.of_type("error") for line in each["content"]["traceback"]]
        return re.sub("\x1b\\[[0-9;]*m", "", "\n".join(raised))

    def of_type(self, kind: str) -> list[dict]:
        return [message for message in self.messages if message["msg_type"] == kind]


class Notebook:
    """A kernel started from the installed kernelspec, and its client.

    ``redrawn`` is, in words, what became of the pictures that were displayed. The kernel of a
    ``session`` is the one that this notebook asks for.
    """

    def __init__(
        self, folder: Path, spec: str = "netviz", session: Path | None = None, **options: object
    ) -> None:
        # A context of its own: its threads live in the network that is the test's now.
        self.redrawn: list[str] = []
        self.manager = KernelManager(kernel_name=spec, context=zmq.Context(), **options)
        # Where it sees that variable, ipykernel does not capture what its children print.
        env = {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        env |= {"JPY_SESSION_NAME": str(session)} if session else {}
        # What a lesson breaks is the same each time.
        self.manager.start_kernel(cwd=str(folder), env=env | {"NETVIZ_SEED": "1"})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=DEADLINE)

    def run(
        self,
        code: str,
        *,
        answer: str | None = None,
        on_output: Callable[[dict], object] = lambda message: None,
    ) -> Cell:
        """Run a cell to its end; ``answer`` is what one types when it asks."""
        sent = self.client.execute(code, allow_stdin=answer is not None)
        cell = Cell()
        while cell.status != "idle":
            message = self.client.get_iopub_msg(timeout=DEADLINE)
            if message["parent_header"].get("msg_id") != sent:
                continue
            cell.messages.append(message)
            kind, content = message["msg_type"], message["content"]
            cell.status = content.get("execution_state", "")
            if kind == "stream":
                on_output(message)
            elif kind == "execute_input" and answer is not None:
                self.client.get_stdin_msg(timeout=DEADLINE)
                self.client.input(answer)
        cell.status = self.answer(sent, self.client.get_shell_msg)["status"]
        self.redrawn += cell.redrawn
        return cell

    def answer(self, sent: str, get: Callable[..., dict]) -> dict:
        """Return the answer to a request; what waits there from an earlier one is passed over."""
        while (message := get(timeout=DEADLINE))["parent_header"].get("msg_id") != sent:
            pass
        return message["content"]

    def interrupted(self, code: str, *, after: str = "on", times: int = 1) -> Cell:
        """Run a cell, and interrupt it when it has said something, once or several times."""
        left = iter(range(times))

        def interrupt(message: dict) -> None:
            said.append(message["content"]["text"])
            if after in "".join(said) and next(left, None) is not None:
                self.manager.interrupt_kernel()

        said: list[str] = []
        return self.run(code, on_output=interrupt)

    def ask_control(self, kind: str, content: dict) -> dict:
        """Send a request to the control channel and return the answer."""
        message = self.client.session.msg(kind, content)
        self.client.control_channel.send(message)
        return self.answer(message["header"]["msg_id"], self.client.get_control_msg)

    @property
    def pid(self) -> int:
        """The process that Jupyter knows: the lab's supervisor."""
        return self.manager.provisioner.process.pid

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        for context in {self.manager.context, self.client.context}:
            context.destroy()  # Its threads would hold the test's network.


@contextmanager
def notebook(folder: Path, **options: object) -> Iterator[Notebook]:
    """Yield a new notebook, and end its kernel whatever happens."""
    opened = Notebook(folder, **options)
    try:
        yield opened
    finally:
        opened.close()


def processes_of(pid: int) -> set[int]:
    """Return a process and all that descend from it."""
    found = {pid}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found |= processes_of(int(child))
    return found


@contextmanager
def all_end(pids: set[int]) -> Iterator[None]:
    """Fail unless all these processes end soon after the block."""
    watched = [os.pidfd_open(pid) for pid in pids]
    yield
    for fd in watched:
        assert select.select([fd], [], [], DEADLINE)[0], "a process is left"
        os.close(fd)
