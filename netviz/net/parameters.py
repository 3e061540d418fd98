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


def _bits(names: Mapping[int, str]) -> Decoder:
    return lambda value: [name for bit, name in names.items() if _number(value[:4]) & bit]


def _word(names: Mapping[int, str]) -> Decoder:
    return lambda value: names.get(_number(value))


def _vlan_protocol(value: bytes) -> object:
    number = _port_number(value)
    return {0x8100: "802.1Q", 0x88A8: "802.1ad"}.get(number, number)


def _table(told: Mapping[Decoder, str]) -> Table:
    """Return attribute → (name, decoder); ``told`` gives the "number name …" of each decoder."""
    return {
        number: (name, decoder)
        for decoder, text in told.items()
        for number, name in numbered(text).items()
    }


_IP4_MULTICAST = {str(number) for number in range(224, 240)}
_MACVLAN_MODE = numbered("1 private 2 vepa 4 bridge 8 passthru 16 source")
_VLAN_FLAGS = numbered("1 REORDER_HDR 2 GVRP 4 LOOSE_BINDING 8 MVRP 16 BRIDGE_BINDING")
_CARRIED_BY_4 = numbered("0 any 4 ipip 41 ip6ip 137 mplsip")
_CARRIED_BY_6 = numbered("0 any 4 ipip6 41 ip6ip6")
_BOND_MODE = numbered(
    "0 balance-rr 1 active-backup 2 balance-xor 3 broadcast 4 802.3ad 5 balance-tlb 6 balance-alb"
)

_BRIDGE = _table(
    {
        _number: "1 forward_delay 2 hello_time 3 max_age 4 ageing_time 5 stp_state 6 priority "
        "7 vlan_filtering 12 root_port 13 root_path_cost 14 topology_change "
        "15 topology_change_detected 22 mcast_router 23 mcast_snooping 25 mcast_querier "
        "36 nf_call_iptables 37 nf_call_ip6tables 38 nf_call_arptables 39 vlan_default_pvid",
        _vlan_protocol: "8 vlan_protocol",
        _bridge_id: "10 root_id 11 bridge_id",
        _bare_hexadecimal: "9 group_fwd_mask",
        mac_address: "20 group_addr",
    }
)
_BRIDGE_PORT = _table(
    {
        _one_of("disabled", "listening", "learning", "forwarding", "blocking"): "1 state",
        _number: "2 priority 3 cost 15 designated_port 16 designated_cost 25 multicast_router",
        _boolean: "4 hairpin 5 guard 6 root_block 7 fastleave 8 learning 9 flood 10 proxy_arp "
        "27 mcast_flood 29 vlan_tunnel 30 bcast_flood 32 neigh_suppress 33 isolated 39 locked",
        _hexadecimal: "17 id 18 no",
        _bridge_id: "13 root_id 14 bridge_id",
        _bare_hexadecimal: "31 group_fwd_mask",
    }
)
_VXLAN = _table(
    {
        _number: "1 id 5 ttl 8 ageing",
        _address_if_set: "2 remote 16 remote6 4 local 17 local6",
        _if_set: "3 link 6 tos",
        _port_number: "15 port",
        _boolean: "7 learning",
        _if_true: "11 proxy 12 rsc 13 l2miss 14 l3miss 25 external",
    }
)
_GENEVE = _table(
    {_number: "1 id 3 ttl", _address_if_set: "2 remote 7 remote6", _port_number: "5 port"}
)
_VLAN = _table({_vlan_protocol: "5 protocol", _number: "1 id", _bits(_VLAN_FLAGS): "2 flags"})
_MACVLAN = _table({_word(_MACVLAN_MODE): "1 mode"})
_IP_TUNNEL = _table(
    {
        _word(_CARRIED_BY_4): "9 proto",
        _address_or_any: "3 remote 2 local",
        _if_set: "1 link 5 tos",
        _number: "4 ttl",
        _boolean: "10 pmtudisc",
    }
)
_IP6_TUNNEL = _table(
    {
        _word(_CARRIED_BY_6): "9 proto",
        _address_or_any: "3 remote 2 local",
        _if_set: "1 link",
        _number: "4 ttl",
    }
)
_GRE = _table(
    {
        _address_or_any: "7 remote 6 local",
        _if_set: "1 link 9 tos",
        _number: "8 ttl",
        _boolean: "10 pmtudisc",
        _address_if_set: "4 ikey 5 okey",
    }
)
_IP6_GRE = {number: _GRE[number] for number in (7, 6, 1, 8, 4, 5)}
_TUN = _table(
    {
        _word({1: "tun", 2: "tap"}): "3 type",
        _boolean: "4 pi 5 vnet_hdr 6 persist 7 multi_queue",
        _number: "1 user 2 group",
    }
)

_KINDS: Mapping[str, Table] = {
    "bridge": _BRIDGE,
    "vxlan": _VXLAN,
    "geneve": _GENEVE,
    "vlan": _VLAN,
    **dict.fromkeys(("macvlan", "macvtap"), _MACVLAN),
    "ipvlan": _table({_one_of("l2", "l3", "l3s"): "1 mode"}),
    **dict.fromkeys(("ipip", "sit"), _IP_TUNNEL),
    "ip6tnl": _IP6_TUNNEL,
    **dict.fromkeys(("gre", "gretap"), _GRE),
    **dict.fromkeys(("ip6gre", "ip6gretap"), _IP6_GRE),
    "tun": _TUN,
    "bond": _table({_word(_BOND_MODE): "1 mode", _number: "3 miimon"}),
    "vrf": _table({_number: "1 table"}),
}
