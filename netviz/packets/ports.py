"""What a bridge does with a frame at each of its ports: states, flags, its FDB. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from netviz.explanations import Step
from netviz.packets.facts import typed
from netviz.packets.fates import held, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netviz.model import Key
    from netviz.packets.filters import Flowing
    from netviz.packets.lookup import Stack
    from netviz.packets.relations import Relations

BROADCAST = "ff:ff:ff:ff:ff:ff"
_SHOW = ("bridge", "-d", "link", "show", "dev")


class Frame(NamedTuple):
    """What is sent: to which card, from which, and for which IP address the packet in it is.

    The ``packet`` itself, where it is known and no question who has an address.
    """

    to: str
    source: str | None
    address: str
    packet: Flowing | None = None
    vlan: int | None = None  # Within a bridge that filters.
    hop: str = ""  # Who is next on its way.

    @property
    def many(self) -> bool:
        """Tell whether it is for many: broadcast or multicast."""
        return bool(self.to) and bool(int(self.to[:2], 16) & 1)


class Bridges:
    """The bridges of one network. ``taught`` are cards that have sent: where they are is known."""

    def __init__(self, relations: Relations, stacks: Mapping[int, Stack]) -> None:
        self._relations, self._links, self._stacks = relations, relations.links, stacks
        self.taught: set[str] = set()

    def down(self, key: Key) -> Step | None:
        """Return that a device is switched off, if it is."""
        if self._links[key].up:
            return None
        show, mend = ("ip", "link", "show", "dev"), ("ip", "link", "set", "dev")
        return self._step(key, "is down", show, mend, "up")

    def owns(self, bridge: Key, frame: Frame) -> bool:
        """Tell whether a bridge's own stack is who a frame is for."""
        name = self._links[bridge].name
        entry = self._stacks[bridge[0]].entry(name, frame.to, frame.vlan)
        return entry is not None and entry.state == "permanent"

    def held(self, key: Key) -> Step | None:
        """Return that STP holds a port, if it does."""
        port, space = self._links[key], self._relations.spaces[key[0]]
        if port.master is None:
            return None
        bridge = self._links[port.master.key]
        if port.port.get("state") == "disabled" and port.running and port.state != "UP":
            why = "has just come up, and its bridge does not use it yet"
            return replace(self._step(key, why, _SHOW), holds=None)
        if why := held(port):
            step = self._step(key, why, _SHOW, ("bridge", "link", "set", "dev"), "state", "3")
            if not bridge.parameters.get("stp_state"):
                return step
            words = ("link", "set", "dev", bridge.name, "type", "bridge", "stp_state", "0")
            off = typed(space, "ip", *words)
            return replace(step, mend=f"{off} && {step.mend}")
        return None

    def locked(self, key: Key, bridge: Key, frame: Frame) -> Step | None:
        """Return that a port takes nothing from a card, for it is locked and does not know it."""
        if not self._links[key].port.get("locked") or not frame.source:
            return None
        name, switch = self._links[key].name, self._links[bridge].name
        entry = self._stacks[bridge[0]].entry(switch, frame.source, frame.vlan)
        if entry and entry.dev == name and entry.state != "permanent":
            return None
        words = ("bridge", "fdb", "add", frame.source, "dev", name, "master", "static")
        step = self._step(key, unknown(switch, frame.source), _SHOW)
        return replace(step, mend=typed(self._relations.spaces[key[0]], *words))

    def kept(self, bridge: Key, key: Key, came: Key | None, frame: Frame) -> Step | None:
        """Return what keeps a bridge from sending a frame by a port."""
        port, mend = self._links[key].port, ("bridge", "link", "set", "dev")
        if step := self.held(key):
            return step
        if came and port.get("isolated") and self._links[came].port.get("isolated"):
            why = "is isolated, as the port is where the frame came in"
            return self._step(key, why, _SHOW, mend, "isolated", "off")
        known = self.behind(bridge, frame)
        if known and known != key:
            return self.elsewhere(bridge, frame, known)
        kind = "bcast_flood" if frame.to == BROADCAST else "mcast_flood" if frame.many else "flood"
        # What a bridge sends itself goes to many by every port.
        flooded = not known and frame.to not in self.taught and (came or kind == "flood")
        if flooded and port.get(kind) is False:
            return self._step(key, f"is not flooded: {kind} is off", _SHOW, mend, kind, "on")
        if frame.many and port.get("neigh_suppress"):
            why = "answers for others: neigh_suppress is on"
            return replace(self._step(key, why, _SHOW), holds=None)
        return None

    def lone(self, key: Key) -> Step | None:
        """Return what keeps a port from sending back what came in by it."""
        if self._links[key].port.get("hairpin"):
            return None
        why = "sends nothing back to where it came from: hairpin is off"
        return self._step(key, why, _SHOW, ("bridge", "link", "set", "dev"), "hairpin", "on")

    def elsewhere(self, bridge: Key, frame: Frame, known: Key | None) -> Step:
        """Return that a bridge's FDB does not send a frame where it should."""
        space, link = self._relations.spaces[bridge[0]], self._links[bridge]
        there = f"is behind {self._links[known].name}" if known else "is not in it"
        mend: tuple[str, ...] = ("replace", frame.to, "dev", link.name, "self", "permanent")
        if known and frame.to != link.mac:
            mend = ("delete", frame.to, "dev", self._links[known].name, "master")
        show = typed(space, "bridge", "fdb", "show", "br", link.name)
        where, gone = self._relations.called(known or bridge), typed(space, "bridge", "fdb", *mend)
        return Step(f"{link.name}'s FDB: {frame.to} {there}", False, where, show, gone)

    def behind(self, bridge: Key, frame: Frame) -> Key | None:
        """Return the port that a bridge sends a frame to; None where it floods."""
        name = self._links[bridge].name
        entry = self._stacks[bridge[0]].entry(name, frame.to, frame.vlan)
        # A static entry does not age, but it moves to where its card is heard.
        moves = entry and entry.state != "permanent" and "sticky" not in entry.flags
        heard = frame.to in self.taught and frame.to != self._links[bridge].mac
        if frame.many or entry is None or (moves and heard):
            return None
        inside = (bridge, *self._relations.ports.get(bridge, ()))
        if entry.state == "permanent":
            return bridge
        return next((port for port in inside if self._links[port].name == entry.dev), None)

    def _step(
        self, key: Key, why: str, show: tuple[str, ...], mend: tuple[str, ...] = (), *to: str
    ) -> Step:
        """Return a step about a port that breaks; ``to`` is what it is to be set to."""
        space, name = self._relations.spaces[key[0]], self._links[key].name
        where, shown = self._relations.called(key), typed(space, *show, name)
        text = f"{where.removeprefix('root:')} {why}"
        return Step(text, False, where, shown, typed(space, *mend, name, *to) if mend else None)
