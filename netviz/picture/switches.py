"""What is told of Open vSwitch in words: the tags of ports, and the tables of their cards. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import FdbEntry, Flow, Interface

Table = tuple[str, str, Iterable[str]]
"""A heading, the command, and the lines."""
NAMES = {"openvswitch": "Open vSwitch", "internal": "internal port", "patch": "patch cable"}


def vlans(link: Interface) -> str:
    """Return the VLANs of a port of Open vSwitch: ``VLAN 10``; nothing where it carries all."""
    port: dict[str, Any] = {**link.port}
    told = [port["tag"]] if "tag" in port else []
    told += [each for each in port.get("trunks", ()) if each not in told]
    word = "VLAN " if len(told) == 1 else "VLANs "
    return printable(word + ",".join(map(str, told))) if told else ""


def bridge(
    link: Interface, ports: list[Interface], flows: Iterable[Flow], fdb: Iterable[FdbEntry]
) -> Iterator[Table]:
    """Yield the tables of a bridge: its ports, its flows, what it has learned."""
    own = [f"{name} {value}" for name, value in link.parameters.items()]
    yield "Ports, in short", "ovs-vsctl show", [*own, *map(_port, ports)]
    yield "Flows, in short", f"ovs-ofctl dump-flows {link.name}", map(str, flows)
    learned = [f"{it.dev} VLAN {it.vlan} {it.mac} {it.state}".rstrip() for it in fdb]
    yield "Learned, in short", f"ovs-appctl fdb/show {link.name}", learned


def port(link: Interface) -> Table:
    """Return the table of a port."""
    own = [f"{name} {value}" for name, value in link.parameters.items() if link.unreal]
    return "Open vSwitch, in short", f"ovs-vsctl list interface {link.name}", [_port(link), *own]


def _port(link: Interface) -> str:
    peer = f"peer {link.peer.name}" if link.kind == "patch" and link.peer else ""
    kind = link.kind if link.unreal else ""
    number = f"port {link.port.get('ofport')}"
    return " ".join(filter(None, [link.name, number, kind, vlans(link), peer]))
