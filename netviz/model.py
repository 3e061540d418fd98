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

if TYPE_CHECKING:
    from netviz.changes import Changes

JSON = dict[str, object]
Key = tuple[int, int]
"""``(namespace id, ifindex)``: the only name of an interface that is unique on a machine."""


def row(noun: object) -> JSON:
    """Return a noun's fields by name, as JSON knows them."""
    fields = getattr(noun, "__dataclass_fields__")  # noqa: B009 (it is no attribute of object)
    return {name: _plain(getattr(noun, name)) for name in fields}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


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
class Interface:
    """One network device. Equivalent to: an element of ``ip -d -s -j link``.

    ``kind`` is what ``ip link add … type KIND`` takes, ``loopback`` for ``lo``, and ``device``
    for hardware. ``parameters`` are the kind's own (``linkinfo.info_data``: a VXLAN's ``id``, a
    bridge's ``stp_state``), ``port`` those of a bridge port (``info_slave_data``).
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

    @property
    def up(self) -> bool:
        """Tell whether it is switched on: what ``ip link set up`` does."""
        return "UP" in self.flags

    @property
    def running(self) -> bool:
        """Tell whether it also carries: switched on, and so is the far end."""
        return self.up and "LOWER_UP" in self.flags

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
class Route:
    """One route of any table. Equivalent to: an element of ``ip -N -j route show table all``."""

    to: str
    family: str
    dev: str | None = None
    via: str | None = None
    table: int = 254
    metric: int | None = None
    scope: str = "global"
    type: str = "unicast"
    protocol: str = "boot"
    prefsrc: str | None = None
    nexthops: tuple[Mapping[str, object], ...] = ()
    flags: tuple[str, ...] = ()

    def to_dict(self) -> JSON:
        """Return every field, ``null`` where the route does not say."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy-routing rule. Equivalent to: an element of ``ip -N -j rule``."""

    priority: int
    family: str
    source: str = "all"
    to: str = "all"
    iif: str | None = None
    oif: str | None = None
    fwmark: int | None = None
    table: int | None = None
    action: str = "lookup"
    inverted: bool = False
    fwmask: int | None = None
    suppress_prefixlength: int | None = None

    def to_dict(self) -> JSON:
        """Return every field; two have names that Python keeps for itself."""
        told = row(self)
        return {{"source": "from", "inverted": "not"}.get(name, name): told[name] for name in told}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One entry of the ARP or ND table. Equivalent to: an element of ``ip -j neighbour``."""

    to: str
    dev: str
    family: str
    mac: str | None = None
    state: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    def to_dict(self) -> JSON:
        """Return every field; ``state`` is a list, as in ``ip -j``."""
        return row(self)


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """One entry of a forwarding database. Equivalent to: an element of ``bridge -d -j fdb``."""

    mac: str
    dev: str
    master: str | None = None
    vlan: int | None = None
    dst: str | None = None
    port: int | None = None
    vni: int | None = None
    state: str = ""
    flags: tuple[str, ...] = ()

    def to_dict(self) -> JSON:
        """Return every field; ``state`` is empty for an address that was learned."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Qdisc:
    """A queue that was plugged into an interface. Equivalent to: an element of ``tc -j qdisc``.

    ``options`` of a tbf are ``rate`` (bits a second), ``burst`` (bytes) and ``limit`` (bytes); of
    a netem ``limit`` (packets), ``delay`` and ``jitter`` (seconds), ``loss`` (0 to 1). Of other
    kinds they are not known.
    """

    dev: str
    kind: str
    handle: str
    parent: str = "root"
    options: Mapping[str, object] = field(default_factory=dict)

    def to_dict(self) -> JSON:
        """Return every field."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace: its interfaces, tables, switches and rules.

    ``held_by`` says what keeps it alive: ``root``, ``name`` (a file in /run/netns), ``mount`` (a
    file elsewhere), ``process`` or ``file`` (an open descriptor). ``nft`` is what
    ``nft -j list ruleset`` gives inside.
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
    qdiscs: tuple[Qdisc, ...] = ()
    sysctls: Mapping[str, object] = field(default_factory=dict)
    nft: tuple[Mapping[str, object], ...] = ()

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

    def diff(self, other: Snapshot) -> Changes:
        """Return what is different in another one: what came, what went, what changed.

        Equivalent to: ``diff`` of what ``ip`` and ``bridge`` say at two times.
        """
        from netviz.changes import changes

        return changes(self, other)

    def to_dict(self) -> JSON:
        """Return ``{"namespaces": […], "warnings": […]}``, stable from run to run."""
        return row(self) | {"warnings": [str(warning) for warning in self.warnings]}
