"""What the lessons may ask of a machine, and how to find out whether it can: by doing it.

A probe is one command, as a learner would type it, run in a network that is thrown away: neither
a list of kernel modules nor a version number says as surely what works. Their order counts: a
later one uses ``net1``, ``veth0`` and ``veth1``, which an earlier one has made.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass

from netviz.lab.refusals import COMMAND
from netviz.model import JSON, printable

LESSONS = {
    0: "What is this lab, and is it safe?",
    1: "What does a namespace isolate?",
    2: "How do two namespaces talk?",
    4: "How does a bridge join many?",
}
"""The published lessons, each by its question."""

_PATIENCE = 5.0
# An ordinary user's PATH lacks them on a real machine.
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_SHELL_CANNOT_START = 127
_VERSION = re.compile(r"\d+(?:\.\d+)+|\d{6,}")


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to try: how, what cannot be done without it, and what mends its lack.

    ``lesson`` is the first published lesson that needs it; ``None``: no lesson does so far.
    """

    group: str
    name: str
    command: str
    cost: str
    remedy: str
    lesson: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """How a probe ended; ``works`` is None where it could not be tried.

    ``detail`` is what the machine said: an error, a version, a limit.
    """

    probe: Probe
    works: bool | None
    detail: str = ""

    @property
    def hinders(self) -> bool:
        """Tell whether a published lesson cannot run whole for want of this."""
        return not self.works and self.probe.lesson is not None

    def to_dict(self) -> JSON:
        """Return the finding as plain values: as ``Report.to_dict`` documents them."""
        return {
            "group": self.probe.group,
            "name": self.probe.name,
            "works": self.works,
            "needed": self.probe.lesson is not None,
            "command": self.probe.command,
            "detail": self.detail,
            "cost": self.probe.cost,
            "remedy": self.probe.remedy,
        }


def attempt(probe: Probe) -> Finding:
    """Run a probe's command, here and now, and return how it ended."""
    command = shlex.split(probe.command)
    program = probe.group == "programs"
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_SBIN}", "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return Finding(probe, None, f"no answer within {_PATIENCE:.0f} seconds")
    except OSError as error:
        # For want of the program, nothing is known about the kernel.
        return Finding(probe, False if program else None, f"'{command[0]}': {error.strerror}")
    if program and done.returncode != _SHELL_CANNOT_START:
        version = _VERSION.search(done.stdout)
        return Finding(probe, True, version[0] if version else "")
    if done.returncode == 0:
        return Finding(probe, True)
    said = printable(done.stdout.strip().partition("\n")[0])
    said = said.removeprefix("RTNETLINK answers: ").removeprefix("Error: ").rstrip(".")
    return Finding(probe, False, said or f"exit status {done.returncode}")


_UNMASKED = "start the container with: --security-opt systempaths=unconfined"
_TUN = "sudo modprobe tun; sudo chmod 0666 /dev/net/tun; in a container: --device /dev/net/tun"
_ENDS = "local 192.0.2.1 remote 192.0.2.2"
_QDISC = "tc qdisc replace dev veth0"
_MASQUERADE = (
    "add chain ip n c { type nat hook postrouting priority 100; }; add rule ip n c masquerade"
)
_BRIDGED = "add chain bridge b c { type filter hook forward priority 0; }"

# Of each group: what its remedies begin with, and of each probe its name, its command, the lesson
# that needs it or what cannot be shown without it, and how the remedy ends.
_GROUPS: dict[str, tuple[str, tuple[tuple[str, str, int | str, str], ...]]] = {
    "lab": (
        "",
        (
            ("ip netns add", "ip netns add net1", 0, "look for a denial in: sudo dmesg"),
            ("ip netns exec", "ip netns exec net1 true", 0, _UNMASKED),
            ("own /proc", "sh -c '[ /proc/self/ns -ef /proc/$$/ns ]'", 1, _UNMASKED),
            (
                "sysctl",
                "sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'",
                "a namespace as a router",
                _UNMASKED,
            ),
            ("IPv6", "ip -6 address add fd00::1 dev lo", "IPv6", "boot without ipv6.disable=1"),
        ),
    ),
    "link kinds": (
        "a kernel with CONFIG_",
        (
            ("veth", "ip link add veth0 type veth peer name veth1", 0, "VETH"),
            ("bridge", "ip link add bridge1 type bridge", 4, "BRIDGE"),
            (
                "bridge VLANs",
                "ip link add bridge2 type bridge vlan_filtering 1",
                "VLANs on a bridge",
                "BRIDGE_VLAN_FILTERING",
            ),
            (
                "vlan",
                "ip link add vlan1 link veth0 type vlan id 10",
                "tagged frames",
                "VLAN_8021Q",
            ),
            ("bond", "ip link add bond1 type bond", "a bond of two cables", "BONDING"),
            ("dummy", "ip link add dummy1 type dummy", "a device to nowhere", "DUMMY"),
            ("ifb", "ip link add ifb1 type ifb", "queues for arrivals", "IFB"),
            ("vrf", "ip link add vrf1 type vrf table 10", "many routers in one", "NET_VRF"),
            (
                "macvlan",
                "ip link add macvlan1 link veth0 type macvlan",
                "a card of many MACs",
                "MACVLAN",
            ),
            (
                "ipvlan",
                "ip link add ipvlan1 link veth1 type ipvlan",
                "a card of many IPs",
                "IPVLAN",
            ),
            ("ipip", f"ip link add ipip1 type ipip {_ENDS}", "tunnels of IP in IP", "NET_IPIP"),
            ("gre", f"ip link add gre1 type gre {_ENDS}", "GRE tunnels", "NET_IPGRE"),
            (
                "vxlan",
                "ip link add vxlan1 type vxlan id 1 dstport 4789",
                "flannel's overlay",
                "VXLAN",
            ),
            (
                "geneve",
                "ip link add geneve1 type geneve id 1 remote 192.0.2.2",
                "OVN's overlay",
                "GENEVE",
            ),
            ("wireguard", "ip link add wg1 type wireguard", "encrypted tunnels", "WIREGUARD"),
        ),
    ),
    "tun and tap": (
        "",
        (
            ("/dev/net/tun", "sh -c ': <> /dev/net/tun'", "networks made by a program", _TUN),
            ("tun", "ip tuntap add tun1 mode tun", "a VPN made by a program", _TUN),
            ("tap", "ip tuntap add tap1 mode tap", "a virtual machine's card", _TUN),
        ),
    ),
    "queues": (
        "a kernel with CONFIG_NET_SCH_",
        (
            (
                "tbf",
                f"{_QDISC} root tbf rate 1mbit burst 10kb latency 50ms",
                "a slow link",
                "TBF",
            ),
            ("htb", f"{_QDISC} root htb", "bandwidth shared out", "HTB"),
            ("netem", f"{_QDISC} root netem delay 10ms", "delay and loss", "NETEM"),
            ("ingress", f"{_QDISC} ingress", "limits on what arrives", "INGRESS"),
            (
                "clsact",
                "tc qdisc replace dev veth1 clsact",
                "filters at a device",
                "INGRESS",
            ),
        ),
    ),
    "filters": (
        "a kernel with CONFIG_",
        (
            ("nftables", "nft add table ip f", "firewalls", "NF_TABLES"),
            (
                "NAT",
                f"nft 'add table ip n; {_MASQUERADE}'",
                "a container's way out",
                "NFT_MASQ",
            ),
            (
                "conntrack",
                "nft 'add table ip t; add chain ip t c; add rule ip t c ct state new accept'",
                "firewalls that remember",
                "NFT_CT",
            ),
            (
                "bridged",
                f"nft 'add table bridge b; {_BRIDGED}'",
                "filters inside a switch",
                "NF_TABLES_BRIDGE",
            ),
            (
                "iptables",
                "iptables -t nat -A POSTROUTING -j MASQUERADE",
                "Docker's own rules",
                "NFT_COMPAT",
            ),
        ),
    ),
    "programs": (
        "sudo apt install ",
        (
            ("ip", "ip -V", 0, "iproute2"),
            ("ping", "ping -V", 0, "iputils-ping"),
            ("hostname", "hostname --version", 0, "hostname"),
            ("unshare", "unshare --version", 1, "util-linux"),
            ("nsenter", "nsenter --version", 1, "util-linux"),
            ("lsns", "lsns --version", 1, "util-linux"),
            ("ipcs", "ipcs --version", 1, "util-linux"),
            ("ps", "ps --version", 1, "procps"),
            ("ss", "ss -V", 1, "iproute2"),
            ("ethtool", "ethtool --version", 2, "ethtool"),
            ("ifconfig", "ifconfig --version", 2, "net-tools"),
            ("bridge", "bridge -V", 4, "iproute2"),
            ("tcpdump", "tcpdump --version", 4, "tcpdump"),
            ("brctl", "brctl --version", "bridges with the older tool", "bridge-utils"),
            ("arping", "arping -V", "a single question for a MAC", "iputils-arping"),
            ("tc", "tc -V", "queues", "iproute2"),
            ("nft", "nft --version", "firewalls and NAT", "nftables"),
            ("iptables", "iptables --version", "firewalls and NAT as Docker's", "iptables"),
            ("conntrack", "conntrack --version", "what a firewall remembers", "conntrack"),
            ("traceroute", "traceroute --version", "the routers on the way", "traceroute"),
        ),
    ),
}


def _probe(group: str, name: str, command: str, use: int | str, remedy: str) -> Probe:
    if isinstance(use, str):
        return Probe(group, name, command, f"{use} cannot be shown", remedy)
    return Probe(group, name, command, f"lesson {use:02}, {LESSONS[use]}", remedy, use)


USER_NAMESPACES = Probe("lab", "user namespaces", COMMAND, "no lesson can run", "", 0)
"""The first of all, tried by starting a lab; its remedy is the refusal's."""

PROBES = tuple(
    _probe(group, name, command, use, f"{begin}{end}")
    for group, (begin, rows) in _GROUPS.items()
    for name, command, use, end in rows
)
"""All others, in the order in which they must run."""
