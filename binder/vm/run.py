"""Start the virtual machine, and tell where its lessons are: ``run.py netviz.qcow2``.

It ends with Ctrl-C. What is typed in it is forgotten then; the lessons, and what is written beside
them, are kept on a disk of one's own, netviz-own.qcow2 beside the image. Only the standard library
is used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from machine import MOMENT, Machine, MachineError, Running, accelerator, program

_MOUNTS = 60.0
_TRIES = 5.0
_ABOUT_DISKS = re.compile(r"netviz: the (?:lessons are on|disk (?P<fault>.*))")
"""What the machine says on its console of a disk that is plugged in."""
_OWN_SIZE = "2G"  # It takes as much as is written.


def main() -> None:
    """Start it, wait for the user to end it, and shut it down."""
    options = _options()
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.default_int_handler)
    try:
        _serve(options)
    except (MachineError, OSError) as error:
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
    # On one busy processor, without KVM, it takes long.
    parser.add_argument("--patience", type=float, default=600, metavar="SECONDS", help="to boot in")
    return parser.parse_args()


def _serve(options: argparse.Namespace) -> None:
    image = options.image.absolute()
    if not image.exists():
        raise MachineError(f"there is no '{image}'; run: make vm")
    began = time.monotonic()
    own = None if options.forget else _own_disk(image)
    how = options.accelerator or accelerator()
    machine = Machine(image, how, options.memory, options.uefi)
    saved, token = (None, "") if options.boot else _saved(machine)
    token = token or secrets.token_hex(16)
    port = options.port or _free_port()
    _say(f"{'Going on from the saved state' if saved else 'Booting'}, by {how} ...")
    with tempfile.TemporaryDirectory() as folder:
        running = _started(machine, token, port, Path(folder), saved)
        try:
            _answers(running, port, token, options.patience)
            if options.save and not saved:
                _save(running, machine, token)
            if own:
                _plug(running, own)
            _say(f"Ready after {time.monotonic() - began:.0f} s. Ctrl-C ends it.")
            _say(f"    http://127.0.0.1:{port}/?token={token}")
            _wait(running)
        finally:
            running.switch_off()


def _wait(running: Running) -> None:
    """Wait until it is told to end, and shut it down."""
    try:
        if running.process.wait():
            raise running.ended()
    except KeyboardInterrupt:
        if not running.end():
            _say("It did not shut down, and is switched off.")


def _started(machine: Machine, token: str, port: int, folder: Path, saved: Path | None) -> Running:
    try:
        return Running(machine, token, port, folder, saved)
    except MachineError as error:
        if saved:
            raise MachineError(f"{error}; it may start without the state: --boot") from error
        raise


def _saved(machine: Machine) -> tuple[Path | None, str]:
    """Return the state that the machine can go on from, and the token that it has then."""
    state = machine.image.with_suffix(".state")
    try:
        told = json.loads(state.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return None, ""
    same = state.exists() and told["of"] == _likeness(machine)
    return (state, told["token"]) if same else (None, "")


def _save(running: Running, machine: Machine, token: str) -> None:
    """Save the state that JupyterLab has just after its start; no disk of one's own is in it."""
    state = machine.image.with_suffix(".state")
    told = state.with_suffix(".json")
    told.unlink(missing_ok=True)
    running.save(state)
    told.touch(mode=0o600)
    told.write_text(json.dumps({"token": token, "of": _likeness(machine)}))
    _say(f"Saved its state: {state}, {state.stat().st_size >> 20} MB.")


def _likeness(machine: Machine) -> str:
    """Return what is another one where a state does not fit: QEMU, either machine, or the disk."""
    version = subprocess.run([program(), "--version"], capture_output=True, check=True).stdout
    disk = machine.image.stat()
    told = [*replace(machine, image=Path()).arguments(), version.decode()]
    told += [str(disk.st_size), str(disk.st_mtime_ns), platform.node()]
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def _answers(running: Running, port: int, token: str, patience: float) -> None:
    """Return as soon as JupyterLab answers, within so many seconds."""
    deadline = time.monotonic() + patience
    url = f"http://127.0.0.1:{port}/api/status?token={token}"
    direct = build_opener(ProxyHandler({}))  # No proxy is to have the token.
    while time.monotonic() < deadline:
        running.runs()
        with suppress(OSError, HTTPException), direct.open(url, timeout=_TRIES):
            return
        time.sleep(MOMENT)
    last = running.console.read_text(errors="replace")[-400:]
    raise MachineError(f"no JupyterLab after {patience:.0f} s; its console ends with: {last!r}")


def _own_disk(image: Path) -> Path:
    """Return the disk of one's own; at first it is made, and blank: the machine formats it."""
    disk = image.with_name("netviz-own.qcow2")
    if not disk.exists():
        if not shutil.which("qemu-img"):
            raise MachineError("there is no qemu-img; install qemu-utils, or start with --forget")
        command = ["qemu-img", "create", "-q", "-f", "qcow2", str(disk), _OWN_SIZE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MachineError(f"cannot make '{disk}': {done.stderr.strip()}")
    return disk


def _plug(running: Running, disk: Path) -> None:
    """Plug in the disk of one's own, and wait until the lessons are on it."""
    try:
        running.plug(disk)
    except MachineError as error:
        raise MachineError(f"{error}; or start without this disk, with --forget") from error
    deadline = time.monotonic() + _MOUNTS
    while not (said := _ABOUT_DISKS.search(running.console.read_text(errors="replace"))):
        running.runs()
        if time.monotonic() > deadline:
            raise MachineError(f"the machine does not take '{disk}'; start it with --forget")
        time.sleep(MOMENT)
    if said["fault"]:
        raise MachineError(f"'{disk}' {said['fault']}; start the machine with --forget")
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
