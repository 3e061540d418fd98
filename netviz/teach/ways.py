"""What can be claimed of ways: where packets go, whether they arrive, and who waits for them."""

from __future__ import annotations

import socket
import subprocess
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeVar

from netviz.changes import FORWARDING
from netviz.errors import ExerciseError
from netviz.net import namespaces
from netviz.net.worker import aside
from netviz.packets.lookup import Stack
from netviz.teach.conditions import Condition, Difference
from netviz.teach.devices import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.model import Namespace, Snapshot

_T = TypeVar("_T")
_KINDS = dict.fromkeys(("icmp", "udp"), socket.SOCK_DGRAM) | {"tcp": socket.SOCK_STREAM}
_REMEDY = "proto is icmp, or tcp or udp with a port"
_SERVER_STARTS = 3.0
"""Seconds for which a server that was just started may still be on its way to its port."""
_PATIENCE = 2.0
_SILENCE = "no reply within two seconds"


def routes(
    place: str,
    to: str,
    *,
    via: str | None = None,
    dev: str | None = None,
    protocol: str | None = None,
) -> Condition:
    """Hold when a namespace would send to an address, by this gateway and this device if told.

    ``protocol`` is who made the route: ``"bird"``. Equivalent to: ``ip route get TO``. Nothing is
    sent.
    """

    def look(found: Namespace, _: Snapshot) -> Difference:
        way = Stack(found).route(to)
        if way.doubt:
            raise ExerciseError(f"a snapshot cannot tell: {way.doubt}")
        if way.refusal:
            return f"{place} has no way there: {way.refusal}"
        made = way.route.protocol if way.route else ""
        if protocol not in (None, made):
            return f"the route there is of protocol {made}"
        hops = list(zip(way.devices, way.gateways, strict=True))
        if any(via in (None, gateway) and dev in (None, out) for out, gateway in hops):
            return None
        told = [out if gateway == to else f"{out} via {gateway}" for out, gateway in hops]
        return f"the way leads by {' or '.join(told)}"

    words = [f"routes {to}", *([f"via {via}"] if via else []), *([f"by {dev}"] if dev else [])]
    words += [f"as {protocol} says"] if protocol else []
    return Condition(f"{place} {' '.join(words)}", within(place, look))


def forwards(place: str, family: str = "inet") -> Condition:
    """Hold when a namespace passes on what is not its own: ``sysctl net.ipv4.ip_forward``.

    ``family`` may also be ``inet6``: ``sysctl net.ipv6.conf.all.forwarding``.
    """
    version = "IPv6" if family == "inet6" else "IPv4"

    def look(found: Namespace, _: Snapshot) -> Difference:
        devices = [each.name for each in found.interfaces if each.kind != "loopback"] or ["all"]
        stack = Stack(found)
        closed = [each for each in devices if not stack.forwards(family, each)]
        if closed == devices:
            return f"{FORWARDING[family]} is 0"
        return f"nothing that comes in by {', '.join(closed)} is passed on" if closed else None

    return Condition(f"{place} forwards {version} packets", within(place, look))


def listens(place: str, port: int, proto: str = "tcp") -> Condition:
    """Hold when a server waits at a port there. Equivalent to: ``ss -ltn``, for UDP ``ss -lun``."""

    def look(found: Namespace, _: Snapshot) -> Difference:
        from netviz.packets.explainer import waiting  # Only where somebody should listen.

        deadline = time.monotonic() + (_SERVER_STARTS if found.pids else 0)
        while port not in (ports := {it for _, it in _inside(found, lambda: waiting(proto))}):
            if time.monotonic() > deadline:
                return f"only {sorted(ports)} is taken" if ports else "no server listens there"
            time.sleep(0.05)
        return None

    word = "UDP port" if proto == "udp" else "port"
    return Condition(f"a server listens at {word} {port} in {place}", within(place, look))


def reaches(place: str, address: str, *, proto: str = "icmp", port: int | None = None) -> Condition:
    """Hold when an echo request is answered. Equivalent to: ``ping -c 1 ADDRESS`` there.

    With ``proto="tcp"``, when a server at the ``port`` takes a connection; with ``"udp"``, when it
    answers an empty datagram, or is silent, and nothing is known to be in the way. What does not
    arrive is explained as `netviz.explain` does.
    """

    def look(found: Namespace, seen: Snapshot) -> Difference:
        if proto not in _KINDS or (port is None) != (proto == "icmp"):
            raise ExerciseError(f"one cannot ask by '{proto}' at port {port}", remedy=_REMEDY)
        refused = _inside(found, lambda: _asked(str(ip_address(address)), proto, port))
        if refused is None:
            return None
        # Only where something is to be explained.
        from netviz.packets import diagnosis, explainer

        # A port where nobody waits has said so itself.
        listens = explainer.listens if proto == "icmp" else lambda *_: None
        broken = diagnosis.diagnose(seen, place, address, proto, port, listens=listens).broken
        if proto == "udp" and refused == _SILENCE and broken is None:
            return None
        return f"{refused}; {broken.text}" if broken else refused

    at = "" if proto == "icmp" and port is None else f" at {proto} port {port}"
    return Condition(f"{place} reaches {address}{at}", within(place, look))


def nat(
    place: str, *, source: str | None = None, port: int | None = None, to: str | None = None
) -> Condition:
    """Hold when a namespace translates addresses. Equivalent to: ``nft list ruleset``, read.

    Of a ``source``, a network or an address: that on some way by another device than the one it
    comes from it gets another source (``masquerade``, ``snat``); without one, some network's. Of a
    TCP ``port``: that what comes in to it, for an address of the namespace, goes elsewhere, or just
    ``to`` there: ``172.17.0.2:80`` (``dnat``, ``redirect``).
    """

    def look(found: Namespace, _: Snapshot) -> Difference:
        from netviz.teach.translations import away, inward  # Few lessons read packet filters.

        return away(found, source) if port is None else inward(found, port, to)

    claim = f"translates the source of what comes from {source or 'one of its networks'}"
    if port is not None:
        claim = f"leads what comes to its port {port} {f'to {to}' if to else 'elsewhere'}"
    return Condition(f"{place} {claim}", within(place, look))


def _asked(address: str, proto: str, port: int | None) -> Difference:
    """Send from where the thread stands; return what became of it in words, if it went wrong."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, _KINDS[proto]) as probe:
        probe.settimeout(_PATIENCE)
        try:
            probe.connect((address, port or 9))  # A datagram's: it asks the routing table only.
            if proto == "udp":
                probe.send(b"")
                probe.recv(1)
        except TimeoutError:
            return _SILENCE
        except OSError as error:
            return error.strerror
    if proto != "icmp":
        return None
    ping = ["ping", "-n", "-q", "-c", "1", "-w", f"{_PATIENCE:.0f}", address]
    answered = subprocess.run(ping, capture_output=True, check=False).returncode == 0
    return None if answered else _SILENCE


def _inside(found: Namespace, work: Callable[[], _T]) -> _T:
    """Do ``work`` in a namespace, on a thread of its own: the caller stays where it is."""

    def there() -> _T:
        place = next((each for each in namespaces.find()[0] if each.id == found.id), None)
        if place is None:
            raise FileNotFoundError(f"namespace {found.name} is gone")
        place.enter()
        return work()

    return aside(there)
