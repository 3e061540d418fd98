"""Write a snapshot in the formats of others: JSON, Graphviz dot, Mermaid.

The same network in three languages, so all are text and pure. A name in it may be anything but a
zero byte: each format has its own way to quote one, and node names are made of numbers.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from netviz.errors import NetvizError
from netviz.model import Snapshot, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import networkx as nx

    from netviz.model import Interface, Key

_WIDE = ("bridge", "openvswitch", "bond")
_DOT_EDGES = {
    "veth": "style=solid",
    "port": "style=bold",
    "lower": "style=dotted",
    "tunnel": 'style=dashed color="black:invis:black"',
    "tap": "style=dashed",
}
_MERMAID_EDGES = {"veth": "---", "port": "===", "lower": "-.-", "tunnel": "<-.->", "tap": "-.-"}


def export(network: Snapshot | nx.MultiGraph, fmt: str) -> str:
    """Return a snapshot, or the graph of one, as ``json``, ``dot`` or ``mermaid``.

    Equivalent to: ``netviz draw --format FMT``. The same network gives the same text; all of it can
    be written as UTF-8. Raises ``NetvizError`` for a format that is not known.
    """
    if fmt not in _FORMATS:
        known = ", ".join(sorted(_FORMATS))
        raise NetvizError(f"cannot export as {fmt!r}", remedy=f"the formats are: {known}")
    return _FORMATS[fmt](network)


def _json(network: Snapshot | nx.MultiGraph) -> str:
    if not isinstance(network, Snapshot):
        network = Snapshot(network.graph["namespaces"], network.graph["warnings"])
    # ASCII: bytes in a name that are no UTF-8 cannot be written but as escapes.
    return json.dumps(network.to_dict(), indent=2, ensure_ascii=True) + "\n"


def _dot(network: Snapshot | nx.MultiGraph) -> str:
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


def _mermaid(network: Snapshot | nx.MultiGraph) -> str:
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


_FORMATS: dict[str, Callable[[Snapshot | nx.MultiGraph], str]] = {
    "json": _json,
    "dot": _dot,
    "mermaid": _mermaid,
}


def _numbered(network: Snapshot | nx.MultiGraph) -> tuple[nx.MultiGraph, dict[Key, str]]:
    """Return the graph, and a name for each of its nodes that no format can misread."""
    if isinstance(network, Snapshot):
        from netviz.graphs import graph

        network = graph(network)
    return network, {key: f"n{number}" for number, key in enumerate(network)}


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
