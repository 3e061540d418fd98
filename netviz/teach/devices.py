"""What can be claimed of namespaces and their interfaces: that they are there, and how they are."""

from __future__ import annotations

import shutil
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from netviz.teach.conditions import Condition, Difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.model import Interface, Namespace, Snapshot


def installed(*programs: str) -> Condition:
    """Hold when every program is there. Equivalent to: ``command -v PROGRAM``."""

    def look(_: Snapshot) -> Difference:
        lacking = [f"no {program}" for program in programs if not shutil.which(program)]
        return f"there is {', '.join(lacking)}; see `netviz doctor`" if lacking else None

    return Condition(f"this machine has {', '.join(map(str, programs))}", look)


def exists(what: str) -> Condition:
    """Hold when there is such a namespace; with a colon, such an endpoint: ``net1:eth0``, ``:br0``.

    Equivalent to: ``ip netns list``, ``ip link``.
    """

    def look(seen: Snapshot) -> Difference:
        found = interface(seen, what) if ":" in what else namespace(seen, what)
        return found if isinstance(found, str) else None

    return Condition(f"{what} exists", look)


def up(endpoint: str) -> Condition:
    """Hold when an interface is up and, if it is one end of a pair, so is the other end."""

    def look(seen: Snapshot) -> Difference:
        here = interface(seen, endpoint)
        if isinstance(here, str) or not here.up:
            return here if isinstance(here, str) else f"{endpoint} is down"
        peer = here.peer
        far = next((it for n, it in seen if peer and (n.id, it.index) == peer.key), None)
        if far is None or far.up:
            return None
        word = f"port {far.name}" if far.master else f"far end {short(str(peer))}"
        return f"{endpoint} is up, but its {word} is not"

    return Condition(f"{endpoint} is up", look)


def has_address(endpoint: str, address: str) -> Condition:
    """Hold when an interface has this address with this prefix: ``10.1.1.1/24``."""

    def look(here: Interface) -> Difference:
        wanted = ip_interface(str(address))
        if any(ip_interface(str(each)) == wanted for each in here.addresses):
            return None
        shown = [str(each) for each in here.addresses if each.scope != "link"]
        return f"it has {', '.join(shown) or 'no address'}"

    return Condition(f"{endpoint} has {address}", _on(endpoint, look))


def has_mtu(endpoint: str, mtu: int) -> Condition:
    """Hold when packets of so many bytes, and no longer ones, fit. Equivalent to: ``ip link``."""

    def look(here: Interface) -> Difference:
        return None if here.mtu == mtu else f"it is {here.mtu}"

    return Condition(f"the MTU of {endpoint} is {mtu}", _on(endpoint, look))


def is_port_of(endpoint: str, bridge: str) -> Condition:
    """Hold when an interface is a port of this bridge. Equivalent to: ``bridge link``."""

    def look(here: Interface) -> Difference:
        if here.master and short(bridge) in (here.master.name, short(str(here.master))):
            return None
        return f"it is a port of {here.master.name if here.master else 'no bridge'}"

    return Condition(f"{endpoint} is a port of {bridge}", _on(endpoint, look))


def peer_is(endpoint: str, far: str) -> Condition:
    """Hold when two interfaces are the ends of one pair. Equivalent to: ``ethtool -S DEVICE``."""

    def look(here: Interface) -> Difference:
        peer = short(str(here.peer)) if here.peer else "nowhere"
        return None if peer == short(far) else f"the other end is {peer}"

    return Condition(f"a pair joins {endpoint} and {far}", _on(endpoint, look))


def short(endpoint: str) -> str:
    """Return an endpoint as one writes it: of the root's, the name alone."""
    return endpoint.removeprefix("root:").removeprefix(":")


def namespace(seen: Snapshot, name: str) -> Namespace | str:
    """Return a namespace, or in words that it is missing."""
    found = (each for each in seen.namespaces if name in (each.name, *each.names))
    return next(found, f"there is no namespace {name}")


def within(
    place: str, look: Callable[[Namespace, Snapshot], Difference]
) -> Callable[[Snapshot], Difference]:
    """Return a way to look at a namespace; where it is missing, that is the difference."""

    def find_and_look(seen: Snapshot) -> Difference:
        found = namespace(seen, place)
        return found if isinstance(found, str) else look(found, seen)

    return find_and_look


def interface(seen: Snapshot, endpoint: str) -> Interface | str:
    """Return an interface, or in words what is missing."""
    place, _, device = endpoint.rpartition(":")
    found = namespace(seen, place or "root")
    if isinstance(found, str):
        return found
    here = (each for each in found.interfaces if each.name == device)
    elsewhere = [f"; there is {n.name}:{i.name}" for n, i in seen if i.name == device]
    return next(here, f"{found.name} has no {device}{''.join(elsewhere[:1])}")


def _on(endpoint: str, look: Callable[[Interface], Difference]) -> Callable[[Snapshot], Difference]:
    """Return a way to look at an interface; where it is missing, that is the difference."""

    def find_and_look(seen: Snapshot) -> Difference:
        here = interface(seen, endpoint)
        return here if isinstance(here, str) else look(here)

    return find_and_look
