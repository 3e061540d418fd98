"""The frozen nouns: what a network is made of, as the kernel tells it.

Nothing here asks the kernel anything. Every noun can say itself as plain JSON values with
``to_dict``; values are written as ``ip -j`` writes them, so that what netviz prints can be held
against what ``ip`` prints. A namespace is known by its ``id``, the inode number that
``stat -L /run/netns/NAME`` shows, and an interface by ``(namespace id, index)``: names repeat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netviz.tables import JSON as JSON
from netviz.tables import BridgeVlan as BridgeVlan
from netviz.tables import FdbEntry as FdbEntry
from netviz.tables import Flow as Flow
from netviz.tables import Neighbour as Neighbour
from netviz.tables import Qdisc as Qdisc
from netviz.tables import Route as Route
from netviz.tables import Rule as Rule
from netviz.tables import row as row

if TYPE_CHECKING:
    from netviz.changes import Changes

Key = tuple[int, int]
"""``(namespace id, ifindex)``: the only name of an interface that is unique on a machine."""
UNREAL = 1 << 31
"""From here on count the interfaces that Open vSwitch alone knows: the kernel never gets so far."""
HOST = "host"
"""The alias of a loopback that declares its namespace a host, in which others stand."""
OPENED = ("tun", "tap")
"""The kinds of interface that a program may have open, and be the other end of."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An interface as seen from elsewhere: the far end of a cable, a lower device, a master."""

    id: int
    index: int
    namespace: str
    name: str

    @property
    def key(self) -> Key:
        """Return the interface's key, ``(namespace id, ifindex)``."""
        return self.id, self.index

    def __str__(self) -> str:
        """Return the endpoint as it is written everywhere: ``namespace:device``."""
        return f"{self.namespace}:{self.name}"

    def to_dict(self) -> JSON:
        """Return ``{"namespace", "name", "id", "index"}``."""
        return {name: getattr(self, name) for name in ("namespace", "name", "id", "index")}


@dataclass(frozen=True, slots=True)
class Address:
    """One address of an interface. Equivalent to: an ``addr_info`` of ``ip -j address``."""

    family: str
    local: str
    prefixlen: int
    scope: str = "global"
    peer: str | None = None
    broadcast: str | None = None
    label: str | None = None
    flags: tuple[str, ...] = ()
    protocol: str | None = None

    def __str__(self) -> str:
        """Return the address as one types it: ``10.1.1.2/24``."""
        return f"{self.local}/{self.prefixlen}"

    def to_dict(self) -> JSON:
        """Return the fields that are set, and each flag as ``true``, as ``ip -j`` does."""
        told = {"address" if k == "peer" else k: v for k, v in row(self).items() if k != "flags"}
        return {k: v for k, v in told.items() if v is not None} | dict.fromkeys(self.flags, True)


@dataclass(frozen=True, slots=True)
class Program:
    """A program that has a tun or a tap open: it is the device's other end."""

    name: str
    pid: int

    def __str__(self) -> str:
        """Return it in words: ``python3, pid 42``."""
        return f"{self.name}, pid {self.pid}"

    def to_dict(self) -> JSON:
        """Return every field."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Interface:
    """One network device. Equivalent to: an element of ``ip -d -s -j link``.

    ``kind`` is what ``ip link add … type KIND`` takes, ``loopback`` for ``lo``, and ``device``
    for hardware. ``parameters`` are the kind's own (``linkinfo.info_data``: a VXLAN's ``id``, a
    bridge's ``stp_state``), ``port`` those of a bridge port (``info_slave_data``). Of Open vSwitch
    the kinds are ``openvswitch``, a bridge, ``internal``, ``patch``, and those of its tunnels; a
    port has its ``ofport``, ``tag`` and ``trunks``.
    ``programs`` have a tun or a tap open.
    """

    index: int
    name: str
    kind: str
    mac: str | None
    mtu: int
    flags: tuple[str, ...] = ()
    state: str = "UNKNOWN"
    addresses: tuple[Address, ...] = ()
    master: Endpoint | None = None
    peer: Endpoint | None = None
    lower: Endpoint | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    port: Mapping[str, object] = field(default_factory=dict)
    statistics: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    alias: str | None = None
    programs: tuple[Program, ...] = ()

    @property
    def up(self) -> bool:
        """Tell whether it is switched on: what ``ip link set up`` does."""
        return "UP" in self.flags

    @property
    def running(self) -> bool:
        """Tell whether it also carries: switched on, and so is the far end."""
        return self.up and "LOWER_UP" in self.flags

    @property
    def unreal(self) -> bool:
        """Tell whether the kernel has no such device: a patch port or tunnel of Open vSwitch."""
        return self.index >= UNREAL

    @property
    def other_end(self) -> str:
        """Return the programs that have a tun or a tap open: ``python3, pid 42``; or nothing."""
        return " and ".join(map(str, self.programs))

    def to_dict(self) -> JSON:
        """Return every field; ``addresses`` as typed, ``addr_info`` as ``ip -j`` has them."""
        told = row(self)
        first = ("index", "name", "kind", "mac", "mtu")
        return {
            **{name: told[name] for name in first},
            "up": self.up,
            "running": self.running,
            **told,
            "addresses": [str(address) for address in self.addresses],
            "addr_info": [address.to_dict() for address in self.addresses],
            "master": self.master.name if self.master else None,
        }


@dataclass(frozen=True, slots=True)
class Container:
    """A container whose network is a namespace. Equivalent to: a line of ``docker ps``.

    ``engine`` is ``docker``, ``podman``, ``containerd`` or ``cri-o``. ``networks`` are those of the
    engine that it is joined to, ``ports`` what it publishes: ``0.0.0.0:8080→80/tcp``. ``pod`` is
    the one that it belongs to, and ``pid`` its first process, 0 where that is not known.
    """

    name: str
    id: str = ""
    engine: str = ""
    image: str = ""
    pod: str = ""
    networks: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    pid: int = 0

    def to_dict(self) -> JSON:
        """Return every field."""
        return row(self)


@dataclass(frozen=True, slots=True)
class EngineNetwork:
    """A network that a container engine has made. Equivalent to: ``docker network inspect``.

    ``device`` is its bridge, or of a macvlan the device that it travels over.
    """

    name: str
    driver: str
    device: str
    subnets: tuple[str, ...] = ()
    engine: str = ""

    def to_dict(self) -> JSON:
        """Return every field."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace: its interfaces, tables, switches and rules.

    ``held_by`` says what keeps it alive: ``root``, ``name`` (a file in /run/netns), ``mount`` (a
    file elsewhere), ``process`` or ``file`` (an open descriptor). ``vlans`` are those of bridges
    that filter by them. ``containers`` are those whose network it is, and ``networks`` what an
    engine that lives here has made. ``nft`` is what ``nft -j list ruleset`` gives inside.
    """

    id: int
    name: str
    held_by: str = "name"
    names: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    fdb: tuple[FdbEntry, ...] = ()
    vlans: tuple[BridgeVlan, ...] = ()
    qdiscs: tuple[Qdisc, ...] = ()
    flows: tuple[Flow, ...] = ()
    sysctls: Mapping[str, object] = field(default_factory=dict)
    nft: tuple[Mapping[str, object], ...] = ()
    containers: tuple[Container, ...] = ()
    networks: tuple[EngineNetwork, ...] = ()

    @property
    def known_as(self) -> tuple[str, ...]:
        """Return every name by which one may ask for it: those of its containers as well."""
        return self.name, *self.names, *(each.name for each in self.containers)

    def to_dict(self) -> JSON:
        """Return every field, each table as a list."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Caution:
    """What could not be related or read: ``where`` is the interface it concerns, if one."""

    message: str
    where: Endpoint | None = None

    def __str__(self) -> str:
        """Return ``namespace:device: message``."""
        return f"{self.where}: {self.message}" if self.where else self.message


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every namespace of a machine, or of a lab, at one moment; the root comes first."""

    namespaces: tuple[Namespace, ...] = ()
    warnings: tuple[Caution, ...] = ()

    def __iter__(self) -> Iterator[tuple[Namespace, Interface]]:
        """Yield every interface with the namespace that it lives in."""
        for namespace in self.namespaces:
            for interface in namespace.interfaces:
                yield namespace, interface

    def diff(self, other: Snapshot, *, made_up: bool = True) -> Changes:
        """Return what is different in another one: what came, what went, what changed.

        Without what is ``made_up``, the names and addresses that nobody chose do not count: see
        `netviz.likeness`. Equivalent to: ``diff`` of what ``ip`` and ``bridge`` say at two times.
        """
        from netviz.changes import changes
        from netviz.likeness import likeness

        return changes(self, other) if made_up else changes(likeness(self), likeness(other))

    def to_dict(self) -> JSON:
        """Return ``{"namespaces": […], "warnings": […]}``, stable from run to run."""
        return row(self) | {"warnings": [str(warning) for warning in self.warnings]}
