"""Build a network again from what was seen of it, and tell in what the second is another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from net.oracle import sh
from sandboxed import fresh_network

from netviz.net.discovery import snapshot
from netviz.net.lasting import lasting
from netviz.net.planning import plan
from netviz.net.scripts import script

if TYPE_CHECKING:
    from netviz.changes import Change, Changes
    from netviz.model import Snapshot
    from netviz.net.steps import Step
    from netviz.net.topology import Topology


def look() -> Snapshot:
    """Return what is in this network, without that around it, which pytest keeps open."""
    seen = snapshot()
    return replace(seen, namespaces=tuple(it for it in seen.namespaces if it.held_by != "file"))


def rebuilt(network: Snapshot | Topology, *, exact: bool = False) -> Snapshot:
    with fresh_network():
        sh(script(network, exact=exact))
        return look()


def steps(before: Snapshot, after: Snapshot) -> tuple[Step, ...]:
    return plan(lasting(before, exact=True), lasting(after, exact=True))


def by_itself(change: Change) -> bool:
    """Tell whether a difference is of the kernel's own making, or there for a time only."""
    if change.kind == "interface":
        cardless = "00:00:00:00:00:00" in (change.before, change.after)
        return change.field in ("carrier", "port state") or (change.field == "mac" and cardless)
    noun = change.after or change.before
    if change.kind == "address":
        return noun.local.startswith("fe80") or "dynamic" in noun.flags
    if change.kind == "neighbour":
        return "PERMANENT" not in noun.state
    return change.kind == "fdb" and noun.state not in ("static", "permanent")


def chosen(different: Changes, *fields: str) -> list[str]:
    """Return what is different that somebody has chosen."""
    return [str(it) for it in different if not by_itself(it) and it.field not in fields]
