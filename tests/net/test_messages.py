"""What a step asks of the kernel is what ``ip``, ``bridge`` and ``tc`` ask for it.

Their messages are caught with strace, so the kernel need not know what is asked. Each is cut into
a tree, ours too: a dictionary of field or attribute → value, where ``18.2.7`` is the attribute 7
in the attribute 2 in the attribute 18.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import pytest
from examples import ENTRIES, LINKS, PARAMETERS, PLACE, SETTINGS, undone
from oracle import sh

from netviz.net import parameters
from netviz.net.messages import attributes
from netviz.net.netlink import (
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    RTM_NEWQDISC,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    RTM_SETLINK,
)
from netviz.net.steps import ROOT

if TYPE_CHECKING:
    from netviz.net.steps import Step

pytestmark = pytest.mark.long

Tree = dict[str, object]
Header = tuple[struct.Struct, str]
KINDS = {it.kind for it in (*LINKS, *PARAMETERS) if hasattr(it, "kind")}
LINK = struct.Struct("BxHiII"), "family type index flags change"
ROUTE = struct.Struct("8BI"), "family to from tos table protocol scope type flags"
HEADERS = {
    RTM_NEWLINK: LINK,
    RTM_NEWADDR: (struct.Struct("BBBBi"), "family length flags scope index"),
    RTM_NEWROUTE: ROUTE,
    RTM_NEWRULE: ROUTE,
    RTM_NEWNEIGH: (struct.Struct("BxxxiHBB"), "family index state flags type"),
    RTM_NEWQDISC: (struct.Struct("BxxxiIII"), "family index handle parent info"),
}
NESTED = {RTM_NEWLINK: {"18", "18.2", "18.5"}, RTM_NEWQDISC: {"2"}}
HOP = struct.Struct("HBBi"), "length flags weight index"
NETEM = struct.Struct("6I"), "latency limit loss gap duplicate jitter"
TBF = struct.Struct("BBHhHI12sIII"), "cells card overhead align mpu speed peak limit burst mtu"
NOTHING = struct.Struct(""), ""
INNER = {b"tbf\0": {"2.1": TBF}, b"netem\0": {"2": NETEM}}

# What `ip` spells out, and the kernel takes where nothing is said: attribute → number.
TUNNEL = dict.fromkeys((1, 2, 3, 4, 5, 15, 16, 17, 18, 20), 0) | {10: 1}
GRE = dict.fromkeys((*range(1, 10), *range(14, 18), 20), 0) | {10: 1}
USUAL = {
    "vxlan": {7: 1},
    "geneve": {3: 0, 4: 0, 11: 0},
    "ipvlan": {2: 0},
    "ipip": TUNNEL,
    "sit": TUNNEL | {8: 0},
    "gre": GRE,
    "gretap": GRE,
    # Of an encapsulation that there is not, `ip` says how it would sum.
    "ip6tnl": {1: 0, 2: 0, 3: 0, 7: 0, 8: 0, 9: 0, 15: 0, 16: 2, 17: 0, 18: 0, 20: 0},
    "ip6gre": GRE | {11: 4, 12: 0, 13: 0, 15: 2, 22: 1},
    "ip6gretap": GRE | {11: 4, 12: 0, 13: 0, 15: 2, 22: 1},
}
# Where both may differ: why, and what tells such a difference by the kind of the message, the kind
# of link (or that it is deleted), and a field that is ours and theirs.
Differs = Callable[[int, str, str, object, object], bool]
EXCEPTIONS: dict[str, Differs] = {
    "an attribute without a value says nothing": lambda kind, what, at, our, their: their == b"",
    "what the kernel takes anyway": lambda kind, what, at, our, their: (
        at[:5] == "18.2."
        and our is None
        and USUAL.get(what, {}).get(int(at[5:])) == int.from_bytes(their, "little")
    ),
    "the number of an open file": lambda kind, what, at, our, their: (
        kind == RTM_NEWLINK and at in ("28", "18.2.1.28") and None not in (our, their)
    ),
    "the root by a process that is there, as it has no name": lambda kind, what, at, our, their: (
        kind == RTM_NEWLINK and (at, None) in (("19", our), ("28", their))
    ),
    "no mark in particular": lambda kind, what, at, our, their: (
        kind == RTM_NEWRULE and at == "10" and our is None and not any(their)
    ),
    "all of a vlan's flags, or those that change": lambda kind, what, at, our, their: (
        what == "vlan" and at == "18.2.2" and our == changed(b"\1\0\0\0", their)
    ),
    "the kernel asks a port's bridge, not what is said": lambda kind, what, at, our, their: (
        at in ("18.1", "18.4") and {our, their} in ({None, b"bridge"}, {None, b"bridge_slave"})
    ),
    "a label that is the device's name": lambda kind, what, at, our, their: (
        kind == RTM_NEWADDR and at == "3" and (our, their) == (b"one\0", None)
    ),
    "to delete, what is not typed is left open": lambda kind, what, at, our, their: (
        what == "deleted" and at in ("protocol", "scope", "type") and their in (0, 255)
    ),
    "everywhere is nowhere in particular": lambda kind, what, at, our, their: (
        kind == RTM_NEWROUTE and at == "1" and our is None and not any(their)
    ),
    "tables of how long packets take, for old kernels": lambda kind, what, at, our, their: (
        kind == RTM_NEWQDISC and at in ("2.2", "2.1.cells", "2.1.align")
    ),
    "a burst in ticks is not looked at where it is in bytes": lambda kind, what, at, our, their: (
        kind == RTM_NEWQDISC and at == "2.1.burst" and abs(our - their) < 16
    ),
    "nanoseconds, which this tc does not say": lambda kind, what, at, our, their: (
        kind == RTM_NEWQDISC and at in ("2.10", "2.11") and their is None
    ),
    "the one number that an ingress can have": lambda kind, what, at, our, their: (
        kind == RTM_NEWQDISC and at == "handle" and (our, their) == (0, 0xFFFF0000)
    ),
}


class Place:
    """The site of a step, as far as its message needs it; the kernel chooses all numbers."""

    def __init__(self, namespace: str) -> None:
        there = ["-n", namespace] if namespace != ROOT else []
        told = json.loads(subprocess.check_output(["ip", *there, "-j", "link"]))
        self.indexes = {link["ifname"]: link["ifindex"] for link in told}

    def descriptor(self, namespace: str) -> int:
        return 0

    def number(self, namespace: str, device: str, *, chosen: bool = True) -> int:
        return 0


def caught(command: str, kind: int) -> bytes:
    """Return the one message of a kind that a command sends, without its header."""
    program = ["strace", "-f", "-e", "trace=sendmsg", "-e", "signal=none", "-e", "write=all"]
    done = subprocess.run([*program, "sh", "-c", command], capture_output=True, text=True)
    sent = []
    for each in done.stderr.split(" bytes in buffer 0\n")[1:]:
        lines = re.match(r"( \| [0-9a-f]{5}  .*\n)*", each).group().splitlines()
        sent.append(bytes.fromhex("".join(line[9:58] for line in lines)))
    (found,) = [data[16:] for data in sent if struct.unpack_from("H", data, 4)[0] == kind]
    return found


def tree(kind: int, body: bytes) -> Tree:
    """Return a message as fields and attributes by their place."""
    what = attributes(body, HEADERS[kind][0].size).get(1, b"") if kind == RTM_NEWQDISC else b""
    told = cut(body, HEADERS[kind], "", NESTED.get(kind, ()), INNER.get(what, {}))
    if kind in (RTM_NEWRULE, RTM_NEWROUTE) and "15" in told:
        told["table"] = struct.unpack("I", told.pop("15"))[0]  # It need not be below 256.
    if kind == RTM_NEWADDR and "8" in told:
        told["flags"] = struct.unpack("I", told.pop("8"))[0]  # The same.
    if kind == RTM_NEWROUTE and "9" in told:
        told |= hops(told.pop("9"))
    if kind == RTM_NEWLINK and told.get("18.1") == b"veth":
        told |= cut(told.pop("18.2.1"), LINK, "18.2.1.", (), {})
    return told


def cut(
    body: bytes, header: Header, at: str, nested: Collection[str], inner: Mapping[str, Header]
) -> Tree:
    fields, names = header
    told: Tree = {at + k: v for k, v in zip(names.split(), fields.unpack_from(body), strict=True)}
    for number, value in attributes(body, fields.size).items():
        where = f"{at}{number}"
        if where in nested or where in inner:
            told |= cut(value, inner.get(where, NOTHING), f"{where}.", nested, inner)
        else:
            told[where] = value
    return told


def hops(data: bytes) -> Tree:
    """Return the ways of a route over several."""
    told: Tree = {}
    while data:
        size = struct.unpack_from("H", data)[0]
        told |= cut(data[:size], HOP, f"9.{len(data)}.", (), {})
        data = data[size:]
    return told


def changed(value: bytes, by: bytes) -> bytes:
    """Return all of a vlan's flags, after some of them were told."""
    (flags,), (told, moved) = struct.unpack("I", value), struct.unpack("II", by)
    return struct.pack("II", flags & ~moved | told, 31)


def unexplained(step: Step, delete: bool = False) -> dict[str, tuple[object, object]]:
    """Return where our message and that of the command differ, and no exception says why."""
    request = step.request(Place(step.namespace))
    kind = RTM_NEWLINK if request.kind == RTM_SETLINK else request.kind
    told = RTM_NEWLINK if kind == RTM_NEWLINK else kind - delete
    ours, theirs = (tree(told, it) for it in (request.body, caught(step.command(), kind)))
    what = "deleted" if delete else ours.get("18.1", b"").decode()
    return {
        at: (ours.get(at), theirs.get(at))
        for at in {**ours, **theirs}
        if ours.get(at) != theirs.get(at)
        and not any(
            may(told, what, at, ours.get(at), theirs.get(at)) for may in EXCEPTIONS.values()
        )
    }


needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="this machine has no strace")
# Each version of `ip` spells out other defaults; these are those of Debian 12.
needs_version = pytest.mark.skipif(
    "iproute2-6.1" not in sh("ip -V"), reason="the exceptions are those of another version of ip"
)


@needs_strace
@needs_version
@pytest.mark.parametrize("step", [*LINKS, *SETTINGS, *PARAMETERS], ids=lambda it: it.command())
def test_link_is_asked_for_as_ip_does(step: Step) -> None:
    sh(PLACE)
    assert unexplained(step) == {}


@needs_strace
@needs_version
@pytest.mark.parametrize("step", ENTRIES, ids=lambda it: it.command())
def test_entry_is_added_and_deleted_as_ip_does(step: Step) -> None:
    sh(PLACE)
    assert unexplained(step) == {}
    assert unexplained(undone(step), delete=True) == {}


def test_examples_say_every_parameter_of_every_kind_of_link() -> None:
    said = {
        (it.kind, name)
        for it in (*LINKS, *PARAMETERS)
        if hasattr(it, "kind")
        for name in it.parameters
    }
    told = {(kind, name) for kind in KINDS for name in parameters.settable(kind)}
    assert {it for it in told - said if it[1] != "link"} == set()
