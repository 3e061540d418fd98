"""Ready-made networks, each as short as it can be said: what the lessons build by hand."""

from __future__ import annotations

from netviz.net.topology import Topology

_MASQUERADE = """table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
  }
}"""


def two_hosts() -> Topology:
    """Return two namespaces and a cable: net1 with 10.1.1.1, net2 with 10.1.1.2."""
    net = Topology()
    net.namespace("net1", "net2")
    net.veth("net1:veth0", "net2:veth1", ip="10.1.1.1/24", peer_ip="10.1.1.2/24")
    return net


def bridge(n: int = 2) -> Topology:
    """Return ``n`` namespaces on a bridge: net1 with 10.1.1.2, net2 with 10.1.1.3, and so on."""
    net = Topology()
    net.bridge("br1")
    for number in range(n):
        where, port = f"net{number + 1}", f"br1-veth{number}"
        net.namespace(where)
        address = f"10.1.{1 + (number + 2) // 256}.{(number + 2) % 256}/{24 if n < 254 else 16}"
        net.veth(f"{where}:veth{number}", port, master="br1", ip=address)
    return net


def docker(n: int = 2) -> Topology:
    """Return what Docker builds for ``n`` containers: c1 with 172.17.0.2, and the way out."""
    net = Topology()
    net.bridge("docker0", ip="172.17.0.1/16")
    for number in range(1, n + 1):
        net.namespace(f"c{number}")
        address = f"172.17.{(number + 1) // 256}.{(number + 1) % 256}/16"
        net.veth(f"c{number}:eth0", f"veth{number}", master="docker0", ip=address)
        net.route(f"c{number}", "default", via="172.17.0.1")
    net.sysctl("root", "net.ipv4.ip_forward", 1)
    net.nft("root", _MASQUERADE)
    return net


def router() -> Topology:
    """Return two networks, 10.1.1.0/24 and 10.1.2.0/24, that the root joins as their router."""
    net = Topology()
    for number in (1, 2):
        net.namespace(f"net{number}")
        ends = (f"net{number}:v{number}", f"v{number}_r")
        net.veth(*ends, ip=f"10.1.{number}.2/24", peer_ip=f"10.1.{number}.1/24")
        net.route(f"net{number}", f"10.1.{3 - number}.0/24", via=f"10.1.{number}.1")
    net.sysctl("root", "net.ipv4.ip_forward", 1)
    return net


def nodes(n: int = 2, pods: int = 2) -> Topology:
    """Return a small cluster: ``n`` nodes on one switch, pods behind each, joined by routes."""
    net = Topology()
    net.bridge("switch0")
    for node in range(1, n + 1):
        here = f"node{node}"
        net.namespace(here)
        net.veth(f"{here}:eth0", f"port{node}", master="switch0", ip=f"192.168.1.{node}/24")
        net.bridge(f"{here}:cni0", ip=f"10.244.{node}.1/24")
        net.sysctl(here, "net.ipv4.ip_forward", 1)
        for pod in range(1, pods + 1):
            _plug_in(net, node, pod)
        for other in {*range(1, n + 1)} - {node}:
            net.route(here, f"10.244.{other}.0/24", via=f"192.168.1.{other}")
    return net


def _plug_in(net: Topology, node: int, pod: int) -> None:
    """Declare a pod and its cable to the node's bridge, which is its way out."""
    name, subnet = f"node{node}-pod{pod}", f"10.244.{node}"
    net.namespace(name)
    ends = (f"{name}:eth0", f"node{node}:veth{pod}")
    net.veth(*ends, master="cni0", ip=f"{subnet}.{pod + 1}/24")
    net.route(name, "default", via=f"{subnet}.1")
