"""What is particular to each kind of link: a VXLAN's number, a bridge's spanning tree.

The kernel nests it in IFLA_INFO_DATA, for a bridge's port in IFLA_INFO_SLAVE_DATA, and numbers the
attributes anew for each kind: hence one table a kind, of attribute → (name, decoder), which is
read from ``kinds.toml``. Names and values are those of ``ip -d -j link``; a decoder returns None
for what ``ip`` would not show. Running timers are left out: with them no two snapshots of an idle
network were equal.
"""

from __future__ import annotations

import socket
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from netviz.net.netlink import Attributes, attributes, numbered

Decoder = Callable[[bytes], object]
Table = Mapping[int, tuple[str, Decoder]]


def parameters(kind: str, data: bytes) -> dict[str, Any]:
    """Return a link's own parameters. Equivalent to: ``linkinfo.info_data`` of ``ip -d -j link``.

    A ``link`` among them is still an interface index.
    """
    table = _KINDS.get(kind)
    decoded = _decode(table, attributes(data)) if table else {}
    # The kernel has one attribute for both, and `ip` two words.
    for version in ("", "6"):
        if _is_multicast(decoded.get(f"remote{version}")):
            decoded[f"group{version}"] = decoded.pop(f"remote{version}")
    return decoded


def port(kind: str, data: bytes) -> dict[str, Any]:
    """Return a port's parameters. Equivalent to: ``linkinfo.info_slave_data``."""
    return _decode(_KINDS["port"], attributes(data)) if kind == "bridge" else {}


def ip_address(value: bytes) -> str:
    """Return an IPv4 or IPv6 address as text; the length tells which."""
    return socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)


def mac_address(value: bytes) -> str:
    """Return a link-layer address as text: ``02:fc:00:00:00:01``."""
    return value.hex(":")


def _decode(table: Table, found: Attributes) -> dict[str, Any]:
    decoded: dict[str, Any] = {}
    for number, (name, decoder) in table.items():
        if number in found:
            value = decoder(found[number])
            if value is not None:
                decoded[name] = value
    return decoded


def _number(value: bytes) -> int:
    return int.from_bytes(value, sys.byteorder)


def _port_number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _bridge_id(value: bytes) -> str:
    # `ip` writes this one address without leading zeros.
    return f"{value[:2].hex()}." + ":".join(f"{byte:x}" for byte in value[2:])


def _vlan_protocol(value: bytes) -> object:
    number = _port_number(value)
    return {0x8100: "802.1Q", 0x88A8: "802.1ad"}.get(number, number)


def _vlan_flags(value: bytes) -> list[str]:
    names = numbered("1 REORDER_HDR 2 GVRP 4 LOOSE_BINDING 8 MVRP 16 BRIDGE_BINDING")
    return [name for bit, name in names.items() if _number(value[:4]) & bit]


def _one_of(text: str) -> Decoder:
    names = numbered(text)
    return lambda value: names.get(_number(value))


def _is_multicast(address: object) -> bool:
    text = str(address)
    return text.startswith("ff") if ":" in text else text[:3] in _IP4_MULTICAST


_IP4_MULTICAST = {str(number) for number in range(224, 240)}
_DECODERS: Mapping[str, Decoder] = {
    "number": _number,
    "port_number": _port_number,
    "hexadecimal": lambda value: hex(_number(value)),
    "bare_hexadecimal": lambda value: f"{_number(value):x}",
    "if_set": lambda value: _number(value) or None,
    "boolean": any,
    "if_true": lambda value: any(value) or None,
    "mac_address": mac_address,
    "address_if_set": lambda value: ip_address(value) if any(value) else None,
    "address_or_any": lambda value: ip_address(value) if any(value) else "any",
    "bridge_id": _bridge_id,
    "vlan_protocol": _vlan_protocol,
    "vlan_flags": _vlan_flags,
    "port_state": _one_of("0 disabled 1 listening 2 learning 3 forwarding 4 blocking"),
    "macvlan_mode": _one_of("1 private 2 vepa 4 bridge 8 passthru 16 source"),
    "ipvlan_mode": _one_of("0 l2 1 l3 2 l3s"),
    "carried_by_ip4": _one_of("0 any 4 ipip 41 ip6ip 137 mplsip"),
    "carried_by_ip6": _one_of("0 any 4 ipip6 41 ip6ip6"),
    "tun_type": _one_of("1 tun 2 tap"),
    "bond_mode": _one_of(
        "0 balance-rr 1 active-backup 2 balance-xor 3 broadcast 4 802.3ad 5 balance-tlb "
        "6 balance-alb"
    ),
}


def _read() -> dict[str, Table]:
    listed = tomllib.loads(Path(__file__).with_name("kinds.toml").read_text())
    return {
        kind: {
            number: (name, _DECODERS[decoder])
            for decoder, text in told.items()
            for number, name in numbered(text).items()
        }
        for kinds, told in listed.items()
        for kind in kinds.split()
    }


_KINDS = _read()
