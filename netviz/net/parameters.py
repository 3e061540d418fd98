"""What is particular to each kind of link: a VXLAN's number, a bridge's spanning tree.

The kernel nests it in IFLA_INFO_DATA, for a bridge's port in IFLA_INFO_SLAVE_DATA, and numbers the
attributes anew for each kind: hence one table a kind, of attribute → (name, decoder, encoder),
which is read from ``kinds.toml``. Names and values are those of ``ip -d -j link``; a decoder
returns None for what ``ip`` would not show. Running timers are left out: with them no two snapshots
of an idle network were equal.
"""

from __future__ import annotations

import socket
import struct
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from netviz.errors import NetvizError
from netviz.net.messages import Attributes, attribute, attributes, numbered

Decoder = Callable[[bytes], object]
Encoder = Callable[[Any], bytes]
Table = Mapping[int, tuple[str, Decoder, Encoder | None]]
_Chosen = dict[str, dict[str, object]]


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


def packed(kind: str, chosen: Mapping[str, object]) -> bytes:
    """Return parameters as attributes, for a kind of link, or ``port``; what is told only, not.

    Raises ``NetvizError`` for a parameter that the kind has not, and for a value that is none.
    """
    named = {name: (number, code) for number, (name, _, code) in _KINDS.get(kind, {}).items()}
    data = b""
    for name, value in {**_implied(kind, chosen), **chosen}.items():
        known_as = name.replace("group", "remote") if name in _GROUPS else name
        known_as += "6" if ":" in str(value) and f"{known_as}6" in named else ""
        number, encode = named.get(known_as, (0, None))
        if encode is None:
            if number:
                continue
            known = ", ".join(sorted(settable(kind))) or "it has none"
            raise NetvizError(f"a {kind} has no parameter {name!r}", remedy=f"choose of: {known}")
        try:
            told = encode(value)
        except (ValueError, TypeError, struct.error, OSError, KeyError, AttributeError) as error:
            raise NetvizError(f"the {name} of a {kind} cannot be {value!r}") from error
        data += attribute(number, told) if told else b""
        if name in _GRE_KEYS:
            data += attribute(_GRE_KEYS[name], _GRE_KEY)
    return data


def settable(kind: str) -> set[str]:
    """Return the names of the parameters of a kind of link that can be chosen."""
    return {name for name, _, encode in _KINDS.get(kind, {}).values() if encode}


def unusual(kind: str, told: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters that one has to say to get them: not what the kernel takes anyway."""
    usual, known = _USUAL.get(kind, {}), settable(kind) | _GROUPS
    usual = usual | (_EXTERNAL if told.get("external") else {})
    return {
        name: value
        for name, value in told.items()
        if name in known and name != "link" and usual.get(name) != value
    }


def words(kind: str, chosen: Mapping[str, object]) -> Iterator[str]:
    """Yield parameters as one types them after ``ip link add NAME type KIND``, word by word."""
    # For `ip` a VXLAN that is external learns nothing, if that is not said after it.
    for name, value in sorted(chosen.items(), key=lambda told: told[0] != "external"):
        word = _WORDS.get(name, name).removesuffix("6")
        if kind == "vlan" and isinstance(value, list):
            for flag in value:
                yield from (flag.lower(), "on") if flag != "REORDER_HDR" else ()
            yield from () if "REORDER_HDR" in value else ("reorder_hdr", "off")
        elif name == "flag":  # An ipvlan's, which has no name.
            yield str(value)
        elif isinstance(value, bool) and kind != "port":
            yield word if value else f"no{word}"
        else:
            yield from (word, _ON[value] if isinstance(value, bool) else _said(name, value))


def ip_address(value: bytes) -> str:
    """Return an IPv4 or IPv6 address as text; the length tells which."""
    return socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)


def ip_bytes(text: object) -> bytes:
    """Return an IPv4 or IPv6 address as the kernel wants it. Raises ``OSError`` for none."""
    family = socket.AF_INET6 if ":" in str(text) else socket.AF_INET
    return socket.inet_pton(family, str(text))


def mac_address(value: bytes) -> str:
    """Return a link-layer address as text: ``02:fc:00:00:00:01``."""
    return value.hex(":")


def mac_bytes(text: str) -> bytes:
    """Return a link-layer address as the kernel wants it. Raises ``ValueError`` for none."""
    return bytes.fromhex(text.replace(":", "")) if text.count(".") != 3 else ip_bytes(text)


def _implied(kind: str, chosen: Mapping[str, object]) -> Mapping[str, object]:
    """Return what `ip` says besides, where some parameters are said and these are not."""
    return _EXTERNAL if chosen.get("external") else _IMPLIED.get(kind, {}) if chosen else {}


def _said(name: str, value: object) -> str:
    return f"0x{value}" if name == "group_fwd_mask" else str(value)


def _decode(table: Table, found: Attributes) -> dict[str, Any]:
    decoded: dict[str, Any] = {}
    for number, (name, decoder, _) in table.items():
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
    return _VLAN_PROTOCOLS.get(number, number)


def _vlan_flags(value: bytes) -> list[str]:
    return [name for bit, name in _VLAN_FLAGS.items() if _number(value[:4]) & bit]


def _packed_flags(chosen: list[str]) -> bytes:
    bits = sum(bit for bit, name in _VLAN_FLAGS.items() if name in chosen)
    return struct.pack("II", bits, sum(_VLAN_FLAGS))


def _sized(size: int) -> Encoder:
    return lambda value: int(value).to_bytes(size, sys.byteorder)


def _one_of(size: int, text: str) -> tuple[Decoder, Encoder]:
    names = numbered(text)
    numbers = {name: number for number, name in names.items()}
    return lambda value: names.get(_number(value)), lambda word: _sized(size)(numbers[word])


def _is_multicast(address: object) -> bool:
    text = str(address)
    return text.startswith("ff") if ":" in text else text[:3] in _IP4_MULTICAST


_EXTERNAL: dict[str, object] = {"learning": False}
_GROUPS = {"group", "group6"}
_ON = {True: "on", False: "off"}
_WORDS = {
    "port": "dstport",
    "proto": "mode",
    "group_addr": "group_address",
    "encap_limit": "encaplimit",
    "multicast_router": "mcast_router",
}
_GRE_KEYS = {"ikey": 2, "okey": 3}  # A flag says that there is one.
_GRE_KEY = b"\x20\x00"
_VLAN_PROTOCOLS = {0x8100: "802.1Q", 0x88A8: "802.1ad"}
_VLAN_FLAGS = numbered("1 REORDER_HDR 2 GVRP 4 LOOSE_BINDING 8 MVRP 16 BRIDGE_BINDING")
_IP4_MULTICAST = {str(number) for number in range(224, 240)}
_CODECS: Mapping[str, tuple[Decoder, Encoder | None]] = {
    **{f"u{8 * size}": (_number, _sized(size)) for size in (1, 2, 4)},
    "u32_if_set": (lambda value: _number(value) or None, _sized(4)),
    "u8_unread": (lambda _: None, _sized(1)),
    "hexadecimal_if_set": (
        lambda value: hex(_number(value)) if any(value) else None,
        lambda text: int(str(text), 16).to_bytes(1, sys.byteorder),
    ),
    "port_number": (_port_number, lambda value: int(value).to_bytes(2, "big")),
    "bare_hexadecimal": (
        lambda value: f"{_number(value):x}",
        lambda text: int(str(text), 16).to_bytes(2, sys.byteorder),
    ),
    "boolean": (any, lambda value: bytes([bool(value)])),
    "if_true": (lambda value: any(value) or None, lambda value: bytes([bool(value)])),
    "mac_address": (mac_address, mac_bytes),
    "address_if_set": (lambda value: ip_address(value) if any(value) else None, ip_bytes),
    "address_or_any": (
        lambda value: ip_address(value) if any(value) else "any",
        lambda text: b"" if text == "any" else ip_bytes(text),
    ),
    "vlan_protocol": (
        _vlan_protocol,
        lambda word: {name: n for n, name in _VLAN_PROTOCOLS.items()}[word].to_bytes(2, "big"),
    ),
    "vlan_flags": (_vlan_flags, _packed_flags),
    "macvlan_mode": _one_of(4, "1 private 2 vepa 4 bridge 8 passthru 16 source"),
    "ipvlan_mode": _one_of(2, "0 l2 1 l3 2 l3s"),
    "ipvlan_flag": _one_of(2, "1 private 2 vepa"),
    "carried_by_ip4": _one_of(1, "0 any 4 ipip 41 ip6ip 137 mplsip"),
    "carried_by_ip6": _one_of(1, "0 any 4 ipip6 41 ip6ip6"),
    "bond_mode": _one_of(
        1,
        "0 balance-rr 1 active-backup 2 balance-xor 3 broadcast 4 802.3ad 5 balance-tlb "
        "6 balance-alb",
    ),
    "xmit_policy": _one_of(1, "0 layer2 1 layer3+4 2 layer2+3 3 encap2+3 4 encap3+4 5 vlan+srcmac"),
    "lacp_rate": _one_of(1, "0 slow 1 fast"),
    "told_number": (_number, None),
    "told_boolean": (any, None),
    "told_hexadecimal": (lambda value: hex(_number(value)), None),
    "told_bridge_id": (_bridge_id, None),
    "told_port_state": (
        _one_of(1, "0 disabled 1 listening 2 learning 3 forwarding 4 blocking")[0],
        None,
    ),
    "told_tun_type": (_one_of(1, "1 tun 2 tap")[0], None),
}


def _read() -> tuple[dict[str, Table], _Chosen, _Chosen]:
    listed = tomllib.loads(Path(__file__).with_name("kinds.toml").read_text())
    usual, implied = (
        {kind: told for kinds, told in listed.pop(name).items() for kind in kinds.split()}
        for name in ("usual", "implied")
    )
    tables: dict[str, Table] = {
        kind: {
            number: (name, *_CODECS[codec])
            for codec, text in told.items()
            for number, name in numbered(text).items()
        }
        for kinds, told in listed.items()
        for kind in kinds.split()
    }
    return tables, usual, implied


_KINDS, _USUAL, _IMPLIED = _read()
