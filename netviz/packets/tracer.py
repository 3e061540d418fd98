"""Run a command in a namespace, and follow the packets that it causes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from netviz.errors import TraceError
from netviz.journeys import Followed
from netviz.net import conntrack, namespaces
from netviz.net.discovery import snapshot
from netviz.net.worker import aside
from netviz.packets.capture import Capture
from netviz.packets.drops import Drops
from netviz.packets.facts import Facts, Told, named
from netviz.packets.relations import Relations
from netviz.packets.running import run
from netviz.packets.selection import Command, belonging, missing
from netviz.packets.telling import journey
from netviz.packets.tracing import tracks
from netviz.packets.verdicts import Watch

if TYPE_CHECKING:
    from netviz.journeys import Journey, Packet
    from netviz.model import Snapshot
    from netviz.net.conntrack import Connection

MOST = 100
_SENDERS = {
    "udp": "s = socket.socket({family}, socket.SOCK_DGRAM); s.sendto(b'netviz', ({to!r}, {port}))",
    "tcp": "s = socket.create_connection(({to!r}, {port}), timeout=1); s.close()",
}


@dataclass(frozen=True, slots=True)
class Flow:
    """A packet to be sent, where there is no command that sends it.

    ``protocol`` is ``icmp``, ``udp`` or ``tcp``; the latter two need a ``port``. A ping with a
    ``size``, in bytes from the IP header on, must not be cut. Equivalent to: ``ping -c1 ADDRESS``,
    ``echo netviz | nc -u ADDRESS PORT``, ``nc -z ADDRESS PORT``.
    """

    to: str
    protocol: str = "icmp"
    port: int | None = None
    size: int | None = None

    def __str__(self) -> str:
        """Return it as one says it: ``udp to 10.1.1.3 port 80``."""
        return f"{self.protocol} to {self.to}" + (f" port {self.port}" if self.port else "")

    def command(self) -> list[str]:
        """Return the program that sends it.

        Raises ``TraceError`` for what is no address, no protocol, or has no port.
        """
        try:
            family = f"socket.AF_INET{6 if ip_address(self.to).version == 6 else ''}"
        except ValueError:
            raise TraceError(f"'{self.to}' is no address", remedy="write one: 10.1.1.3") from None
        if self.protocol == "icmp":
            headers = 28 if family.endswith("INET") else 48
            large = ["-M", "do", "-s", str(max(self.size - headers, 0))] if self.size else []
            return ["ping", "-c1", "-W1", *large, self.to]
        if self.protocol not in _SENDERS or not 0 < (self.port or 0) < 1 << 16:
            raise TraceError(
                f"cannot send '{self.protocol}' to port {self.port}",
                remedy="name icmp, or udp or tcp with a port",
            )
        line = _SENDERS[self.protocol].format(family=family, to=self.to, port=self.port)
        return [sys.executable, "-c", f"import socket, sys; sys.tracebacklimit = 0; {line}"]


def follow(
    where: str,
    command: str | Sequence[str] | Flow,
    *,
    count: int = MOST,
    timeout: float = 30.0,
    heard: Callable[[str], object] = lambda piece: None,
) -> Followed:
    """Return the journeys of the packets that a command causes, run in the namespace ``where``.

    It listens at every interface of every namespace meanwhile. The first ``count`` packets are
    told of. After ``timeout`` seconds the command is ended, and so it is by an interrupt; what was
    seen until then is told. A text is a line for the shell. ``heard`` is called with each piece of
    what the command prints.

    Equivalent to: ``tcpdump -i any`` in each namespace while ``ip netns exec WHERE COMMAND`` runs,
    ``nft monitor trace``, and reading the tables that decided.

    Raises ``TraceError`` where there is no such namespace or program, or the kernel refuses.
    """
    if count < 1:
        raise TraceError(f"cannot tell of {count} packets", remedy="leave count out, or name one")
    words = command.command() if isinstance(command, Flow) else command
    found, _ = namespaces.find()
    here = named(where, found)
    with Drops() as drops, Watch(found) as watch, Capture() as capture:
        before = snapshot()
        done = run(here, words, timeout, heard)
        if isinstance(command, Flow):
            done = done._replace(line=str(command), to=command.to)
        capture.settle()
        after = snapshot()
        tracked = _connections(after)
    packets = capture.take()
    told = Told(watch.verdicts(), tracked, drops)
    ways = _journeys(packets, (before, after), told, here.id, done, count)
    return Followed(tuple(ways), after, tuple(packets), capture.drops, *done[:3])


def _journeys(
    packets: Sequence[Packet],
    networks: tuple[Snapshot, Snapshot],
    told: Told,
    where: int,
    command: Command,
    count: int,
) -> list[Journey]:
    relations = Relations(*networks)
    seen = tracks(packets, relations)
    facts = Facts(relations, networks[0].namespaces, seen, told)
    space = relations.spaces[where]
    chosen = belonging(seen, space)
    ways = [journey(track, facts) for track in chosen[:count]]
    dated = [(track.first.packet.at, way) for track, way in zip(chosen, ways, strict=False)]
    dated += missing(chosen, ways, space, command, facts)
    return [way for _, way in sorted(dated, key=lambda pair: pair[0])]


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
