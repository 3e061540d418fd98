"""Where packets come out that go into a tunnel: a question about the network below. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from netviz.explanations import Step
from netviz.net.steps import AddLink
from netviz.packets import overlays
from netviz.packets.facts import typed
from netviz.packets.filters import Flowing
from netviz.packets.lifetimes import USUAL
from netviz.packets.subnets import Subnets
from netviz.packets.walk import EndedError, Walk

if TYPE_CHECKING:
    from netviz.model import Interface, Key, Namespace
    from netviz.packets.lifetimes import Lasts, Life
    from netviz.packets.ports import Frame

    _Found = tuple[Key, Step | None, str]

_DEEPEST = 3  # Tunnels in tunnels.
_NUMBERED = ("vxlan", "geneve")
_BY_ROUTE = ("ipip", "gre")  # Without a remote, they wrap for whom the route names.
_PLAIN = ("ipip", "sit")
_OVERHEAD = {"ipip": 20, "sit": 20, "gre": 24, "gretap": 38}
"""Bytes before what it wraps, of each kind that takes its time to live and "do not cut" along."""
_ZEROS = "00:00:00:00:00:00"


class Tunnels:
    """Where packets come out that go into a tunnel: a question about the network below."""

    def __init__(self, walk: Walk, lasts: Lasts, depth: int = 0) -> None:
        self._walk, self._wires, self._lasts, self._depth = walk, walk.wires, lasts, depth
        self._known: dict[tuple[object, ...], _Found] = {}
        self._heard: dict[tuple[Key, str], str] = {}

    def dig(self, key: Key, frame: Frame) -> Iterator[tuple[Key, Step | None]]:
        """Yield the device at each far end, with what keeps packets from there."""
        link, heard = self._wires.links[key], False
        hop = frame.hop if link.kind in _BY_ROUTE else ""
        remotes = [str(_told(link, "remote") or hop)]
        if link.kind == "vxlan" and not link.unreal:
            known = self._wires.stacks[key[0]].remotes(link.name, frame.to)
            remotes = [entry.dst for entry in known if entry.dst]
            fixed = any(it.state and it.mac != _ZEROS for it in known)
            if not fixed and (key, frame.to) in self._heard:
                remotes = [self._heard[key, frame.to]]
            # Where a card was heard no device is kept: the route alone leads there.
            heard = not frame.many and any(it.mac != _ZEROS for it in known)
            heard = heard or (key, frame.to) in self._heard
        for remote in filter(None, remotes):
            far, step, source = self._found(key, remote, frame.packet, heard=heard)
            if frame.source and source and self._wires.links[far].parameters.get("learning"):
                self._heard[far, frame.source] = source
            yield far, overlays.redirected(self._wires, key, frame.to, remote, step)
        if not any(remotes):
            show = typed(self._wires.spaces[key[0]], "bridge", "fdb", "show", "dev", link.name)
            text = f"{link.name} does not know behind which node {frame.to or 'anybody'} is"
            where = self._wires.relations.called(key)
            mend = overlays.aimed(self._wires, key, frame.to) or self._aimed(key)
            yield key, Step(text, False, where, show, mend)

    def _found(self, key: Key, remote: str, packet: Flowing | None, *, heard: bool) -> _Found:
        """Return a tunnel's far end for a packet; too large or too old it can be only on a way."""
        link, life = self._wires.links[key], self._walk.life
        inherits = packet and packet.family == "inet" and link.kind in _OVERHEAD
        life = life if inherits and not link.parameters.get("ttl") else None
        over = _OVERHEAD.get(link.kind, 0) + (4 if _told(link, "okey") else 0)
        size = packet.size + over if packet and packet.size and link.kind in _OVERHEAD else 0
        known = key, remote, heard, life and life.age
        if known not in self._known:
            self._known[known] = self._dug(key, remote, heard, life)
        found = self._known[known]
        if size and not (found[1] and found[1].holds is False):
            if (*known, size) not in self._known:
                self._known[*known, size] = self._dug(key, remote, heard, life, size)
            found = self._known[*known, size]
        return found

    def _inner(self, key: Key, life: Life | None) -> Walk:
        """Return the way of what a tunnel sends: for as long as it says, or as what it wraps."""
        link, space = self._wires.links[key], self._wires.spaces[key[0]]
        ttl, deals = link.parameters.get("ttl"), self._walk.deals
        if life:
            return Walk(self._wires, lambda _, n: life.outlives(n), deals, short=life.short)
        if not isinstance(ttl, int) or not ttl:
            return Walk(self._wires, self._lasts, deals)
        show = typed(space, "ip", "-d", "link", "show", "dev", link.name)
        words = ("ip", "link", "set", "dev", link.name, "type", link.kind, "ttl", str(USUAL))
        text = f"{self._wires.told(key)}'s ttl of {ttl}"
        short = Step(text, False, "", show, typed(space, *words))
        return Walk(self._wires, lambda _, n: ttl > n, deals, short=short)

    def _dug(self, key: Key, remote: str, heard: bool, life: Life | None, size: int = 0) -> _Found:
        """Return a tunnel's far end, what keeps packets from there, and from whom they come."""
        link, space = self._wires.links[key], self._wires.spaces[key[0]]
        below = self._wires.spaces.get(link.lower.id, space) if link.lower else space
        where = self._wires.relations.called(key)
        if self._depth >= _DEEPEST:
            return key, Step(f"{where} is a tunnel in many others", None, where), ""
        local, port = str(_told(link, "local") or ""), link.parameters.get("port")
        kind = "udp" if link.kind in _NUMBERED else link.kind
        packet = Flowing("inet6" if ":" in remote else "inet", local, remote, kind)
        packet = replace(packet, dport=port if isinstance(port, int) else None, size=size)
        inner = self._inner(key, life)
        if local and not self._wires.stacks[below.id].local(local):
            show = typed(below, "ip", "address", "show", "to", local)
            text = f"{below.name} does not have {local}, from which {link.name} sends"
            length = Subnets(self._wires).subnet(remote).prefixlen
            mend = (
                typed(below, "ip", "address", "add", f"{local}/{length}", "dev", link.lower.name)
                if link.lower
                else None
            )
            return key, Step(text, False, where, show, mend), ""
        oif = link.lower.name if link.lower and not heard else None
        dig = self._wires.dig
        self._wires.dig = Tunnels(inner, self._lasts, self._depth + 1).dig
        try:
            there = inner.send(below, packet, oif)
        except EndedError:
            last = inner.steps[-1]
            off = not size and (not last.mend or remote not in self._wires.owners)
            aimed = self._aimed(key) if off else None
            return key, replace(last, mend=aimed or last.mend), ""
        finally:
            self._wires.dig = dig
        met = [it for it in there.space.interfaces if _meets(link, it, there.packet)]
        if met:
            other = max(met, key=lambda it: [bool(_told(it, end)) for end in ("remote", "local")])
            doubt = next((it for it in inner.steps if it.holds is None), None)
            return (there.space.id, other.index), doubt, there.packet.source
        return key, self._unmet(key, there.space, there.packet), ""

    def _unmet(self, key: Key, there: Namespace, packet: Flowing) -> Step:
        """Return that no device at the far end belongs to a tunnel, and what mends it."""
        link, mend = self._wires.links[key], None
        show = typed(there, "ip", "-d", "link", "show", "type", link.kind)
        text = f"has no {link.kind} device that belongs to {self._wires.told(key)}"
        if link.kind in _NUMBERED:
            kind = "VXLAN" if link.kind == "vxlan" else link.kind
            text = f"has no {kind} device with VNI {_told(link, 'id')}"
        for other in there.interfaces:
            if other.kind == link.kind in _NUMBERED:
                mend = overlays.renumbered(self._wires, key, (there.id, other.index))
        if link.kind in _PLAIN:
            mend = _turned(there, link, packet)
        mend = mend or self._aimed(key)
        if not mend and link.kind in _PLAIN:
            mend = _begun(there, link, packet)
        return Step(f"{there.name} {text}", False, there.name, show, mend)

    def _aimed(self, key: Key) -> str | None:
        """Return what gives a tunnel the address of a device that belongs to it as its far end."""
        link, space = self._wires.links[key], self._wires.spaces[key[0]]
        ranked, aimed = [], _told(link, "remote")
        for far, other in self._wires.links.items():
            ends = [_told(other, name) != _told(link, name) for name in ("id", "port", "ikey")]
            remote = _told(other, "local")
            if far[0] != key[0] and other.kind == link.kind and remote not in (None, aimed):
                ranked.append((any(ends), str(remote)))
        words = ("ip", "link", "set", "dev", link.name, "type", link.kind, "remote")
        if link.unreal and ranked:
            to = f"options:remote_ip={min(ranked)[1]}"
            return typed(space, "ovs-vsctl", "set", "interface", link.name, to)
        return typed(space, *words, min(ranked)[1]) if ranked else None


def _turned(there: Namespace, link: Interface, packet: Flowing) -> str | None:
    """Return what turns a tunnel to whom its packets come from, if one there looks elsewhere."""
    for other in there.interfaces:
        if other.kind == link.kind and _told(other, "local") == packet.to:
            words = ("ip", "link", "set", "dev", other.name, "type", link.kind)
            return typed(there, *words, "remote", packet.source)
    return None


def _begun(there: Namespace, link: Interface, packet: Flowing) -> str | None:
    """Return what makes the other end of a tunnel, if its name is free."""
    if link.name in {it.name for it in there.interfaces}:
        return None
    ends = {"local": packet.to, "remote": packet.source}
    add = AddLink(f"{there.name}:{link.name}", link.kind, ends).command()
    return f"{add} && {typed(there, 'ip', 'link', 'set', 'dev', link.name, 'up')}"


def _told(link: Interface, name: str) -> object:
    found = link.parameters.get(name) or link.parameters.get(f"{name}6")
    return None if found in (None, "any", "0.0.0.0", "::") else found


def _meets(link: Interface, other: Interface, packet: Flowing) -> bool:
    """Tell whether a device takes what another one has sent.

    Of one for all ends, which is there and down in many a namespace, nobody thinks.
    """
    idle = not (other.up or _told(other, "local") or _told(other, "remote"))
    if other.kind != link.kind or (idle and link.kind in _BY_ROUTE and _told(link, "remote")):
        return False
    if link.kind in _NUMBERED:
        return all(_told(link, name) == _told(other, name) for name in ("id", "port"))
    fits = _told(other, "local") in (None, packet.to)
    return fits and _told(other, "remote") in (None, packet.source)
