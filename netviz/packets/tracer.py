"""Run a command in a namespace, and follow the packets that it causes."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from os import killpg
from threading import Event
from typing import TYPE_CHECKING

from netviz.errors import TraceError
from netviz.journeys import Followed
from netviz.net import conntrack, namespaces
from netviz.net.discovery import snapshot
from netviz.net.worker import aside
from netviz.packets.capture import Capture
from netviz.packets.drops import Drops
from netviz.packets.facts import Facts, Told
from netviz.packets.relations import Relations
from netviz.packets.selection import aim, belonging, journeys, missing
from netviz.packets.tracing import tracks
from netviz.packets.verdicts import Watch

if TYPE_CHECKING:
    from netviz.journeys import Journey, Packet
    from netviz.model import Snapshot
    from netviz.net.conntrack import Connection
    from netviz.net.namespaces import Found

MOST = 100
_GLANCE = 0.05
_GRACE = 1.0
_SENDERS = {
    "udp": "s = socket.socket({family}, socket.SOCK_DGRAM); s.sendto(b'netviz', ({to!r}, {port}))",
    "tcp": "s = socket.create_connection(({to!r}, {port}), timeout=1); s.close()",
}


@dataclass(frozen=True, slots=True)
class Flow:
    """A packet to be sent, where there is no command that sends it.

    ``protocol`` is ``icmp``, ``udp`` or ``tcp``; the latter two need a ``port``. Equivalent to:
    ``ping -c1 ADDRESS``, ``echo netviz | nc -u ADDRESS PORT``, ``nc -z ADDRESS PORT``.
    """

    to: str
    protocol: str = "icmp"
    port: int | None = None

    def command(self) -> list[str]:
        """Return the program that sends it.

        Raises ``TraceError`` for what is no address, no protocol, or has no port.
        """
        try:
            family = f"socket.AF_INET{6 if ip_address(self.to).version == 6 else ''}"
        except ValueError:
            raise TraceError(f"'{self.to}' is no address", remedy="write one: 10.1.1.3") from None
        if self.protocol == "icmp":
            return ["ping", "-c1", "-W1", self.to]
        if self.protocol not in _SENDERS or not self.port:
            raise TraceError(
                f"cannot send '{self.protocol}' to port {self.port}",
                remedy="name icmp, or udp or tcp with a port",
            )
        line = _SENDERS[self.protocol].format(family=family, to=self.to, port=int(self.port))
        return [sys.executable, "-c", f"import socket; {line}"]


def follow(
    where: str,
    command: str | Sequence[str] | Flow,
    *,
    count: int = MOST,
    timeout: float = 30.0,
) -> Followed:
    """Return the journeys of the packets that a command causes, run in the namespace ``where``.

    It taps every interface of every namespace meanwhile. At most ``count`` packets are told of;
    after ``timeout`` seconds the command is ended. A text is a line for the shell.

    Equivalent to: ``tcpdump -i any`` in each namespace while ``ip netns exec WHERE COMMAND`` runs,
    ``nft monitor trace``, and reading the tables that decided.

    Raises ``TraceError`` where there is no such namespace or program, or the kernel refuses.
    """
    found, _ = namespaces.find()
    here = _named(where, found)
    with Drops() as drops, Watch(found) as watch, Capture() as capture:
        before = snapshot()
        line, output, status = _run(here, command, timeout)
        capture.settle()
        after = snapshot()
        tracked = _connections(after)
    packets = capture.take()
    told = Told(watch.verdicts(), tracked, drops)
    ways = _journeys(packets, (before, after), told, here.id, line, count)
    return Followed(tuple(ways), after, tuple(packets), capture.drops, line, output, status)


def _journeys(
    packets: Sequence[Packet],
    networks: tuple[Snapshot, Snapshot],
    told: Told,
    where: int,
    line: str,
    count: int,
) -> list[Journey]:
    relations = Relations(*networks)
    seen = tracks(packets, relations)
    facts = Facts(relations, networks[0].namespaces, seen, told)
    space = relations.spaces[where]
    chosen = belonging(seen, space)
    ways = journeys(chosen[:count], facts)
    dated = [(track.first.packet.at, way) for track, way in zip(chosen, ways, strict=False)]
    dated += missing(chosen, ways, space, aim(line), facts)
    return [way for _, way in sorted(dated, key=lambda pair: pair[0])]


def _named(where: str, found: list[Found]) -> Found:
    for namespace in found:
        if where in (namespace.name, *namespace.names):
            return namespace
    known = ", ".join(namespace.name for namespace in found)
    raise TraceError(
        f"there is no namespace '{where}'",
        command=f"ip netns exec {shlex.quote(where)} …",
        remedy=f"the namespaces are: {known}",
    )


def _run(here: Found, command: str | Sequence[str] | Flow, timeout: float) -> tuple[str, str, int]:
    """Run a command in a namespace; return it as a line, what it printed, and how it ended."""
    words = command.command() if isinstance(command, Flow) else command
    line = words if isinstance(words, str) else shlex.join(words)
    started = ["sh", "-c", words] if isinstance(words, str) else [*words]
    if not line.strip():
        raise TraceError("there is no command to follow", remedy="name one: ping -c1 10.1.1.3")
    stop = Event()

    def work() -> tuple[str, int]:
        here.enter()
        return _watched(started, line, timeout, stop)

    try:
        return (line, *aside(work, stop=stop))
    except OSError as error:
        raise TraceError(
            f"cannot run '{line}' in '{here.name}': {error.strerror}",
            command=f"ip netns exec {shlex.quote(here.name)} {line}",
        ) from error


def _watched(words: list[str], line: str, timeout: float, stop: Event) -> tuple[str, int]:
    out = subprocess.PIPE
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        end = time.monotonic() + timeout
        while True:
            try:
                told, _ = process.communicate(timeout=_GLANCE)
                return told, process.returncode
            except subprocess.TimeoutExpired:
                if stop.is_set() or time.monotonic() > end:
                    _end(process)
                    end += _GRACE


def _end(process: subprocess.Popen[str]) -> None:
    """End a command and what it has started: as Ctrl-C does, and if that is not heard, for good."""
    with suppress(ProcessLookupError):
        killpg(process.pid, signal.SIGINT)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            killpg(process.pid, signal.SIGKILL)


def _connections(network: Snapshot) -> dict[int, tuple[Connection, ...]]:
    """Return what connection tracking knows in each namespace that has packet filters."""
    filtered = {space.id for space in network.namespaces if space.nft}
    found, _ = namespaces.find()

    def work() -> dict[int, tuple[Connection, ...]]:
        known = {}
        for each in found:
            if each.id in filtered:
                with suppress(OSError):
                    each.enter()
                    known[each.id] = conntrack.connections()
        return known

    return aside(work)
