"""Put every fault into one network, and tell what came of it: ``python proving.py bridge``.

A line of JSON for each fault that applies. It runs in a lab of its own, so that several networks
are proved side by side; most of the time is spent waiting for answers that do not come.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

from net.switches import host, on, pod
from packets.roads import FLANNEL, VXLAN

import netviz
from netviz.changes import changes
from netviz.net.discovery import snapshot
from netviz.net.history import go_back
from netviz.net.lasting import lasting
from netviz.packets.diagnosis import diagnose
from netviz.packets.explainer import lasts, listens
from netviz.teach import breaking
from netviz.teach.echoes import Pair, answered
from netviz.teach.faults import faults
from netviz.teach.places import Lab

if TYPE_CHECKING:
    from netviz.net.topology import Topology

LIVE = {"listens": listens, "lasts": lasts}
_PATIENCE = 0.3
_SETTLES = 4.0


def sh(script: str) -> None:
    subprocess.run(["sh", "-ec", script], check=True, capture_output=True, timeout=20)


def dual() -> Topology:
    net = netviz.bridge(3)
    for number in range(3):
        net.address(f"net{number + 1}:veth{number}", f"fd00::{number + 2}/64")
    return net


def uplink() -> Topology:
    """Return what Docker builds, and somebody outside who knows no way back to a container."""
    net = netviz.docker(2)
    net.namespace("out")
    net.veth("uplink", "out:eth0", ip="192.0.2.1/24", peer_ip="192.0.2.2/24")
    return net


def router() -> None:
    """Build a router, to which net1 has a second cable; its answers all leave by the first."""
    netviz.router().up()
    sh(SECOND)


def flannel() -> None:
    netviz.nodes(2, 1).up()
    sh(FLANNEL)


def switches() -> None:
    """Build two switches of Open vSwitch, each with two access ports of one VLAN."""
    host()
    for bridge, tag in (("br0", 10), ("br1", 20)):
        on("root", f"ovs-vsctl add-br {bridge}")
        for number in (tag + 1, tag + 2):
            pod(f"net{number}", f"10.1.1.{number}", bridge, tag)


SECOND = """ip link add w1_r type veth peer name w1 netns net1
ip address add 10.1.3.1/24 dev w1_r; ip -n net1 address add 10.1.3.2/24 dev w1
ip link set w1_r up; ip -n net1 link set w1 up
ip -n net2 route add 10.1.3.0/24 via 10.1.2.1
for where in root:v1_r root:v2_r root:w1_r net1:v1 net1:w1; do
    space=${where%:*}; run="ip netns exec $space"; [ $space != root ] || run=
    $run sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.${where#*:}.rp_filter=0
done
"""
SHARED = """ip link add wire type veth peer far; ip link set wire up; ip link set far up
for n in 1 2; do
    ip netns add net$n; ip -n net$n link set lo up
    ip link add link wire name eth0 netns net$n type macvlan mode bridge
    ip -n net$n address add 10.1.1.$n/24 dev eth0; ip -n net$n link set eth0 up
done
"""
NETWORKS: dict[str, Callable[[], object]] = {
    "two hosts": lambda: netviz.two_hosts().up(),
    "bridge": lambda: netviz.bridge(3).up(),
    "dual-stack bridge": lambda: dual().up(),
    "router": router,
    "Docker": lambda: uplink().up(),
    "nodes": lambda: netviz.nodes(2, 2).up(),
    "VXLAN": lambda: sh(VXLAN),
    "flannel": flannel,
    "macvlan": lambda: sh(SHARED),
    "Open vSwitch": switches,
}


def proved(broken: breaking.Broken, lab: Lab) -> dict[str, object]:
    """Tell what is said of a fault that is there, and what is left once it was mended."""
    seen = snapshot()
    told = {pair: diagnose(seen, *pair, **LIVE) for pair in broken.lost[:8]}
    # On a busy machine an answer may only have been late.
    late = answered([pair for pair, it in told.items() if it.works and it.certain], _SETTLES)
    explained = {" ".join(pair): it.to_dict() for pair, it in told.items() if pair not in late}
    for step in broken.back:
        sh(step.command())
    breaking._SETTLES = _SETTLES
    mended = breaking.mended()
    left = changes(lasting(lab.network, exact=True), lasting(snapshot(), exact=True))
    return {
        "fault": broken.fault.name,
        "cause": broken.place.cause,
        "explained": explained,
        "mended": mended.to_dict(),
        "left": [str(each) for each in left],
        "back": [step.command() for step in broken.back],
    }


def more(broken: breaking.Broken, lab: Lab) -> dict[str, object]:
    """Break it once more; tell how that is judged, and what the mend that is explained does."""
    place = broken.place
    breaking._carry_out(place.breaks)
    breaking._SETTLES = _PATIENCE
    too_early = bool(breaking.mended())
    told = [(pair, diagnose(snapshot(), *pair, **LIVE)) for pair in broken.lost]
    progress = "nothing was explained"
    for pair, before in told:
        if before.mend:
            subprocess.run(["sh", "-c", before.mend], check=False, capture_output=True)
            after = diagnose(snapshot(), *pair, **LIVE)
            works = answered([pair], _PATIENCE)
            moved = after.broken is None or str(after.broken) != str(before.broken)
            progress = "" if works or moved else f"{pair}: {before.mend} mends not: {before.broken}"
            break
    go_back(lab.network, place.mends)
    breaking._carry_out(place.then)
    return {"too early": too_early, "progress": progress}


def main(name: str) -> None:
    NETWORKS[name]()
    pairs = breaking._pairs(snapshot(), breaking.Random(0))
    end = time.monotonic() + _SETTLES
    works: tuple[Pair, ...] = ()
    while time.monotonic() < end and len(works) < len(pairs) and not (name == "VXLAN" and works):
        works = answered(pairs, _PATIENCE)
    breaking._PATIENCE = _PATIENCE
    for fault in faults():
        lab = Lab(snapshot(), works)
        for place in [*fault.places(lab)][:3]:
            breaking._latest.clear()
            if broken := breaking._tried(fault, place, lab, ""):
                told = proved(broken, lab) | more(broken, lab)
                sys.stdout.write(f"{json.dumps(told)}\n")
                break


if __name__ == "__main__":
    main(sys.argv[1])
