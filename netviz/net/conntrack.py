"""Read which connections the kernel tracks: what it translates, and the way back, stand there.

Numbers and names are those of linux/netfilter/nfnetlink_conntrack.h and
linux/netfilter/nf_conntrack_common.h; words are those of ``conntrack -L``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from errno import EINVAL, EPROTONOSUPPORT
from pathlib import Path
from typing import TYPE_CHECKING

from netviz.model import row
from netviz.net.messages import attributes, numbered
from netviz.net.netlink import NETLINK_NETFILTER, Socket
from netviz.net.parameters import ip_address

if TYPE_CHECKING:
    from netviz.model import JSON

_GET = 1 << 8 | 1  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
_ALL_FAMILIES = struct.pack("BBH", 0, 0, 0)
_LOADED = Path("/proc/sys/net/netfilter/nf_conntrack_max")
_ORIGINAL, _REPLY, _STATUS, _DETAILS, _MARK, _ZONE = 1, 2, 3, 4, 8, 18
_IP, _PROTOCOL = 1, 2
_NUMBER = _TCP = _STATE = 1
_FAMILIES = numbered("2 ipv4 10 ipv6")
_PROTOCOLS = numbered(
    "1 icmp 2 igmp 4 ipip 6 tcp 17 udp 33 dccp 41 ipv6 47 gre 50 esp 51 ah 58 icmpv6 132 sctp "
    "136 udplite"
)
_FLAGS = numbered(
    "0x2 SEEN_REPLY 0x4 ASSURED 0x8 CONFIRMED 0x10 SRC_NAT 0x20 DST_NAT 0x200 DYING "
    "0x400 FIXED_TIMEOUT 0x2000 HELPER 0x4000 OFFLOAD 0x8000 HW_OFFLOAD"
)
_TCP_STATES = numbered(
    "0 NONE 1 SYN_SENT 2 SYN_RECV 3 ESTABLISHED 4 FIN_WAIT 5 CLOSE_WAIT 6 LAST_ACK 7 TIME_WAIT "
    "8 CLOSE 9 SYN_SENT2"
)


@dataclass(frozen=True, slots=True)
class Tuple:
    """What tells a connection's packets of one direction from others.

    ``sport`` and ``dport`` are ports; ``id``, ``type`` and ``code`` those of ICMP: None where the
    protocol has none.
    """

    source: str
    destination: str
    sport: int | None = None
    dport: int | None = None
    id: int | None = None
    type: int | None = None
    code: int | None = None

    def __str__(self) -> str:
        """Return it as ``conntrack -L`` does: ``src=10.1.1.1 dst=10.1.1.2 sport=… dport=…``."""
        said = ((name, getattr(self, name)) for name in ("type", "code", "id", "sport", "dport"))
        parts = [f"{name}={value}" for name, value in said if value is not None]
        return " ".join([f"src={self.source}", f"dst={self.destination}", *parts])

    def to_dict(self) -> JSON:
        """Return every field."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that is tracked. Equivalent to: a line of ``conntrack -L``.

    ``original`` is as its first packet came; what answers it is known by ``reply``, and is then
    turned into the inverse of ``original``. ``state`` is that of TCP, empty for others. ``flags``
    are ``SEEN_REPLY``, ``ASSURED``, ``SRC_NAT``, ``DST_NAT`` and other bits of the status.
    """

    family: str
    number: int
    original: Tuple
    reply: Tuple
    state: str = ""
    flags: tuple[str, ...] = ()
    mark: int = 0
    zone: int = 0

    @property
    def protocol(self) -> str:
        """Return the protocol's name, ``unknown`` where it has none here."""
        return _PROTOCOLS.get(self.number, "unknown")

    @property
    def translated(self) -> bool:
        """Tell whether NAT changes its packets: the answer is not the inverse of the question."""
        there, back = self.original, self.reply
        ends = (there.source, there.destination, there.sport, there.dport, there.id)
        return ends != (back.destination, back.source, back.dport, back.sport, back.id)

    def __str__(self) -> str:
        """Return it as ``conntrack -L`` does, but for what changes while one looks: the timeout."""
        seen, kept = "SEEN_REPLY" in self.flags, "ASSURED" in self.flags
        parts = [self.protocol, self.number, self.state, self.original]
        parts += ["" if seen else "[UNREPLIED]", self.reply, "[ASSURED]" if kept else ""]
        parts += [f"mark={self.mark}", f"zone={self.zone}" if self.zone else ""]
        return " ".join(str(part) for part in parts if part != "")

    def to_dict(self) -> JSON:
        """Return every field, the protocol's name, and whether it is translated."""
        return row(self) | {"protocol": self.protocol, "translated": self.translated}


def connections() -> tuple[Connection, ...]:
    """Return what the thread's namespace tracks, in the order of addresses and ports.

    Equivalent to: ``conntrack -L -f ipv4; conntrack -L -f ipv6``. Empty where the kernel does not
    track at all. Raises ``OSError`` where it refuses.
    """
    if not _LOADED.exists():  # To ask would load the module.
        return ()
    try:
        with Socket(NETLINK_NETFILTER) as netfilter:
            messages = netfilter.dump(_GET, _ALL_FAMILIES)
    except OSError as error:
        if error.errno in (EINVAL, EPROTONOSUPPORT):  # Built without.
            return ()
        raise
    found = (connection(message) for message in messages)
    # The kernel's order is that of a hash table.
    return tuple(sorted((each for each in found if each), key=str))


def connection(message: bytes) -> Connection | None:
    """Return what a message tells; None for one that is no connection, or of another family."""
    told = attributes(message, len(_ALL_FAMILIES))
    original, reply = (_tuple(told.get(kind, b"")) for kind in (_ORIGINAL, _REPLY))
    family = _FAMILIES.get(message[0]) if message else None
    if not (family and original and reply):
        return None
    status, mark, zone = (_big(told.get(kind, b"")) for kind in (_STATUS, _MARK, _ZONE))
    flags = tuple(word for bit, word in _FLAGS.items() if status & bit)
    tcp = attributes(attributes(told.get(_DETAILS, b"")).get(_TCP, b""))
    state = _TCP_STATES.get(_big(tcp[_STATE]), "") if _STATE in tcp else ""
    return Connection(family, *original, reply[1], state, flags, mark, zone)


def _tuple(data: bytes) -> tuple[int, Tuple] | None:
    """Return the number of a protocol, and a tuple; None where they are not told in full."""
    parts = attributes(data)
    ends, protocol = (attributes(parts.get(kind, b"")) for kind in (_IP, _PROTOCOL))
    pair = [ends[kind] for kind in (1, 2, 3, 4) if len(ends.get(kind, b"")) in (4, 16)]
    if len(pair) != 2 or _NUMBER not in protocol:
        return None
    # ICMPv6 has what ICMP has, three places further on.
    protocol |= {kind - 3: protocol[kind] for kind in (7, 8, 9) if kind in protocol}
    own = (_big(protocol[kind]) if kind in protocol else None for kind in (2, 3, 4, 5, 6))
    return _big(protocol[_NUMBER]), Tuple(ip_address(pair[0]), ip_address(pair[1]), *own)


def _big(value: bytes) -> int:
    return int.from_bytes(value[:8], "big")
