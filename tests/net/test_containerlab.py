"""A topology file makes the network again: what containerlab does with it is done here by hand.

`deploy` reads the file as containerlab does, makes a namespace for each container and a veth for
each link, and runs the commands. What there is then is held against what there was.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from oracle import sh
from test_discovery import BRIDGE, NETWORKS, named

from netviz.changes import BEGINNING_RULES
from netviz.model import Endpoint, Interface, Namespace, Route, Snapshot
from netviz.net.containerlab import containerlab
from netviz.net.discovery import snapshot
from tests.sandboxed import fresh_network

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

SCHEMA = Path(__file__).resolve().parents[3] / "shared/schemas/clab.schema.json"
TWO = "ip netns add net1; ip netns add net2; "
CABLE = (
    TWO
    + """
    ip -n net1 link add eth0 type veth peer name eth0 netns net2
    for n in 1 2; do
        ip -n net$n link set lo up; ip -n net$n link set eth0 up
        ip -n net$n address add 10.0.0.$n/24 dev eth0
    done
    """
)
BUILT = {
    "cable": CABLE,
    "bridge": BRIDGE,
    "what is chosen of a link": CABLE
    + """
        ip -n net1 link set eth0 down address 02:00:00:00:00:01 mtu 1400 alias 'the "far" end'
        ip -n net2 link set eth0 mtu 9000; ip -n net2 link set lo down""",
    "two ends in one namespace": CABLE
    + """
        ip -n net1 link add one type veth peer name two; ip -n net1 link set one up""",
    "bridge in a namespace": CABLE
    + """
        ip -n net1 link add br0 type bridge stp_state 1 priority 4096 ageing_time 1000
        ip -n net1 address flush dev eth0; ip -n net1 link set eth0 master br0
        ip -n net1 link set eth0 type bridge_slave hairpin on learning off
        ip -n net1 link set br0 up; ip -n net1 address add 10.0.0.1/24 dev br0
        ip netns exec net1 bridge fdb add 02:00:00:00:00:09 dev eth0 master static""",
    "macvlan and vxlan": CABLE
    + """
        ip -n net1 link add name mac1 link eth0 type macvlan mode bridge
        ip -n net1 link set mac1 up; ip -n net1 address add 10.9.0.1/24 dev mac1
        ip -n net1 link add name vx1 type vxlan id 42 local 10.0.0.1 dev eth0 dstport 4789 \\
            nolearning
        ip netns exec net1 bridge fdb append 00:00:00:00:00:00 dev vx1 dst 10.0.0.2
        ip -n net1 link set vx1 up
        ip -n net2 link add name vx1 type vxlan id 42 remote 10.0.0.1 dstport 4789""",
    "addresses": CABLE
    + """
        ip -n net1 address add fd00::1/64 dev eth0 nodad
        ip -n net1 address add fe80::7/64 dev eth0 nodad
        ip -n net1 address add fd00::2/128 dev eth0 nodad noprefixroute
        ip -n net1 address add 10.0.7.1 peer 10.0.7.2/32 dev eth0
        ip -n net1 address add 10.0.8.1/24 brd + dev eth0 label eth0:1
        ip -n net1 address add 169.254.0.1/16 scope link dev eth0
        ip -n net1 address add 10.0.9.1/32 dev lo""",
    "routes": CABLE
    + """
        ip -n net1 address add fd00::1/64 dev eth0 nodad
        ip -n net1 route add default via 10.0.0.2 metric 50 proto static
        ip -n net1 route add 10.1.0.0/16 dev eth0 src 10.0.0.1
        ip -n net1 route add 10.2.0.0/16 via 10.1.0.1; ip -n net1 route add blackhole 10.9.0.0/16
        ip -n net1 route add 10.3.0.0/16 nexthop via 10.0.0.2 weight 3 nexthop via 10.0.0.3
        ip -n net1 route add 10.4.0.0/16 via inet6 fe80::1 dev eth0 table 7
        ip -n net1 -6 route add default via fd00::2; ip -n net1 -6 route add blackhole fd09::/64""",
    "rules, neighbours and queues": CABLE
    + """
        ip -n net1 rule add not from 10.0.0.0/24 iif lo fwmark 0x10 table 7 priority 5
        ip -n net1 -6 rule add from fd00::/64 table 100 priority 6
        ip -n net1 neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0""",
    "switches": CABLE
    + """
        ip netns exec net1 sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        ip netns exec net1 sysctl -qw net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.eth0.rp_filter=1
        ip netns exec net2 sysctl -qw net.ipv4.conf.eth0.forwarding=1""",
}
HOSTILE = [
    *("<b>", "$HOME", "${X-y}", "{{.}}", "a b", "__clabDir__", "-x", "net1|br", "ünï", "\udcff"),
    *(
        "'q'",
        '"q"',
        "a\nname= x",
        "# no",
        "host",
        "Macvlan",
        "no",
        "1e3",
        "x" * 99,
        "\u2028",
        "...",
    ),
]


def deployed(text: str) -> dict[str, Any]:
    """Return a file as containerlab reads it, once templates and the environment are through."""
    assert "{{" not in text
    assert not re.search(r"\$", text.replace("$$", ""))
    return yaml.safe_load(text.replace("$$", "$"))


def deploy(text: str) -> None:
    """Do what containerlab does; ends of links are up, containers have their loopback."""
    told = deployed(text)
    topology = told["topology"]
    for name, node in topology["nodes"].items():
        if node["kind"] == "linux":
            sh(f"ip netns add {name}; ip -n {name} link set lo up")
            for switch, value in node.get("sysctls", {}).items():
                sh(f"ip netns exec {name} sysctl -qw {switch}={value}")
    for number, link in enumerate(topology.get("links", [])):
        ends = [end.split(":") for end in link["endpoints"]]
        sh(f"ip link add a{number} mtu {link['mtu']} type veth peer name b{number}")
        sh(f"ip link set b{number} mtu {link['mtu']}")
        for here, (node, name) in zip((f"a{number}", f"b{number}"), ends, strict=True):
            kind = topology["nodes"].get(node, {}).get("kind")
            if kind == "linux":
                sh(f"ip link set {here} netns {node}; ip -n {node} link set {here} name {name} up")
            else:
                plug = f"master {node}" if kind == "bridge" else ""
                sh(f"ip link set {here} name {name} {plug} up")
    for name, node in topology["nodes"].items():
        for command in node.get("exec", []):
            words = ["ip", "netns", "exec", name, *shlex.split(command)]
            assert not {"-n", "netns"} & {*words[4:]}  # Inside there are no names of namespaces.
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{command}: {done.stderr}"


def by_hand(text: str) -> Iterator[str]:
    """Yield the commands that the head asks for."""
    yield from re.findall(r"^#   ((?:ip|tc|bridge|sysctl) .*)$", text, re.MULTILINE)


def seen(space: Namespace) -> dict[str, Any]:
    """Return what a namespace is, but for numbers, counters and running state."""
    told = json.loads(json.dumps(space.to_dict()))
    numbers = ("root_id", "bridge_id", "root_port", "root_path_cost", "topology_change")
    volatile = ("state", "id", "no", "designated_port", "designated_cost", "root_id", "bridge_id")
    links = {}
    for link in told["interfaces"]:
        link["parameters"] = {k: v for k, v in link["parameters"].items() if k not in numbers}
        link["port"] = {k: v for k, v in link["port"].items() if k not in volatile}
        for far in (link["peer"], link["lower"]):
            if far:
                del far["id"], far["index"]
        links[link["name"]] = {
            **{
                k: link[k] for k in ("kind", "mac", "mtu", "up", "alias", "master", "peer", "lower")
            },
            **{k: link[k] for k in ("parameters", "port")},
            "addresses": sorted(
                json.dumps({k: v for k, v in each.items() if k not in ("tentative", "dynamic")})
                for each in link["addr_info"]
                if each.get("protocol") != "kernel_ll"  # It comes when the carrier does.
            ),
        }
    tables = {
        "routes": [row for row in told["routes"] if row["protocol"] != "kernel"],
        "rules": told["rules"],
        "neighbours": [row for row in told["neighbours"] if "PERMANENT" in row["state"]],
        "fdb": [row for row in told["fdb"] if row["dst"] or row["state"] == "static"],
        "queues": told["qdiscs"],
    }
    for route in tables["routes"]:
        for row in (route, *route["nexthops"]):
            row["flags"] = [flag for flag in row["flags"] if flag == "onlink"]
    rows = {name: sorted(map(json.dumps, table)) for name, table in tables.items()}
    return {"links": links, "sysctls": told["sysctls"], **rows}


@pytest.fixture(scope="module")
def valid() -> Any:
    """Give what checks a file against containerlab's own schema."""
    if not SCHEMA.exists():
        pytest.skip("containerlab's schema is not beside this checkout")
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).validate


@pytest.mark.parametrize("script", BUILT.values(), ids=BUILT)
def test_network_is_there_again_once_the_file_is_deployed(script: str, valid: Any) -> None:
    with fresh_network():
        sh(script)
        before = snapshot()
        text = containerlab(before)
    valid(deployed(text))
    with fresh_network():
        commands = list(by_hand(text))
        bridges = [line for line in commands if "type bridge" in line or "br1 up" in line]
        sh("\n".join(bridges))
        deploy(text)
        sh("\n".join(line for line in commands if line not in bridges))
        after = snapshot()
    for space in before.namespaces:
        if space.held_by == "name":
            assert seen(named(after, space.name)) == seen(space)
    assert "Not as it was" not in text


@pytest.mark.parametrize("script", NETWORKS.values(), ids=NETWORKS)
def test_file_of_every_network_is_valid(script: str, valid: Any) -> None:
    sh(script)
    valid(deployed(containerlab(snapshot())))


def test_every_namespace_is_a_container_and_the_hosts_bridge_a_bridge() -> None:
    sh(BRIDGE)
    text = containerlab(snapshot(), "lesson-3")
    told = deployed(text)
    assert told["name"] == "lesson-3"
    kinds = {name: node["kind"] for name, node in told["topology"]["nodes"].items()}
    assert kinds == {"br1": "bridge", "net1": "linux", "net2": "linux", "net3": "linux"}
    ends = [link["endpoints"] for link in told["topology"]["links"]]
    assert ends == [[f"net{n}:veth0", f"br1:port{n}"] for n in (1, 2, 3)]
    node = told["topology"]["nodes"]["net1"]
    assert node["network-mode"] == "none"
    assert node["sysctls"]["net.ipv4.ip_forward"] == 0
    assert "ip address add 10.1.1.11/24 dev veth0" in node["exec"]
    assert node["exec"][-1] == "ip route add default via 10.1.1.1 dev veth0"


def test_head_says_what_the_host_must_have() -> None:
    sh(BRIDGE)
    head, _, _ = containerlab(snapshot()).partition("\n\n")
    assert all(line.startswith("# ") for line in head.splitlines())
    commands = list(by_hand(head))
    assert commands[0] == "ip link add br1 type bridge"
    assert commands[-1] == "ip address add 10.1.1.1/24 dev br1"


def test_head_says_that_the_hosts_ends_have_other_mac_addresses() -> None:
    sh("ip netns add net1; ip link add one type veth peer name two netns net1")
    assert "The ends of links on this host get MAC addresses of their own" in containerlab(
        snapshot()
    )


def test_end_that_is_in_no_bridge_is_the_hosts() -> None:
    sh("ip netns add net1; ip link add one type veth peer name two netns net1")
    (link,) = deployed(containerlab(snapshot()))["topology"]["links"]
    assert link == {"endpoints": ["net1:two", "host:one"], "mtu": 1500}


def test_root_that_is_empty_needs_nothing_by_hand() -> None:
    sh(TWO)
    text = containerlab(snapshot())
    assert "By hand" not in text
    assert "links" not in deployed(text)["topology"]


def test_same_snapshot_gives_the_same_text() -> None:
    sh(CABLE + "sysctl -qw net.ipv4.conf.lo.rp_filter=1 net.ipv4.conf.lo.forwarding=1")
    before = snapshot()
    assert containerlab(before) == containerlab(before)


def test_what_cannot_be_made_is_named_with_its_reason() -> None:
    under, over = Endpoint(2, 2, "net1", "eth0"), Endpoint(2, 3, "net1", "eth0.5")
    links = (
        Interface(2, "eth0", "device", "02:00:00:00:00:01", 1500),
        Interface(3, "eth0.5", "vlan", "02:00:00:00:00:01", 1500, lower=under),
        Interface(4, "mac1", "macvlan", "02:00:00:00:00:02", 1500, lower=over),
        Interface(5, "veth0", "veth", "02:00:00:00:00:03", 1500),
        Interface(6, "wg0", "wireguard", None, 1420),
    )
    ways = (Route("default", "inet", "eth0", "10.0.0.1"), Route("10.1.0.0/16", "inet", "mac1"))
    space = Namespace(2, "net1", interfaces=links, routes=ways, nft=({"table": {}},))
    text = containerlab(Snapshot((space,)))
    left = dict(re.findall(r"^#   (net1:\S*\w) (.*)$", text, re.MULTILINE))
    assert list(left) == ["net1:eth0", "net1:eth0.5", "net1:mac1", "net1:veth0", "net1:wg0"]
    assert "hardware" in left["net1:eth0"]
    assert "wireguard" in left["net1:wg0"]
    assert "out of sight" in left["net1:veth0"]
    assert "net1: ghcr.io/srl-labs/network-multitool has no nft for its filters" in text
    assert "exec" not in deployed(text)["topology"]["nodes"]["net1"]


def test_macvlan_on_the_hosts_link_is_left_out() -> None:
    sh("ip netns add net1; ip link add one type veth peer name two")
    sh("ip link add mac1 link one netns net1 type macvlan")
    text = containerlab(snapshot())
    assert re.search(r"^#   net1:mac1 .*out of sight", text, re.MULTILINE)
    assert "mac1" not in str(deployed(text)) + str(list(by_hand(text)))


def test_far_end_of_a_tunnel_that_was_not_seen_is_named() -> None:
    sh(CABLE + "ip -n net1 link add vx1 type vxlan id 7 remote 10.9.9.9 dstport 4789 dev eth0")
    assert "net1:vx1: its far end 10.9.9.9 is not in this picture" in containerlab(snapshot())


def hostile(*names: str) -> Snapshot:
    """Return a bridge on the host, and a namespace a name, each plugged in by a cable."""
    many = ("BROADCAST", "MULTICAST")
    root = [Interface(1, "macvlan", "bridge", "02:00:00:00:00:00", 1500, many)]
    spaces = []
    for n, name in enumerate(names, 2):
        own = name if names.index(name) == n - 2 else f"port{n}"
        port, end = Endpoint(1, n, "root", own), Endpoint(n, 1, name, name)
        master = Endpoint(1, 1, "root", "macvlan")
        root.append(Interface(n, own, "veth", None, 1500, many, master=master, peer=end))
        up = (*many, "UP")
        link = Interface(1, name, "veth", None, 1500, up, peer=port, alias=f"the {name}")
        way = Route("default", "inet", name, scope="link")
        sysctls = {"ipv4": {"default": {"rp_filter": 0}, name: {"rp_filter": 1}}}
        spaces.append(
            Namespace(
                n, name, interfaces=(link,), routes=(way,), rules=BEGINNING_RULES, sysctls=sysctls
            )
        )
    return Snapshot((Namespace(1, "root", "root", interfaces=tuple(root)), *spaces))


def test_plain_names_mean_the_same_links() -> None:
    with fresh_network():
        sh("""
            ip netns add 'a$b'; ip link add name macvlan type bridge
            ip link add name -x master macvlan type veth peer name '<b>' netns 'a$b'
            ip link add name mac1 link macvlan type macvlan
            there() { ip netns exec 'a$b' "$@"; }
            there ip link set dev '<b>' up
            there ip address add 10.0.0.1/24 dev '<b>' label '<b>:1'
            there ip link add link '<b>' name -v type macvlan mode bridge
            there ip link add name -mode type veth peer name mode
            there ip route add default via 10.0.0.2 dev '<b>' proto static
            there ip rule add iif '<b>' priority 7 table 7
            there sysctl -qw 'net/ipv4/conf/<b>/rp_filter=1'""")
        text = containerlab(snapshot())
    with fresh_network():
        first, *rest = by_hand(text)
        sh(first)
        deploy(text)
        sh("\n".join(rest))
        after = named(snapshot(), "a-b")
    assert first == "ip link add macvlan-2 type bridge"
    assert "ip link add mac1 link macvlan-2 type macvlan" in rest
    links = {link.name: link for link in after.interfaces}
    assert {*links} == {"lo", "b", "v", "mode", "mode-2"}
    assert str(links["v"].lower) == "a-b:b"
    assert links["v"].parameters["mode"] == "bridge"
    assert "b:1" in {address.label for address in links["b"].addresses}
    assert "b" in {route.dev for route in after.routes if route.to == "default"}
    assert "b" in {rule.iif for rule in after.rules}
    assert re.search(r"^#   <b> is called b here$", text, re.MULTILINE)


def test_no_name_can_be_taken_for_anything_else(valid: Any) -> None:
    text = containerlab(hostile(*HOSTILE, "b", "HOME", "X-y"), "$(evil) {{.}}")
    told = deployed(text)
    valid(told)
    assert text.encode()
    nodes, links = told["topology"]["nodes"], told["topology"]["links"]
    assert len(nodes) == 1 + len(HOSTILE) + 3
    names = [end.split(":") for link in links for end in link["endpoints"]]
    assert {node for node, _ in names} == set(nodes)
    assert not {name.lower() for name in nodes} & {"host", "macvlan"}
    assert all(re.fullmatch(r"[A-Za-z0-9][\w.-]{0,14}", name, re.ASCII) for _, name in names)
    assert len({name for node, name in names if nodes[node]["kind"] == "bridge"}) == len(links)


def test_commands_hold_hostile_words_as_one_and_plain_names() -> None:
    seen_before = hostile(*HOSTILE)
    told = deployed(containerlab(seen_before))
    nodes = list(told["topology"]["nodes"].values())[1:]
    plain = [link["endpoints"][0].split(":")[1] for link in told["topology"]["links"]]
    for name, own, node in zip(HOSTILE, plain, nodes, strict=True):
        alias = f"the {name}".replace("{{", "{ {")  # Go's templates let nothing else through.
        commands = [shlex.split(command) for command in node["exec"]]
        assert [word for word in commands[0] if word not in ("dev", "down", "up")] == [
            *("ip", "link", "set", own, "alias", alias)
        ]
        assert ["ip", "route", "add", "default", "dev", own] in commands
        assert ["sysctl", "-qw", f"net.ipv4.conf.{own}.rp_filter=1"] in commands
