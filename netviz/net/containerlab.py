"""Write a snapshot as a topology file of containerlab: each namespace becomes a container.

containerlab makes containers and the cables between them. All else that a plan of the network asks
for are commands, which it runs in the containers afterwards. It makes no bridge on the host, so
what the host must have stands as comments at the file's head, and so does what cannot be said.

Left out are packet filters, for the image has no nft; what travels over a device of another
namespace, which a container does not see; and of a cable's end on the host its MAC address, its
alias, and an MTU that the other end has not.

containerlab runs a file through Go's templates and replaces ``$NAME`` by the environment, before it
reads the YAML, comments too. So a name that could mean anything there, or to a shell, or to `ip`,
is replaced by a plain one; and words are quoted, for containerlab splits commands as a shell does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, count
from typing import Any

import yaml

from netviz.changes import FORWARDING
from netviz.graphs import graph
from netviz.model import Endpoint, Namespace, Snapshot
from netviz.net.entries import SetSysctl
from netviz.net.lasting import lasting, sayable, unsaid
from netviz.net.planning import BEGINNING, plan
from netviz.net.settings import SetLink
from netviz.net.steps import ROOT, AddNamespace, AddVeth, Step, split
from netviz.text import printable

IMAGE = "ghcr.io/srl-labs/network-multitool"  # It has iproute2. Nothing here fetches it.
# Where a link's end is written, these are no nodes.
_RESERVED = {"host", "mgmt-net", "macvlan", "dummy", "vxlan", "vxlan-stitch", "veth", "veth-stitch"}
_LONGEST_NODE, _LONGEST_LINK = 40, 15
_NAMING = {"name", "dev", "master", "iif", "oif", "label"}  # The fields that name an interface.
_FOR_ALL = re.compile(r"ip_forward$|\.conf\.(all|default)\.")
_FILTERS = ("net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter")
# They are told where they are off, too: docker, or the host, may have switched them on.
_OFF = dict.fromkeys((*FORWARDING.values(), *_FILTERS), 0)


def containerlab(snapshot: Snapshot, name: str = "netviz") -> str:
    """Return a topology file that makes the network again, of containers.

    Equivalent to: ``netviz export --format containerlab``; what is returned is for ``containerlab
    deploy --topo FILE``. MAC addresses are all told, for the kernel does not say which of them
    somebody chose. The same snapshot gives the same text.
    """
    lab = _Lab(snapshot)
    topology = {"nodes": lab.nodes()} | ({"links": lab.links} if lab.links else {})
    told = {"name": _plain([name], _LONGEST_NODE)[name], "topology": topology}
    head = "".join(f"# {printable(line)}\n" for line in lab.head())
    text = f"{head}\n{yaml.safe_dump(told, sort_keys=False, width=1 << 20)}"
    return text.replace("$", "$$").replace("{{", "{ {")


class _Lab:
    """A plan of the network, taken apart: links, and for each namespace switches and commands."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._seen = snapshot
        # containerlab finds a bridge by its node's name.
        bridges = [it.name for space, it in snapshot if space.name == ROOT and it.kind == "bridge"]
        taken = _RESERVED.intersection(map(str.lower, bridges))
        self._names = _plain((link.name for _, link in snapshot), _LONGEST_LINK, taken)
        self._bridges = [self._names[name] for name in bridges]
        inner = (space.name for space in snapshot.namespaces if space.name != ROOT)
        self._nodes = _plain(inner, _LONGEST_NODE, {ROOT, *_RESERVED, *self._bridges})
        network = Snapshot(tuple(map(self._alone, snapshot.namespaces)))
        self._unsaid = list(unsaid(network))
        self._ends = {f"{space.name}:{link.name}": link for space, link in network}
        self._plugged = {f"{ROOT}:lo"}  # It is the host's own.
        self._switches = {name: dict[str, object](_OFF) for name in self._nodes.values()}
        self._commands: defaultdict[str, list[str]] = defaultdict(list)
        self.links: list[dict[str, object]] = []
        wanted = sayable(lasting(network, exact=True))
        for step in plan(BEGINNING, wanted, fresh=BEGINNING.namespaces[0]):  # Its loopback is up.
            self._take(step)

    def nodes(self) -> dict[str, dict[str, object]]:
        """Return nodes; containers without docker's own network, which would be a way out."""
        nodes: dict[str, dict[str, object]] = {name: {"kind": "bridge"} for name in self._bridges}
        for name, told in self._switches.items():
            nodes[name] = {"kind": "linux", "image": IMAGE, "network-mode": "none", "sysctls": told}
            nodes[name] |= {"exec": it} if (it := self._commands[name]) else {}
        return nodes

    def head(self) -> Iterator[str]:
        """Yield what a reader must know and do."""
        yield "A network that netviz saw: `containerlab deploy --topo FILE` makes it of containers."
        if {at for at in self._plugged if split(at)[0] == ROOT} > {f"{ROOT}:lo"}:
            yield "The ends of links on this host get MAC addresses of their own."
        if self._commands[ROOT]:
            yield "By hand, on this host: bridges before you deploy, the rest when it is done."
            yield from (f"  {command}" for command in self._commands[ROOT])
        notes = [*map(str, graph(self._seen).graph["warnings"]), *self._unsaid]
        filtered = [space.name for space in self._seen.namespaces if space.nft]
        notes += [f"{name}: {IMAGE} has no nft for its filters" for name in filtered]
        called = (*self._nodes.items(), *self._names.items())
        notes += [f"{name} is called {plain} here" for name, plain in called if name != plain]
        yield from ["Not as it was:", *(f"  {note}" for note in notes)] if notes else []

    def _take(self, step: Step) -> None:
        """Put a step where containerlab wants it."""
        if isinstance(step, AddVeth) and split(step.one)[0] != split(step.other)[0]:
            ends = sorted((step.one, step.other), key=lambda at: split(at)[0] == ROOT)
            self._plugged |= {*ends}
            one, other = (self._ends[at].mtu for at in ends)
            told = {"endpoints": [*map(self._end, ends)], "mtu": one if one == other else 1500}
            self.links.append(told)
        elif isinstance(step, SetLink) and step.at in self._plugged:
            # An IPv6 address made of another MAC address goes only when the link goes down.
            down = replace(step, settings={**step.settings, "up": False})
            up = [replace(step, settings={"up": True})] if step.settings.get("up") else []
            for each in (down, *up) if step.namespace != ROOT else ():
                self._type(each)
        elif isinstance(step, SetSysctl) and step.namespace != ROOT and _FOR_ALL.search(step.name):
            self._switches[step.namespace][step.name] = step.value
        elif not isinstance(step, AddNamespace):
            self._type(step)

    def _type(self, step: Step) -> None:
        """Note a command as one types it in the namespace itself."""
        there = rf"^ip netns exec {step.namespace} |^(\w+ )-n {step.namespace} "
        self._commands[step.namespace].append(re.sub(there, r"\1", step.command()))

    def _end(self, at: str) -> str:
        """Return one end of a link: ``node:interface``, ``bridge:port``, ``host:interface``."""
        space, device = split(at)
        master = self._ends[at].master
        plug = master.name if master and master.name in self._bridges else "host"
        return f"{plug if space == ROOT else space}:{device}"

    def _alone(self, space: Namespace) -> Namespace:
        """Return a namespace as a container sees it: of others only the far ends of its cables."""
        far = {it.index for it in space.interfaces if it.lower and it.lower.id != space.id}
        links = (replace(it, lower=None) if it.index in far else it for it in space.interfaces)
        plain: Namespace = self._renamed(replace(space, interfaces=tuple(links), nft=()))
        return replace(plain, name=self._nodes.get(space.name, ROOT))

    def _renamed(self, noun: Any, field: str = "") -> Any:
        """Return a noun with plain names, and so all that it is made of."""
        if isinstance(noun, str) and field in _NAMING:
            # The label of an address only begins with a name.
            return re.sub("^[^:]+", lambda it: self._names.get(it[0], it[0]), noun)
        if isinstance(noun, tuple):
            return tuple(self._renamed(each, field) for each in noun)
        if isinstance(noun, Mapping):
            names = self._names if field in ("ipv4", "ipv6") else {}  # There switches lie by link.
            return {names.get(k, k): self._renamed(each, k) for k, each in noun.items()}
        if not hasattr(noun, "__dataclass_fields__"):
            return noun
        own = {it: self._renamed(getattr(noun, it), it) for it in noun.__dataclass_fields__}
        if isinstance(noun, Endpoint):
            own["namespace"] = self._nodes.get(noun.namespace, noun.namespace)
        return replace(noun, **own)


def _plain(names: Iterable[str], longest: int, taken: Collection[str] = ()) -> dict[str, str]:
    """Return a name for each that nobody can misread, none of them twice: where it can, its own."""
    given: dict[str, str] = {}
    for name in dict.fromkeys(names):
        stem = name
        if not re.fullmatch(r"[A-Za-z0-9](?!.*__)[\w.-]*", name, re.ASCII) or len(name) > longest:
            stem = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip(".-")[: longest - 4] or "x"
        tries = chain([stem], (f"{stem[: longest - 4]}-{number}" for number in count(2)))
        given[name] = next(it for it in tries if not {it, it.lower()} & {*given.values(), *taken})
    return given
