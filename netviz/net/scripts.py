"""Any network as the shell commands that build it, in a lab or on a server. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netviz.model import Snapshot
from netviz.net.lasting import lasting, sayable, unsaid
from netviz.net.planning import BEGINNING, plan
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.net.steps import Step
    from netviz.net.topology import Topology


def script(network: Snapshot | Topology, *, exact: bool = False) -> str:
    """Return the commands that build a network, declared or live, where there is nothing yet.

    Equivalent to: what somebody typed. The addresses of cards, which the kernel draws by lot, are
    left out unless ``exact``. What no command can build is told in comments at the top.

    Raises ``TopologyError`` for a declaration that has faults.
    """
    lacking = unsaid(network) if isinstance(network, Snapshot) else ()
    lacks = [f"# Not built: {printable(line)}." for line in lacking]
    steps = steps_of(network, Snapshot(), exact=exact)
    return "\n".join(["#!/bin/sh", "set -e", *lacks, *(step.command() for step in steps), ""])


def steps_of(
    network: Snapshot | Topology, lab: Snapshot, *, exact: bool = True
) -> tuple[Step, ...]:
    """Return the steps that build a network beside what a lab has. Raises as `script` does."""
    if isinstance(network, Snapshot):
        return plan(BEGINNING, sayable(lasting(network, exact=exact)))
    return network.steps(lab)
