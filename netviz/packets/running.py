"""Run a command in a namespace, hear what it prints, and end it when its time is up."""

from __future__ import annotations

import codecs
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from os import killpg
from threading import Event
from typing import TYPE_CHECKING

from netviz.errors import TraceError
from netviz.net.worker import aside
from netviz.packets.selection import Command

if TYPE_CHECKING:
    from netviz.net.namespaces import Found

_GLANCE = 50  # Milliseconds.
_GRACE = 1.0
_MOST = 1 << 20  # Letters of the output that are kept.
_NOT_FOUND = (126, 127)


def run(
    here: Found, command: str | Sequence[str], timeout: float, heard: Callable[[str], object]
) -> Command:
    """Run a command in a namespace; return it with what it printed and how it ended.

    ``heard`` is called with each piece of what it prints. After ``timeout`` seconds, and when the
    caller is interrupted, the command is ended as Ctrl-C ends it; that is no error.

    Raises ``TraceError`` where there is no such program.
    """
    line = command if isinstance(command, str) else shlex.join(command)
    words = ["sh", "-c", command] if isinstance(command, str) else [*command]
    if not line.strip():
        raise TraceError("there is no command to follow", remedy="name one: ping -c1 10.1.1.3")
    stop, output, status = Event(), list[str](), list[int]()

    def hear(piece: str) -> None:
        if sum(map(len, output)) < _MOST:
            output.append(piece)
        heard(piece)

    def work() -> None:
        here.enter()
        status.append(_watched(words, timeout, stop, hear))

    try:
        with suppress(KeyboardInterrupt):  # It was for the command, as in a terminal.
            aside(work, stop=stop)
    except OSError as error:
        raise _refused(line, here, error.strerror) from error
    told = Command(line, "".join(output), status[0] if status else -signal.SIGINT)
    if told.status in _NOT_FOUND:
        raise _refused(line, here, told.output.strip().rpartition(": ")[2])
    return told


def _refused(line: str, here: Found, why: str | None) -> TraceError:
    return TraceError(
        f"cannot run '{line}' in '{here.name}': {why}",
        command=f"{shlex.join(here.inside)} {line}".lstrip(),
    )


def _watched(words: list[str], timeout: float, stop: Event, heard: Callable[[str], object]) -> int:
    """Run a program to its end, or until its time is up; return its status."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    out, err = subprocess.PIPE, subprocess.STDOUT
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        words, stdin=quiet, stdout=out, stderr=err, start_new_session=True
    ) as process:
        assert process.stdout
        waiting = select.poll()
        waiting.register(process.stdout, select.POLLIN)
        end, ended = time.monotonic() + timeout, False
        while True:
            gone = process.poll() is not None  # Asked first: its last words come before its end.
            ready = waiting.poll(_GLANCE)
            if ready:
                data = os.read(process.stdout.fileno(), 1 << 16)
                heard(decoder.decode(data, final=not data))
                if not data:
                    waiting.unregister(process.stdout)
            late = time.monotonic() > end
            # What it leaves behind may hold the pipe open, and is not waited for.
            if gone and (late or not ready):
                return process.returncode
            if not ended and (late or stop.is_set()):
                ended = True
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it has started: as Ctrl-C does, and if that is not heard, for good."""
    with suppress(ProcessLookupError):
        killpg(process.pid, signal.SIGINT)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            killpg(process.pid, signal.SIGKILL)
