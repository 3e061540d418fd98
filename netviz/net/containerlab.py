"""Write a snapshot as a topology file of containerlab: each namespace becomes a container.

containerlab makes containers and the cables between them; all else is a command that it runs in
the container afterwards. It makes no bridge on the host, so what the host must have stands as
comments at the file's head, and so does what cannot be expressed.

containerlab runs a file through Go's templates and replaces ``$NAME`` by the environment, before it
reads the YAML, comments too. So a name that could mean anything there, or to a shell, or to `ip`,
is replaced by a plain one; and words are quoted, for containerlab splits commands as a shell does.
"""

from __future__ import annotations

import re
import shlex
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import yaml

from netviz.graphs import graph
from netviz.net import addresses, neighbours, parameters, qdiscs, routes
from netviz.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from netviz.model import Interface, Key, Namespace, Snapshot

    Command = list[str]

IMAGE = "ghcr.io/srl-labs/network-multitool"  # It has iproute2. Nothing here fetches it.
# Where a link's end is written, these are no nodes.
_RESERVED = {"host", "mgmt-net", "macvlan", "dummy", "vxlan", "vxlan-stitch", "veth", "veth-stitch"}
_ON_LOWER = {"vlan", "macvlan", "macvtap", "ipvlan"}
_TUNNELS = {"vxlan", "geneve", "ipip", "sit", "gre", "gretap", "ip6tnl", "ip6gre", "ip6gretap"}
_MADE = {"loopback", "veth", "bridge", "dummy", "vrf"} | _ON_LOWER | _TUNNELS
_BORROWING = {"bridge", "vlan", "ipvlan"}  # They take their MAC address from another link.
_USUAL_RULES = {(0, 255), (32766, 254), (32767, 253), (1000, None)}  # The last one for any VRF.
_SWITCHES = [(6, "all", "forwarding"), (4, "all", "rp_filter"), (4, "default", "rp_filter")]
_VERSIONS = {"inet": [], "inet6": ["-6"]}
_LONGEST_NODE, _LONGEST_LINK = 40, 15


def containerlab(snapshot: Snapshot, name: str = "netviz") -> str:
    """Return a topology file that makes the network again, of containers.

    Equivalent to: ``netviz export --format containerlab``; what is returned is for ``containerlab
    deploy --topo FILE``. MAC addresses are all told, for the kernel does not say which of them
    somebody chose. The same snapshot gives the same text.
    """
    lab = _Lab(snapshot)
    topology: dict[str, object] = {"nodes": dict(lab.nodes())}
    if links := list(lab.links()):
        topology["links"] = links
    told = {"name": _plain([name], _LONGEST_NODE)[0], "topology": topology}
    head = "".join(f"# {printable(line)}\n" for line in lab.head())
    text = f"{head}\n{yaml.safe_dump(told, sort_keys=False, width=1 << 20)}"
    return text.replace("$", "$$").replace("{{", "{ {")


class _Lab:
    """What is called how in the file, and what is left out for which reason."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._ends = {(space.id, end.index): (space, end) for space, end in snapshot}
        self._names: dict[int, dict[str, str]] = {}
        called: dict[object, str] = {}  # Bridges first: containerlab finds one by its node's name.
        for space in snapshot.namespaces:
            own = [end.name for end in space.interfaces]
            names = dict(zip(own, _plain(own, _LONGEST_LINK), strict=True))
            self._names[space.id] = names
            if space.held_by == "root":
                bridges = (end for end in space.interfaces if end.kind == "bridge")
                called |= {(space.id, end.index): names[end.name] for end in bridges}
            else:
                called[space.id] = space.name
        plain = _plain(list(called.values()), _LONGEST_NODE, _RESERVED)
        self._nodes = dict(zip(called, plain, strict=True))
        self._left: dict[Key, str] = {}
        # What stands on something that is left out, is left out too.
        while more := {key: why for key in self._ends if (why := self._obstacle(key))}:
            self._left |= more

    def nodes(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Yield nodes; containers without docker's own network, which would be a way out."""
        spaces = {space.id: space for space in self._snapshot.namespaces}
        for key, name in self._nodes.items():
            if isinstance(key, int):
                more = {"sysctls": _switches(spaces[key]), "exec": self._commands(spaces[key])}
                node = {"kind": "linux", "image": IMAGE, "network-mode": "none"}
                yield name, node | {word: value for word, value in more.items() if value}
            else:
                yield name, {"kind": "bridge"}

    def links(self) -> Iterator[dict[str, object]]:
        """Yield the cables from one namespace to another, each once, the host's end last."""
        done = set(self._left)
        for key, (space, end) in self._ends.items():
            if end.peer and _crosses(space, end) and not {key, end.peer.key} & done:
                done |= {key, end.peer.key}
                ends = sorted((key, end.peer.key), key=lambda it: it[0] not in self._nodes)
                yield {"endpoints": [self._end(it) for it in ends], "mtu": end.mtu}

    def head(self) -> Iterator[str]:
        """Yield what a reader must know and do."""
        yield "A network that netviz saw: `containerlab deploy --topo FILE` makes it of containers."
        if any(_crosses(*it) and it[0].held_by == "root" for it in self._ends.values()):
            yield "The ends of links on this host get MAC addresses of their own."
        notes = [str(caution) for caution in graph(self._snapshot).graph["warnings"]]
        for key, why in self._left.items():
            said = ":".join(it.name for it in self._ends[key])
            notes.append(f"{said} is left out, and what is on it: {why}")
        for space in self._snapshot.namespaces:
            by_hand = self._commands(space) if space.held_by == "root" else []
            if by_hand:
                yield "By hand, on this host: bridges before you deploy, the rest when it is done."
                by_hand += [f"sysctl -w {word}={on}" for word, on in _switches(space).items() if on]
            yield from (f"  {command}" for command in by_hand)
            names = {space.name: self._nodes.get(space.id, space.name), **self._names[space.id]}
            changed = {name: plain for name, plain in names.items() if name != plain}
            notes += [f"{space.name}: {name} is called {changed[name]} here" for name in changed]
            notes += [f"{space.name}: {IMAGE} has no nft for its filters"] if space.nft else []
        yield from ["Not as it was:", *(f"  {note}" for note in notes)] if notes else []

    def _commands(self, space: Namespace) -> list[str]:
        """Return what makes of a container with its cables what the namespace was."""
        here = [end for end in space.interfaces if (space.id, end.index) not in self._left]
        names = self._names[space.id]
        commands = chain(
            *(_added(space, end) for end in here),
            *(self._set(space, end) for end in here),
            *(_addressed(end) for end in here),
            _tables(space, {end.name for end in here}),
        )
        return [shlex.join(_renamed(word, names) for word in command) for command in commands]

    def _set(self, space: Namespace, end: Interface) -> Iterator[Command]:
        """Yield what makes a link that is there what it was."""
        crosses, loopback = _crosses(space, end), end.kind == "loopback"
        if space.held_by == "root" and (crosses or loopback):
            return  # containerlab plugs it in and switches it on; or it is the host's own.
        said, command = [], ["ip", "link", "set", "dev", end.name]
        macs, on = [it.mac for it in space.interfaces], crosses or loopback
        if end.mac and end.mac.count(":") == 5 and not loopback:
            borrowed = end.kind in _BORROWING and macs.count(end.mac) > 1
            said += ["address", end.mac] if not borrowed else []
        other = end.peer if crosses else end.lower
        origin = self._ends.get(other.key) if other else None
        usual = origin[1].mtu if origin else 65536 if loopback else 1500
        said += ["mtu", str(end.mtu)] if end.mtu != usual else []
        said += ["master", end.master.name] if end.master else []
        said += ["alias", end.alias] if end.alias else []
        # An IPv6 address that was made of another MAC address goes only when the link goes down.
        said = ["down", *said] if on and (said or not end.up) else said
        yield from [[*command, *said]] if said else []
        for option in parameters.words("port", parameters.unusual("port", end.port)):
            yield [*command, "type", "bridge_slave", *option.split()]
        yield from [[*command, "up"]] if end.up and (said or not on) else []

    def _obstacle(self, key: Key) -> str:
        """Return why an interface has to be left out, if it has to, and is not yet."""
        space, end = self._ends[key]
        far = end.peer if end.kind == "veth" else end.lower
        if key in self._left or (far is None and end.kind in _MADE - _ON_LOWER - {"veth"}):
            return ""
        if end.kind not in _MADE:
            return f"containerlab has no {'hardware' if end.kind == 'device' else end.kind}"
        if far and far.key in self._ends and (end.kind == "veth" or far.id == space.id):
            return "" if far.key not in self._left else f"so is {far}"
        return f"{far or 'its other end'} is out of its sight"

    def _end(self, key: Key) -> str:
        """Return one end of a link: ``node:interface``, ``bridge:port``, ``host:interface``."""
        space, end = self._ends[key]
        bridge = self._nodes.get(end.master.key) if end.master else None
        node = self._nodes.get(space.id, bridge or "host")
        return f"{node}:{self._names[space.id][end.name]}"


def _crosses(space: Namespace, end: Interface) -> bool:
    return end.kind == "veth" and end.peer is not None and end.peer.id != space.id


def _plain(names: list[str], longest: int, taken: Collection[str] = ()) -> list[str]:
    """Return a name for each that nobody can misread, none of them twice: where it can, its own."""
    given: list[str] = []
    for name in names:
        stem = name
        if not re.fullmatch(r"[A-Za-z0-9](?!.*__)[\w.-]*", name, re.ASCII) or len(name) > longest:
            stem = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip(".-")[: longest - 4] or "x"
        tries = chain([stem], (f"{stem[: longest - 4]}-{number}" for number in count(2)))
        given.append(next(it for it in tries if it not in given and it.lower() not in taken))
    return given


def _renamed(word: str, names: dict[str, str]) -> str:
    # A name may be a part only: of an address' label, of a switch's path.
    return names.get(word) or re.sub(r"[^:/]+", lambda it: names.get(it[0], it[0]), word)


def _added(space: Namespace, end: Interface) -> Iterator[Command]:
    """Yield the command that makes a link; of a cable's two ends, the first does."""
    crosses, second = _crosses(space, end), end.peer is not None and end.peer.index < end.index
    if end.kind == "loopback" or crosses or second:
        return
    said = ["link", end.lower.name] if end.lower and end.kind in _ON_LOWER else []
    said += ["name", end.name, "type", end.kind]
    said += ["peer", "name", end.peer.name] if end.peer else []
    said += ["dev", end.lower.name] if end.lower and end.kind not in _ON_LOWER else []
    chosen = parameters.unusual(end.kind, end.parameters)
    yield ["ip", "link", "add", *said, *" ".join(parameters.words(end.kind, chosen)).split()]


def _addressed(end: Interface) -> Iterator[Command]:
    for address in end.addresses:
        # Of its own addresses an older kernel does not say that it made them: MAC, or loopback.
        own = address.scope == "host" and end.kind == "loopback"
        if not (own or address.protocol or (address.scope == "link" and "ff:fe" in address.local)):
            yield ["ip", "address", "add", *addresses.words(address, end.name)]


def _tables(space: Namespace, here: set[str]) -> Iterator[Command]:
    """Yield what fills the tables, but for what the kernel puts there by itself."""
    # A gateway must be in reach before there is a way by it.
    for route in sorted(space.routes, key=lambda it: bool(it.via or it.nexthops)):
        used = {route.dev, *(hop.get("dev", "") for hop in route.nexthops)} - {None}
        if route.protocol not in ("kernel", "ra") and route.table != 255 and used <= here:
            yield ["ip", *_VERSIONS[route.family], "route", "add", *routes.route_words(route)]
    for rule in space.rules:
        if (rule.priority, rule.table) not in _USUAL_RULES:
            yield ["ip", *_VERSIONS[rule.family], "rule", "add", *routes.rule_words(rule)]
    for neighbour in space.neighbours:
        if "PERMANENT" in neighbour.state and neighbour.dev in here:
            yield ["ip", "neighbour", "add", *neighbours.neighbour_words(neighbour)]
    for entry in space.fdb:
        if entry.dev in here and (entry.state == "static" or (entry.dst and entry.state)):
            yield [
                "bridge",
                "fdb",
                "append" if entry.dst else "add",
                *neighbours.entry_words(entry),
            ]
    for queue in space.qdiscs:
        if queue.dev in here:
            yield ["tc", "qdisc", "add", *qdiscs.qdisc_words(queue)]
    told: Any = space.sysctls
    for version in ("ipv4", "ipv6"):
        usual = told.get(version, {}).get("default", {})
        for name, switches in told.get(version, {}).items():
            for switch in ("forwarding", "rp_filter"):
                if name in here and switches.get(switch) != usual.get(switch):
                    path = f"net/{version}/conf/{name}/{switch}"
                    yield ["sysctl", "-w", f"{path}={switches[switch]}"]


def _switches(space: Namespace) -> dict[str, object]:
    """Return what is told of all links at once; what is off too, for docker may switch it on."""
    told: Any = space.sysctls
    found = {"net.ipv4.ip_forward": told.get("ip_forward")}
    for version, name, switch in _SWITCHES:
        value = told.get(f"ipv{version}", {}).get(name, {}).get(switch)
        found[f"net.ipv{version}.conf.{name}.{switch}"] = value
    return {path: value for path, value in found.items() if value is not None}
