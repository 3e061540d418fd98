"""Start a notebook's kernel in a lab of its own: what the kernelspec ``netviz`` runs.

A Jupyter client connects to the kernel over TCP on the machine's loopback, which a lab cannot see.
So the five ports are opened here, before entering; an accepted connection stays in the network
namespace of its listener, and any client connects as it always does.

Only the standard library is imported before ``enter``: a process with threads cannot enter.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Never

from netviz.errors import NetvizError
from netviz.lab.sandbox import Supervision, enter
from netviz.lab.trees import trees

OWN = "--own-kernel"
"""What the kernelspec ``netviz-own`` says besides."""
CHANNELS = ("shell", "iopub", "stdin", "control", "hb")

_BACKLOG = 100


def main(argv: list[str]) -> None:
    """Run ``python -m netviz.lab.launcher [--own-kernel] -f CONNECTION_FILE``; never returns."""
    parent = int(os.environ.get("JPY_PARENT_PID") or 0) or None
    arguments = [each for each in argv if each != OWN]
    try:
        listeners = listen(connection_file(arguments))
        from netviz.lab.choosing import choose

        choice = choose(os.environ, "own" if OWN in argv else "")
        os.environ["NETVIZ_WHY"] = choice.why
        if choice.own:
            os.write(2, f"netviz: on a kernel of its own: {choice.why}\n".encode())
            _start_on_own_kernel(arguments, listeners, parent)
        serve(arguments, listeners, parent)
    except NetvizError as error:
        sys.exit(f"netviz: {error}")


def serve(argv: list[str], listeners: dict[str, socket.socket], follow: int | None = None) -> None:
    """Be a notebook's kernel in a lab, which ends with the process ``follow``; never returns."""
    enter(Supervision(tools=trees(), forward_interrupt=False, follow=follow))
    # ipykernel leaves when its parent is PID 1, unless it was told that this is so.
    os.environ["JPY_PARENT_PID"] = "1"
    from netviz.lab import kernel

    kernel.start(argv, listeners)


def _start_on_own_kernel(
    argv: list[str], listeners: dict[str, socket.socket], follow: int | None
) -> Never:
    if not listeners:
        raise NetvizError(
            "a kernel of one's own is reached by tcp alone, and this client uses 'ipc'",
            remedy="choose the transport 'tcp', Jupyter's own choice",
        )
    from netviz.lab import ownkernel

    # Its history would be one file for two kernels, which know nothing of each other's locks.
    command = [*argv, "--HistoryManager.hist_file=:memory:"]
    ownkernel.run(ownkernel.Errand(command=command, listeners=listeners, follow=follow))


def listen(connection_file: Path) -> dict[str, socket.socket]:
    """Open the ports that the connection file names, each by its channel.

    A port of 0 is chosen here and written back. With the ``ipc`` transport there is nothing to
    open: the kernel makes those sockets in the file system, which the lab shares.
    """
    try:
        info = json.loads(connection_file.read_text())
    except OSError as error:
        raise NetvizError(
            f"cannot read connection file '{connection_file}': {error.strerror}",
            remedy="let Jupyter start the kernel: it writes the file first",
        ) from error
    if info.get("transport", "tcp") != "tcp":
        return {}
    listeners = {name: _listener(info["ip"], info[f"{name}_port"]) for name in CHANNELS}
    chosen = {f"{name}_port": each.getsockname()[1] for name, each in listeners.items()}
    if info | chosen != info:
        connection_file.write_text(json.dumps(info | chosen))
    return listeners


def _listener(ip: str, port: int) -> socket.socket:
    listener = socket.socket()
    try:
        # The port of a kernel that was just restarted is free, though its connections linger.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ip, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise NetvizError(
            f"cannot listen on '{ip}:{port}': {error.strerror}",
            remedy="start the kernel anew: Jupyter then chooses other ports",
        ) from error
    return listener


def connection_file(argv: list[str]) -> Path:
    """Return the file in which Jupyter has written where it wants to connect."""
    if "-f" not in argv[:-1]:
        raise NetvizError("the kernel is started by Jupyter, with: -f CONNECTION_FILE")
    return Path(argv[argv.index("-f") + 1])


if __name__ == "__main__":
    main(sys.argv[1:])
