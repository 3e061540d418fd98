"""The same network as JSON, dot and Mermaid; no name in it can be taken for anything else."""

from __future__ import annotations

import json
import re

import pytest

from netviz.errors import NetvizError
from netviz.graphs import graph
from netviz.model import Address, Endpoint, Interface, Namespace, Snapshot
from netviz.net.exports import export

HOSTILE = [
    *("<script>alert(1)</script>", "a\"b'c", "end", "`tick`", "new\nline", "a\\", "\\N", "&lt;"),
    *("#35;x", "*b* _i_", "\u202eevil", "\udcff", "%%{init}%%", "]", '"];', "ünï", "-->", "--"),
]
QUOTED = r'"(?:[^"\\]|\\.)*"'  # As both languages read it: a backslash takes the next one along.


def network(*names: str) -> Snapshot:
    """Return a ring of cables between namespaces, each with a bridge that is down."""
    spaces = []
    for number, name in enumerate(names, 1):
        far = Endpoint(number % len(names) + 1, 1, "elsewhere", "far")
        address = Address("inet", f"10.0.0.{number}", 24)
        veth = Interface(1, name, "veth", None, 1500, ("UP",), addresses=(address,), peer=far)
        spaces.append(
            Namespace(number, name, interfaces=(veth, Interface(2, "b", "bridge", None, 1)))
        )
    return Snapshot(tuple(spaces))


def test_json_is_the_snapshot() -> None:
    seen = network("net1", "net2")
    assert json.loads(export(seen, "json")) == seen.to_dict()


@pytest.mark.parametrize("name", HOSTILE)
def test_every_name_survives_in_json(name: str) -> None:
    text = export(network(name), "json")
    assert text.isascii()
    assert json.loads(text)["namespaces"][0]["interfaces"][0]["name"] == name


@pytest.mark.parametrize("fmt", ["json", "dot", "mermaid"])
def test_graph_and_snapshot_give_the_same_text_every_time(fmt: str) -> None:
    seen = network(*HOSTILE)
    assert export(graph(seen), fmt) == export(seen, fmt) == export(network(*HOSTILE), fmt)


def test_dot_has_a_cluster_a_namespace_and_a_line_a_cable() -> None:
    text = export(network("net1", "net2"), "dot")
    assert re.findall(r"subgraph (\w+)", text) == ["cluster_0", "cluster_1"]
    assert re.findall(r"label=(\S+); style", text) == ['"net1"', '"net2"']
    assert '[label="net1\\n10.0.0.1/24" style="solid"];' in text
    assert '[label="b\\ndown" style="dashed" width=4 penwidth=2];' in text
    assert 'n0 -- n2 [label="veth" style=solid];' in text


def test_mermaid_has_a_subgraph_a_namespace_and_a_line_a_cable() -> None:
    lines = [line.strip() for line in export(network("net1", "net2"), "mermaid").splitlines()]
    assert lines[0] == "flowchart TB"
    assert [line for line in lines if line.startswith("subgraph")] == [
        'subgraph s0["net1"]',
        'subgraph s1["net2"]',
    ]
    assert 'n0["net1<br/>10.0.0.1/24"]' in lines
    assert 'n1[["b<br/>down"]]' in lines
    assert "n0 ---|veth| n2" in lines


@pytest.mark.parametrize("fmt", ["dot", "mermaid"])
def test_no_name_reaches_out_of_its_quotes(fmt: str) -> None:
    harmless = export(network(*(f"net{n}" for n in range(len(HOSTILE)))), fmt)
    text = export(network(*HOSTILE), fmt)
    assert re.sub(QUOTED, "", text) == re.sub(QUOTED, "", harmless)
    assert text.encode()


def test_names_are_shown_and_not_interpreted() -> None:
    dot, mermaid = (export(network("&lt;", "a\\nb", "<b>"), fmt) for fmt in ("dot", "mermaid"))
    assert 'label="&amp;lt;"' in dot
    assert 'label="a\\\\nb"' in dot
    assert re.findall(r"s\d(.*)", mermaid)[::1] == [
        '["#38;lt#59;"]',
        '["a#92;nb"]',
        '["#60;b#62;"]',
    ]


@pytest.mark.parametrize("kind", ["port", "lower", "tunnel"])
@pytest.mark.parametrize("fmt", ["dot", "mermaid"])
def test_kinds_of_edges_differ_in_shape(fmt: str, kind: str) -> None:
    g = graph(network("net1", "net2"))
    g.add_edge((1, 2), (2, 2), kind=kind)
    *_, veth, other = [
        line
        for line in export(g, fmt).splitlines()
        if re.search(r"\bn1\b.*n3", line) or re.search(r"\bn0\b.*n2", line)
    ]
    assert re.sub(r"n\d|veth", "", veth) != re.sub(rf"n\d|{kind}", "", other)


def test_unknown_format_names_those_there_are() -> None:
    with pytest.raises(
        NetvizError, match="'yaml'; the formats are: containerlab, dot, json, mermaid, script"
    ):
        export(Snapshot(), "yaml")
