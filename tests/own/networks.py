"""Networks of kinds that not every kernel has, each of them made by hand and in working order.

``net1`` and the others reach one another at the addresses of `REACHED`.
"""

from __future__ import annotations

HOSTS = """
for n in 1 2; do ip netns add net$n; ip -n net$n link set lo up; done
ip -n net1 link add eth0 type veth peer name eth0 netns net2
for n in 1 2; do
    ip -n net$n link set eth0 up; ip -n net$n address add 10.0.0.$n/24 dev eth0
    ip -n net$n address add fd00::$n/64 dev eth0 nodad
done
"""


def tunnel(kind: str, ends: str = "10.0.0", *options: str) -> str:
    """Return a tunnel between two hosts, which have 10.9.0.N and fd09::N in it."""
    six = ends.endswith(":")
    own, far = (f"{ends}{'' if six else '.'}{end}" for end in ("$n", "$((3 - n))"))
    inside = "ip -n net$n address add fd09::$n/64 dev tun1 nodad"
    if kind not in ("sit",):
        inside += "; ip -n net$n address add 10.9.0.$n/24 dev tun1"
    return (
        HOSTS
        + f"""for n in 1 2; do
    ip -n net$n link add tun1 type {kind} local {own} remote {far} {" ".join(options)}
    ip -n net$n link set tun1 up; {inside}
done
"""
    )


TUNNELS = {
    "ipip": tunnel("ipip"),
    "gre": tunnel("gre", "10.0.0", "key", "7"),
    "gretap": tunnel("gretap"),
    "sit": tunnel("sit"),
    "ip6tnl": tunnel("ip6tnl", "fd00::", "mode", "any"),
    "ip6gre": tunnel("ip6gre", "fd00::"),
}
VLAN = (
    HOSTS
    + """for n in 1 2; do
    ip -n net$n link add link eth0 name eth0.5 type vlan id 5
    ip -n net$n link set eth0.5 up; ip -n net$n address add 10.5.0.$n/24 dev eth0.5
done
"""
)
BRIDGED = """ip link add br0 type bridge vlan_filtering 1; ip link set br0 up
for n in 1 2 3 4; do
    ip netns add net$n; ip link add p$n type veth peer name eth0 netns net$n
    ip link set p$n master br0 up; ip -n net$n link set eth0 up
done
for n in 1 2 3; do ip -n net$n address add 10.1.0.$n/24 dev eth0; done
for n in 1 2; do bridge vlan add dev p$n vid 10 pvid untagged; bridge vlan del dev p$n vid 1; done
bridge vlan add dev p3 vid 20 pvid untagged; bridge vlan del dev p3 vid 1
bridge vlan add dev p4 vid 10; bridge vlan del dev p4 vid 1
ip -n net4 link add link eth0 name eth0.10 type vlan id 10; ip -n net4 link set eth0.10 up
ip -n net4 address add 10.1.0.4/24 dev eth0.10
bridge vlan add dev br0 vid 10 self
ip link add link br0 name br0.10 type vlan id 10; ip link set br0.10 up
ip address add 10.1.0.254/24 dev br0.10
"""
BOND = """ip link add br0 type bridge; ip link set br0 up
ip netns add net1; ip -n net1 link add bond0 type bond mode active-backup miimon 100
for n in 1 2; do
    ip link add p$n type veth peer name eth$n netns net1; ip link set p$n master br0 up
    ip -n net1 link set eth$n master bond0; ip -n net1 link set eth$n up
done
ip -n net1 link set bond0 up; ip -n net1 address add 10.0.0.1/24 dev bond0
ip netns add net2; ip link add p3 type veth peer name eth0 netns net2; ip link set p3 master br0 up
ip -n net2 link set eth0 up; ip -n net2 address add 10.0.0.2/24 dev eth0
"""
# Two customers of one router, with the same addresses.
VRF = """sysctl -qw net.ipv4.ip_forward=1; table=10
for vrf in red blue; do
    ip link add $vrf type vrf table $table; ip link set $vrf up
    for n in 1 2; do
        ip netns add $vrf$n; ip link add $vrf-$n type veth peer name eth0 netns $vrf$n
        ip link set $vrf-$n master $vrf up; ip address add 10.0.$n.1/24 dev $vrf-$n
        ip -n $vrf$n link set eth0 up; ip -n $vrf$n address add 10.0.$n.2/24 dev eth0
        ip -n $vrf$n route add default via 10.0.$n.1
    done
    table=$((table + 10))
done
"""
DUMMY = (
    HOSTS
    + """ip -n net2 link add dum0 type dummy; ip -n net2 link set dum0 up
ip -n net2 address add 10.8.0.2/24 dev dum0; ip -n net1 route add 10.8.0.0/24 via 10.0.0.2
"""
)


def children(kind: str, mode: str) -> str:
    """Return two devices on one of the root's, each in a namespace; a host beyond its cable."""
    addressed = "" if kind == "ipvlan" else " address 02:00:00:00:00:0$n"
    return f"""ip netns add far; ip link add eth0 type veth peer name eth0 netns far
ip link set eth0 up; ip address add 10.0.0.1/24 dev eth0
ip -n far link set eth0 up; ip -n far address add 10.0.0.9/24 dev eth0
for n in 2 3; do
    ip netns add net$n; ip link add c0 link eth0 netns net$n{addressed} type {kind} mode {mode}
    ip -n net$n link set c0 up; ip -n net$n address add 10.0.0.$n/24 dev c0
done
"""


CHILDREN = {
    **{f"ipvlan {mode}": children("ipvlan", mode) for mode in ("l2", "l3", "l3s")},
    **{f"macvlan {mode}": children("macvlan", mode) for mode in ("bridge", "private", "vepa")},
}
WIREGUARD = (
    HOSTS
    + """for n in 1 2; do
    ip -n net$n link add wg0 type wireguard; ip -n net$n address add 10.9.0.$n/24 dev wg0
    ip -n net$n link set wg0 up
done
"""
)
NETWORKS = {
    **TUNNELS,
    "vlan": VLAN,
    "VLAN-aware bridge": BRIDGED,
    "bond": BOND,
    "vrf": VRF,
    "dummy": DUMMY,
    **CHILDREN,
}
