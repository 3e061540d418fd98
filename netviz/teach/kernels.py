"""What can be claimed of the kernel that a lesson runs on: that it has what the lesson needs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netviz.errors import NetvizError
from netviz.lab import linux
from netviz.lab.choosing import BUILD, FETCH, OWN_KERNEL, offered, that_kernel, this_kernel
from netviz.teach.conditions import Condition, Difference

if TYPE_CHECKING:
    from netviz.model import Snapshot


def kernel(*kinds: str) -> Condition:
    """Hold when this kernel has all of these: ``bridge``, ``vlan``, ``NAT``, as doctor calls them.

    It tells which kernel that is, and why, and which other there is. Each is tried, in a network
    that is thrown away. Equivalent to: ``unshare --net ip link add type KIND``.
    """
    other, remedy = _other()

    def look(_: Snapshot) -> Difference:
        from netviz.lab.probes import OF_KERNEL
        from netviz.lab.trials import tried

        if unknown := [f"'{name}'" for name in kinds if name not in OF_KERNEL]:
            return f"nobody can try {', '.join(unknown)}; known are: {', '.join(OF_KERNEL)}"
        found = tried([OF_KERNEL[name] for name in kinds]) if kinds else []
        lacks = [f"no {each.probe.name} ({each.detail})" for each in found if not each.works]
        return f"it has {', '.join(lacks)}; {remedy}" if lacks else None

    wanted = f" with {', '.join(map(str, kinds))}" if kinds else ""
    why = os.environ.get("NETVIZ_WHY", "")
    return Condition(f"a kernel{wanted}: {this_kernel()}{why and f' ({why})'}; {other}", look)


def _other() -> tuple[str, str]:
    """Return which other kernel there is, and what to do where this one will not do."""
    if linux.here():
        return "the kernel 'netviz lab' would be this machine's own", f"in a terminal: {BUILD}"
    try:
        own = offered()
    except NetvizError as error:
        return f"one of its own cannot be had: {error.what}", f"{error.remedy}"
    if own is None:
        run = f"for one of its own, type in a terminal: {FETCH}"
        return run, f"{run}; then restart the kernel"
    there = f"the kernel '{OWN_KERNEL}'"
    return f"{there} would be {that_kernel(own)}", f"choose {there}"
