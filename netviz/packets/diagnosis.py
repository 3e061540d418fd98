"""Why a packet gets there and its answer back, or why not: told from a snapshot, without sending.

Pure. It is walked as the kernel would send it: out of its namespace, over each link, through each
namespace that forwards it, and the whole way back. The first step that breaks is the last.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from netviz.errors import TraceError
from netviz.explanations import Explanation, Step
from netviz.packets.deals import Deals
from netviz.packets.facts import named, typed
from netviz.packets.filters import Flowing
from netviz.packets.segments import Wires
from netviz.packets.tunnels import Tunnels
from netviz.packets.walk import EndedError, There, Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.model import Namespace, Snapshot
    from netviz.packets.lifetimes import Lasts

    Listens = Callable[[Namespace, str, str, int], bool | None]

SILENT = {"icmp": "net.ipv4.icmp_echo_ignore_all", "icmpv6": "net.ipv6.icmp.echo_ignore_all"}
"""The switch by which a namespace ignores pings, by their protocol."""
_SPORT = 40000  # Any that the kernel might choose.
_MOST_TURNS = 32


def diagnose(
    network: Snapshot,
    where: str,
    to: str,
    proto: str = "icmp",
    port: int | None = None,
    *,
    size: int = 0,
    listens: Listens = lambda *_: None,
    lasts: Lasts = lambda *_: None,
) -> Explanation:
    """Return whether a packet from a namespace gets to an address and is answered, and why.

    Equivalent to: ``ip route get``, ``ip neighbour``, ``bridge fdb`` and ``nft list ruleset`` in
    each namespace on the way there and back. Where rules that it meets deal out (``numgen``), each
    turn is tried, of many only some: what is told is the first that breaks. With a ``size``, in
    bytes from the IP header on, it is not to be cut. Two tell what no snapshot has: ``listens``,
    whether a program waits at a port of a namespace's address, or of ``icmp`` and ``icmpv6``,
    whether pings are answered there; ``lasts``, whether what it sends outlives so many routers, in
    IPv4 only. Raises ``TraceError`` for what is no namespace, no address, no protocol, or has no
    port.
    """
    to, _, dev = to.partition("%")
    question = f"{proto} from {where} to {to}" + (f" port {port}" if port else "")
    question += f", {size} bytes" if size else ""
    family = "inet6" if _version(to) == 6 else "inet"
    if proto not in ("icmp", "tcp", "udp") or (proto != "icmp" and not 0 < (port or 0) < 1 << 16):
        remedy = "name icmp, or udp or tcp with a port"
        raise TraceError(f"cannot send '{proto}' to port {port}", remedy=remedy)
    wires = Wires(network)
    space = named(where, network.namespaces)
    name = "icmpv6" if (proto, family) == ("icmp", "inet6") else proto
    sport, dport = (None, None) if proto == "icmp" else (_SPORT, port)
    packet = Flowing(family, "", to, name, sport, dport, size=size)
    return _told(question, _each_turn(wires, space, packet, dev or None, listens, lasts))


def _each_turn(
    wires: Wires,
    space: Namespace,
    packet: Flowing,
    dev: str | None,
    listens: Listens,
    lasts: Lasts,
) -> tuple[Step, ...]:
    """Return the steps of the first turn that breaks, or else of the first, and what others do.

    Of those that do not break the first comes first of which something is not known.
    """
    ways: dict[str, tuple[Step, ...]] = {}
    unsure: list[str] = []
    deals, more = Deals(), None
    live = cache(lambda start, routers: lasts(wires.spaces[start], routers))
    for _ in range(_MOST_TURNS):
        walk, end = Walk(wires, lambda start, routers: live(start.id, routers), deals), None
        wires.dig = Tunnels(walk, walk.lasts).dig  # What one knows is of this turn.
        with suppress(EndedError):
            end = _there_and_back(walk, space, packet, dev, listens)
        if end is None:
            return tuple(walk.steps)
        ways.setdefault(end, tuple(walk.steps))
        if not unsure and any(it.holds is None for it in walk.steps):
            unsure, ways[end] = [end], tuple(walk.steps)
        if not deals.another():
            break
    else:
        more = f"rules that it meets deal out in more ways than the {_MOST_TURNS} that were tried"
    first, *others = dict.fromkeys([*unsure, *ways])
    steps = ways[first]
    text = f"another time it is {' or '.join(others)} instead, and that works as well"
    steps += (replace(steps[-1], text=text),) if others else ()
    return (*steps, replace(steps[-1], text=more, holds=None)) if more else steps


def _told(question: str, steps: tuple[Step, ...]) -> Explanation:
    return Explanation(question, steps, next((it.text for it in steps if it.holds is None), None))


def _there_and_back(
    walk: Walk, space: Namespace, packet: Flowing, dev: str | None, listens: Listens
) -> str:
    """Take the steps of a packet and its answer; return where it is taken in."""
    stack = walk.wires.stacks[space.id]
    if stack.broadcast(packet.to):
        walk.add(_many(walk, space, packet.to))
        return packet.to
    there = walk.send(space, packet, dev)
    heard = listens(there.space, there.packet.to, packet.protocol, there.packet.dport or 0)
    if packet.protocol not in SILENT:
        walk.add(_heard(there, heard))
    elif heard is False:
        walk.add(_silent(there.space, SILENT[packet.protocol]))
    back = walk.answer(there)
    words = ("ping", "-c1", packet.to) if packet.protocol[:4] == "icmp" else ("ss", "-tun")
    show = typed(space, *words)
    if back.space.id != space.id:
        text = f"{back.space.name} has {back.packet.to} as well, and gets the answer"
        own = walk.wires.stacks[back.space.id].local(back.packet.to)
        key = walk.wires.key(back.space, own.name if own else back.dev)
        mend = walk.asking.mends.without(key, back.packet.to)
        has = typed(back.space, "ip", "address", "show", "to", back.packet.to)
        walk.add(Step(text, False, back.space.name, has, mend))
    if back.packet.source != packet.to:
        text = f"{packet.to} was asked, but the answer comes from {back.packet.source}"
        walk.add(Step(text, False, space.name, show, walk.gates.unseen))
    walk.steps.append(Step(f"the answer reaches {space.name}", True, space.name, show))
    return there.packet.to


def _many(walk: Walk, space: Namespace, to: str) -> Step:
    """Return that an address is for many; where somebody has it, by a mask that is wrong."""
    show = typed(space, "ip", "route", "get", to)
    if to not in walk.wires.owners:
        return Step(f"{to} is for many: who of them answers is theirs", None, space.name, show)
    text = f"for {space.name} {to} is a broadcast address, by the mask of one of its own"
    mend = walk.asking.mends.joined(space, to, lambda far: far.local == to)
    return Step(text, False, space.name, show, mend)


def _silent(space: Namespace, switch: str) -> Step:
    """Return that a namespace ignores pings."""
    show, mend = typed(space, "sysctl", switch), typed(space, "sysctl", "-w", f"{switch}=0")
    return Step(f"{space.name} ignores pings: {switch} is 1", False, space.name, show, mend)


def _heard(there: There, heard: bool | None) -> Step:
    """Return whether a program waits for what was taken in."""
    space, port, proto = there.space, there.packet.dport, there.packet.protocol
    text = f"{'a' if heard else 'no'} program listens at {proto} port {port} of {space.name}"
    if heard is None:
        text = f"whether a program listens at {proto} port {port} of {space.name} is not known"
    words = ("sh", "-c", f"python3 -m http.server {port} &")
    mend = typed(space, *words) if proto == "tcp" and heard is False else None
    show = typed(space, "ss", "-ltn" if proto == "tcp" else "-lun")
    return Step(text, heard, space.name, show, mend)


def _version(address: str) -> int:
    try:
        return ip_address(address).version
    except ValueError:
        raise TraceError(f"'{address}' is no address", remedy="write one: 10.1.1.3") from None
