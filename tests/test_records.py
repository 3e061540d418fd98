"""What a snapshot was written down as becomes that snapshot again; what is no such file is refused.

The generated snapshots hold any text and any number where the model does, so nothing depends on a
value that only the kernel gives.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netviz.errors import NetvizError
from netviz.model import Address, Caution, Endpoint, Interface, Namespace, Rule, Snapshot
from netviz.net.discovery import snapshot
from netviz.records import snapshot_of

TEXT = st.text(st.characters(exclude_categories=()), max_size=6)
ANY = st.recursive(TEXT | st.integers() | st.booleans() | st.none(), st.lists, max_leaves=3)
ROW = st.dictionaries(TEXT, ANY, max_size=2)
FLAGS = st.lists(st.sampled_from(["secondary", "nodad", "noprefixroute"]), unique=True).map(tuple)


def value(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a field's type."""
    inner = get_args(hint)
    if type(None) in inner:
        return st.none() | value(inner[0])
    if get_origin(hint) is tuple:
        return st.lists(value(inner[0]), max_size=2).map(tuple)
    if inner:
        rows = ROW if inner[1] is object else st.dictionaries(TEXT, value(inner[1]), max_size=2)
        return rows.map(dict)
    if hint is Namespace:
        return noun(Namespace).map(plugged)
    if is_dataclass(hint):
        return noun(hint)
    return {int: st.integers(), str: TEXT, bool: st.booleans()}[hint]


def noun(kind: Any) -> st.SearchStrategy[Any]:
    """Return nouns of a kind, every field of theirs filled in."""
    hints = get_type_hints(kind)
    own = {field.name: value(hints[field.name]) for field in fields(kind)}
    if kind is Address:
        own["flags"] = FLAGS  # Each is a key beside the fields, so it cannot be any text.
    if kind is Interface:
        own["master"] = st.none()
    return st.builds(kind, **own)


def plugged(namespace: Namespace) -> Namespace:
    """Return the namespace with every interface plugged into the first, which is in no other."""
    named = {interface.name: interface for interface in namespace.interfaces}
    bridge, *others = named.values() or [None]
    if bridge is None:
        return namespace
    master = Endpoint(namespace.id, bridge.index, namespace.name, bridge.name)
    ports = [replace(other, master=master) for other in others]
    return replace(namespace, interfaces=(bridge, *ports))


def through_json(seen: Snapshot) -> Snapshot:
    return snapshot_of(json.loads(json.dumps(seen.to_dict())))


@given(st.lists(value(Namespace), max_size=2))
def test_every_snapshot_comes_back_as_it_was(namespaces: list[Namespace]) -> None:
    seen = Snapshot(tuple(namespaces))
    assert through_json(seen) == seen
    assert through_json(seen).to_dict() == seen.to_dict()


def test_network_of_the_kernel_comes_back_as_it_was() -> None:
    script = """
        ip link add br1 type bridge stp_state 1; ip link set br1 up; ip netns add net1
        ip link add port1 type veth peer name eth0 netns net1; ip link set port1 master br1 up
        ip -n net1 link set eth0 up; ip -n net1 address add 10.1.1.2/24 dev eth0
        ip -n net1 address add 10.0.0.1 peer 10.0.0.2/32 dev eth0
        ip -n net1 link add link eth0 name m1 type macvlan mode bridge
        ip -n net1 route add default nexthop via 10.1.1.1 weight 2 nexthop via 10.1.1.3
        ip rule add not from 10.0.0.0/8 fwmark 1 table 7; ip neighbour add 10.1.1.9 lladdr \
            02:00:00:00:00:09 dev br1"""
    subprocess.run(["sh", "-ec", script], check=True)
    seen = snapshot()
    assert through_json(seen) == replace(seen, warnings=through_json(seen).warnings)
    assert through_json(seen).to_dict() == seen.to_dict()


def test_warning_comes_back_as_its_text() -> None:
    seen = Snapshot(warnings=(Caution("its peer is gone", Endpoint(1, 2, "net1", "eth0")),))
    assert through_json(seen).warnings == (Caution("net1:eth0: its peer is gone"),)


def test_master_that_was_gone_is_known_by_its_number() -> None:
    port = Interface(3, "port1", "veth", None, 1500, master=Endpoint(1, 7, "net1", "if7"))
    seen = Snapshot((Namespace(1, "net1", interfaces=(port,)),))
    assert through_json(seen) == seen


def test_what_is_missing_is_what_the_noun_has_without_it() -> None:
    told = {"namespaces": [{"id": 1, "name": "net1", "rules": [{"priority": 1, "family": "inet"}]}]}
    assert snapshot_of(told).namespaces[0] == Namespace(1, "net1", rules=(Rule(1, "inet"),))
    assert snapshot_of({"namespaces": []}) == Snapshot()


def test_what_is_not_known_is_passed_over() -> None:
    told = {"version": 9, "namespaces": [{"id": 1, "name": "net1", "queues": [{"kind": "fq"}]}]}
    assert snapshot_of(told) == Snapshot((Namespace(1, "net1"),))


LINK = {"index": 1, "name": "lo", "kind": "loopback", "mac": None, "mtu": 65536}
BAD = {
    "the file: [] is no object": [],
    "the file: None is no object": None,
    "namespaces: missing": {"interfaces": []},
    "namespaces: {} is no list": {"namespaces": {}},
    "namespaces: 'net1' is no list": {"namespaces": "net1"},
    "namespaces[1]: 7 is no object": {"namespaces": [{"id": 1, "name": "net1"}, 7]},
    "namespaces[0].id: missing": {"namespaces": [{"name": "net1"}]},
    "namespaces[0].id: True is no number": {"namespaces": [{"id": True, "name": "net1"}]},
    "namespaces[0].id: 1.5 is no number": {"namespaces": [{"id": 1.5, "name": "net1"}]},
    "namespaces[0].name: None is no text": {"namespaces": [{"id": 1, "name": None}]},
    "warnings[0]: 5 is no text": {"namespaces": [], "warnings": [5]},
}
BAD_LINKS: dict[str, dict[str, object]] = {
    "index: 'x' is no number": {"index": "x"},
    "mac: 7 is no text": {"mac": 7},
    "flags[1]: 1 is no text": {"flags": ["UP", 1]},
    "parameters: [] is no object": {"parameters": []},
    "statistics.rx.bytes: 'many' is no number": {"statistics": {"rx": {"bytes": "many"}}},
    "peer.id: missing": {"peer": {"index": 1, "namespace": "net1", "name": "lo"}},
    "addr_info[0].prefixlen: missing": {"addr_info": [{"family": "inet", "local": "10.0.0.1"}]},
    "addr_info[0].address: 5 is no text": {
        "addr_info": [{"family": "inet", "local": "10.0.0.1", "prefixlen": 8, "address": 5}]
    },
    "master: {} is no text": {"master": {}},
    "master: there is no interface 'br1'": {"master": "br1"},
    "master: there is no interface 'if9999999999...9999999999999'": {"master": "if" + "9" * 5000},
}


@pytest.mark.parametrize(("message", "told"), BAD.items(), ids=BAD)
def test_what_is_no_snapshot_is_refused_with_its_place(message: str, told: Any) -> None:
    with pytest.raises(NetvizError) as refused:
        snapshot_of(told)
    assert str(refused.value) == f"{message}; give what `netviz export --format json` wrote"


@pytest.mark.parametrize(("message", "wrong"), BAD_LINKS.items(), ids=BAD_LINKS)
def test_what_is_no_interface_is_refused_with_its_place(message: str, wrong: Any) -> None:
    spaces = [{"id": 1, "name": "a"}, {"id": 2, "name": "b", "interfaces": [LINK, LINK | wrong]}]
    with pytest.raises(NetvizError) as refused:
        snapshot_of({"namespaces": spaces})
    assert refused.value.what == f"namespaces[1].interfaces[1].{message}"


def test_rule_is_refused_by_the_word_in_the_file() -> None:
    rule = {"priority": 1, "family": "inet", "not": "yes"}
    with pytest.raises(NetvizError, match=r"rules\[0\]\.not: 'yes' is no truth value"):
        snapshot_of({"namespaces": [{"id": 1, "name": "net1", "rules": [rule]}]})
