"""The networks that are measured: what is in them, said once, whoever builds them.

A star has N namespaces on a bridge in the lab's root. A chain has N namespaces in a row, each of
them forwards. Two levels have N namespaces as well: about √N of them are switches, with the others
as their hosts, and each switch has a cable to a bridge in the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

GATEWAY = "10.0.0.1"


class End(NamedTuple):
    """One end of a cable."""

    namespace: str
    name: str
    address: str
    master: str


class Cable(NamedTuple):
    """A veth. Each end may have an address, or a bridge as its master."""

    near: tuple[str, str]
    far: tuple[str, str]
    near_address: str = ""
    far_address: str = ""
    near_master: str = ""
    far_master: str = ""

    @property
    def ends(self) -> tuple[End, End]:
        """Return both ends."""
        return (
            End(*self.near, self.near_address, self.near_master),
            End(*self.far, self.far_address, self.far_master),
        )


@dataclass(frozen=True)
class Network:
    """Namespaces; bridges as (namespace, name, address); default routes as (namespace, via)."""

    namespaces: list[str]
    bridges: list[tuple[str, str, str]]
    cables: list[Cable]
    defaults: list[tuple[str, str]]
    forwarding: list[str]


def star(count: int) -> Network:
    """Return ``count`` namespaces on one bridge."""
    names = [f"net{number}" for number in range(1, count + 1)]
    return Network(
        namespaces=names,
        bridges=[("", "br1", f"{GATEWAY}/16")],
        cables=[_host(number, "", "br1") for number in range(1, count + 1)],
        defaults=[(name, GATEWAY) for name in names],
        forwarding=[],
    )


def chain(count: int) -> Network:
    """Return ``count`` namespaces in a row, each with a default route towards the first."""
    names = [f"net{number}" for number in range(1, count + 1)]
    cables = []
    for number in range(2, count + 1):
        right, left = _pair(number)
        near, far = (f"net{number}", "left"), (f"net{number - 1}", "right")
        cables.append(Cable(near, far, f"{left}/30", f"{right}/30"))
    defaults = [(f"net{number}", _pair(number)[0]) for number in range(2, count + 1)]
    return Network(names, [], cables, [*defaults, ("net1", _pair(2)[1])], names)


def two_level(count: int) -> Network:
    """Return ``count`` namespaces, about √N of which are switches and the others their hosts."""
    switches = [f"sw{number}" for number in range(1, isqrt(count) + 1)]
    hosts = range(1, count - len(switches) + 1)
    cables = [
        Cable((name, "uplink"), ("", f"u{number}"), near_master="br0", far_master="br1")
        for number, name in enumerate(switches, 1)
    ]
    cables += [_host(number, switches[(number - 1) % len(switches)], "br0") for number in hosts]
    return Network(
        namespaces=[*switches, *(f"net{number}" for number in hosts)],
        bridges=[("", "br1", f"{GATEWAY}/16"), *((name, "br0", "") for name in switches)],
        cables=cables,
        defaults=[(f"net{number}", GATEWAY) for number in hosts],
        forwarding=[],
    )


SHAPES = {"star": star, "chain": chain, "two-level": two_level}


def _host(number: int, switch: str, bridge: str) -> Cable:
    address = f"10.0.{(number + 1) // 250}.{(number + 1) % 250 + 1}/16"
    return Cable((f"net{number}", "eth0"), (switch, f"v{number}"), address, far_master=bridge)


def _pair(number: int) -> tuple[str, str]:
    """Return the addresses of the cable on a namespace's left: its far end's, and its own."""
    first = number * 4
    part = f"10.{first >> 16}.{first >> 8 & 255}"
    return f"{part}.{(first & 255) + 1}", f"{part}.{(first & 255) + 2}"
