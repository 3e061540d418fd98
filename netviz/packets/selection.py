"""Which of all packets belong to a command, and which should have come and did not. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from netviz.journeys import DELIVERED, LOST, Hop, Journey, Reason
from netviz.model import Endpoint
from netviz.packets.children import on_another
from netviz.packets.headers import address
from netviz.packets.parts import parts
from netviz.packets.telling import protocol_of
from netviz.packets.unsent import NO_ANSWER, NOT_FOUND, unsent

if TYPE_CHECKING:
    from netviz.model import Namespace
    from netviz.packets.facts import Facts, Spot
    from netviz.packets.sightings import Sighting
    from netviz.packets.tracing import Track

_OF_A_SOURCE = ("-I", "-S", "-B", "--bind", "--interface", "--source", "-g")
_SENDERS = {
    *("ping", "ping6", "traceroute", "tracepath", "mtr", "curl", "wget", "nc", "ncat", "netcat"),
    *("telnet", "ssh", "dig", "arping", "iperf3", "hping3", "nmap"),
}
_CHATTER = ("stp", "llc", "frame")
_LISTENING = (130, 131, 132, 133, 134, 143)
_FAILED = re.compile("error|too long|denied|unreachable|refused|not permitted|invalid", re.I)
_IGMP, _ICMP6 = 2, 58
_REPLIES = {8: 0, 128: 129}
_SYN = 2
_DHCP, _LEASE = b"\x00\x44\x00\x43", b"\x00\x43\x00\x44"  # UDP 68 → 67, and back.


class Command(NamedTuple):
    """What a command was, and how it went: what it printed, and its exit status.

    ``to`` is the address that it sends to, where that is known otherwise than by its line.
    """

    line: str
    output: str = ""
    status: int = 0
    to: str | None = None

    def aim(self) -> tuple[str, str | None] | None:
        """Return the address that it sends to, and the device where one is named with it.

        It is the last address in the line, but no source, of one program that is known to send.
        """
        if self.to:
            return self.to, None
        try:
            program, *words = shlex.split(self.line)
        except ValueError:
            return None
        if program.rpartition("/")[2] not in _SENDERS or set(words) & {";", "&&", "||", "|", "&"}:
            return None
        found = None
        for before, word in zip([program, *words], words, strict=False):
            told = urlsplit(word).hostname or "" if "://" in word else word.rpartition("@")[2]
            to, _, dev = told.partition("%")
            to = to if to.count(":") > 1 else to.partition(":")[0].partition("/")[0]
            try:
                own = (str(ip_address(to)), dev or None)
            except ValueError:
                continue
            found = found if before in _OF_A_SOURCE else own
        return found

    def excuse(self) -> str:
        """Return what it said of a failure, empty where it said nothing of it."""
        lines = (line.strip() for line in self.output.splitlines())
        return next((line for line in lines if _FAILED.search(line)), "")


def belonging(seen: Sequence[Track], space: Namespace) -> list[Track]:
    """Return the tracks of what a namespace sent, of the answers, and of the questions before.

    Hosts that look for routers or listen to groups, and bridges that greet each other, do so all
    the time: they are left out.
    """
    wanted = [track for track in seen if not _chatter(track)]
    told = [track for track in wanted if not _prelude(track)]
    own = {track for track in told if _from(track) == space.id}
    pairs = {frozenset(each.ends) for track in own for each in track.sightings}
    hosts = {end for pair in pairs for end in pair}
    hosts |= {end for track in own for each in track.sightings for end in _around(each)}
    leases = any(track.first.mark.startswith(_DHCP) for track in own)
    chosen = own | {
        track
        for track in told
        if any(frozenset(each.ends) in pairs for each in track.sightings)
        or (_is_error(track) and track.first.ends[1] in hosts)
        or (leases and track.first.mark.startswith(_LEASE))  # For an address that nobody has yet.
    }
    spaces = {space.id} | {each.packet.where.id for it in chosen for each in it.sightings}
    chosen |= {track for track in wanted if _prelude(track) and _from(track) in spaces}
    return [track for track in seen if track in chosen]


def missing(
    seen: Sequence[Track],
    told: Sequence[Journey],
    space: Namespace,
    command: Command,
    facts: Facts,
) -> Iterator[tuple[int, Journey]]:
    """Yield journeys that did not begin though they should have, each with the time.

    What a command that failed was to send to an address, and did not; and answers to what was
    delivered. ``told`` are the first of what was ``seen``, in words.
    """
    sent = [track for track in seen if _from(track) == space.id and not _prelude(track)]
    aim = command.aim() if command.status else None
    if aim and not any(_is_for(track, aim[0]) for track in sent):
        last = max((track.first.packet.at for track in seen), default=0)
        dev, why = unsent_to(space, aim[0], told, facts, dev=aim[1])
        said = command.excuse()
        if said and NOT_FOUND in why.text:
            why = replace(why, text=f"{why}; the command says: {said}")
        yield last, _never(f"what was for {aim[0]}", "other", space, (dev, why))
    answers = {answer for track in seen if (answer := _answers(track))}
    for track, way in zip(seen, told, strict=False):
        spot = None if _asks(track) in answers else _unanswered(track, way, facts)
        if spot:
            source, end = spot.ends
            answer = unsent_to(spot.space, source, told, facts, end)
            way_back = _never(f"the answer to {way.title}", way.protocol, spot.space, answer)
            yield track.first.packet.at + 1, way_back


def unsent_to(
    space: Namespace,
    to: str,
    told: Iterable[Journey],
    facts: Facts,
    source: str | None = None,
    dev: str | None = None,
) -> tuple[str, Reason]:
    """Return the device by which a namespace would have sent, and why it did not.

    Where nobody answered its question, that says what became of the question.
    """
    stack = facts.after[space.id]
    found = stack.route(to, source=source, oif=dev)
    dev = found.devices[0] if found.devices else dev or ""
    why = facts.blocked(space, to) or unsent(space, stack, to, found)
    asked = [it for it in told if it.prelude and it.hops[0].where.id == space.id]
    if not asked and NO_ANSWER in why.text:  # It was not even asked.
        return dev, replace(why, text=f"{space.name} did not send it, {NOT_FOUND}")
    lost = [way.end for way in asked if way.fate == LOST and way.end.end]
    if lost and NO_ANSWER in why.text:
        hop = lost[-1]
        why = replace(why, text=f"{why}: its question got lost at {hop.where}: {hop.end}")
    elif NO_ANSWER in why.text and (own := stack.interface(dev)):
        links, gateway = facts.relations.links, found.gateways[0]
        owners = (key for key, it in links.items() if gateway in {a.local for a in it.addresses})
        if apart := on_another(facts.relations, (space.id, own.index), owners):
            why = replace(why, text=f"{why}: {apart[2]}")
    return dev, why


def _never(title: str, protocol: str, space: Namespace, why: tuple[str, Reason]) -> Journey:
    dev, reason = why
    index = next((link.index for link in space.interfaces if link.name == dev), 0)
    where = Endpoint(space.id, index, space.name, dev)
    role = f"{space.name}'s own stack"
    hop = Hop(1, where, "out", role, fate=LOST, end=reason)
    return Journey(title, protocol, (hop,))


def _unanswered(track: Track, way: Journey, facts: Facts) -> Spot | None:
    """Return where a question was delivered that wants an answer; None for what wants none.

    What was handed to a program, or left for elsewhere, is not answered by a stack that is known.
    """
    if way.fate != DELIVERED or way.end.direction == "out" or _asks(track) is None:
        return None
    here = way.end.where.key
    last = next(each for each in track.sightings[::-1] if each.packet.where.key == here)
    spot = facts.spot(last)
    return None if spot.stack.broadcast(spot.ends[1]) else spot  # Who is meant may be silent.


def _asks(track: Track) -> object:
    """Return by what the answer to a packet is known; None where none is wanted."""
    kind, *rest = track.first.key
    if kind == "icmp" and rest[2] in _REPLIES:
        return (_REPLIES[int(str(rest[2]))], *rest[3:])
    said = track.first.segment
    return (said.sequence + 1) % (1 << 32) if said and said.flags == _SYN else None


def _answers(track: Track) -> object:
    """Return by what a packet is known to whoever waits for it."""
    kind, *rest = track.first.key
    said = track.first.segment
    return said.acknowledgement if said else tuple(rest[2:]) if kind == "icmp" else None


def _from(track: Track) -> int:
    """Return the namespace that a packet comes from."""
    return track.first.packet.where.id


def _is_for(track: Track, to: str) -> bool:
    return any(to == address(each.ends[1]) for each in track.sightings)


def _prelude(track: Track) -> bool:
    return protocol_of(track.first) in ("arp", "nd")


def _is_error(track: Track) -> bool:
    key = track.first.key
    return key[0] == "icmp" and key[3] in ((3, 5, 11) if key[1] == 1 else (1, 2, 3))


def _around(sighting: Sighting) -> Iterator[bytes]:
    """Yield the ends of the tunnels that a packet is in: they hear of it if it gets lost."""
    for part in parts(sighting.packet) if sighting.depth else ():
        if part.name in ("IPv4", "IPv6"):
            yield from (bytes(part.told.src), bytes(part.told.dst))


def _chatter(track: Track) -> bool:
    key, ends = track.first.key, track.first.ends
    if key[0] in _CHATTER or key[:2] == ("ip", _IGMP) or ends[0] == bytes(16):
        return True
    return key[0] == "icmp" and key[1] == _ICMP6 and key[3] in _LISTENING
