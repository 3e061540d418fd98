"""Hosts with Open vSwitch, built by the commands that one types; and what the switch itself says.

A host is a namespace with daemons of its own, the lab's root one as well.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from net.oracle import sh

from netviz.lab.components import needs
from netviz.lab.services import service
from netviz.net.ovsdb import Daemon


def host(name: str = "root") -> str:
    """Start Open vSwitch in a namespace, and return its name."""
    needs("ovs")
    service("ovs", None if name == "root" else name)
    return name


def on(name: str, script: str) -> str:
    """Run commands on a host, as one types them there."""
    inside = "" if name == "root" else f"ip netns exec {name} "
    return sh("\n".join(inside + line.strip() for line in script.strip().splitlines()))


def pod(name: str, address: str, bridge: str, tag: int | None = None, at: str = "root") -> None:
    """Plug a namespace into a bridge, by a cable whose near end is called as it is.

    It has no IPv6, which speaks by itself, and of which a switch learns at any time.
    """
    near = f"ip {'' if at == 'root' else f'-n {at}'} link set v-{name} up"
    where = "" if at == "root" else f"netns {at}"
    sh(f"""
    ip netns add {name}
    ip netns exec {name} sysctl -qw net.ipv6.conf.all.disable_ipv6=1
    ip netns exec {name} sysctl -qw net.ipv6.conf.default.disable_ipv6=1
    ip link add v-{name} {where} type veth peer name eth0 mtu 1450 netns {name}
    {near}
    ip -n {name} link set lo up; ip -n {name} link set eth0 up
    ip -n {name} address add {address}/24 dev eth0""")
    on(at, f"ovs-vsctl add-port {bridge} v-{name}" + (f" tag={tag}" if tag else ""))


def patch(one: str, other: str, at: str = "root") -> None:
    """Join two bridges by a patch cable."""
    ends = ((one, f"{one}-{other}", f"{other}-{one}"), (other, f"{other}-{one}", f"{one}-{other}"))
    for bridge, port, peer in ends:
        options = f"set interface {port} type=patch options:peer={peer}"
        on(at, f"ovs-vsctl --no-wait add-port {bridge} {port} -- {options}")


def folder(at: str) -> Path:
    """Return where the sockets of a host are."""
    return Path("/run/openvswitch" if at == "root" else f"/run/openvswitch-{at}")


def ask(at: str, method: str, *words: str) -> str:
    """Return what the switch of a host answers. Equivalent to: ``ovs-appctl METHOD WORDS``."""
    pid = int((folder(at) / "ovs-vswitchd.pid").read_text())
    with Daemon(str(folder(at) / f"ovs-vswitchd.{pid}.ctl"), time.monotonic() + 10) as switch:
        return str(switch.ask(method, *words))


def foretold(at: str, bridge: str, flow: str) -> set[str]:
    """Return the ports by which a frame would leave, as ``ofproto/trace`` says."""
    shown = re.findall(r"^\s+(\S+) \d+/(\d+):", ask(at, "dpif/show"), re.MULTILINE)
    names = {number: name for name, number in shown}
    told = ask(at, "ofproto/trace", bridge, flow).rpartition("Datapath actions: ")[2].strip()
    while "(" in told:  # What is within parentheses tells of tags and tunnels.
        told = re.sub(r"\([^()]*\)", "", told)
    return {names[each] for each in told.split(",") if each in names}
