"""Networks that a packet crosses in ways of which each hop is known beforehand."""

from __future__ import annotations

Road = list[tuple[str, str]]
"""Where a packet is seen, in order: ``namespace:device`` and ``out`` or ``in``."""

BRIDGE = """
ip netns add net1
ip netns add net2
ip netns add net3
ip link add br0 type bridge
ip link set br0 up
for n in 1 2 3; do
    ip link add veth0 netns net$n type veth peer port$n
    ip link set port$n master br0 up
    ip -n net$n address add 10.1.1.$n/24 dev veth0
    ip -n net$n link set veth0 up
done
"""
OVER_BRIDGE: tuple[Road, Road] = (
    [("net1:veth0", "out"), ("root:port1", "in"), ("root:port2", "out"), ("net2:veth0", "in")],
    [("net2:veth0", "out"), ("root:port2", "in"), ("root:port1", "out"), ("net1:veth0", "in")],
)

ROUTER = """
ip netns add net1
ip netns add net2
ip netns add router
for n in 1 2; do
    ip link add veth0 netns net$n type veth peer eth$n netns router
    ip -n router address add 10.1.$n.1/24 dev eth$n
    ip -n router link set eth$n up
    ip -n net$n address add 10.1.$n.2/24 dev veth0
    ip -n net$n link set veth0 up
    ip -n net$n route add default via 10.1.$n.1
done
ip netns exec router sysctl -qw net.ipv4.ip_forward=1
"""
OVER_ROUTER: tuple[Road, Road] = (
    [("net1:veth0", "out"), ("router:eth1", "in"), ("router:eth2", "out"), ("net2:veth0", "in")],
    [("net2:veth0", "out"), ("router:eth2", "in"), ("router:eth1", "out"), ("net1:veth0", "in")],
)

# net2 is reached by the router's own address, and sees the router's as the source.
NAT = (
    ROUTER
    + """
ip netns exec router nft -f - <<END
table ip nat {
    chain pre {
        type nat hook prerouting priority dstnat
        ip daddr 10.1.1.1 dnat to 10.1.2.2
    }
    chain post {
        type nat hook postrouting priority srcnat
        oifname "eth2" masquerade
    }
}
END
"""
)

# Two nodes, each with a bridge, a pod and a VTEP; between them a switch in the root.
VXLAN = """
ip link add switch type bridge
ip link set switch up
for n in 1 2; do
    ip netns add node$n
    ip netns add pod$n
    ip link add eth0 netns node$n type veth peer up$n
    ip link set up$n master switch up
    ip -n node$n address add 192.168.7.$n/24 dev eth0
    ip -n node$n link set eth0 up
    ip -n node$n link add br0 type bridge
    ip -n node$n link set br0 up
    ip link add eth0 netns pod$n type veth peer port0 netns node$n
    ip -n node$n link set port0 master br0 up
    ip -n pod$n address add 10.7.0.$n/24 dev eth0
    ip -n pod$n link set eth0 mtu 1450 up
    ip -n node$n link add vx0 type vxlan id 42 dstport 4789 local 192.168.7.$n \
        remote 192.168.7.$((3 - n)) dev eth0
    ip -n node$n link set vx0 master br0 up
done
"""

# Over netviz.nodes(2, 1), instead of its routes: what flannel's daemon makes of two nodes.
FLANNEL = """
for n in 1 2; do
    far=$((3 - n))
    ip -n node$n route flush protocol boot
    ip -n node$n link add flannel.1 address 02:00:00:00:00:0$n \
        type vxlan id 1 dstport 8472 local 192.168.1.$n dev eth0 nolearning
    ip -n node$n address add 10.244.$n.0/32 dev flannel.1
    ip -n node$n link set flannel.1 up
    ip -n node$n route add 10.244.$far.0/24 via 10.244.$far.0 dev flannel.1 onlink
    ip -n node$n neighbour add 10.244.$far.0 lladdr 02:00:00:00:00:0$far dev flannel.1 \
        nud permanent
    bridge -n node$n fdb add 02:00:00:00:00:0$far dev flannel.1 dst 192.168.1.$far
done
"""


def _over_vxlan(one: int, two: int) -> Road:
    return [
        (f"pod{one}:eth0", "out"),
        (f"node{one}:port0", "in"),
        (f"node{one}:vx0", "out"),
        (f"node{one}:eth0", "out"),
        (f"root:up{one}", "in"),
        (f"root:up{two}", "out"),
        (f"node{two}:eth0", "in"),
        (f"node{two}:vx0", "in"),
        (f"node{two}:port0", "out"),
        (f"pod{two}:eth0", "in"),
    ]


OVER_VXLAN: tuple[Road, Road] = (_over_vxlan(1, 2), _over_vxlan(2, 1))

ROADS = {
    "bridge": (BRIDGE, "net1", "10.1.1.2", OVER_BRIDGE),
    "router": (ROUTER, "net1", "10.1.2.2", OVER_ROUTER),
    "masquerade and DNAT": (NAT, "net1", "10.1.1.1", OVER_ROUTER),
    "VXLAN": (VXLAN, "pod1", "10.7.0.2", OVER_VXLAN),
}
