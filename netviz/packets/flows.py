"""What a flow of Open vSwitch says: which frames it takes, and what it changes in them. Pure.

A flow is text, as ``ovs-ofctl dump-flows`` prints it, and of a frame that is known which its fields
are, by the names that flows have for them. What is not known is not guessed: `DoubtError` says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address

Fields = dict[str, int]
"""What is known of a frame: ``{"dl_dst": 0x020000000001, "vlan_tci": 0x100a, "tun_id": 5}``."""
TAGGED = 0x1000
"""The bit of ``vlan_tci`` that tells that there is a VLAN tag at all."""
IN_PORT, NORMAL, EVERYWHERE = 65528, 65530, (65531, 65532)
"""Numbers of ports that are none: back, as a switch without flows does, to all others."""
_PORTS = {"LOCAL": 65534, "ALL": 65532, "FLOOD": 65531, "NORMAL": NORMAL, "IN_PORT": IN_PORT}
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmp6": 58, "tcp6": 6, "udp6": 17}
KINDS = {"ip": 0x0800, "arp": 0x0806, "ipv6": 0x86DD}
_PART = re.compile(r"(\w+)(?:\[(?:(\d+)(?:\.\.(\d+))?)?\])?")
_PREFIX = re.compile(r"^(NXM|OXM)_(OF|NX)_")
_CARD = re.compile(r"([0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}")
_AS_MATCHED = {"dl": "eth", "nw": "ip", "tp": "tcp|udp"}
_QUIET = ("learn", "note", "dec_ttl", "set_queue", "pop_queue", "fin_timeout")
_OF_TAG = ("dl_vlan", "vlan_vid")


class DoubtError(Exception):
    """A snapshot cannot tell what the switch does."""


def matches(match: str, frame: Fields) -> bool:
    """Tell whether a flow takes a frame. Raises ``DoubtError`` where that is not known."""
    unknown = ""
    for name, value, mask in _parsed(match):
        if name not in frame and name not in _OF_TAG:
            unknown = name
        elif (_value(frame, name) ^ value) & mask:
            return False
    if unknown:
        raise DoubtError(f"a flow asks for {unknown}, which is not known of the frame")
    return True


def actions(told: str) -> Iterator[tuple[str, str]]:
    """Yield actions by name and argument: ``("output", "2")``, ``("resubmit", ",4")``.

    Each that sends is an ``output``. Commas within parentheses part none.
    """
    depth, begin = 0, 0
    for at, char in enumerate(f"{told},"):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            name, _, argument = told[begin:at].replace("(", ":", 1).rstrip(")").partition(":")
            begin = at + 1
            sends = name.upper() in _PORTS or name.isdecimal()
            yield ("output", name) if sends else (name, argument)


def port_of(told: str, frame: Fields) -> int:
    """Return the number of the port that an output names, or the field that holds it."""
    return _read(told, frame) if "[" in told else number(told)


def change(name: str, told: str, frame: Fields) -> None:
    """Change a frame as an action says. Raises ``DoubtError`` for one that is not known."""
    tci = frame.get("vlan_tci", 0)
    if name in ("strip_vlan", "pop_vlan"):
        frame["vlan_tci"] = 0
    elif name in ("mod_vlan_vid", "set_vlan_vid"):
        frame["vlan_tci"] = TAGGED | tci & 0xE000 | number(told)
    elif name == "push_vlan" and not tci & TAGGED:
        frame["vlan_tci"] = TAGGED
    elif name.startswith(("mod_dl_", "mod_nw_", "mod_tp_")):
        frame[name.removeprefix("mod_")] = number(told)
    elif name in ("set_tunnel", "set_tunnel64"):
        frame["tun_id"] = number(told)
    elif name in ("load", "set_field", "move"):
        value, _, to = told.partition("->")
        value, _, mask = value.partition("/")
        new = _read(value, frame) if name == "move" else number(value)
        _write(to, new, frame, _mask(value, mask))
    elif name not in _QUIET:
        raise DoubtError(f"a flow says {name}")


def needed(frame: Fields, name: str) -> int:
    """Return a field. Raises ``DoubtError`` where it is not known of the frame."""
    if name not in frame:
        raise DoubtError(f"a flow asks for {name}, which is not known of the frame")
    return frame[name]


def _value(frame: Fields, name: str) -> int:
    tci = frame.get("vlan_tci", 0)
    if name == "dl_vlan":
        return tci & 0xFFF if tci & TAGGED else 0xFFFF
    return tci & 0x1FFF if name == "vlan_vid" else frame[name]


@lru_cache(4096)
def _parsed(match: str) -> tuple[tuple[str, int, int], ...]:
    """Return what a flow asks for: names of fields, values and masks."""
    found = []
    for each in filter(None, match.split(",")):
        name, _, value = each.partition("=")
        value, _, mask = value.partition("/")
        if name in KINDS or name in PROTOCOLS:
            kind = KINDS.get(name) or KINDS["ipv6" if name.endswith("6") else "ip"]
            found.append(("dl_type", kind, -1))
            found += [("nw_proto", PROTOCOLS[name], -1)] if name in PROTOCOLS else []
            continue
        try:
            found.append((name, number(value), _mask(value, mask)))
        except DoubtError:
            found.append((each, 0, 0))  # Of no frame this is known.
    return tuple(found)


def _mask(value: str, mask: str) -> int:
    if mask.isdecimal() and ("." in value or ":" in value):  # A prefix's length.
        whole = 32 if "." in value else 128
        return (1 << whole) - (1 << whole - int(mask))
    return number(mask) if mask else -1


def number(text: str) -> int:
    """Return a card's address, an address or any other number as a number.

    Raises ``DoubtError`` for what is none.
    """
    try:
        if _CARD.fullmatch(text):
            return int("".join(each.zfill(2) for each in text.split(":")), 16)
        return int(ip_address(text)) if "." in text or ":" in text else int(text, 0)
    except ValueError:
        if text.upper() in _PORTS:
            return _PORTS[text.upper()]
        raise DoubtError(f"a flow says {text}") from None


def _place(told: str) -> tuple[str, int, int]:
    """Return a field's name, its first bit there, and a mask as wide as what is meant of it."""
    found = _PART.fullmatch(told)
    if not found:
        raise DoubtError(f"a flow says {told}")
    name, first, last = found.groups()
    low, bare = int(first or 0), _PREFIX.sub("", name).lower()
    for ours, theirs in _AS_MATCHED.items():
        bare = re.sub(f"^({theirs})_", f"{ours}_", bare)
    wide = int(last or first) - low + 1 if first else 128
    return bare, low, (1 << wide) - 1


def _read(told: str, frame: Fields) -> int:
    name, low, mask = _place(told)
    return needed(frame, name) >> low & mask


def _write(told: str, value: int, frame: Fields, mask: int) -> None:
    name, low, wide = _place(told)
    changed = (wide & mask) << low
    if name == "vlan_vid":
        name, changed = "vlan_tci", changed & 0x1FFF
    frame[name] = frame.get(name, 0) & ~changed | value << low & changed
