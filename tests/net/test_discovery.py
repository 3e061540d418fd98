"""``snapshot()`` sees what ``ip`` and ``bridge`` see, in every namespace, and joins the ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

import pytest
from oracle import at_rest, can, sh

from netviz.net import namespaces
from netviz.net.discovery import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netviz.model import Interface, Namespace, Snapshot

BRIDGE = """
ip link add br1 type bridge; ip link set br1 up; ip address add 10.1.1.1/24 dev br1
for n in 1 2 3; do
    ip netns add net$n; ip link add port$n type veth peer name veth0 netns net$n
    ip link set port$n master br1 up
    ip -n net$n link set lo up; ip -n net$n link set veth0 up
    ip -n net$n address add 10.1.1.1$n/24 dev veth0
    ip -n net$n route add default via 10.1.1.1
done
"""
NETWORKS = {
    "nothing": "true",
    "veth in one namespace": "ip link add one type veth peer name two; ip link set one up",
    "veth across": """
        ip netns add net1; ip link add one type veth peer name two netns net1
        ip link set one up; ip -n net1 link set two up alias 'the far end'
        ip address add 10.0.0.1/30 dev one label one:1
        ip -n net1 address add 10.0.0.2/30 dev two""",
    "veth between two others": """
        ip netns add net1; ip netns add net2
        ip -n net1 link add one type veth peer name two netns net2
        ip -n net1 link set one up; ip -n net2 link set two mtu 1400 up""",
    "macvlan beside a cable": """
        ip netns add net1; ip netns add net2
        ip -n net1 link add one type veth peer name two netns net2
        ip -n net2 link add mv link two netns net1 type macvlan mode bridge""",
    "bridge": BRIDGE,
    "bridge with spanning tree": """
        ip link add br1 type bridge stp_state 1 forward_delay 400 priority 4096
        ip link add br2 type bridge stp_state 1; ip link set br1 up; ip link set br2 up
        for n in 1 2; do
            ip link add p$n type veth peer name q$n
            ip link set p$n master br1 up; ip link set q$n master br2 up
        done""",
    "bridge port options": """
        ip link add br1 type bridge ageing_time 1000 mcast_snooping 0
        ip link add veth1 type veth peer name veth0
        ip link set veth0 master br1 up
        bridge link set dev veth0 hairpin on guard on learning off flood off cost 7 priority 3
        bridge fdb add 02:00:00:00:00:01 dev veth0 master static""",
    "bridges in namespaces": """
        for n in 1 2; do
            ip netns add net$n; ip -n net$n link add br0 type bridge; ip -n net$n link set br0 up
        done
        ip -n net1 link add one type veth peer name two netns net2
        ip -n net1 link set one master br0 up; ip -n net2 link set two master br0 up""",
    "vxlan": """
        ip link add under type veth peer name w; ip link set under up
        ip address add 10.0.0.1/24 dev under
        ip link add v1 type vxlan id 42 local 10.0.0.1 remote 10.0.0.2 dev under dstport 4789
        ip link add v2 type vxlan id 43 group 239.1.1.1 dev under dstport 8472 ttl 3 nolearning
        ip link add v3 type vxlan id 44 local fd00::1 remote fd00::2 dstport 4789
        bridge fdb append 00:00:00:00:00:00 dev v1 dst 10.0.0.3 port 4790 vni 7
        ip link set v1 up""",
    "macvlan": """
        ip netns add net1; ip link add veth1 type veth peer name veth0; ip link set veth0 up
        ip link add m1 link veth0 type macvlan mode bridge; ip link set m1 up
        ip link add m2 link veth0 netns net1 type macvlan mode private""",
    "addresses": """
        ip link add one type veth peer name two; ip link set one up; ip link set two up
        ip address add fd00::1/64 dev one nodad
        ip address add fd00::2/128 dev one nodad noprefixroute
        ip address add 10.0.0.1 peer 10.0.0.2/32 dev one; ip address add 10.0.1.1/24 brd + dev two
        ip address add 10.0.1.2/24 dev two; ip address add 169.254.0.1/16 scope link dev two
        ip address add fd01::1/64 dev two valid_lft 1000 preferred_lft 500 nodad""",
    "routes": """
        ip link add one type veth peer name two; ip link set one up; ip link set two up
        ip address add 10.0.0.1/24 dev one; ip address add fd00::1/64 dev one nodad
        ip route add default via 10.0.0.2 metric 50; ip route add blackhole 10.9.0.0/16
        ip route add unreachable 10.8.0.0/16 metric 9; ip route add prohibit 10.7.0.1
        ip route add throw 10.6.0.0/16 table 100; ip route add 10.5.0.0/24 dev two src 10.0.0.1
        ip route add 10.4.0.0/24 via 192.168.1.1 dev two onlink proto bird
        ip route add 10.3.0.0/24 via inet6 fe80::1 dev two
        ip -6 route add default via fd00::2; ip -6 route add blackhole fd09::/64
        ip -6 route add fd08::1 dev two metric 7 table 1000""",
    "several ways": """
        ip link add one type veth peer name two; ip link set one up; ip link set two up
        ip address add 10.0.0.1/24 dev one; ip address add fd00::1/64 dev one nodad
        ip route add 10.1.0.0/16 nexthop via 10.0.0.2 weight 3 nexthop via 10.0.0.3
        ip -6 route add fd01::/64 nexthop via fd00::2 nexthop via fd00::3 weight 2""",
    "rules": """
        ip rule add from 10.0.0.0/24 table 100 priority 5; ip rule add to 10.1.1.1 table 1000
        ip rule add iif lo fwmark 0x10 table 7; ip rule add not oif lo blackhole
        ip -6 rule add from fd00::/64 table 100; ip rule add unreachable priority 40000""",
    "neighbours": """
        ip link add one type veth peer name two; ip link set one up; ip link set two up
        ip address add 10.0.0.1/24 dev one; ip address add fd00::1/64 dev one nodad
        ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:02 dev one
        ip neighbour add 10.0.0.3 lladdr 02:00:00:00:00:03 dev one nud noarp
        ip neighbour add fd00::2 lladdr 02:00:00:00:00:02 dev one router""",
    "forwarding": """
        ip link add one type veth peer name two; ip link set one up; ip netns add net1
        echo 1 > /proc/sys/net/ipv4/ip_forward; echo 2 > /proc/sys/net/ipv4/conf/one/rp_filter
        echo 1 > /proc/sys/net/ipv6/conf/all/forwarding""",
}
PAIR = "ip link add one type veth peer name two; "
RARE = {
    "dummy": "ip link add dum1 type dummy; ip link set dum1 up",
    "vlan": PAIR + "ip link add link one name one.5 type vlan id 5",
    "bridge with vlans": "ip link add br1 type bridge vlan_filtering 1; ip link set br1 up",
    "ipvlan": PAIR + "ip link add link one name ipv1 type ipvlan mode l3",
    "ipip": "ip link add tun1 type ipip local 10.0.0.1 remote 10.0.0.2 ttl 9",
    "sit": "ip link add tun1 type sit local 10.0.0.1 remote 10.0.0.2",
    "gre": "ip link add tun1 type gre local 10.0.0.1 remote 10.0.0.2 key 7",
    "gretap": "ip link add tun1 type gretap local 10.0.0.1 remote 10.0.0.2",
    "ip6tnl": "ip link add tun1 type ip6tnl local fd00::1 remote fd00::2",
    "ip6gre": "ip link add tun1 type ip6gre local fd00::1 remote fd00::2",
    "vrf": "ip link add vrf1 type vrf table 10; ip link set vrf1 up",
    "geneve": "ip link add gen1 type geneve id 4 remote 10.0.0.4",
    "tun": "ip tuntap add tun1 mode tun",
    "tap": "ip tuntap add tap1 mode tap",
}


def named(seen: Snapshot, name: str) -> Namespace:
    return next(namespace for namespace in seen.namespaces if namespace.name == name)


def interface(seen: Snapshot, namespace: str, name: str) -> Interface:
    return next(link for link in named(seen, namespace).interfaces if link.name == name)


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that says a word when it is there."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as running:
        running.stdout.readline()
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("script", NETWORKS.values(), ids=NETWORKS.keys())
def test_snapshot_agrees_with_ip(script: str) -> None:
    sh(script)
    seen, reading, told = at_rest()
    assert reading == told
    assert not seen.warnings


@pytest.mark.parametrize("kind", RARE)
def test_snapshot_agrees_with_ip_about_rare_kinds(kind: str) -> None:
    if not can(RARE[kind]):
        pytest.skip(f"this kernel, or this user, cannot make a {kind}")
    sh(RARE[kind])
    seen, reading, told = at_rest()
    assert reading == told
    assert not seen.warnings


def test_bridges_agree_on_the_root_of_their_tree() -> None:
    sh(NETWORKS["bridge with spanning tree"])
    for _ in range(200):
        seen = snapshot()
        first, second = (interface(seen, "root", name).parameters for name in ("br1", "br2"))
        if second["root_id"] != second["bridge_id"]:
            break
        sleep(0.1)  # The second bridge hears of the first one every two seconds.
    assert second["root_id"] == first["root_id"] == first["bridge_id"]


def test_bond_tells_its_mode_and_its_ports() -> None:
    script = PAIR + "ip link add bond1 type bond mode active-backup miimon 100"
    if not can(script):
        pytest.skip("this kernel cannot make a bond")
    sh(script + "; ip link set one master bond1")
    seen = snapshot()
    assert interface(seen, "root", "bond1").parameters == {"mode": "active-backup", "miimon": 100}
    assert interface(seen, "root", "one").master.name == "bond1"


def test_root_comes_first_then_names_as_people_count() -> None:
    sh("for n in net10 net2 br1; do ip netns add $n; done")
    assert [space.name for space in snapshot().namespaces] == ["root", "br1", "net2", "net10"]


def test_peers_are_joined_across_namespaces() -> None:
    sh(BRIDGE)
    seen = snapshot()
    for number in (1, 2, 3):
        port, veth = (
            interface(seen, "root", f"port{number}"),
            interface(seen, f"net{number}", "veth0"),
        )
        assert str(port.peer) == f"net{number}:veth0"
        assert str(veth.peer) == f"root:port{number}"
        assert port.peer.id == named(seen, f"net{number}").id
        assert port.master.name == "br1"


def test_peers_with_equal_indexes_names_and_macs_are_told_apart() -> None:
    # Each pair is (2, 2): only the kernel knows which belongs to which.
    for n in range(4):
        sh(f"""ip netns add a{n}; ip netns add b{n}
        ip -n a{n} link add veth0 type veth peer name veth0 netns b{n}
        ip -n a{n} link set veth0 address 02:00:00:00:00:01
        ip -n b{n} link set veth0 address 02:00:00:00:00:01""")
    seen = snapshot()
    for n in range(4):
        assert str(interface(seen, f"a{n}", "veth0").peer) == f"b{n}:veth0"
        assert str(interface(seen, f"b{n}", "veth0").peer) == f"a{n}:veth0"


def test_lower_device_is_found_in_another_namespace() -> None:
    sh(NETWORKS["macvlan"])
    seen = snapshot()
    assert str(interface(seen, "root", "m1").lower) == "root:veth0"
    assert str(interface(seen, "net1", "m2").lower) == "root:veth0"
    assert interface(seen, "net1", "m2").peer is None


def test_vxlan_that_moved_away_keeps_its_underlay() -> None:
    sh("""ip netns add net1; ip link add under type veth peer name w
    ip link add vx type vxlan id 5 dev under group 239.1.1.1 dstport 4789
    ip link set vx netns net1""")
    moved = interface(snapshot(), "net1", "vx")
    assert str(moved.lower) == "root:under"
    assert moved.parameters["link"] == "under"


def test_vxlan_without_underlay_that_moved_away_has_none() -> None:
    sh("""ip netns add net1; ip link add vx type vxlan id 5 remote 10.0.0.1 dstport 4789
    ip link set vx netns net1""")
    seen = snapshot()
    assert interface(seen, "net1", "vx").lower is None
    assert not seen.warnings


def test_process_without_a_name_is_found() -> None:
    with process("unshare", "-n", "sh", "-c", "echo; exec sleep 60") as running:
        sh(f"ip link add one type veth peer name two netns {running.pid}")
        seen, reading, told = at_rest()
    assert reading == told
    (found,) = [space for space in seen.namespaces if space.held_by == "process"]
    assert found.name in (f"sleep-{running.pid}", f"sh-{running.pid}")
    assert running.pid in found.pids
    assert interface(seen, "root", "one").peer.name == "two"


def test_namespace_of_an_open_file_is_found() -> None:
    sh("ip netns add net1; ip -n net1 link add veth1 type veth peer name veth0")
    fd = os.open("/run/netns/net1", os.O_RDONLY)
    try:
        sh("ip netns del net1")
        (found,) = [space for space in snapshot().namespaces if space.held_by == "file"]
    finally:
        os.close(fd)
    assert found.name.endswith(f"-{os.getpid()}-fd{fd}")
    assert [link.name for link in found.interfaces] == ["lo", "veth0", "veth1"]


def test_filters_are_told_as_nft_tells_them() -> None:
    if not can("nft add table ip t"):
        pytest.skip("there is no nft, or this kernel has no nftables")
    sh("ip netns add net1; ip netns add net2; ip netns exec net1 nft add table ip shield")
    seen = snapshot()
    assert [item["table"]["name"] for item in named(seen, "net1").nft] == ["shield"]
    assert not named(seen, "net2").nft
    assert not seen.warnings


def test_comment_of_iptables_may_be_any_bytes() -> None:
    if not can("iptables-nft -A INPUT -j ACCEPT"):
        pytest.skip("there is no nft, or this kernel has no nftables")
    sh(r"""iptables-nft -A INPUT -m conntrack --ctstate NEW \
        -m comment --comment "$(printf 'a\377b')" -j ACCEPT""")
    seen = [it["rule"]["expr"] for it in named(snapshot(), "root").nft if "rule" in it]
    assert [each["xt"]["said"] for each in seen[-1] if "xt" in each] == [
        "--ctstate NEW",
        "--comment a\ufffdb",
    ]


def test_missing_nft_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    if not can("nft add table ip t"):
        pytest.skip("there is no nft, or this kernel has no nftables")
    sh("nft add table ip t; ip netns add net1; ip netns exec net1 nft add table ip t")
    monkeypatch.setenv("PATH", "/nowhere")
    assert [str(warning) for warning in snapshot().warnings] == [
        "there are packet filters, but no nft to list them; install nftables"
    ]


def test_bridge_settings_are_read_where_a_bridge_is() -> None:
    sh("ip netns add net1; ip -n net1 link add br0 type bridge")
    if not Path("/proc/sys/net/bridge").exists():
        pytest.skip("this kernel has no bridge-nf")
    sh("ip netns exec net1 sysctl -qw net.bridge.bridge-nf-call-iptables=0")
    seen = snapshot()
    assert named(seen, "net1").sysctls["bridge-nf-call-iptables"] == 0
    assert "bridge-nf-call-iptables" not in named(seen, "root").sysctls


@pytest.mark.parametrize("name", ["<script>", "a\"b'c", "ünï", "\u202eevil", "a\\b"])
def test_hostile_interface_names_are_only_names(name: str) -> None:
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    assert name in [link.name for link in snapshot().namespaces[0].interfaces]


@pytest.mark.parametrize("name", ["new\nline", "quo'te\"", "\u202eltr", "<b>", "a b", "root"])
def test_hostile_namespace_names_are_only_names(name: str) -> None:
    subprocess.run(["ip", "netns", "add", name], check=True)
    seen = snapshot()
    assert seen.namespaces[1].names == (name,)
    assert seen.namespaces[1].name != "root"
    assert not seen.warnings


def test_namespace_that_vanishes_meanwhile_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    sh("ip netns add net1; ip netns add net2")
    found = namespaces.find()
    sh("ip netns del net1")
    monkeypatch.setattr(namespaces, "find", lambda: found)
    seen = snapshot()
    assert [space.name for space in seen.namespaces] == ["root", "net2"]
    assert [str(w) for w in seen.warnings] == ["namespace 'net1' was gone before it could be read"]


def test_name_that_changed_hands_meanwhile_is_not_mistaken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sh("ip netns add net1")
    found = namespaces.find()
    # Not made anew: some kernels give it the number of the one that was deleted.
    sh("ip netns add other; umount /run/netns/net1; mount --bind /run/netns/other /run/netns/net1")
    monkeypatch.setattr(namespaces, "find", lambda: found)
    assert [space.name for space in snapshot().namespaces] == ["root"]


def test_vanished_peer_warns_and_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    sh("ip netns add net1; ip link add one type veth peer name two netns net1")
    found, cautions = namespaces.find()
    monkeypatch.setattr(namespaces, "find", lambda: (found[:1], cautions))
    seen = snapshot()
    (warning,) = seen.warnings
    assert str(warning) == "root:one: its peer is out of sight"
    assert warning.where.name == "one"


def test_snapshots_survive_a_network_in_flux() -> None:
    script = """while :; do ip netns add net1; ip link add one type veth peer name two netns net1
    ip -n net1 link set two up; ip netns del net1; done"""
    with process("sh", "-c", "echo; " + script):
        for _ in range(100):
            assert snapshot().namespaces[0].name == "root"


def test_snapshot_works_inside_an_event_loop() -> None:
    async def cell() -> Snapshot:
        return snapshot()

    assert asyncio.run(cell()).namespaces


def test_caller_stays_where_it_is_and_nothing_leaks() -> None:
    sh(BRIDGE)
    before = Path("/proc/thread-self/ns/net").stat().st_ino
    descriptors, threads = sorted(Path("/proc/self/fd").iterdir()), threading.active_count()
    snapshot()
    assert Path("/proc/thread-self/ns/net").stat().st_ino == before
    assert sorted(Path("/proc/self/fd").iterdir()) == descriptors
    assert threading.active_count() == threads


def test_reading_gives_no_namespace_a_number() -> None:
    sh("ip netns add net1; ip netns add net2; ip link add one type veth peer name two netns net1")
    before = sh("ip netns list-id")
    snapshot()
    assert sh("ip netns list-id") == before


def test_importing_is_cheap() -> None:
    script = """import sys; from netviz.net import discovery
print(*{'pyroute2', 'asyncio', 'networkx', 'subprocess', 'logging'} & set(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not done.stdout.split()
