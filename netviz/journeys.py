"""The frozen nouns of what travels: a packet at one place, a hop, and a whole journey.

Like those of `netviz.model` they ask nothing and draw nothing; each can say itself as plain JSON
values with ``to_dict``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netviz.model import Endpoint, row

if TYPE_CHECKING:
    from netviz.model import JSON, Snapshot

DELIVERED, DISCARDED, LOST = "delivered", "discarded", "lost"
HANDED = "handed to"
"""How the reason begins where a packet was delivered to a program, which does what it likes."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet as one interface saw it.

    ``at`` is in nanoseconds since 1970, by the kernel's clock; ``direction`` is ``out`` where the
    namespace sends and ``in`` where it receives. ``data`` begins with an Ethernet header or, where
    ``link`` is ``ip`` (a tun, a tunnel), with an IP header; ``length`` is how long it was, of which
    ``data`` may be the beginning.
    """

    at: int
    where: Endpoint
    direction: str
    data: bytes
    length: int
    link: str = "ether"

    def to_dict(self) -> JSON:
        """Return every field; ``data`` in hexadecimal digits."""
        return row(self) | {"data": self.data.hex()}


@dataclass(frozen=True, slots=True)
class Header:
    """One header of a packet: its fields as one reads them, and the bytes that it takes.

    ``name`` is Ethernet, ARP, IPv4, IPv6, ICMP, ICMPv6, UDP, TCP, VXLAN, GRE, Data … The outermost
    comes first. ``fields`` are pairs of a name and a value: ``("ttl", "64")``. ``spans`` tells for
    each field from which byte to before which it lies in the packet's data.
    """

    name: str
    fields: tuple[tuple[str, str], ...] = ()
    start: int = 0
    end: int = 0
    spans: tuple[tuple[int, int], ...] = ()

    def get(self, name: str) -> str:
        """Return a field's value, an empty text where there is none of this name."""
        return dict(self.fields).get(name, "")

    def to_dict(self) -> JSON:
        """Return ``{"name", "start", "end", "fields": {…}}``."""
        told: JSON = {"name": self.name, "start": self.start, "end": self.end}
        return told | {"fields": dict(self.fields)}


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What is otherwise than at the hop before: a field of a header, or a whole header.

    A header that was put around or taken off has no ``field``: then ``before`` or ``after`` is
    empty.
    """

    header: str
    field: str
    before: str
    after: str

    def __str__(self) -> str:
        """Return it as one reads it: ``IPv4 ttl 64 → 63``, ``+ VXLAN vni 42``."""
        if self.field:
            return f"{self.header} {self.field} {self.before} → {self.after}"
        return f"+ {self.header} {self.after}" if self.after else f"- {self.header} {self.before}"

    def to_dict(self) -> JSON:
        """Return every field."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence that says why, and the ``command`` that shows the fact that it rests on."""

    text: str
    command: str | None = None

    def __str__(self) -> str:
        """Return the sentence."""
        return self.text

    def to_dict(self) -> JSON:
        """Return both."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Hop:
    """A place that a packet came by.

    ``number`` counts from 1 by time; ``after`` are the numbers of the hops that it came from: none
    for the first, one mostly, several where packets were merged. ``role`` says what the place is:
    ``port of br0``. ``headers`` are those of the packet here, ``changes`` what is otherwise than at
    the hop before, ``reasons`` what decided that it came here.

    ``packet`` is None where no tap sees it, and it must have been there all the same.

    ``fate`` is empty where the packet went on, else ``delivered``, ``discarded`` (a copy that
    nobody wanted, as when a bridge floods) or ``lost``; ``end`` says why.
    """

    number: int
    where: Endpoint
    direction: str
    role: str = ""
    packet: Packet | None = None
    headers: tuple[Header, ...] = ()
    changes: tuple[Rewrite, ...] = ()
    reasons: tuple[Reason, ...] = ()
    after: tuple[int, ...] = ()
    fate: str = ""
    end: Reason | None = None

    def to_dict(self) -> JSON:
        """Return every field."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Journey:
    """What became of one packet, from its first hop to the last.

    ``protocol`` is ``arp``, ``nd``, ``icmp``, ``tcp``, ``udp`` or ``other``. A ``prelude`` is no
    packet of the command's own: the question and the answer that had to come before it. Where one
    was asked for but nothing was ever seen of it, its only hop is the stack that did not send it.
    """

    title: str
    protocol: str
    hops: tuple[Hop, ...]
    prelude: bool = False

    def __iter__(self) -> Iterator[Hop]:
        """Yield the hops, by time."""
        return iter(self.hops)

    @property
    def fate(self) -> str:
        """Return ``delivered`` where one of its copies was, else ``lost`` or ``discarded``."""
        fates = [hop.fate for hop in self.hops]
        return next((fate for fate in (DELIVERED, LOST, DISCARDED) if fate in fates), LOST)

    @property
    def end(self) -> Hop:
        """Return the hop that decided its fate, where it was delivered or where it was lost."""
        return next((hop for hop in self.hops[::-1] if hop.fate == self.fate), self.hops[-1])

    def to_dict(self) -> JSON:
        """Return every field, and its fate."""
        return row(self) | {"fate": self.fate}


@dataclass(frozen=True, slots=True)
class Followed:
    """What was seen while a command ran: its ``journeys`` by time, and all ``packets`` of the lab.

    ``network`` is the lab when the command had ended. ``drops`` counts packets that the kernel
    could not hand to a tap; ``output`` and ``status`` are the command's own.
    """

    journeys: tuple[Journey, ...]
    network: Snapshot
    packets: tuple[Packet, ...] = ()
    drops: int = 0
    command: str = ""
    output: str = ""
    status: int = 0
