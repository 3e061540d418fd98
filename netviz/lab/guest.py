"""The first process on a kernel of one's own.

User-Mode Linux boots into this: over the machine's own files, but with a /proc, a /dev and a
network that are its own. It reads from its serial port what is to run, and starts it as the user
who asked, without a privilege: from there on it is a lab as any other, made by `sandbox`. Then it
carries what the program and the world outside have to say to each other (`multiplexer`), until
the program ends.

When this process ends, the kernel does.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import sys
import termios
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Never

from netviz.errors import NetvizError
from netviz.lab import launcher, sandbox
from netviz.lab.multiplexer import Message, Multiplexer
from netviz.lab.screen import TERMINAL, resize
from netviz.lab.supervisor import Supervision
from netviz.lab.syscalls import (
    CAP_SETFCAP,
    CAP_SETGID,
    CAP_SETUID,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    SAFE,
    keep_capabilities,
    mount,
    show_own_process,
)
from netviz.lab.trees import trees

_PORT = "/dev/ttyS0"
_MOUNTS = (
    ("proc", "/proc", SAFE, ""),
    ("sysfs", "/sys", SAFE, ""),
    ("devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, ""),
    ("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620"),
    ("tmpfs", "/dev/shm", SAFE, "mode=1777"),
    ("mqueue", "/dev/mqueue", SAFE, ""),
    ("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755"),
)
_FILES = 1 << 16
_MODULES = Path("/run/modules")
_LOADER = """#!/bin/sh
export LD_LIBRARY_PATH={libraries}
exec {here}/modprobe -d {here} "$@"
"""
# Most modules come when what they make is asked for. Nobody asks for these, and a server has them.
_AT_ONCE = ("tun", "br_netfilter")
_FOR_EVERYBODY = ("net/tun", "fuse")


def main() -> None:
    """Be the first process."""
    for fstype, target, flags, options in _MOUNTS:
        with suppress(FileExistsError, BlockingIOError):
            Path(target).mkdir(exist_ok=True)
        with suppress(OSError):  # The kernel may have mounted its devices by itself.
            mount(fstype, target, fstype, flags, options)
    sandbox.loopback_up()
    line = os.open(_PORT, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    tty.setraw(line)
    _Guest(line).live()


class _Guest:
    """What the first process does: it starts the program, and carries."""

    def __init__(self, line: int) -> None:
        self._streams = Multiplexer(line, self._heard, self._connect, serial=True)
        self._program = 0
        self._channels: dict[str, list[str | int]] = {}
        self._terminal = -1
        self._watched: dict[int, Callable[[], object]] = {}
        self._status: int | None = None

    def live(self) -> Never:
        """Carry until the program ends; then tell how, and wait for the end of all."""
        self._streams.tell({"booted": True})
        while self._status is None:
            self._streams.turn(self._watched)
        # With the lab all that could print is gone, so there is an end.
        while any(self._streams.is_open(number) for number in range(TERMINAL + 1) if number):
            self._streams.turn({})
        self._streams.tell({"status": self._status})
        while True:
            self._streams.turn({})

    def _heard(self, message: Message) -> None:
        if "command" in message:
            self._start(message)
        if "signal" in message:
            number = message["signal"]
            with suppress(ProcessLookupError):
                # A notebook's client interrupts the whole group.
                whole = self._channels and number == signal.SIGINT
                (os.killpg if whole else os.kill)(self._program, number)
        if message.get("size") and self._terminal >= 0:
            resize(self._terminal, message["size"])

    def _start(self, wanted: Message) -> None:
        """Start the program, and carry what it says and hears."""
        _prepare_modules(wanted["modules"], wanted["kmod"])
        self._channels = wanted["channels"]
        streams = self._make_streams(wanted["terminal"], wanted["size"])
        begun, begins = os.pipe()
        self._program = os.fork()
        if not self._program:
            _become(wanted, streams, begins)
        for fd in {*streams, begins}:
            os.close(fd)
        self._watched[begun] = lambda: self._begin(begun)
        self._watched[os.pidfd_open(self._program)] = self._reap

    def _begin(self, begun: int) -> None:
        """Let those outside come: the program listens to them, or has ended."""
        del self._watched[begun]
        os.close(begun)
        self._streams.tell({"ready": True})

    def _make_streams(self, terminal: list[bool], size: list[int]) -> list[int]:
        """Return the program's three standard streams."""
        slave = -1
        if any(terminal):
            self._terminal, slave = os.openpty()
            resize(self._terminal, size)
            os.set_blocking(self._terminal, False)
            self._streams.carry(TERMINAL, os.dup(self._terminal), self._terminal)
        made = []
        for fd, is_terminal in enumerate(terminal):
            reads, writes = (slave, slave) if is_terminal else os.pipe()
            made.append(reads if fd == 0 else writes)
            if not is_terminal:
                ours = writes if fd == 0 else reads
                os.set_blocking(ours, False)
                self._streams.carry(fd, *((None, ours) if fd == 0 else (ours, None)))
        return made

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._program:
                    self._status = ended[1]

    def _connect(self, number: int, channel: str) -> None:
        """Join a connection from outside with the notebook's kernel."""
        ip, port = self._channels[channel]
        try:
            source = socket.create_connection((str(ip), int(port))).detach()
        except OSError:
            self._streams.refuse(number)
            return
        os.set_blocking(source, False)
        self._streams.carry(number, source, os.dup(source))


def _prepare_modules(modules: str | None, kmod: str | None) -> None:
    """Let the kernel find its modules, where it has any: it starts a program that loads them."""
    if modules and kmod:
        (_MODULES / "lib").mkdir(parents=True)
        (_MODULES / "lib/modules").symlink_to(modules)
        (_MODULES / "modprobe").symlink_to(kmod)
        loader = _MODULES / "load"
        libraries = Path(kmod).parents[1] / f"lib/{os.uname().machine}-linux-gnu"
        loader.write_text(_LOADER.format(here=_MODULES, libraries=libraries))
        loader.chmod(0o755)
        Path("/proc/sys/kernel/modprobe").write_text(str(loader))
        os.waitpid(os.posix_spawn(loader, [str(loader), "-a", "-q", *_AT_ONCE], os.environ), 0)
    for name in _FOR_EVERYBODY:
        with suppress(OSError):
            Path("/dev", name).chmod(0o666)
    with suppress(OSError):
        # Else every new network begins with a tunnel of each kind, which nobody has asked for.
        Path("/proc/sys/net/core/fb_tunnels_only_for_init_net").write_text("2")


def _become(wanted: Message, streams: list[int], begins: int) -> Never:
    """Be the program: the user's, in a lab."""
    os.setsid()
    for fd, copy in enumerate(streams):
        os.dup2(copy, fd)
    begins = os.dup2(begins, 3, inheritable=False)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    if any(wanted["terminal"]):
        fcntl.ioctl(wanted["terminal"].index(True), termios.TIOCSCTTY, 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    os.umask(wanted["umask"])
    _become_user(*wanted["user"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    time.tzset()
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(":"))
    with suppress(OSError):
        os.chdir(wanted["folder"])
    try:
        if not wanted["channels"]:
            os.close(begins)
            sandbox.run(wanted["command"], Supervision(tools=trees()))
        listeners = launcher.listen(launcher.connection_file(wanted["command"]))
        os.close(begins)
        launcher.serve(wanted["command"], listeners)
    except NetvizError as error:
        os.write(2, f"netviz: {error}\n".encode())
        os._exit(2)
    os._exit(0)


def _become_user(uid: int, gid: int, groups: list[int]) -> None:
    """Become who asked for the kernel, with no privilege, though it be root."""
    # Without the last, root may not be root of a user namespace.
    keep_capabilities(1 << CAP_SETGID | 1 << CAP_SETUID | 1 << CAP_SETFCAP)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    keep_capabilities(0 if uid else 1 << CAP_SETFCAP)
    show_own_process()


if __name__ == "__main__":
    main()
