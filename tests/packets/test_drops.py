"""The kernel's own reason for a drop, which only the machine's root may hear."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from roads import BRIDGE, ROUTER

from netviz.lab.identity import is_root_of_machine
from netviz.packets.drops import Drops

# A machine of its own, as far as networks are concerned: the real one is neither seen nor changed.
_PRIVATE = """
mount --make-rprivate /
mount -t tmpfs none /run
mount -t tracefs none /sys/kernel/tracing
ip link set lo up
exec "$@"
"""
_FOLLOW = """
import sys
from netviz.packets.tracer import follow
for way in follow("net1", sys.argv[1]).journeys:
    if way.protocol == "icmp":
        print(way.title, way.fate, way.end.where, way.end.end, sep="|")
"""
_FILTER = (
    "ip netns exec net2 nft 'table ip f { chain i { type filter hook input priority 0; drop; }; }'"
)


@pytest.mark.outside(only=True)
@pytest.mark.parametrize(
    ("network", "target", "where", "reason"),
    [
        (BRIDGE + _FILTER, "10.1.1.2", "net2:veth0", "NETFILTER_DROP"),
        (ROUTER, "10.9.9.9", "router:eth1", "IP_INNOROUTES"),
    ],
    ids=["a filter", "no route"],
)
def test_root_of_the_machine_hears_the_kernels_reason(
    network: str, target: str, where: str, reason: str
) -> None:
    if not is_root_of_machine():
        pytest.skip("only where the machine's root runs the tests")
    if "skb:kfree_skb" not in _events():
        pytest.skip("this kernel cannot make a trace")
    ping = [sys.executable, "-c", _FOLLOW, f"ping -c1 -W1 {target}"]
    script = ["sh", "-ec", _PRIVATE, "sh", "sh", "-ec", f'{network}\nexec "$@"', "sh", *ping]
    done = subprocess.run(
        ["unshare", "--mount", "--net", *script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    title, fate, place, why = done.stdout.splitlines()[0].split("|")
    assert (title.partition(":")[0], fate, place) == ("ICMP echo request 1", "lost", where)
    assert why.endswith(f"; the kernel's own reason: {reason}")


def _events() -> str:
    """Return which tracepoints the kernel has, seen on a mount of one's own."""
    look = "mount -t tracefs none /sys/kernel/tracing && cat /sys/kernel/tracing/available_events"
    command = ["unshare", "--mount", "sh", "-c", look]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_in_a_lab_nothing_of_the_machine_is_heard() -> None:
    with Drops() as drops:
        assert not list(Path("/sys/kernel/tracing").glob("*"))
    assert drops.after(0, 0x0800) is None
