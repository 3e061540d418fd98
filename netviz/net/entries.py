"""The primitive changes of a namespace's tables, each in two voices.

An address, a route, a rule, a neighbour, a forwarding entry or a queue is added and deleted with
the same words and nearly the same message, which the module of each noun writes. Switches and
packet filters are no tables of netlink's: they are written to files, and given to ``nft``.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from errno import EINVAL
from typing import Any, ClassVar, NamedTuple

from netviz.model import Address, BridgeVlan, FdbEntry, Neighbour, Qdisc, Route, Rule
from netviz.net import neighbours, routes, sysctls
from netviz.net.addresses import packed as packed_address
from netviz.net.addresses import words as address_words
from netviz.net.netlink import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RTM_NEWADDR,
    RTM_NEWNEIGH,
    RTM_NEWQDISC,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    RTM_NEWVLAN,
    Request,
)
from netviz.net.qdiscs import packed_qdisc, qdisc_words
from netviz.net.steps import ROOT, OnLink, Site, split, typed
from netviz.net.vlans import packed_vlan, vlan_words

Noun = Address | Route | Rule | Neighbour | BridgeVlan | FdbEntry | Qdisc
_ZERO = "00:00:00:00:00:00"


class _Table(NamedTuple):
    """How the entries of one table are told to the kernel, and to a shell."""

    kind: int
    program: tuple[str, ...]
    packed: Callable[[Any, Site], bytes]
    words: Callable[[Any], list[str]]


_TABLES: Mapping[type, _Table] = {
    Route: _Table(
        RTM_NEWROUTE,
        ("ip", "route"),
        lambda route, site: routes.packed_route(route, site.indexes),
        routes.route_words,
    ),
    Rule: _Table(
        RTM_NEWRULE, ("ip", "rule"), lambda rule, _: routes.packed_rule(rule), routes.rule_words
    ),
    Neighbour: _Table(
        RTM_NEWNEIGH,
        ("ip", "neighbour"),
        lambda entry, site: neighbours.packed_neighbour(entry, site.indexes),
        neighbours.neighbour_words,
    ),
    FdbEntry: _Table(
        RTM_NEWNEIGH,
        ("bridge", "fdb"),
        lambda entry, site: neighbours.packed_entry(entry, site.indexes),
        neighbours.entry_words,
    ),
    BridgeVlan: _Table(
        RTM_NEWVLAN,
        ("bridge", "vlan"),
        lambda vlan, site: packed_vlan(vlan, site.indexes),
        vlan_words,
    ),
    Qdisc: _Table(
        RTM_NEWQDISC,
        ("tc", "qdisc"),
        lambda qdisc, site: packed_qdisc(qdisc, site.indexes),
        qdisc_words,
    ),
}


@dataclass(frozen=True, slots=True)
class AddAddress(OnLink):
    """Equivalent to: ``ip address add ADDRESS dev DEVICE``."""

    address: Address
    deletes: ClassVar[bool] = False

    def command(self) -> str:
        """Return the command."""
        verb = "delete" if self.deletes else "add"
        words = address_words(self.address, split(self.at)[1])
        return typed(self.namespace, "address", verb, *words)

    def request(self, site: Site) -> Request:
        """Return the message."""
        body = packed_address(self.address, site.indexes[split(self.at)[1]])
        return _asked(RTM_NEWADDR, body, self.deletes)


class DeleteAddress(AddAddress):
    """Equivalent to: ``ip address delete ADDRESS dev DEVICE``."""

    __slots__ = ()
    deletes = True


@dataclass(frozen=True, slots=True)
class AddEntry:
    """Equivalent to: ``ip route add``, ``ip rule``, ``ip neighbour``, ``bridge fdb``, ``tc qdisc``.

    Or ``bridge vlan``. Which of them, the noun says.
    """

    namespace: str
    entry: Noun
    deletes: ClassVar[bool] = False

    def command(self) -> str:
        """Return the command."""
        program, thing = _TABLES[type(self.entry)].program
        verb = "delete" if self.deletes else self._way[0]
        version = ["-6"] if getattr(self.entry, "family", None) == "inet6" else []
        words = _TABLES[type(self.entry)].words(self.entry)
        return typed(self.namespace, *version, thing, verb, *words, program=program)

    def request(self, site: Site) -> Request:
        """Return the message."""
        table = _TABLES[type(self.entry)]
        return _asked(table.kind, table.packed(self.entry, site), self.deletes, self._way[1])

    @property
    def _way(self) -> tuple[str, int]:
        """Return how it joins what is there: the verb, and the flag."""
        entry = self.entry
        if isinstance(entry, Neighbour):  # What the kernel asked for meanwhile is there as well.
            return "replace", NLM_F_REPLACE
        if isinstance(entry, FdbEntry) and entry.mac == _ZERO and entry.dst is not None:
            return "append", NLM_F_APPEND  # A VXLAN sends floods to each of its peers.
        return "add", NLM_F_EXCL


class DeleteEntry(AddEntry):
    """Equivalent to: ``ip route delete …``, and so on."""

    __slots__ = ()
    deletes = True


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """Equivalent to: ``sysctl -w NAME=VALUE``."""

    namespace: str
    name: str
    value: object

    def command(self) -> str:
        """Return the command."""
        there = ["ip", "netns", "exec", self.namespace] if self.namespace != ROOT else []
        if "=" in self.name:  # There sysctl would take the name to end.
            path = self.name if "/" in self.name else self.name.replace(".", "/")
            said = f"echo {shlex.quote(str(self.value))} > {shlex.quote(f'/proc/sys/{path}')}"
            return shlex.join([*there, "sh", "-c", said])
        return shlex.join([*there, "sysctl", "-qw", f"{self.name}={self.value}"])

    def act(self, site: Site) -> None:
        """Do it. Raises ``OSError`` where there is no such switch, or the kernel refuses."""
        site.remember(SetSysctl(self.namespace, self.name, sysctls.read(self.name)))
        sysctls.write(self.name, str(self.value))


@dataclass(frozen=True, slots=True)
class SetFilters:
    """All packet filters at once, instead of what was. Equivalent to: ``nft -f FILE``.

    ``ruleset`` is text as one writes it for nft, or what ``nft -j list ruleset`` gave.
    """

    namespace: str
    ruleset: str | tuple[Mapping[str, Any], ...]

    def command(self) -> str:
        """Return the command, with the rules as its input."""
        there = ["ip", "netns", "exec", self.namespace] if self.namespace != ROOT else []
        said = shlex.join([*there, *self._program])
        end = "END_OF_RULES"
        while end in self._text:
            end += "_"
        return f"{said} <<'{end}'\n{self._text}\n{end}"

    def act(self, _: Site) -> None:
        """Do it. Raises ``OSError`` where ``nft`` is missing, or refuses; then nothing changed."""
        done = subprocess.run(
            self._program, input=self._text.encode(), capture_output=True, check=False
        )
        if done.returncode:
            raise OSError(EINVAL, done.stderr.decode(errors="replace").strip().split("\n")[0])

    @property
    def _program(self) -> list[str]:
        return ["nft", *([] if isinstance(self.ruleset, str) else ["-j"]), "-f", "-"]

    @property
    def _text(self) -> str:
        if isinstance(self.ruleset, str):
            return f"flush ruleset\n{self.ruleset.strip()}"
        lines = [{"flush": {"ruleset": None}}, *({"add": _unnumbered(it)} for it in self.ruleset)]
        told = ",\n".join(json.dumps(line) for line in lines)
        return f'{{"nftables": [\n{told}\n]}}'


def _asked(kind: int, body: bytes, deletes: bool, how: int = NLM_F_EXCL) -> Request:
    if deletes:
        return Request(kind + 1, body)  # So rtnetlink numbers them.
    return Request(kind, body, NLM_F_CREATE | how)


def _unnumbered(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table, chain or rule without the number that the kernel gave it."""
    return {
        kind: {name: value for name, value in told.items() if name != "handle"}
        for kind, told in item.items()
    }
