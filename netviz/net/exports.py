"""Write a snapshot in the formats of others: JSON, Graphviz dot, Mermaid, a script, containerlab.

The same network in several languages, so all are text and pure. A name in it may be anything but a
zero byte: each format has its own way to quote one, and node names are made of numbers.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Protocol, TypeAlias, overload

from netviz.errors import NetvizError
from netviz.model import Caution, Snapshot
from netviz.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import networkx as nx

    from netviz.model import Interface, Key
    from netviz.net.topology import Topology

    Network: TypeAlias = Snapshot | nx.MultiGraph | Topology

_WIDE = ("bridge", "openvswitch", "bond")
_DOT_EDGES = {
    "veth": "style=solid",
    "patch": "style=solid",
    "port": "style=bold",
    "lower": "style=dotted",
    "tunnel": 'style=dashed color="black:invis:black"',
    "tap": "style=dashed",
}
_MERMAID_EDGES = {"veth": "---", "port": "===", "lower": "-.-", "tunnel": "<-.->", "tap": "-.-"}
_MERMAID_EDGES["patch"] = _MERMAID_EDGES["veth"]


class Exported(Protocol):
    """What is no network, and knows itself in what formats it can be written: a trace."""

    def exported(self, fmt: str) -> str | bytes:
        """Return it in a format."""


@overload
def export(network: Network, fmt: str) -> str: ...
@overload
def export(network: Exported, fmt: str) -> str | bytes: ...
def export(network: Network | Exported, fmt: str) -> str | bytes:
    """Return a network as text: a snapshot, the graph of one, or a declared topology; or a trace.

    The formats are ``json``, ``dot``, ``mermaid``, ``script`` (see `netviz.script`) and
    ``containerlab``; of a trace ``json``, ``html``, ``pcapng`` and the pictures' formats, some
    of which are bytes. Equivalent to: ``netviz export --format FMT``. The same network gives the
    same text; all of it can be written as UTF-8.

    Raises ``NetvizError`` for a format that is not known.
    """
    if hasattr(network, "exported"):
        return network.exported(fmt)
    if fmt not in _FORMATS:
        known = ", ".join(sorted(_FORMATS))
        raise NetvizError(f"cannot export as {fmt!r}", remedy=f"the formats are: {known}")
    return _FORMATS[fmt](network)


def _json(network: Network) -> str:
    # ASCII: bytes in a name that are no UTF-8 cannot be written but as escapes.
    return json.dumps(seen(network).to_dict(), indent=2, ensure_ascii=True) + "\n"


def _containerlab(network: Network) -> str:
    from netviz.net.containerlab import containerlab

    return containerlab(seen(network))


def _script(network: Network) -> str:
    from netviz.net.scripts import script

    return script(network if hasattr(network, "planned") else seen(network))


def seen(network: Network) -> Snapshot:
    """Return a network as a snapshot: of a declared one, what would be there."""
    if isinstance(network, Snapshot):
        return network
    if hasattr(network, "planned"):
        from netviz.net.entries import SetFilters, SetSysctl

        said = [each.what for each in network.declared]
        apart = [step.command() for step in said if isinstance(step, SetSysctl | SetFilters)]
        told = (Caution(f"not told here: {line.splitlines()[0]}") for line in apart)
        return Snapshot(network.planned().namespaces, tuple(told))
    graph: nx.MultiGraph = network
    return Snapshot(graph.graph["namespaces"], graph.graph["warnings"])


def _dot(network: Network) -> str:
    g, nodes = _numbered(network)
    lines = [
        "graph netviz {",
        "  graph [compound=true fontname=sans rankdir=TB];",
        "  node [fontname=sans shape=box]; edge [fontname=sans fontsize=10];",
    ]
    for number, namespace in enumerate(g.graph["namespaces"]):
        lines.append(f"  subgraph cluster_{number} {{")
        lines.append(f"    label={_dot_quoted(namespace.name)}; style=rounded;")
        for interface in namespace.interfaces:
            label = _dot_quoted(*_lines(interface))
            style = f'style="{"solid" if interface.up else "dashed"}"'
            style += " width=4 penwidth=2" if interface.kind in _WIDE else ""
            lines.append(f"    {nodes[namespace.id, interface.index]} [label={label} {style}];")
        lines.append("  }")
    for a, b, kind in _edges(g):
        label = _dot_quoted(kind)
        lines.append(f"  {nodes[a]} -- {nodes[b]} [label={label} {_DOT_EDGES[kind]}];")
    return "\n".join([*lines, "}", ""])


def _mermaid(network: Network) -> str:
    g, nodes = _numbered(network)
    lines = ["flowchart TB"]
    for number, namespace in enumerate(g.graph["namespaces"]):
        lines.append(f"  subgraph s{number}[{_mermaid_quoted(namespace.name)}]")
        for interface in namespace.interfaces:
            left, right = ("[[", "]]") if interface.kind in _WIDE else ("[", "]")
            label = _mermaid_quoted(*_lines(interface))
            lines.append(f"    {nodes[namespace.id, interface.index]}{left}{label}{right}")
        lines.append("  end")
    lines += [f"  {nodes[a]} {_MERMAID_EDGES[k]}|{k}| {nodes[b]}" for a, b, k in _edges(g)]
    down = [nodes[key] for key, interface in g.nodes(data="interface") if not interface.up]
    if down:
        lines.append("  classDef down stroke-dasharray: 4")
        lines.append(f"  class {','.join(down)} down")
    return "\n".join([*lines, ""])


_FORMATS: dict[str, Callable[[Network], str]] = {
    "json": _json,
    "dot": _dot,
    "mermaid": _mermaid,
    "script": _script,
    "containerlab": _containerlab,
}


def _numbered(network: Network) -> tuple[nx.MultiGraph, dict[Key, str]]:
    """Return the graph, and a name for each of its nodes that no format can misread."""
    from netviz.graphs import graph

    drawn = hasattr(network, "nodes")
    wired: nx.MultiGraph = network if drawn else graph(seen(network))
    return wired, {key: f"n{number}" for number, key in enumerate(wired)}


def _edges(g: nx.MultiGraph) -> Iterator[tuple[Key, Key, str]]:
    yield from g.edges(data="kind")


def _lines(interface: Interface) -> list[str]:
    """Return what is written in an interface's box."""
    state = [] if interface.up else ["down"]
    return [interface.name, *map(str, interface.addresses), *state]


def _dot_quoted(*lines: str) -> str:
    r"""Quote for Graphviz, where ``\n`` begins a line, ``\N`` is the node, ``&lt;`` is ``<``."""
    safe = (printable(line).replace("&", "&amp;").replace("\\", r"\\") for line in lines)
    return '"' + r"\n".join(line.replace('"', r"\"") for line in safe) + '"'


def _mermaid_quoted(*lines: str) -> str:
    """Quote for Mermaid, whose labels are HTML and Markdown: by number, all but plain letters."""
    safe = (
        re.sub(r"[^\w ./:%-]|_", lambda char: f"#{ord(char[0])};", printable(line))
        for line in lines
    )
    return '"' + "<br/>".join(safe) + '"'
