"""Addresses and prefixes as numbers, kept, for a flood has few of them; where routes lead. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netviz.model import Route

EVERYONE = "255.255.255.255"
parsed = lru_cache(4096)(ip_address)


def for_many(address: str) -> bool:
    """Tell whether an address is everyone's, or a group's."""
    return address == EVERYONE or parsed(address).is_multicast


@lru_cache(4096)
def prefix(text: str) -> tuple[int, int]:
    """Return how long a network's prefix is, and its bits as a number."""
    address, _, told = text.partition("/")
    if address in ("all", "default", "0"):
        return int(told or 0), 0
    length = int(told or parsed(address).max_prefixlen)
    return length, int(parsed(address)) >> parsed(address).max_prefixlen - length


def within(address: str | None, text: str) -> bool:
    """Tell whether an address is in a network; no address is in that of all."""
    length, network = prefix(text)
    first = int(parsed(address)) >> parsed(address).max_prefixlen - length if address else None
    return not length or first == network


def hops(route: Route, oif: str | None = None) -> list[tuple[str, str | None]]:
    """Return ``(device, gateway)`` of the next hops that are not dead, on one device if told."""
    found: Any = route.nexthops or [{"dev": route.dev, "gateway": route.via, "flags": route.flags}]
    alive = [hop for hop in found if hop["dev"] and "dead" not in hop["flags"]]
    return [(hop["dev"], hop.get("gateway")) for hop in alive if oif in (None, hop["dev"])]
