"""A card that many share, on a LAN: its switch in the root, and another machine there."""

from __future__ import annotations

SWITCHED = """
ip link add switch0 type bridge mcast_snooping 0; ip link set switch0 up
for name in gw node1; do
    ip netns add $name; ip link add to-$name type veth peer name eth0 netns $name
    ip link set to-$name master switch0 up; ip -n $name link set eth0 up
done
ip -n gw address add 192.168.1.1/24 dev eth0
ip -n node1 address add 192.168.1.10/24 dev eth0
for port in to-gw to-node1; do
    until bridge link show dev $port | grep -q forwarding; do sleep 0.02; done
done
"""
HAIRPIN = "bridge link set dev to-node1 hairpin on;"
# Whom the port knows now, it knows for good; nobody else may send.
LOCKED = """bridge fdb flush dev switch0 brport to-node1
mac=$(ip netns exec node1 cat /sys/class/net/eth0/address)
bridge fdb replace $mac dev to-node1 master static; bridge link set dev to-node1 locked on
"""


def lan(kind: str, mode: str) -> str:
    """Return two pods, 192.168.1.11 and .12, whose cards stand on that of node1."""
    return (
        SWITCHED
        + f"""for n in 1 2; do
    ip netns add pod$n; ip -n node1 link add link eth0 name eth1 type {kind} mode {mode}
    ip -n node1 link set eth1 netns pod$n name eth0
    ip -n pod$n address add 192.168.1.1$n/24 dev eth0; ip -n pod$n link set eth0 up
done
"""
    )
