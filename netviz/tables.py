"""The frozen entries of a namespace's tables: routes, rules, neighbours, what switches know.

They are nouns as those of `netviz.model`, which hands them on, are: they ask nothing, and each can
say itself as plain JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

JSON = dict[str, object]


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
class BridgeVlan:
    """A VLAN that a port of a bridge is in. Equivalent to: one of a port's in ``bridge -j vlan``.

    What comes without a tag is in the VLAN that is the port's ``pvid``, and what leaves the port in
    one that is ``untagged`` has none. A bridge's own place in a VLAN has the bridge as ``dev`` too.
    """

    dev: str
    vlan: int
    master: str
    pvid: bool = False
    untagged: bool = False

    def to_dict(self) -> JSON:
        """Return every field."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Qdisc:
    """A queue that was plugged into an interface. Equivalent to: an element of ``tc -j qdisc``.

    ``options`` of a tbf are ``rate`` (bits a second), ``burst`` (bytes) and ``limit`` (bytes); of
    a netem ``limit`` (packets), ``delay`` and ``jitter`` (seconds), ``loss`` (0 to 1), and by
    name alone what it does besides, ``untold``. Of other kinds they are not known.
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
class Flow:
    """A rule of an Open vSwitch bridge. Equivalent to: a line of ``ovs-ofctl dump-flows``.

    ``match`` and ``actions`` are as they are printed there: ``in_port=1,dl_vlan=10``, ``NORMAL``.
    """

    bridge: str
    table: int
    priority: int
    match: str
    actions: str

    def __str__(self) -> str:
        """Return it as one reads it: ``table=0, priority=5,in_port=1 actions=NORMAL``."""
        match = f",{self.match}" if self.match else ""
        return f"table={self.table}, priority={self.priority}{match} actions={self.actions}"

    def to_dict(self) -> JSON:
        """Return every field."""
        return row(self)
