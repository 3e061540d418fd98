"""Networks in which one thing is wrong: the journey ends where it is, and says what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from net.oracle import can, sh
from roads import BRIDGE, ROUTER, VXLAN

from netviz.packets.tracer import Flow, follow

if TYPE_CHECKING:
    from netviz.journeys import Followed, Journey

pytestmark = pytest.mark.long


class Fault(NamedTuple):
    """What is wrong in a network, what is sent, and how a journey with this title then ends."""

    network: str
    wrong: str
    command: str | Flow
    title: str
    where: str
    why: str
    fate: str = "lost"
    sender: str = "net1"


PING = "ping -c1 -W0.3 10.1.1.2"
FAR = "ping -c1 -W0.3 10.1.2.2"
POD = "ping -c1 -W0.3 10.7.0.2"
SENT, ASKED, REQUEST, ANSWER = "what was for", "ARP: who has", "ICMP echo request", "the answer to"
FILTER = "table ip guard {{ chain {0} {{ type filter hook {0} priority 0; {1}; }}; }}"
STATE = """
for n in $(seq 200); do
    bridge -d link show dev {0} | grep -q {1} && break
    sleep 0.05
done
"""
LISTENS = f"""
ip link set br0 type bridge forward_delay 400 stp_state 1
ip link set port1 down
ip link set port1 up
{STATE.format("port1", "listening")}
"""
# Two switches, and two cables between them: one too many.
LOOP = f"""
for n in 1 2; do
    ip netns add net$n
    ip link add sw$n type bridge forward_delay 200 hello_time 100 stp_state 1
    ip link add veth0 netns net$n type veth peer port$n
    ip link set port$n master sw$n up
    ip -n net$n address add 10.1.1.$n/24 dev veth0
    ip -n net$n link set veth0 up
done
for c in a b; do
    ip link add one$c type veth peer two$c
    ip link set one$c master sw1 up
    ip link set two$c master sw2 up
done
ip link set sw1 address 02:00:00:00:00:01 up
ip link set sw2 address 02:00:00:00:00:02 up
{STATE.format("port1", "forwarding")}
{STATE.format("port2", "forwarding")}
{STATE.format("twoa", "forwarding")}
{STATE.format("twob", "blocking")}
"""


def filtered(where: str, hook: str, rule: str) -> str:
    return f"{where} nft '{FILTER.format(hook, rule)}'"


FLUSH = "ip -n net1 address flush dev veth0"
NETNS = "ip netns exec"
FAULTS = {
    "the interface is down": Fault(
        BRIDGE, "ip -n net1 link set veth0 down", PING, SENT, "net1:", "veth0 is down"
    ),
    "a port is down": Fault(
        BRIDGE, "ip link set port2 down", PING, ASKED, "root:port2", "port2 is down"
    ),
    "and the ping that was never sent says so": Fault(
        *(BRIDGE, "ip link set port2 down", PING, SENT, "net1:veth0"),
        "nobody on veth0 answers for 10.1.1.2: its question got lost at root:port2: port2 is down",
    ),
    "the far end of a port is down": Fault(
        *(BRIDGE, "ip -n net2 link set veth0 down", PING, ASKED, "root:port2"),
        "port2 carries nothing: the far end of its cable is down",
    ),
    "the bridge is down": Fault(
        BRIDGE, "ip link set br0 down", PING, ASKED, "root:port1", "br0 is down"
    ),
    "the sender has no address": Fault(
        *(BRIDGE, FLUSH, PING, SENT, "net1:"),
        "no route; it has no address",
    ),
    "what is sent to itself, and lo is down": Fault(
        *(BRIDGE, "ip -n net1 link set lo down", "ping -c1 -W0.3 10.1.1.1", SENT, "net1:lo"),
        "lo is down",
    ),
    "the receiver has no address": Fault(
        *(BRIDGE, "ip -n net2 address flush dev veth0", PING, SENT, "net1:veth0"),
        "nobody on veth0 answers for 10.1.1.2",
    ),
    "a wrong mask": Fault(
        *(
            BRIDGE,
            FLUSH + "; ip -n net1 address add 10.1.1.1/32 dev veth0",
        ),
        *(PING, SENT, "net1:", "no route; 10.1.1.2 is not in 10.1.1.1/32 of veth0"),
    ),
    "no route there": Fault(
        ROUTER, "ip -n net1 route delete default", FAR, SENT, "net1:", "no route"
    ),
    "the router has no route": Fault(
        *(ROUTER, "", "ping -c1 -W0.3 10.9.9.9", REQUEST, "router:eth1"),
        "router has no way to 10.9.9.9: no route",
    ),
    "a route that refuses": Fault(
        *(ROUTER, "ip -n router route add blackhole 10.8.0.0/16", "ping -c1 -W0.3 10.8.0.1"),
        *(REQUEST, "router:eth1", "no way to 10.8.0.1: blackhole 10.8.0.0/16, a route of router"),
    ),
    "no route back": Fault(
        *(ROUTER, "ip -n net2 route delete default", FAR, ANSWER, "net2:"),
        "net2 has no way to 10.1.1.2: no route",
    ),
    "no forwarding": Fault(
        *(ROUTER, f"{NETNS} router sysctl -qw net.ipv4.ip_forward=0", FAR, REQUEST),
        *("router:eth1", "does not forward: net.ipv4.ip_forward is 0"),
    ),
    "the reverse path filter": Fault(
        ROUTER
        + f"{NETNS} router sysctl -qw net.ipv4.conf.all.rp_filter=1\n"
        + "ip -n net1 address add 10.5.5.5/32 dev lo\n"
        + "ip -n net1 neighbour add 10.1.1.1 dev veth0 lladdr "
        + f"$({NETNS} router cat /sys/class/net/eth1/address)",
        *("", "ping -c1 -W0.3 -I 10.5.5.5 10.1.2.2", REQUEST, "router:eth1"),
        "rp_filter: the way back to 10.5.5.5 is not by eth1",
    ),
    "a filter in the router": Fault(
        *(ROUTER, filtered(f"{NETNS} router", "forward", "icmp type echo-request drop"), FAR),
        *(REQUEST, "router:eth1", "table ip guard, chain forward: icmp type echo-request"),
    ),
    "a policy": Fault(
        *(ROUTER, filtered(f"{NETNS} net2", "input", "policy drop"), FAR, REQUEST),
        *("net2:veth0", "table ip guard, chain input: policy drop"),
    ),
    "a filter that rejects": Fault(
        *(ROUTER, filtered(f"{NETNS} router", "forward", "ip daddr 10.1.2.2 reject"), FAR),
        *(REQUEST, "router:eth1", "chain forward: ip daddr 10.1.2.2"),
    ),
    "a filter that sees bridged frames": Fault(
        *(BRIDGE, filtered("", "forward", "ip protocol icmp drop"), PING, REQUEST),
        *("root:port1", "table ip guard, chain forward: ip protocol icmp"),
    ),
    "too large, and not to be cut": Fault(
        *(ROUTER, "ip -n router link set eth2 mtu 1280", FAR + " -M do -s 1400", REQUEST),
        *("router:eth1", "1428 bytes are more than eth2's MTU of 1280, and it may not be cut"),
    ),
    "too large for a port": Fault(
        *(BRIDGE, "ip link set port2 mtu 1000", PING + " -s 1400", REQUEST, "root:port1"),
        "port2, but that has an MTU of 1000, and the packet has 1428 bytes",
    ),
    "nobody has the address": Fault(
        *(BRIDGE, "", "ping -c1 -W0.3 10.1.1.9", SENT, "net1:veth0"),
        "nobody on veth0 answers for 10.1.1.9",
    ),
    "nobody behind the router has it": Fault(
        *(ROUTER, "", "ping -c1 -W0.3 10.1.2.9", REQUEST, "router:eth1"),
        "nobody on eth2 answers for 10.1.2.9",
    ),
    "two have the address": Fault(
        *(BRIDGE, "ip -n net3 address add 10.1.1.2/24 dev veth0", PING, REQUEST, "net"),
        *("answers for it as well: the address is there twice", "delivered"),
    ),
    "a wrong neighbour": Fault(
        BRIDGE,
        "ip -n net1 neighbour add 10.1.1.2 lladdr 02:00:00:00:00:99 dev veth0",
        *(PING, REQUEST, "net", "it is for 02:00:00:00:00:99, and veth0 is", "lost"),
    ),
    "a port that STP does not trust yet": Fault(
        *(BRIDGE, LISTENS, PING, ASKED),
        *("root:port1", "STP holds port1: its state is listening"),
    ),
    "ports that are isolated": Fault(
        BRIDGE,
        "for n in 1 2 3; do bridge link set dev port$n isolated on; done",
        *(PING, ASKED, "root:port", "is isolated, as the port is where the frame came in"),
    ),
    "a filter where it is sent": Fault(
        *(BRIDGE, filtered(f"{NETNS} net1", "output", "ip protocol icmp drop"), PING, SENT),
        *("net1:veth0", "table ip guard, chain output: ip protocol icmp"),
    ),
    "too large for the first card": Fault(
        *(BRIDGE, "", PING + " -M do -s 5000", SENT, "net1:veth0"),
        "the command says: ping: local error: message too long",
    ),
    "no route comes before the time to live": Fault(
        ROUTER, "", "ping -c1 -W0.3 -t1 10.9.9.9", REQUEST, "router:eth1", "no way to 10.9.9.9"
    ),
    "nobody listens to TCP": Fault(
        *(BRIDGE, "", Flow("10.1.1.2", "tcp", 81), "TCP SYN", "net2:veth0"),
        *("but nobody listens on the port", "delivered"),
    ),
    "the time to live": Fault(
        ROUTER, "", FAR + " -t1", REQUEST, "router:eth1", "its time to live is used up"
    ),
    "a wrong VNI": Fault(
        VXLAN.replace("id 42", "id $((41 + n))"),
        *("", POD, ASKED, "node2:eth0", "node2 has no VXLAN device with VNI 42", "lost", "pod1"),
    ),
    "a VTEP that knows no other": Fault(
        VXLAN.replace("remote 192.168.7.$((3 - n))", ""),
        *("", POD, ASKED, "node1:vx0", "vx0 does not know behind which node", "lost", "pod1"),
    ),
    "the other node does not answer": Fault(
        *(
            VXLAN,
            "ip -n node2 address flush dev eth0; ip -n node1 neighbour flush dev eth0",
            POD,
            ASKED,
            "node1:vx0",
        ),
        *("nobody on eth0 answers for 192.168.7.2", "lost", "pod1"),
    ),
    "nobody listens": Fault(
        *(BRIDGE, "", Flow("10.1.1.2", "udp", 5353), "UDP", "net2:veth0"),
        *("but nobody listens on the port", "delivered"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_journey_ends_at_the_fault_and_names_it(name: str) -> None:
    fault = FAULTS[name]
    sh(fault.network + fault.wrong)
    if "bridged" in name and not can("modprobe br_netfilter || ls /proc/sys/net/bridge"):
        pytest.skip("this kernel has no bridge-nf")
    seen = follow(fault.sender, fault.command)
    way = titled(seen, fault.title)
    end = way.end
    assert (way.fate, fault.why in str(end.end)) == (fault.fate, True), told(seen)
    assert str(end.where).startswith(fault.where), told(seen)
    assert seen.drops == 0


def test_copy_that_a_loop_would_bring_ends_where_stp_blocks_it() -> None:
    sh(LOOP)
    seen = follow("net1", PING)
    way = titled(seen, ASKED)
    assert way.fate == "delivered", told(seen)
    stopped = [hop for hop in way if hop.end and "STP" in str(hop.end)]
    assert {(str(hop.where), hop.direction, str(hop.end)) for hop in stopped} == {
        ("root:twob", "in", "STP holds twob: its state is blocking"),
        ("root:twob", "out", "twob is held by STP: its state is blocking"),
    }, told(seen)


def titled(seen: Followed, title: str) -> Journey:
    found = [way for way in seen.journeys if way.title.startswith(title)]
    assert found, told(seen)
    return found[0]


def told(seen: Followed) -> str:
    lines = [seen.output]
    for way in seen.journeys:
        lines.append(f"{way.title}: {way.fate}")
        lines += (f"  {it.number} {it.where} {it.direction} {it.fate} {it.end}" for it in way)
    return "\n".join(lines)
