"""What is particular to each kind of link: a VXLAN's number, a bridge's spanning tree.

The kernel nests it in IFLA_INFO_DATA, for a bridge's port in IFLA_INFO_SLAVE_DATA, and numbers the
attributes anew for each kind: hence one table a kind, of attribute → (name, decoder). Names and
values are those of ``ip -d -j link``; a decoder returns None for what ``ip`` would not show.
Running timers are left out: with them no two snapshots of an idle network were equal.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from netviz.net.netlink import Attributes, attributes

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
    return _decode(_BRIDGE_PORT, attributes(data)) if kind == "bridge" else {}


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


def _if_set(value: bytes) -> int | None:
    return _number(value) or None


def _boolean(value: bytes) -> bool:
    return any(value)


def _if_true(value: bytes) -> bool | None:
    return any(value) or None


def _hexadecimal(value: bytes) -> str:
    return hex(_number(value))


def _bare_hexadecimal(value: bytes) -> str:
    return f"{_number(value):x}"


def _address_if_set(value: bytes) -> str | None:
    return ip_address(value) if any(value) else None


def _address_or_any(value: bytes) -> str:
    return ip_address(value) if any(value) else "any"


def _is_multicast(address: object) -> bool:
    text = str(address)
    return text.startswith("ff") if ":" in text else text[:3] in _IP4_MULTICAST


def _bridge_id(value: bytes) -> str:
    # `ip` writes this one address without leading zeros.
    return f"{value[:2].hex()}." + ":".join(f"{byte:x}" for byte in value[2:])


def _one_of(*names: str) -> Decoder:
    def name(value: bytes) -> object:
        number = _number(value)
        return names[number] if number < len(names) else number

    return name


_IP4_MULTICAST = {str(number) for number in range(224, 240)}
_VLAN_PROTOCOL = {0x8100: "802.1Q", 0x88A8: "802.1ad"}
_MACVLAN_MODE = {1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}
_VLAN_FLAGS = {1: "REORDER_HDR", 2: "GVRP", 4: "LOOSE_BINDING", 8: "MVRP", 16: "BRIDGE_BINDING"}
_CARRIED_BY_4 = {0: "any", 4: "ipip", 41: "ip6ip", 137: "mplsip"}
_CARRIED_BY_6 = {0: "any", 4: "ipip6", 41: "ip6ip6"}


def _vlan_protocol(value: bytes) -> object:
    number = _port_number(value)
    return _VLAN_PROTOCOL.get(number, number)


def _vlan_flags(value: bytes) -> list[str]:
    number = _number(value[:4])
    return [name for bit, name in _VLAN_FLAGS.items() if number & bit]


_BRIDGE: Table = {
    1: ("forward_delay", _number),
    2: ("hello_time", _number),
    3: ("max_age", _number),
    4: ("ageing_time", _number),
    5: ("stp_state", _number),
    6: ("priority", _number),
    7: ("vlan_filtering", _number),
    8: ("vlan_protocol", _vlan_protocol),
    11: ("bridge_id", _bridge_id),
    10: ("root_id", _bridge_id),
    12: ("root_port", _number),
    13: ("root_path_cost", _number),
    14: ("topology_change", _number),
    15: ("topology_change_detected", _number),
    39: ("vlan_default_pvid", _number),
    9: ("group_fwd_mask", _bare_hexadecimal),
    20: ("group_addr", mac_address),
    23: ("mcast_snooping", _number),
    22: ("mcast_router", _number),
    25: ("mcast_querier", _number),
    36: ("nf_call_iptables", _number),
    37: ("nf_call_ip6tables", _number),
    38: ("nf_call_arptables", _number),
}

_BRIDGE_PORT: Table = {
    1: ("state", _one_of("disabled", "listening", "learning", "forwarding", "blocking")),
    2: ("priority", _number),
    3: ("cost", _number),
    4: ("hairpin", _boolean),
    5: ("guard", _boolean),
    6: ("root_block", _boolean),
    7: ("fastleave", _boolean),
    8: ("learning", _boolean),
    9: ("flood", _boolean),
    17: ("id", _hexadecimal),
    18: ("no", _hexadecimal),
    15: ("designated_port", _number),
    16: ("designated_cost", _number),
    14: ("bridge_id", _bridge_id),
    13: ("root_id", _bridge_id),
    10: ("proxy_arp", _boolean),
    25: ("multicast_router", _number),
    27: ("mcast_flood", _boolean),
    30: ("bcast_flood", _boolean),
    32: ("neigh_suppress", _boolean),
    31: ("group_fwd_mask", _bare_hexadecimal),
    29: ("vlan_tunnel", _boolean),
    33: ("isolated", _boolean),
    39: ("locked", _boolean),
}

_VXLAN: Table = {
    1: ("id", _number),
    2: ("remote", _address_if_set),
    16: ("remote6", _address_if_set),
    4: ("local", _address_if_set),
    17: ("local6", _address_if_set),
    3: ("link", _if_set),
    15: ("port", _port_number),
    7: ("learning", _boolean),
    11: ("proxy", _if_true),
    12: ("rsc", _if_true),
    13: ("l2miss", _if_true),
    14: ("l3miss", _if_true),
    6: ("tos", _if_set),
    5: ("ttl", _number),
    8: ("ageing", _number),
    25: ("external", _if_true),
}

_IP_TUNNEL: Table = {
    9: ("proto", lambda value: _CARRIED_BY_4.get(_number(value))),
    3: ("remote", _address_or_any),
    2: ("local", _address_or_any),
    1: ("link", _if_set),
    4: ("ttl", _number),
    5: ("tos", _if_set),
    10: ("pmtudisc", _boolean),
}

_GRE: Table = {
    7: ("remote", _address_or_any),
    6: ("local", _address_or_any),
    1: ("link", _if_set),
    8: ("ttl", _number),
    9: ("tos", _if_set),
    10: ("pmtudisc", _boolean),
    4: ("ikey", _address_if_set),
    5: ("okey", _address_if_set),
}

_IP6_TUNNEL: Table = {
    9: ("proto", lambda value: _CARRIED_BY_6.get(_number(value))),
    3: ("remote", _address_or_any),
    2: ("local", _address_or_any),
    1: ("link", _if_set),
    4: ("ttl", _number),
}

_IP6_GRE: Table = {number: _GRE[number] for number in (7, 6, 1, 8, 4, 5)}

_TUN: Table = {
    3: ("type", lambda value: {1: "tun", 2: "tap"}.get(_number(value))),
    4: ("pi", _boolean),
    5: ("vnet_hdr", _boolean),
    7: ("multi_queue", _boolean),
    6: ("persist", _boolean),
    1: ("user", _number),
    2: ("group", _number),
}

_BOND_MODES = (
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
)

_KINDS: Mapping[str, Table] = {
    "bridge": _BRIDGE,
    "vxlan": _VXLAN,
    "geneve": {
        1: ("id", _number),
        2: ("remote", _address_if_set),
        7: ("remote6", _address_if_set),
        3: ("ttl", _number),
        5: ("port", _port_number),
    },
    "vlan": {5: ("protocol", _vlan_protocol), 1: ("id", _number), 2: ("flags", _vlan_flags)},
    "macvlan": {1: ("mode", lambda value: _MACVLAN_MODE.get(_number(value)))},
    "macvtap": {1: ("mode", lambda value: _MACVLAN_MODE.get(_number(value)))},
    "ipvlan": {1: ("mode", _one_of("l2", "l3", "l3s"))},
    "ipip": _IP_TUNNEL,
    "sit": _IP_TUNNEL,
    "ip6tnl": _IP6_TUNNEL,
    "gre": _GRE,
    "gretap": _GRE,
    "ip6gre": _IP6_GRE,
    "ip6gretap": _IP6_GRE,
    "tun": _TUN,
    "bond": {1: ("mode", _one_of(*_BOND_MODES)), 3: ("miimon", _number)},
    "vrf": {1: ("table", _number)},
}
