"""Networks made by hand, each a script; and declared ones, as many as hypothesis can think of.

``topologies()`` is a strategy: namespaces, bridges in some, cables between any, and what travels
over them.
"""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import strategies as st
from test_discovery import NETWORKS, RARE
from test_reset import LINKS, REST

from netviz.net.topology import Topology

PAIR = "ip link add one type veth peer name two; "
UP = PAIR + "ip link set one up; ip link set two up; ip address add 10.0.0.1/24 dev one; "
NAMES = ("quo'te\"", "<b>", "a b", "ünï", "-n", "$(x)", "a:b", "new\nline")
DEVICES = ("-x", "$(x)", "dev", "up", "type", "vlan", "e;x", "*", "a&b", "#x", "one.5", "a\\b")
OWN = {
    "addresses on lo": """ip netns add a; ip -n a link set lo up
        for n in '' '-n a'; do ip $n address add 10.5.0.1/32 dev lo; done
        ip address add fd05::1/128 dev lo""",
    "lo down": "ip link set lo down; ip netns add a; ip -n a address add 10.3.0.1/32 dev lo",
    "empty namespaces": "for n in net10 net2 a; do ip netns add $n; done",
    "hostile namespaces": "\n".join(
        f"ip netns add '{n}'; ip -n '{n}' link add br0 type bridge".replace("quo'te", "quo'\\''te")
        for n in NAMES
    ),
    "hostile devices": "\n".join(
        f"ip link add name '{n}' type bridge; ip link set dev '{n}' up" for n in DEVICES
    )
    + """\nip link add one type veth peer name name; ip link set one master dev
        ip link set dev name up; ip address add 10.0.0.1/24 dev name
        ip route add 10.2.0.0/16 dev name
        echo 1 > /proc/sys/net/ipv4/conf/one.5/rp_filter""",
    "router": """sysctl -qw net.ipv4.ip_forward=1
        for n in 1 2; do
            ip netns add net$n; ip link add r$n type veth peer name eth0 netns net$n
            ip link set r$n up; ip -n net$n link set eth0 up; ip -n net$n link set lo up
            ip address add 10.0.$n.1/24 dev r$n; ip -n net$n address add 10.0.$n.2/24 dev eth0
            ip -n net$n route add default via 10.0.$n.1
        done""",
    "NAT": """ip netns add a; ip link add docker0 type bridge; ip link set docker0 up
        ip address add 172.17.0.1/16 dev docker0
        nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }'
        nft 'add set ip nat s { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 } }'
        nft add rule ip nat post counter ip saddr 172.17.0.0/16 oifname != docker0 masquerade
        nft 'add rule ip nat post counter ip daddr @s accept comment "x"'
        ip netns exec a nft 'add table inet f
            add chain inet f in { type filter hook input priority 0; policy drop; }
            add rule inet f in ct state established,related accept'""",
    "policy routing": UP
    + """ip rule add from 10.0.0.0/24 table 100 priority 5
        ip rule add priority 90 table 7; ip rule add priority 90 table 8
        ip rule add fwmark 1/0xff table 7; ip rule add table main suppress_prefixlength 0
        ip -6 rule add from fd00::/64 table 100; ip rule add unreachable priority 40000
        ip route add default via 10.0.0.2 table 100; ip route add 10.9.0.0/16 dev two table 1000
        ip rule add not oif lo blackhole""",
    "rules that are missing in a namespace": """ip netns add a; ip -n a rule flush
        ip -n a -6 rule delete priority 32766""",
    "multipath": UP
    + """ip route add 10.1.0.0/16 nexthop via 10.0.0.2 weight 3 nexthop via 10.0.0.3
        ip route add 10.2.0.0/16 nexthop dev one nexthop dev lo; ip link set two down""",
    "routes over routes": UP
    + """ip route add 10.65.0.1 dev one; ip route add 10.66.0.0/24 via 10.65.0.1
        ip route add 10.8.0.0/16 nexthop via 10.65.0.1 nexthop via 10.0.0.3""",
    "VXLAN with entries": UP
    + """ip link add v1 type vxlan id 42 local 10.0.0.1 dev one dstport 4789 nolearning
        for n in 3 4; do bridge fdb append 00:00:00:00:00:00 dev v1 dst 10.0.0.$n; done
        ip link set v1 up; bridge fdb add 02:00:00:00:00:09 dev v1 dst 10.0.0.3
        bridge fdb add 02:00:00:00:00:0a dev v1 dst 10.0.0.3 port 4790 vni 7
        ip link add v2 type vxlan external dstport 4791; ip link set v2 up""",
    "VXLAN in a bridge": """ip link add br0 type bridge; ip link set br0 up
        ip link add v1 type vxlan id 1 local 10.0.0.1 remote 10.0.0.2 dstport 4789
        ip link set v1 master br0 up; bridge fdb add 02:00:00:00:00:09 dev v1 dst 10.0.0.7
        bridge fdb add 02:00:00:00:00:09 dev v1 master static""",
    "VXLAN over a device in another namespace": PAIR
    + """ip netns add a; ip link set one up
        ip link add vx type vxlan id 5 dev one group 239.1.1.1 dstport 4789
        ip link set vx netns a; ip -n a link set vx up""",
    "macvlan on macvlan": PAIR
    + """ip netns add a; ip link set one up; ip link add m1 link one netns a type macvlan
        ip -n a link set m1 up; ip -n a link add m2 link m1 type macvlan mode private
        ip -n a address add 10.0.0.5/24 dev m2; ip link add m3 link two type macvlan mode passthru
        """,
    "nested bridges": """for b in 1 2 3; do ip link add br$b type bridge; ip link set br$b up; done
        for b in 1 2; do
            ip link add up$b type veth peer name down$b
            ip link set up$b master br$b up; ip link set down$b master br3 up
        done""",
    "entries of a bridge": """ip link add br1 type bridge group_fwd_mask 0x8 mcast_querier 1
        ip link add veth1 type veth peer name veth0; ip link set veth0 master br1
        bridge link set dev veth0 hairpin on neigh_suppress on isolated on
        bridge fdb add 02:00:00:00:00:02 dev br1 self
        bridge fdb add 02:00:00:00:00:03 dev veth0 master""",
    "queues": UP
    + """tc qdisc add dev one root handle 7: tbf rate 1mbit burst 10k latency 10ms
        tc qdisc add dev two ingress""",
    "IPv6": UP
    + """ip address add fd00::1/64 dev one nodad; ip address add fe80::1/64 dev two
        ip -6 address add fd02::1 peer fd02::2 dev two; ip -6 route add default via fd00::9
        ip -6 route add fd07::/64 via fe80::5 dev two; ip -6 route add blackhole fd09::/64
        ip neighbour add fd00::2 lladdr 02:00:00:00:00:02 dev one router""",
    "links that are down": PAIR
    + """ip link add br0 type bridge; ip link set one master br0
        ip address add 10.0.0.1/24 dev one; ip address add 10.1.0.1/24 dev br0""",
    "MTUs and aliases": PAIR
    + """ip link set one mtu 9000 up; ip link set two mtu 1300 alias 'the far; end' up
        ip link set lo mtu 1500; ip link add v type vxlan id 3 dev one dstport 4789
        ip link add br0 type bridge; ip link set br0 mtu 1400; ip link set two master br0""",
    "promisc and arp": PAIR
    + """ip link set one promisc on; ip link set two allmulticast on arp off up
        ip link add br0 type bridge; ip link set br0 multicast off""",
    "switches of devices": UP
    + """echo 2 > /proc/sys/net/ipv4/conf/one/rp_filter; ip netns add a
        echo 1 > /proc/sys/net/ipv6/conf/two/forwarding
        echo 1 > /proc/sys/net/ipv4/conf/one/proxy_arp
        ip netns exec a sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.default.rp_filter=2
        ip -n a link add x type bridge; ip netns exec a sysctl -qw net.ipv4.conf.x.forwarding=0""",
    "several addresses": UP
    + """ip address add 10.0.0.2/24 dev one; ip address add 10.0.0.9/25 dev one
        ip address add 10.9.0.1 peer 10.9.0.2/32 dev two
        ip address add 10.9.0.1 peer 10.9.0.3/32 dev two
        ip address add 10.2.0.1/24 dev two noprefixroute; ip route add 10.2.0.0/24 dev two""",
    "cables": """ip netns add a; ip netns add b; ip -n a link add x type veth peer name y
        for n in 1 2; do
            ip -n a link add v$n type veth peer name w$n netns b
            ip -n a link set v$n up; ip -n b link set w$n up
        done""",
    "bridge with a card of its own": PAIR
    + """ip link add br0 address 02:00:00:00:00:07 type bridge; ip link set one master br0""",
    "both ends called the same": """for n in a b; do ip netns add $n; done
        ip -n a link add eth0 type veth peer name eth0 netns b; ip -n b link set eth0 up""",
}
SEED = Path(__file__).parents[1] / "seed"
SHOWS = re.compile(r".*(delete|ping|ifconfig|ethtool).*")
# What cannot be told of a network: a rule that goes on to another, a next hop that is none, what
# somebody took away from lo. And a name in another place would be seen beside what is built.
UNTOLD = ("rules", "next hops", "addresses of lo", "no IPv6", "name in another place")
KINDS = RARE | {f"{kind}, to be reset": how for kind, how in LINKS.items()}
ALL = {
    **{f"{k}, as it is read": v for k, v in NETWORKS.items()},
    **{f"{k}, to be reset": v for k, v in REST.items() if k not in UNTOLD},
    **{f"seed {path.stem}": SHOWS.sub("", path.read_text()) for path in SEED.glob("*.sh")},
    **KINDS,
    **OWN,
}


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Return a network in which nothing is wrong."""
    net = Topology()
    new = [f"net{n}" for n in range(draw(st.integers(0, 3)))]
    net.namespace("box", *new)
    space, flag = st.sampled_from(["root", *new]), st.booleans()
    bridges = draw(st.sets(space))
    for at in sorted(bridges):
        net.bridge(f"{at}:br0", ip=["10.9.0.1/16"] * draw(flag), stp_state=int(draw(flag)))
        net.sysctl(at, "net.ipv4.ip_forward", int(draw(flag)))
    for n in range(draw(st.integers(0, 4))):
        here, there = draw(space), draw(space)
        one, other, up = f"{here}:one{n}", f"{there}:two{n}", draw(flag)
        master = "br0" if there in bridges and draw(flag) else None
        addresses = draw(
            st.lists(st.sampled_from([f"10.{n}.0.1/24", f"fd0{n}::1/64"]), unique=True)
        )
        tunnelled = draw(flag)
        # What a tunnel takes depends on what lay below it when it was made.
        mtu = 0 if tunnelled else draw(st.sampled_from([0, 1400]))
        net.veth(one, other, ip=addresses, master=master, mtu=mtu, up=up)
        if up and f"10.{n}.0.1/24" in addresses:
            net.route(
                here, f"10.{100 + n}.0.0/16", via=f"10.{n}.0.2", metric=draw(flag) * 9 or None
            )
            net.neighbour(one, f"10.{n}.0.2", "02:00:00:00:00:02")
        if tunnelled:
            net.vxlan(f"{here}:vx{n}", dev=one, id=n, port=4789, remote="10.0.0.9")
            net.fdb(f"{here}:vx{n}", "02:00:00:00:00:09", dst="10.0.0.7")
        if draw(flag) and not master:
            boxed = st.sampled_from([there, "box"])
            net.macvlan(f"{draw(boxed)}:mac{n}", dev=other, mode="bridge", ip=f"10.{n}.7.1/24")
    return net
