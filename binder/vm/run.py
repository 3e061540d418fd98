"""Start the virtual machine, and tell where its lessons are: ``run.py netviz.qcow2``.

It ends with Ctrl-C. What is typed in it is forgotten then; the lessons, and what is written beside
them, are kept on a disk of one's own, netviz-own.qcow2 beside the image. Only the standard library
is used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path

from machine import MOMENT, Machine, MachineError, Running, accelerator, program

_BOOTS = 600.0
"""Seconds until JupyterLab answers, at most: on one busy processor, without KVM, it takes long."""
_MOUNTS = 60.0
_TRIES = 5.0
_MOUNTED = "netviz: the lessons are on a disk of their own"
_OWN_SIZE = "4G"  # It takes as much as is written.


def main() -> None:
    """Start it, wait for the user to end it, and shut it down."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _serve(options)
    except MachineError as error:
        sys.exit(f"netviz: {error}")
    except KeyboardInterrupt:
        pass


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("image", type=Path, help="the disk that `make vm` built")
    parser.add_argument("--port", type=int, default=8888, help="on 127.0.0.1; 0: a free one")
    parser.add_argument("--memory", type=int, default=1536, metavar="MB")
    parser.add_argument("--accelerator", help="kvm, hvf or tcg; else the first that works")
    parser.add_argument("--uefi", default="", metavar="FILE", help="boot by this firmware: OVMF.fd")
    parser.add_argument("--forget", action="store_true", help="no disk of one's own")
    parser.add_argument("--boot", action="store_true", help="although a saved state is there")
    parser.add_argument("--save", action="store_true", help="save a state, for the next start")
    return parser.parse_args()


def _serve(options: argparse.Namespace) -> None:
    image = options.image.absolute()
    if not image.exists():
        raise MachineError(f"there is no '{image}'; run: make vm")
    began = time.monotonic()
    machine = Machine(
        image,
        options.accelerator or accelerator(),
        secrets.token_hex(16),
        options.memory,
        options.uefi,
    )
    state, machine = _saved(machine, image) if not options.boot else (None, machine)
    port = options.port or _free_port()
    how = "Going on from the saved state" if state else "Booting"
    _say(f"{how}, by {machine.accelerator} ...")
    with tempfile.TemporaryDirectory() as folder:
        running = Running(machine, port, Path(folder), state)
        try:
            _answers(running, port, machine.token)
            if options.save and not state:
                _save(running, machine, image)
            if not options.forget:
                _plug(running, image.with_name("netviz-own.qcow2"))
            _say(f"Ready after {time.monotonic() - began:.0f} s. Ctrl-C ends it.")
            _say(f"    http://127.0.0.1:{port}/lab?token={machine.token}")
            running.process.wait()
        finally:
            running.end()


def _saved(machine: Machine, image: Path) -> tuple[Path | None, Machine]:
    """Return the state that the machine can go on from, and the machine as it was then."""
    state = image.with_suffix(".state")
    try:
        told = json.loads(state.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return None, machine
    then = replace(machine, token=told["token"])
    same = state.exists() and told["of"] == _likeness(then)
    return (state, then) if same else (None, machine)


def _save(running: Running, machine: Machine, image: Path) -> None:
    """Save the state that JupyterLab has just after its start; no disk of one's own is in it."""
    state = image.with_suffix(".state")
    told = state.with_suffix(".json")
    told.unlink(missing_ok=True)
    running.save(state)
    told.touch(mode=0o600)
    told.write_text(json.dumps({"token": machine.token, "of": _likeness(machine)}))
    _say(f"Saved its state: {state}, {state.stat().st_size >> 20} MB.")


def _likeness(machine: Machine) -> str:
    """Return what is another one where a state does not fit: QEMU, the machine, or its disk."""
    version = subprocess.run([program(), "--version"], capture_output=True, check=True).stdout
    disk = machine.image.stat()
    told = [*replace(machine, image=Path()).arguments(), version.decode()]
    told += [str(disk.st_size), str(disk.st_mtime_ns)]
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def _answers(running: Running, port: int, token: str) -> None:
    """Return as soon as JupyterLab answers."""
    deadline = time.monotonic() + _BOOTS
    url = f"http://127.0.0.1:{port}/api/status?token={token}"
    while time.monotonic() < deadline:
        running.runs()
        with suppress(OSError, HTTPException), urllib.request.urlopen(url, timeout=_TRIES):
            return
        time.sleep(MOMENT)
    last = running.console.read_text(errors="replace")[-400:]
    raise MachineError(f"no JupyterLab after {_BOOTS:.0f} s; its console ends with: {last!r}")


def _plug(running: Running, disk: Path) -> None:
    """Plug in the disk of one's own; the first time it is made, and the machine formats it."""
    if not disk.exists():
        command = ["qemu-img", "create", "-q", "-f", "qcow2", str(disk), _OWN_SIZE]
        subprocess.run(command, check=True)
    running.plug(disk)
    deadline = time.monotonic() + _MOUNTS
    while _MOUNTED not in running.console.read_text(errors="replace"):
        running.runs()
        if time.monotonic() > deadline:
            raise MachineError(f"the machine does not take '{disk}'; start it with --forget")
        time.sleep(MOMENT)
    _say(f"What you write is kept in {disk}.")


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
