"""What a step does is what its command does: on this kernel, and with any name."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from functools import partial
from time import sleep
from typing import TYPE_CHECKING

import pytest
from examples import ALONE, ENTRIES, MAC, PLACE, address, link, route, undone
from oracle import can, sh
from sandboxed import fresh_network

from netviz.changes import essence, rows
from netviz.model import FdbEntry, Interface, Neighbour, Qdisc
from netviz.net.building import Builder
from netviz.net.discovery import snapshot
from netviz.net.entries import (
    AddAddress,
    AddEntry,
    SetFilters,
    SetSysctl,
)
from netviz.net.settings import SetLink, SetParameters
from netviz.net.steps import AddLink, AddNamespace, AddTap, AddVeth, DeleteLink, DeleteNamespace
from netviz.net.worker import aside

if TYPE_CHECKING:
    from collections.abc import Callable

    from netviz.net.steps import Step

pytestmark = pytest.mark.long

LACKING = "Unknown device type", "qdisc kind is unknown"
LACKED: set[str] = set()
PROBES = {
    "tap": "ip tuntap add tap1 mode tap",
    "bridge with vlans": "ip link add br1 type bridge vlan_filtering 1",
    "new name while it is up": "ip link set lo up; ip link set lo name lo9",
    "bridge with filters": "ip link add br1 type bridge nf_call_iptables 1",
    "ruleset": "nft add table ip t",
}
NAMES = [
    *("it's", 'a"b', "<script>", "-x", "--", "$(id)", "$$", "`id`", "a;b", "a=b", "a.b", "*", "\\"),
    *("up", "d", "type", "dev", "name", "link", "master", "peer", "netns", "a", "ünï", "1", "lo0"),
]


def lasting() -> dict[object, object]:
    """Return what there is, but for numbers, and for the addresses that new cards drew by lot.

    Of IPv6's own entries those for groups and for the machine itself come when it finds the time.
    """
    found: dict[object, object] = {}
    for space in snapshot().namespaces:
        found[space.name] = space.held_by
        own = {it.mac for it in space.interfaces if it.mac and not it.mac.startswith("02:00:00")}
        for row, it in rows(space):
            mac = getattr(it, "mac", None) or ""
            if isinstance(it, Interface):
                found[space.name, *row] = {
                    k: v for k, v in essence(it).items() if str(v) not in own
                }
            elif isinstance(it, Qdisc):
                found[space.name, *row] = replace(it, handle=it.handle if it.handle < "8" else "")
            elif (getattr(it, "table", 0), getattr(it, "protocol", "")) == (255, "kernel"):
                continue
            elif mac not in own and mac[:2] not in ("33", "01"):
                found[space.name, *row] = it
    return found


def outcomes(*changes: Callable[[], object]) -> list[dict[object, object]]:
    """Return what there is after each of some changes to a place, once that comes to rest."""
    seen: list[dict[object, object]] = []
    with fresh_network():
        sh(PLACE)
        for change in changes:
            change()
            seen.append({})
            while seen[-1] != (now := lasting()):
                seen[-1] = now
                sleep(0.01)
    return seen


def typed(*steps: Step, kind: str = "thing") -> None:
    script = "\n".join(step.command() for step in steps)
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
    if any(words in done.stderr for words in LACKING):
        LACKED.add(kind)
        pytest.skip(f"this kernel, or this user, cannot make a {kind}")
    assert done.returncode == 0, done.stderr


def carried_out(*steps: Step) -> None:
    aside(lambda: Builder().carry_out(steps))


def needed(step: Step) -> str:
    """Return what a kernel must be able to make for a step."""
    told = str(getattr(step, "parameters", ""))
    if "nf_call" in told:
        return "bridge with filters"
    if isinstance(step, SetLink) and step.settings == {"name": "new"}:
        return "new name while it is up"
    if "vlan_filtering" in told or getattr(getattr(step, "entry", None), "vlan", None):
        return "bridge with vlans"
    if isinstance(step, AddTap | SetFilters):
        return "tap" if isinstance(step, AddTap) else "ruleset"
    return getattr(step, "kind", "") or getattr(getattr(step, "entry", None), "kind", "")


@pytest.mark.parametrize("step", [*ALONE, *ENTRIES], ids=lambda step: step.command())
def test_step_does_what_its_command_does(step: Step) -> None:
    kind = needed(step)
    if kind in LACKED or (kind in PROBES and not can(PROBES[kind])):
        pytest.skip(f"this kernel, or this user, cannot make a {kind}")
    steps = [step, undone(step)] if step in ENTRIES else [step]
    by_shell = outcomes(*(partial(typed, each, kind=kind) for each in steps))
    by_message = outcomes(*(partial(carried_out, each) for each in steps))
    for ours, theirs in zip(by_message, by_shell, strict=True):
        assert ours == theirs


@pytest.mark.parametrize("how", [typed, carried_out])
def test_neighbour_that_was_asked_for_meanwhile_is_replaced(how: Callable[[Step], None]) -> None:
    step = AddEntry("root", Neighbour("10.1.1.8", "br0", "inet", MAC, ("PERMANENT",)))
    sh("ip link add br0 type bridge; ip neighbour add 10.1.1.8 dev br0 nud failed")
    how(step)
    assert f"lladdr {MAC} PERMANENT" in sh("ip neighbour show 10.1.1.8")


@pytest.mark.parametrize("name", NAMES)
def test_interface_may_have_any_name(name: str) -> None:
    steps = [
        AddLink(name, "bridge"),
        AddVeth("net1:p1", f"net1:{name}"),
        AddVeth(f"net2:{name}", "p2"),
        SetLink("p2", {"master": name, "up": True}),
        SetLink(name, {"up": True, "mtu": 1400, "alias": name}),
        SetParameters(name, "bridge", {"stp_state": 1}),
        AddLink("m1", "macvlan", {"mode": "bridge"}, name),
        AddLink("v1", "vxlan", {"id": 9, "port": 4791}, name),
        AddAddress(name, address("10.1.1.1/24", label=name)),
        AddEntry("root", route("10.2.0.0/16", name, "10.1.1.9")),
        AddEntry("root", Neighbour("10.1.1.8", name, "inet", MAC, ("PERMANENT",))),
        AddEntry("net1", FdbEntry(MAC, name, state="permanent", flags=("self",))),
        AddEntry("net1", Qdisc(name, "ingress", "", "ingress")),
        SetSysctl("root", f"net/ipv4/conf/{name}/rp_filter", 2),
        SetSysctl("net1", f"net/ipv4/conf/{name}/rp_filter", 2),
        DeleteLink(f"net2:{name}"),
        SetLink(f"net1:{name}", {"name": "plain"}),
        SetLink("net1:plain", {"name": name, "netns": "net2"}),
    ]
    assert outcomes(partial(carried_out, *steps)) == outcomes(partial(typed, *steps))


@pytest.mark.parametrize("name", [*NAMES[::2], "new\nline", "a b", "\u202eltr"])
def test_namespace_may_have_any_name(name: str) -> None:
    steps = [
        AddNamespace(name),
        AddVeth(f"{name}:one", "p1"),
        AddVeth(f"{name}:two", "net1:p1"),
        link("vxlan", at=f"{name}:v1", id=9, port=4791),
        SetLink("two", {"netns": name, "name": "three"}),
        AddAddress(f"{name}:one", address("10.1.1.1/24")),
        SetSysctl(name, "net.ipv4.ip_forward", 1),
        SetLink(f"{name}:three", {"netns": "root"}),
    ]
    gone = [DeleteLink("p1"), DeleteLink("net1:p1"), DeleteNamespace(name)]
    by_shell = outcomes(partial(typed, *steps), partial(typed, *gone))
    assert outcomes(partial(carried_out, *steps), partial(carried_out, *gone)) == by_shell
