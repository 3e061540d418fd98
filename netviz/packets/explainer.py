"""Explain the live network: why a packet gets there and its answer back, or why not."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netviz.errors import TraceError
from netviz.net import namespaces, sysctls
from netviz.net.discovery import snapshot
from netviz.net.worker import aside
from netviz.packets.diagnosis import SILENT, diagnose
from netviz.packets.facts import named
from netviz.packets.lifetimes import SHORT
from netviz.packets.running import run
from netviz.packets.tracer import Flow

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.explanations import Explanation
    from netviz.model import Namespace, Snapshot

_WAITS = {"tcp": "0A", "udp": "07"}
_LIMIT = 5.0


def explain(
    where: str,
    to: str,
    *,
    proto: str = "icmp",
    port: int | None = None,
    size: int | None = None,
    verify: bool = False,
    network: Snapshot | None = None,
) -> Explanation:
    """Return the steps of a packet from a namespace to an address, and of its answer back.

    Each holds, or not, or nobody can tell; the first that does not comes with a command that mends
    it. Nothing is sent, only with ``verify``: then the explanation says what became of a real
    packet, and whether that is what was foretold. Of UDP nobody can tell, for it may be silent.

    With a ``size``, in bytes from the IP header on, it is a packet so large that must not be cut.

    Equivalent to: ``ip route get``, ``ip neighbour``, ``bridge fdb``, ``nft list ruleset`` in each
    namespace on the way, read in the kernel's order. Raises ``TraceError`` for what is no
    namespace, no address, no protocol, has no port, or no size.
    """
    if size is not None and (type(size) is not int or size <= 0):
        raise TraceError(f"a packet cannot have {size!r} bytes", remedy="write a number: size=1500")
    if size is not None and proto != "icmp":
        remedy = f"leave out size={size}, or proto={proto!r}"
        raise TraceError("only a ping can have a size", remedy=remedy)
    live: dict[str, Any] = {"listens": listens, "lasts": lasts} if network is None else {}
    told = diagnose(network or snapshot(), where, to, proto, port, size=size or 0, **live)
    flow = Flow(to, proto, port, size)
    return replace(told, verified=_answered(where, flow)) if verify else told


def _answered(where: str, flow: Flow) -> bool | None:
    """Send it, and tell whether it was answered."""
    here = named(where, namespaces.find()[0])
    status = run(here, flow.command(), _LIMIT, lambda piece: None).status
    return status == 0 if flow.protocol != "udp" else None


def waiting(proto: str) -> set[tuple[str, int]]:
    """Return the addresses and ports at which programs wait for ``tcp`` or ``udp``.

    In the thread's namespace. Equivalent to: ``ss -ltn``, of UDP ``ss -lun``.
    """
    files = [Path(f"/proc/thread-self/net/{proto}{version}") for version in ("", "6")]
    rows = [row.split() for it in files if it.exists() for row in it.read_text().splitlines()]
    return {_socket(row[1]) for row in rows if row[3] == _WAITS.get(proto)}


def _socket(told: str) -> tuple[str, int]:
    """Return an address and a port, as the kernel's table tells them: in words of the machine's."""
    address, _, port = told.partition(":")
    words = struct.iter_unpack("=I", bytes.fromhex(address))
    packed = b"".join(struct.pack(">I", *word) for word in words)
    return str(ip_address(packed)), int(port, 16)


def listens(space: Namespace, address: str, proto: str, port: int) -> bool | None:
    """Tell whether a program waits at a port there now, or of pings, whether they are answered.

    None where nobody can tell. Equivalent to: ``ss -ltn``, of UDP ``ss -lun``, and ``sysctl
    net.ipv4.icmp_echo_ignore_all`` there.
    """
    if proto in SILENT:
        return _there(space, lambda: sysctls.read(SILENT[proto]) == "0")
    owns = {(own, port) for own in (address, "0.0.0.0", "::")}
    return _there(space, lambda: bool(owns & waiting(proto)))


def lasts(space: Namespace, routers: int) -> bool | None:
    """Tell whether what a namespace sends outlives so many routers; None where nobody can tell.

    Equivalent to: ``sysctl net.ipv4.ip_default_ttl`` there.
    """
    return _there(space, lambda: int(sysctls.read(SHORT)) > routers)


def _there(space: Namespace, asks: Callable[[], bool]) -> bool | None:
    """Return what is to be seen in a namespace now; None where it cannot be entered or read."""

    def work() -> bool:
        named(space.name, namespaces.find()[0]).enter()
        return asks()

    with suppress(OSError, TraceError):
        return aside(work)
    return None
