"""A virtual machine of QEMU's: how it is started, on what, and how one talks with it.

Only the standard library is used: it runs wherever there are Python and QEMU, on macOS too.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PROGRAM = "qemu-system-x86_64"
MOMENT = 0.2
"""Seconds between two looks at what is awaited."""

_PATIENCE = 15.0
_READS = 120.0
# A boot sector: mov al,16; out 0xf4,al; hlt. That port ends QEMU, with status 2 * 16 + 1.
_SECTOR = bytes.fromhex("b010e6f4f4ebfd").ljust(510, b"\0") + b"\x55\xaa"
_STATUS = 33


class MachineError(Exception):
    """The virtual machine cannot do what it was asked for; the text says what, and the remedy."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine consists of; all of this is the same when it goes on from a saved state."""

    image: Path
    accelerator: str
    memory: int = 1536
    firmware: str = ""
    """In MB, and a file with UEFI instead of QEMU's own BIOS."""

    def arguments(self) -> list[str]:
        """Return QEMU's arguments for it, without what leads in and out."""
        firmware = ["-bios", self.firmware] if self.firmware else []
        return [
            *_processor(self.accelerator),
            *("-machine", "q35", "-smp", str(_processors(self.accelerator))),
            *("-m", str(self.memory), *firmware, "-nodefaults", "-display", "none"),
            *("-drive", f"file={_escaped(self.image)},format=qcow2,if=virtio,readonly=on"),
            *("-device", "virtio-scsi-pci,id=scsi", "-device", "virtio-rng-pci"),
            *("-rtc", "base=utc,clock=host"),
        ]


def program() -> str:
    """Return QEMU. Raises ``MachineError`` where there is none."""
    if found := shutil.which(PROGRAM):
        return found
    remedy = "brew install qemu" if platform.system() == "Darwin" else "qemu-system-x86"
    raise MachineError(f"there is no {PROGRAM}; install {remedy}")


def accelerator() -> str:
    """Return what runs a machine here: ``kvm``, ``hvf``, or ``tcg``, which always does, slowly.

    Each is tried by booting four instructions: a /dev/kvm that is there may still not work.
    """
    return next((each for each in ("kvm", "hvf") if boots(each)), "tcg")


def boots(accelerator: str) -> bool:
    """Tell whether a machine starts with an accelerator, and its first program runs."""
    with tempfile.NamedTemporaryFile(suffix=".img") as sector:
        sector.write(_SECTOR)
        sector.truncate(1 << 20)  # A BIOS starts no disk of one sector.
        command = [program(), *_processor(accelerator), "-machine", "q35", "-nodefaults"]
        command += ["-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        command += ["-drive", f"file={sector.name},format=raw,if=ide"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == _STATUS


class Running:
    """A machine that runs, with a port of this machine's loopback that leads to its JupyterLab.

    It can reach nothing, neither this machine nor any other. ``console`` is a file of what it says.
    """

    def __init__(
        self, machine: Machine, token: str, port: int, folder: Path, state: Path | None = None
    ):
        """Start it, or let it go on from a saved state.

        Its files are in ``folder``, which is its own and which nobody else may enter.
        """
        self.console, monitor = folder / "console", folder / "monitor"
        # By a file: everybody can read what is in a command line.
        (folder / "token").write_text(f"io.systemd.credential:netviz.token={token}")
        forward = f"hostfwd=tcp:127.0.0.1:{port}-:8888"
        command = [program(), *machine.arguments()]
        command += ["-smbios", f"type=11,path={_escaped(folder / 'token')}"]
        command += ["-nic", f"user,restrict=on,{forward},model=virtio-net-pci"]
        command += ["-serial", f"file:{_escaped(self.console)}"]
        command += ["-qmp", f"unix:{_escaped(monitor)},server=on,wait=off"]
        command += ["-incoming", f"exec:cat {shlex.quote(str(state))}"] if state else []
        self._errors = folder / "errors"
        with self._errors.open("w") as errors:
            # Ctrl-C is for whoever started it: he shuts it down.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stderr=errors, process_group=0
            )
        try:
            self._monitor = self._connected(monitor)
            self._monitor.readline()  # It says which QEMU it is.
            self.ask("qmp_capabilities")
            if state:
                self._go_on()
        except BaseException:
            self.switch_off()
            raise

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return QEMU's answer. Raises ``MachineError`` where it refuses, or is gone."""
        try:
            self._monitor.write(json.dumps({"execute": command, "arguments": arguments}).encode())
            self._monitor.flush()
            for line in self._monitor:
                answer = json.loads(line)
                if "error" in answer:
                    raise MachineError(f"QEMU refuses {command}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
        except OSError:
            pass  # It has ended.
        raise self.ended()

    def runs(self) -> None:
        """Raise ``MachineError`` where it no longer does."""
        if self.process.poll() is not None:
            raise self.ended()

    def ended(self) -> MachineError:
        """Return what there is to tell of its end."""
        said = self._errors.read_text().strip() or f"status {self.process.wait()}"
        return MachineError(f"the virtual machine has ended: {said}")

    def save(self, state: Path) -> None:
        """Write its memory to a file, whole or not at all; meanwhile it stands still."""
        half = state.with_name(f"{state.name}.half")
        half.unlink(missing_ok=True)
        half.touch(mode=0o600)  # Its token is in it.
        self.ask("stop")
        try:
            self.ask("migrate", uri=f"exec:cat > {shlex.quote(str(half))}")
            while (status := self.ask("query-migrate")["status"]) not in ("completed", "failed"):
                time.sleep(MOMENT)
            if status == "failed":
                raise MachineError(f"cannot save the state to '{state}': is the disk full?")
            half.replace(state)
        finally:
            half.unlink(missing_ok=True)
        self.ask("cont")

    def plug(self, disk: Path) -> None:
        """Plug in a disk of qcow2."""
        file = {"driver": "file", "filename": str(disk)}
        self.ask("blockdev-add", **{"node-name": "own", "driver": "qcow2", "file": file})
        self.ask("device_add", driver="scsi-hd", drive="own", bus="scsi.0")

    def end(self) -> bool:
        """Press its power button, wait, and return whether it has shut down."""
        try:
            self.ask("system_powerdown")
            self.process.wait(_PATIENCE)
        except (MachineError, subprocess.TimeoutExpired):
            return False
        return True

    def switch_off(self) -> None:
        """Pull its plug, if it still runs."""
        self.process.kill()
        self.process.wait()

    def _go_on(self) -> None:
        """Let it run, once its memory is read: it was saved standing still."""
        deadline = time.monotonic() + _READS
        while self.ask("query-status")["status"] == "inmigrate":
            if time.monotonic() > deadline:
                raise MachineError(f"the saved state is not read after {_READS:.0f} s")
            time.sleep(MOMENT)
        self.ask("cont")

    def _connected(self, monitor: Path) -> IO[bytes]:
        deadline = time.monotonic() + _PATIENCE
        line = socket.socket(socket.AF_UNIX)
        while True:
            self.runs()
            try:
                line.connect(str(monitor))
                return line.makefile("rwb")
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(MOMENT)


def _processor(accelerator: str) -> list[str]:
    # On a Nehalem programs for x86-64-v2 run, as those in Python's wheels are.
    return ["-accel", accelerator, "-cpu", "Nehalem" if accelerator == "tcg" else "host"]


def _processors(accelerator: str) -> int:
    # Under TCG a second one may go on running what the first has rewritten: Linux patches itself,
    # as when an ingress queue comes or goes, and both have stood still for ever (QEMU 7.2).
    return 1 if accelerator == "tcg" else min(2, os.cpu_count() or 1)


def _escaped(path: Path) -> str:
    """Return a path for an option of QEMU's: there a comma begins the next word."""
    return str(path).replace(",", ",,")
