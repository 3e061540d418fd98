"""Turn RTM_NEWADDR messages into addresses, and addresses into messages.

Numbers and names are those of linux/if_addr.h; words are those of ``ip -d -j address``.
"""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from functools import lru_cache

from netviz.changes import CHOSEN_FLAGS
from netviz.model import Address
from netviz.net.links import text
from netviz.net.messages import attribute, attributes, numbered
from netviz.net.netlink import RTM_GETADDR, Socket
from netviz.net.parameters import ip_address, ip_bytes

_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _IFA_BROADCAST = 1, 2, 3, 4
_IFA_FLAGS, _IFA_PROTO = 8, 11

_IFA_F_SECONDARY = 0x1
_IFA_F_PERMANENT = 0x80
# "dynamic" is said of the addresses without the flag for permanent ones.
_ADDRESS_FLAGS = numbered(
    "0x1 secondary 0x2 nodad 0x4 optimistic 0x8 dadfailed 0x10 home 0x20 deprecated "
    "0x40 tentative 0x80 dynamic 0x100 mngtmpaddr 0x200 noprefixroute 0x400 autojoin "
    "0x800 stable-privacy"
)
_PROTOCOLS = numbered("1 kernel_lo 2 kernel_ra 3 kernel_ll")
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
SCOPE_NUMBERS = {name: number for number, name in SCOPES.items()}
FAMILIES = {2: "inet", 10: "inet6"}
FAMILY_NUMBERS = {name: number for number, name in FAMILIES.items()}

_header = struct.Struct("BBBBi")
_unsigned = struct.Struct("I").unpack


def addresses(socket: Socket) -> dict[int, list[Address]]:
    """Return each interface's addresses, by index. Equivalent to: ``ip -j address``."""
    found: dict[int, list[Address]] = defaultdict(list)
    for message in socket.dump(RTM_GETADDR, bytes(_header.size)):
        family, prefixlen, flags, scope, index = _header.unpack_from(message)
        if family not in FAMILIES:
            continue
        told = attributes(message, _header.size)
        flags = _unsigned(told[_IFA_FLAGS])[0] if _IFA_FLAGS in told else flags
        local = told.get(_IFA_LOCAL) or told[_IFA_ADDRESS]
        peer = told.get(_IFA_ADDRESS, local)
        broadcast = told.get(_IFA_BROADCAST)
        label = told.get(_IFA_LABEL)
        found[index].append(
            Address(
                FAMILIES[family],
                ip_address(local),
                prefixlen,
                SCOPES.get(scope) or str(scope),
                ip_address(peer) if peer != local else None,
                ip_address(broadcast) if broadcast else None,
                text(label) if label else None,
                _address_flags(family, flags),
                _PROTOCOLS.get(told[_IFA_PROTO][0]) if _IFA_PROTO in told else None,
            )
        )
    return found


def packed(address: Address, index: int) -> bytes:
    """Return a request's body for an address. Equivalent to: ``ip address add`` or ``delete``.

    Raises ``OSError`` for an address that is none.
    """
    flags = sum(bit for bit, name in _ADDRESS_FLAGS.items() if name in _chosen(address))
    data = attribute(_IFA_LOCAL, ip_bytes(address.local))
    data += attribute(_IFA_ADDRESS, ip_bytes(address.peer or address.local))
    if address.broadcast:
        data += attribute(_IFA_BROADCAST, ip_bytes(address.broadcast))
    if address.label:
        data += attribute(_IFA_LABEL, os.fsencode(address.label) + b"\0")
    if flags:
        data += attribute(_IFA_FLAGS, struct.pack("I", flags))
    family = FAMILY_NUMBERS[address.family]
    ranged = address.scope if address.family == "inet" else "global"  # In IPv6 nobody asks.
    scope = int(SCOPE_NUMBERS.get(ranged, ranged))
    return _header.pack(family, address.prefixlen, 0, scope, index) + data


def words(address: Address, device: str) -> list[str]:
    """Return what one types after ``ip address add`` or ``delete``."""
    whole = [address.local, "peer", f"{address.peer}/{address.prefixlen}"]
    told = whole if address.peer else [str(address)]
    told += ["broadcast", address.broadcast] if address.broadcast else []
    told += ["dev", device]
    told += ["label", address.label] if address.label not in (None, device) else []
    implied = "host" if address.local.startswith("127.") else "global"
    if address.family == "inet" and address.scope != implied:  # In IPv6 the address itself says it.
        told += ["scope", address.scope]
    return told + _chosen(address)


def _chosen(address: Address) -> list[str]:
    """Return the flags that somebody sets: the others the kernel does."""
    return [flag for flag in address.flags if flag in CHOSEN_FLAGS]


@lru_cache
def _address_flags(family: int, flags: int) -> tuple[str, ...]:
    flags ^= _IFA_F_PERMANENT
    named = [name for bit, name in _ADDRESS_FLAGS.items() if flags & bit]
    if flags & _IFA_F_SECONDARY and FAMILIES[family] == "inet6":
        named[0] = "temporary"
    return tuple(named)
