"""The nouns say themselves as JSON, in the shape that others may rely on."""

from __future__ import annotations

import dataclasses
import json

import pytest

from netviz.model import (
    Address,
    Caution,
    Endpoint,
    FdbEntry,
    Interface,
    Namespace,
    Neighbour,
    Route,
    Rule,
    Snapshot,
)
from netviz.text import printable

FAR = Endpoint(2, 7, "net1", "eth0")
HERE = Endpoint(1, 3, "root", "veth1")
INTERFACE = Interface(
    index=3,
    name="veth1",
    kind="veth",
    mac="02:00:00:00:00:01",
    mtu=1500,
    flags=("UP", "LOWER_UP"),
    addresses=(Address("inet", "10.1.1.1", 24, label="veth1"),),
    master=Endpoint(1, 2, "root", "br1"),
    peer=FAR,
)
ROOT = Namespace(
    id=1,
    name="root",
    held_by="root",
    interfaces=(INTERFACE,),
    routes=(Route("default", "inet", "br1", "10.1.1.254"),),
    rules=(Rule(0, "inet", table=255),),
    neighbours=(Neighbour("10.1.1.2", "br1", "inet", "02:00:00:00:00:02", ("STALE",)),),
    fdb=(FdbEntry("02:00:00:00:00:02", "veth1", "br1"),),
    sysctls={"ip_forward": 1},
)


def test_snapshot_has_the_keys_that_are_promised() -> None:
    told = Snapshot((ROOT,), (Caution("its peer is gone", HERE),)).to_dict()
    assert told["warnings"] == ["root:veth1: its peer is gone"]
    (namespace,) = told["namespaces"]
    assert {"id": 1, "name": "root", "sysctls": {"ip_forward": 1}}.items() <= namespace.items()
    assert {"interfaces", "routes", "rules", "neighbours", "fdb", "nft"} <= namespace.keys()


def test_interface_tells_its_cable_and_its_bridge() -> None:
    told = INTERFACE.to_dict()
    assert told["peer"] == {"namespace": "net1", "name": "eth0", "id": 2, "index": 7}
    assert told["master"] == "br1"
    assert told["addresses"] == ["10.1.1.1/24"]
    assert (told["up"], told["running"]) == (True, True)
    assert {"index", "name", "kind", "mac", "mtu"} <= told.keys()


def test_route_tells_what_ip_tells() -> None:
    (route,) = (route.to_dict() for route in ROOT.routes)
    way = {"to": "default", "via": "10.1.1.254", "dev": "br1", "metric": None}
    kind = {"table": 254, "family": "inet", "scope": "global", "type": "unicast"}
    assert (way | kind).items() <= route.items()


def test_rule_and_addresses_use_the_words_of_ip() -> None:
    assert Rule(9, "inet", source="10.0.0.0/8", inverted=True).to_dict()["from"] == "10.0.0.0/8"
    assert Rule(9, "inet", inverted=True).to_dict()["not"] is True
    address = Address("inet", "10.0.0.1", 32, peer="10.0.0.2", flags=("secondary",)).to_dict()
    assert (address["address"], address["secondary"]) == ("10.0.0.2", True)
    assert "label" not in address


def test_everything_is_plain_json() -> None:
    told = Snapshot((ROOT,)).to_dict()
    assert json.loads(json.dumps(told)) == told


def test_interface_without_carrier_is_up_but_does_not_run() -> None:
    waiting = Interface(1, "veth0", "veth", None, 1500, ("NO-CARRIER", "UP"))
    assert (waiting.up, waiting.running) == (True, False)


def test_snapshot_yields_each_interface_with_its_namespace() -> None:
    assert list(Snapshot((ROOT,))) == [(ROOT, INTERFACE)]


def test_nouns_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        INTERFACE.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("veth0", "veth0"),
        ("with space", "with space"),
        ("ünï-网", "ünï-网"),
        ("<b>\"'\\", "<b>\"'\\"),
        ("new\nline\ttab", r"new\nline\ttab"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\u202eltr\u200b", r"\u202eltr\u200b"),
        ("no\xa0break", r"no\xa0break"),
        ("\udcff", r"\udcff"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_printable_escapes_what_misleads_and_nothing_else(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert printable(shown) == shown
