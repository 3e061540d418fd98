"""The Jupyter kernel that lives in the lab.

A plain ipykernel but for this: its channels use the ports that the launcher opened outside
(libzmq takes a listening socket by ``ZMQ_USE_FD``), and its shell runs ``!command`` as
``netviz.lab.commands`` does, knows ``%%netns``, and tells a ``NetvizError`` in two lines.
"""

# IPython's and ipykernel's own methods have no annotations.
# mypy: allow-untyped-calls

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import zmq
from ipykernel.heartbeat import Heartbeat
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell

from netviz.errors import NetvizError
from netviz.lab import commands, magics
from netviz.lab.journal import Journal

if TYPE_CHECKING:
    import socket
    from types import TracebackType

_NO_FD = -1
_RED, _PLAIN = "\x1b[31m", "\x1b[0m"


class LabShell(ZMQInteractiveShell):
    """The interactive shell of a lab's kernel."""

    def init_events(self) -> None:
        """Let the journal hear of each cell."""
        super().init_events()
        self.journal = Journal(self.transform_cell)
        self.events.register("pre_run_cell", self.journal.cell_begins)
        self.events.register("post_run_cell", self.journal.cell_ends)

    def system(self, cmd: str) -> None:
        """Run ``!cmd`` on a terminal of its own; its exit status goes to ``_exit_code``."""
        expanded = self.var_expand(cmd, depth=1)
        with self.journal.told(expanded, "!"):
            self.user_ns["_exit_code"] = commands.run(expanded)

    def tell_shortly(
        self,
        kind: type[NetvizError],
        error: NetvizError,
        trace: TracebackType,
        tb_offset: int | None = None,
    ) -> list[str]:
        """Show what failed and where in the cell; the frames of our own are left to ``%tb``.

        Called by IPython for an error that ends a cell.
        """
        sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
        told = [f"{_RED}{kind.__name__}{_PLAIN}: {error}"]
        place = next(self._lines_of_cells(trace), None)
        if place:
            told.append(f"Stopped at line {place} of the cell; %tb shows the whole way.")
        self._showtraceback(kind, error, told)
        return told

    def _lines_of_cells(self, trace: TracebackType) -> Iterator[int]:
        for frame, line in traceback.walk_tb(trace):
            if self.compile.format_code_name(frame.f_code.co_filename):
                yield line


class LabKernel(IPythonKernel):
    """An IPython kernel with a lab's shell."""

    def __init__(self, **options: Any) -> None:
        self.shell_class = LabShell
        super().__init__(**options)


class _LabHeartbeat(Heartbeat):
    listener: socket.socket

    def _try_bind_socket(self) -> None:
        _bind(self.socket, self.listener, f"tcp://{self.ip}:{self.port}")


class LabKernelApp(IPKernelApp):
    """An ipykernel whose ports were opened before it lived."""

    kernel_class = LabKernel
    listeners: dict[int, socket.socket]

    def _try_bind_socket(self, s: zmq.Socket[bytes], port: int) -> int:
        listener = self.listeners.get(port)
        if listener is None:
            return int(super()._try_bind_socket(s, port))
        address = f"tcp://{self.ip}:{port}"
        _bind(s, listener, address)
        # The debugger connects to the shell's port from inside the lab, which has a loopback and
        # ports of its own: listen there too.
        s.setsockopt(zmq.USE_FD, _NO_FD)
        s.bind(address)
        return port

    def init_heartbeat(self) -> None:
        """Start the heartbeat on the port that was opened for it."""
        listener = self.listeners.get(self.hb_port)
        if listener is None:
            super().init_heartbeat()
            return
        # Since 7.4 the channels may be encrypted, and the heartbeat with them.
        names = ("curve_publickey", "curve_secretkey")
        keys = {name: getattr(self, name) for name in names if hasattr(self, name)}
        address = (self.transport, self.ip, self.hb_port)
        self.heartbeat = _LabHeartbeat(zmq.Context(), address, **keys)
        self.heartbeat.listener = listener
        self.heartbeat.start()

    def init_extensions(self) -> None:
        """Load what the user configured, then what a lab's shell knows."""
        super().init_extensions()
        shell = cast("LabShell", self.shell)
        magics.load_ipython_extension(shell)
        shell.set_custom_exc((NetvizError,), LabShell.tell_shortly)


def start(argv: list[str], listeners: dict[str, socket.socket]) -> None:
    """Run the kernel until its client shuts it down."""
    LabKernelApp.listeners = {each.getsockname()[1]: each for each in listeners.values()}
    LabKernelApp.launch_instance(argv=argv)


def _bind(s: zmq.Socket[bytes], listener: socket.socket, address: str) -> None:
    s.setsockopt(zmq.USE_FD, listener.detach())
    s.bind(address)
