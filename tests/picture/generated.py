"""Networks by the hundred.

``networks()`` is a hypothesis strategy that joins a few of the ``PIECES`` below, each a shape that
people build. A piece adds to a network, and chooses by ``draw``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from networks import DEVICES, DOWN, NAMES, NO_CARRIER, ROOT, UP, Net, address, tunnels

from netviz.model import HOST

if TYPE_CHECKING:
    from netviz.model import Key, Snapshot

Draw = Callable[[st.SearchStrategy[Any]], Any]
_STATES = st.sampled_from([UP, UP, UP, DOWN, NO_CARRIER])
_COUNTS = st.integers(0, 6)
_ADDRESSES = st.lists(
    st.sampled_from(["10.1.1.1/24", "172.31.255.254/16", "fd00::1/64",
                     "2001:db8:1234:5678:9abc:def0:1234:5678/128", "192.168.100.200/32"]),
    max_size=6,
)  # fmt: skip
_DEVICE = st.sampled_from(DEVICES) | st.just("") | st.just("")


def _name(draw: Draw) -> str:
    return draw(st.just("") | st.just("") | st.sampled_from(NAMES))


def _space(draw: Draw, net: Net) -> int:
    held = draw(st.sampled_from([{}, {}, {"held_by": "process", "pids": (4711, 4712, 4713, 4714)}]))
    routes = draw(st.sampled_from([{}, {"sysctls": {"net.ipv4.ip_forward": 1}}]))
    return net.space(_name(draw), lo=draw(st.sampled_from([UP, DOWN, None])), **held, **routes)


def _end(draw: Draw) -> dict[str, Any]:
    return {"state": draw(_STATES), "at": draw(_ADDRESSES)}


def _plug(draw: Draw, net: Net, bridge: Key, space: int) -> None:
    """Plug a namespace into a bridge."""
    end = _end(draw)
    net.cable(bridge[0], space, draw(_DEVICE), draw(_DEVICE), port=bridge, **end)


def star(draw: Draw, net: Net) -> None:
    """Namespaces on one bridge, in the root or in a namespace of its own."""
    home = ROOT if draw(st.booleans()) else _space(draw, net)
    bridge = net.bridge(home, draw(_DEVICE), at=draw(_ADDRESSES))
    for _ in range(draw(_COUNTS)):
        _plug(draw, net, bridge, _space(draw, net))


def large_star(draw: Draw, net: Net) -> None:
    """Many namespaces on one bridge."""
    bridge = net.bridge(ROOT, at=draw(_ADDRESSES))
    for _ in range(draw(st.integers(5, 40))):
        net.cable(ROOT, net.space(), port=bridge, state=draw(_STATES), at=["10.0.0.1/16"])


def bridges(draw: Draw, net: Net) -> None:
    """Bridges in a row, or in a ring, with namespaces on each."""
    row = [net.bridge(ROOT, f"br{n}") for n in range(draw(st.integers(2, 4)))]
    for bridge in row:
        for _ in range(draw(st.integers(0, 3))):
            _plug(draw, net, bridge, _space(draw, net))
    ring = zip(row, row[1:] + row[:1], strict=True) if draw(st.booleans()) else ()
    for a, b in [*pairwise(row), *ring]:
        net.cable(ROOT, ROOT, port=a, master=b, state=draw(_STATES))


def chain(draw: Draw, net: Net) -> None:
    """Routers in a row, or in a ring."""
    row = [_space(draw, net) for _ in range(draw(st.integers(1, 7)))]
    if draw(st.booleans()):
        row.append(row[0])
    for a, b in pairwise(row):
        net.cable(a, b, draw(_DEVICE), draw(_DEVICE), **_end(draw))


def mesh(draw: Draw, net: Net) -> None:
    """Each joined with each, or any with any, some twice or with themselves."""
    some = [_space(draw, net) for _ in range(draw(st.integers(2, 5)))]
    if draw(st.booleans()):
        some.append(ROOT)
    pair = st.tuples(st.sampled_from(some), st.sampled_from(some))
    each = [(a, b) for n, a in enumerate(some) for b in some[n + 1 :]]
    for a, b in each if draw(st.booleans()) else draw(st.lists(pair, max_size=8)):
        net.cable(a, b, draw(_DEVICE), draw(_DEVICE), **_end(draw))


def routers(draw: Draw, net: Net) -> None:
    """Routers between bridges, with namespaces on each."""
    row = [net.bridge(ROOT, f"lan{n}") for n in range(draw(st.integers(2, 3)))]
    for a, b in pairwise(row):
        for _ in range(draw(st.integers(1, 3))):
            router = _space(draw, net)
            _plug(draw, net, a, router)
            _plug(draw, net, b, router)
    for bridge in row:
        for _ in range(draw(st.integers(0, 4))):
            _plug(draw, net, bridge, _space(draw, net))


def hosts(draw: Draw, net: Net) -> None:
    """Hosts with a bridge and containers, on a switch or a cable, and tunnels between them."""
    some = [_host(draw, net) for _ in range(draw(st.integers(1, 4)))]
    switch = net.bridge(ROOT, "switch") if draw(st.booleans()) else None
    under: dict[int, Key] = {}
    for number, host in enumerate(some, 1):
        if switch:
            _, under[host] = net.cable(
                ROOT, host, port=switch, b_name="up", at=[f"172.16.0.{number}/24"]
            )
            if draw(st.booleans()):
                net.cable(ROOT, host, port=switch, master=_bridge_of(net, host))
        elif number < len(some):
            if draw(st.booleans()):
                ends = [_bridge_of(net, each) for each in (host, some[number])]
                net.cable(host, some[number], port=ends[0], master=ends[1], state=draw(_STATES))
            under[host], _ = net.cable(host, some[number], "right", "left", **_end(draw))
    if draw(st.booleans()):
        tunnels(net, some, under)


def _bridge_of(net: Net, space: int) -> Key:
    return next(k for k, link in net.links.items() if k[0] == space and link["kind"] == "bridge")


def _host(draw: Draw, net: Net) -> int:
    host = _space(draw, net)
    for number in range(draw(st.integers(1, 2))):
        bridge = net.bridge(host, f"cni{number}", at=["10.244.0.1/24"])
        for _ in range(draw(st.integers(0, 3))):
            _plug(draw, net, bridge, _space(draw, net))
    if draw(st.booleans()):
        net.cable(host, _space(draw, net), **_end(draw))
    if draw(st.booleans()):
        lower = net.device(host, "uplink")
        net.device(_space(draw, net), "", "macvlan", lower=lower, **_end(draw))
    return host


def declared(draw: Draw, net: Net) -> None:
    """Hosts that say so, with containers on cables and on their card."""
    switch = net.bridge(ROOT, "switch")
    for _ in range(draw(st.integers(1, 4))):
        host = net.space(_name(draw), lo=UP)
        net.links[host, 1]["alias"] = HOST
        for _ in range(draw(st.integers(0, 3))):
            net.cable(host, _space(draw, net), draw(_DEVICE), draw(_DEVICE), **_end(draw))
        _, card = net.cable(ROOT, host, port=switch, **_end(draw))
        for lower in [card] * draw(st.integers(0, 3)):
            net.device(_space(draw, net), draw(_DEVICE), "macvlan", lower=lower, **_end(draw))


def macvlans(draw: Draw, net: Net) -> None:
    """Namespaces with a macvlan on one device of the root, or of another namespace."""
    home = ROOT if draw(st.booleans()) else _space(draw, net)
    lower = net.device(home, draw(_DEVICE), state=draw(_STATES))
    for _ in range(draw(st.integers(1, 5))):
        net.device(_space(draw, net), draw(_DEVICE), "macvlan", lower=lower, **_end(draw))


def lonely(draw: Draw, net: Net) -> None:
    """Namespaces without a cable, some with devices that lead nowhere."""
    for _ in range(draw(st.integers(1, 9))):
        space = _space(draw, net)
        for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
            net.device(space, draw(_DEVICE), **_end(draw))


def devices(draw: Draw, net: Net) -> None:
    """Many devices in the root, as on a real machine, or in one namespace."""
    home = ROOT if draw(st.booleans()) else _space(draw, net)
    for _ in range(draw(st.integers(1, 14))):
        net.device(home, draw(_DEVICE), **_end(draw))


def loops(draw: Draw, net: Net) -> None:
    """Cables from a bridge, or a namespace, to itself; and one out of sight."""
    bridge = net.bridge(ROOT, "looped")
    for _ in range(draw(st.integers(1, 3))):
        net.cable(ROOT, ROOT, port=bridge, master=bridge, state=draw(_STATES))
    for _ in range(draw(_COUNTS)):
        _plug(draw, net, bridge, _space(draw, net))
    here = draw(st.sampled_from([ROOT, _space(draw, net)]))
    net.cable(here, here, draw(_DEVICE), draw(_DEVICE), **_end(draw))
    net.device(here, draw(_DEVICE), "veth", peer=(999, 9))
    net.warn(net.device(here, draw(_DEVICE), "veth", state=DOWN), "its peer is <gone>")


def uplinks(draw: Draw, net: Net) -> None:
    """Namespaces joined with the root itself, as `docker0` and routers are."""
    for _ in range(draw(st.integers(1, 5))):
        net.cable(ROOT, _space(draw, net), draw(_DEVICE), draw(_DEVICE), **_end(draw))
    bridge = net.bridge(ROOT, at=draw(_ADDRESSES))
    for _ in range(draw(st.integers(0, 2))):
        _, second = net.cable(ROOT, ROOT, port=bridge)
        net.links[second]["addresses"] = (address("10.9.9.1/24"),)


def bonds(draw: Draw, net: Net) -> None:
    """Bond of two cables which is itself a port of a bridge; a VLAN and a VRF."""
    bridge = net.bridge(ROOT, "br-bond")
    bond = net.device(ROOT, "bond0", "bond", master=bridge if draw(st.booleans()) else None)
    far = _space(draw, net)
    for _ in range(draw(st.integers(1, 3))):
        net.cable(ROOT, far, port=bond, state=draw(_STATES))
    net.device(ROOT, "bond0.7", "vlan", lower=bond, at=["10.7.0.1/24"])
    net.device(ROOT, "red", "vrf")


PIECES = (
    star, bridges, chain, mesh, routers, hosts, declared, macvlans, lonely, devices, loops, uplinks,
    bonds,
    large_star,
)  # fmt: skip


@st.composite
def networks(draw: Draw, *, least: int = 1, most: int = 60) -> Snapshot:
    """Networks of so many namespaces, the root included."""
    net = Net()
    for piece in draw(st.lists(st.sampled_from(PIECES), max_size=5)):
        trial = Net()
        trial.spaces, trial.links = dict(net.spaces), {k: dict(v) for k, v in net.links.items()}
        trial.warnings = list(net.warnings)
        piece(draw, trial)
        if len(trial.spaces) > most:
            break
        net = trial
    while len(net.spaces) < least:
        _space(draw, net)
    return net.snapshot()
