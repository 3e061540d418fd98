"""A card tells what its commands print: those are run, and held against it line by line."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from generated import networks
from hypothesis import HealthCheck, given, settings
from networks import DOWN, NAMES, ROOT, Net, tunnels

import netviz
from netviz.model import FdbEntry, Qdisc, Route, Rule, Snapshot
from netviz.picture.cards import MOST_LINES, Card, Section, cards
from netviz.picture.drawing import draw
from netviz.text import printable

pytestmark = pytest.mark.long

SLOW = settings(
    deadline=None, max_examples=15, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
SAME = {
    *("Addresses", "Routes", "IPv6 routes", "Neighbours", "Rules", "Ports"),
    "Forwarding table (FDB)",
}
# What a snapshot does not know: a route's preference, and what a VXLAN's entry goes via.
NOT_TOLD = re.compile(r" pref medium| via (ifindex )?\S+(?=.* self)| link-netnsid \d+")
PAIR = """
ip netns add net1; ip netns add net2
ip link add veth0 netns net1 type veth peer name veth1 netns net2
ip -n net1 address add 10.0.0.1/24 dev veth0; ip -n net1 link set veth0 up
ip -n net2 address add 10.0.0.2/24 dev veth1; ip -n net2 link set veth1 up
ip -n net1 link set lo up; ip netns exec net1 ping -c1 -W5 10.0.0.2 >/dev/null"""
BRIDGE = """
ip link add br1 type bridge; ip link set br1 up; ip address add 10.1.1.254/24 dev br1
for n in 1 2 3; do
    ip netns add net$n; ip link add br1-veth$n type veth peer name veth$n netns net$n
    ip link set br1-veth$n master br1 up; ip -n net$n address add 10.1.1.$n/24 dev veth$n
    ip -n net$n link set veth$n up
done
ip netns exec net1 ping -c1 -W5 10.1.1.2 >/dev/null
ip netns exec net3 ping -c1 -W5 10.1.1.2 >/dev/null"""
ROUTER = """
for n in r a b; do ip netns add $n; done; ip netns exec r sysctl -qw net.ipv4.ip_forward=1
for n in a b; do
    ip link add $n-eth netns r type veth peer name eth0 netns $n; ip -n r link set $n-eth up
    ip -n $n link set eth0 up
done
ip -n r address add 10.1.0.1/24 dev a-eth; ip -n r address add 10.2.0.1/24 dev b-eth
ip -n a address add 10.1.0.2/24 dev eth0; ip -n b address add 10.2.0.2/24 dev eth0
ip -n a route add default via 10.1.0.1; ip -n b route add default via 10.2.0.1 metric 9
ip netns exec a ping -c1 -W5 10.2.0.2 >/dev/null
ip -n r route add default nexthop via 10.1.0.2 dev a-eth nexthop via 10.2.0.2 dev b-eth weight 2
ip -n r route add blackhole 10.9.0.0/16
ip -n r route add 10.8.0.1 dev a-eth scope link src 10.2.0.1
ip -n r route add 10.7.0.0/16 via 10.7.0.1 dev b-eth onlink proto static
ip -n r route add 10.5.0.0/16 via inet6 fe80::1 dev b-eth
ip -n r address add fd00::1/64 dev a-eth nodad; ip -n r -6 route add default via fd00::2 metric 7
ip -n r route add unreachable 10.6.0.0/16 table 100; ip -n r -6 route add blackhole fd99::/32
ip -n r rule add from 10.1.0.0/16 iif a-eth lookup 100
ip -n r rule add not to 10.6.0.0/16 oif b-eth lookup main suppress_prefixlength 0
ip -n r rule add fwmark 0x1/0xff lookup 7; ip -n r rule add fwmark 0/0xf0 prohibit
ip -n r link set b-eth down; ip -n b link set lo up"""
OVER = """
ip link add one type veth peer name two; ip link set one up; ip link set two up
ip address add 10.0.0.1/24 dev one; ip address add 10.3.0.1 peer 10.3.0.2/32 dev one
ip link add vx type vxlan id 42 local 10.0.0.1 remote 10.0.0.2 dev one dstport 4789
ip link set vx up; bridge fdb append 00:00:00:00:00:00 dev vx dst 10.0.0.3
ip link add br1 type bridge; ip link add vx2 type vxlan id 43 dstport 4790
bridge fdb append 02:00:00:00:00:09 dev vx2 dst 10.0.0.3 port 4791 vni 7
ip link set vx2 master br1 up; ip link set br1 up
ip netns add net1; ip link add m1 link one netns net1 type macvlan mode bridge
ip link add m2 link two type macvlan; ip link add three type veth peer name four
ip link set three master br1; ip link add m3 link four type macvlan"""
HOSTILE = r"""
for name in '<script>' $'two\nlines' "it's" '-n' $'\e[31mred' $'\xff' 'a b' '$(reboot)'; do
    ip netns add "$name"; ip link add far$((++n)) type veth peer name $'\e[1m' netns "$name"
    ip -n "$name" link add name '<b>&$x$' type bridge; ip link set far$n up
    ip -n "$name" link set dev $'\e[1m' master '<b>&$x$' up
    ip -n "$name" link set dev '<b>&$x$' up; ip -n "$name" address add 10.0.0.1/24 dev '<b>&$x$'
done"""
MOVED = """
ip netns add net1; ip link add one type veth peer name two; ip link set one up
ip link add vm type vxlan id 5 dev one dstport 4792 group 239.1.1.1; ip link set vm netns net1
ip link set one alias 'hello <b>'"""
PORTS = """
ip link add br1 type bridge stp_state 1; ip link add one type veth peer name two
ip link set one master br1 up; ip link set two up; ip link set br1 up
ip link add three type veth peer name four; ip link set three master br1
bridge fdb add 02:00:00:00:00:05 dev one master static sticky
bridge fdb add 02:00:00:00:00:06 dev one self; ip tuntap add t0 mode tun; ip link set t0 up
ip tuntap add t1 mode tap; ip link set t1 master br1"""
NEAR = """
ip link add one type veth peer name two; ip link set one up
ip address add 10.0.0.1/24 dev one; ip route add 10.2.0.0/16 via 10.0.0.2 dev one
ip address add fd00::1/64 dev one nodad; ip address add fd01::1 peer fd01::2/64 dev one nodad
ip neighbour add 10.0.0.7 lladdr 02:00:00:00:00:01 dev one
ip neighbour add fd00::7 lladdr 02:00:00:00:00:01 dev one router extern_learn
ip -6 route add default nexthop via fe80::1 dev one nexthop via fe80::2 dev one weight 3"""
SCRIPTS = {
    "pair": PAIR, "bridge": BRIDGE, "router": ROUTER, "over": OVER, "hostile": HOSTILE,
    "moved": MOVED, "ports": PORTS, "near": NEAR,
}  # fmt: skip


def sh(script: str) -> None:
    subprocess.run(["bash", "-ec", script], check=True)


def printed(command: str) -> list[str]:
    """Return what a command prints when it is typed, a line each, white space squeezed."""
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr!r}"
    lines = done.stdout.decode("utf-8", "surrogateescape").split("\n")
    return [printable(" ".join(line.split())) for line in lines if line.strip()]


def different(section: Section) -> list[str]:
    """Return in what a section differs from what its command prints."""
    told, said = list(section.lines), printed(section.command)
    more = re.fullmatch(r"and (\d+) more", told[-1]) if told else None
    if more:
        del told[-1]
    wrong = [section.command] * (len(said) != len(told) + (int(more[1]) if more else 0))
    said = [NOT_TOLD.sub("", line).strip() for line in said]
    if section.heading == "Neighbours":
        told, said = ([line.rpartition(" ")[0] for line in table] for table in (told, said))
    if section.heading in ("Neighbours", "Forwarding table (FDB)"):  # The kernel hashes them.
        return wrong + [line for line in told if line not in said]
    return wrong + [line for line, real in zip(told, said, strict=False) if line != real]


def at_rest() -> dict[str, Card]:
    """Return the cards of a network at rest, which are what is printed."""
    wrong: list[str] = []
    for _ in range(50):
        found = cards(netviz.snapshot())
        tables = [each for card in found.values() for each in card.sections]
        wrong = [line for each in tables if each.heading in SAME for line in different(each)]
        if not wrong:
            return found
    raise AssertionError(f"not what is printed: {wrong}")


def named(found: dict[str, Card], title: str) -> Card:
    return next(card for card in found.values() if card.title == title)


def lines(card: Card, heading: str) -> tuple[str, ...]:
    return next(each.lines for each in card.sections if each.heading == heading)


@contextmanager
def apart() -> Iterator[subprocess.Popen[bytes]]:
    """Lend a process in a namespace without a name."""
    command = ["unshare", "-n", "sh", "-c", "ip link set lo up; echo; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_tables_are_what_their_commands_print(script: str) -> None:
    sh(script)
    at_rest()


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_every_command_can_be_typed(script: str) -> None:
    sh(script)
    for card in cards(netviz.snapshot()).values():
        for section in card.sections:
            printed(section.command)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_whatever_is_drawn_has_a_card(script: str) -> None:
    sh(script)
    seen = netviz.snapshot()
    plan = draw(seen).plan
    assert {shape.gid for shape in (*plan.boxes, *plan.ports)} <= cards(seen).keys()


def test_bond_in_a_bridge_has_a_card_on_both_boxes() -> None:
    net = Net()
    bridge = net.bridge(ROOT)
    bond = net.device(ROOT, "bond0", "bond", master=bridge)
    net.device(ROOT, "eth0", master=bond)
    found = cards(net.snapshot())
    assert found[f"port-{ROOT}-{bond[1]}"] is found[f"if-{ROOT}-{bond[1]}"]
    assert {port.gid for port in draw(net.snapshot()).plan.ports} <= found.keys()


@SLOW
@given(networks())
def test_whatever_may_be_drawn_has_a_card(seen: Snapshot) -> None:
    found, plan = cards(seen), draw(seen).plan
    assert {shape.gid for shape in (*plan.boxes, *plan.ports)} <= found.keys()
    json.dumps([card.to_dict() for card in found.values()])


def test_first_of_a_folded_bundle_stands_for_all() -> None:
    net = Net()
    bridge = net.bridge(ROOT)
    for _ in range(70):
        net.cable(ROOT, net.space(), port=bridge)
    plan = draw(net.snapshot()).plan
    assert [box.kind for box in plan.boxes].count("folded") == 1
    assert {shape.gid for shape in (*plan.boxes, *plan.ports)} <= cards(net.snapshot()).keys()


def test_namespace_of_one_veth_is_short() -> None:
    sh(PAIR)
    card = named(at_rest(), "net1")
    assert len(json.dumps(card.to_dict())) < 1000
    assert card.about.startswith("namespace · ")
    assert [each.command for each in card.sections] == [
        "ip -n net1 -brief address", "ip -n net1 route", "ip -n net1 neighbour",
        "ip -n net1 rule", "ip -n net1 -statistics link",
    ]  # fmt: skip
    assert card.to_dict()["s"][1] == [
        "Routes", "ip -n net1 route",
        ["10.0.0.0/24 dev veth0 proto kernel scope link src 10.0.0.1"],
    ]  # fmt: skip


def test_interface_tells_what_it_is_and_what_went_through() -> None:
    sh(PAIR)
    card = named(cards(netviz.snapshot()), "net1:veth0")
    assert card.about == "veth · up · joined with net2:veth1"
    facts = lines(card, "Link, in short")
    assert facts[1:] == ("MTU 1500", "state UP", "kind veth", "peer net2:veth1")
    assert re.fullmatch("MAC (..:){5}..", facts[0])
    (count,) = lines(card, "Counters, in short")
    form = r"veth0  received \d+ packets, [\d.]+ k?B  sent \d+ packets, [\d.]+ k?B(, \d+ \w+)*"
    assert re.fullmatch(form, count)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_link_in_short_is_in_what_is_printed_at_length(script: str) -> None:
    sh(script)
    for card in at_rest().values():
        for section in (each for each in card.sections if each.heading == "Link, in short"):
            said = " ".join(printed(section.command))
            facts = dict(line.split(" ", 1) for line in section.lines)
            assert f" mtu {facts['MTU']} " in said
            assert f" state {facts['state']} " in said
            assert facts.get("MAC", "") in said
            # The last two are words of a snapshot alone.
            assert facts["kind"].split(" ")[0] in (*said.split(" "), "device", "loopback")


def test_what_a_bridge_learned_comes_first() -> None:
    sh(BRIDGE)
    card = named(at_rest(), "root:br1")
    assert [each.heading for each in card.sections][:3] == [
        "Ports", "Forwarding table (FDB)", "Addresses",
    ]  # fmt: skip
    table = lines(card, "Forwarding table (FDB)")
    assert {line.split(" ", 1)[1] for line in table[:3]} == {
        f"dev br1-veth{n} master br1" for n in (1, 2, 3)
    }
    assert len(table) == MOST_LINES + 1
    assert re.fullmatch(r"and \d+ more", table[-1])


def test_port_and_vxlan_show_their_own_entries() -> None:
    sh(OVER)
    found = at_rest()
    for name, where in (("vx", "dev"), ("vx2", "brport"), ("three", "brport")):
        (own,) = (x for x in named(found, f"root:{name}").sections if "FDB" in x.heading)
        assert own.command == f"bridge fdb show {where} {name}"
    kind = "kind vxlan id 42 remote 10.0.0.2 local 10.0.0.1 dstport 4789"
    assert kind in lines(named(found, "root:vx"), "Link, in short")
    assert "port disabled" in lines(named(found, "root:three"), "Link, in short")


def test_router_says_that_it_forwards_and_has_routes_of_version_6() -> None:
    sh(ROUTER)
    found = at_rest()
    assert "forwards packets" in named(found, "r").about
    (six,) = (each for each in named(found, "r").sections if each.heading == "IPv6 routes")
    assert six.command == "ip -n r -6 route"
    assert "default via fd00::2 dev a-eth metric 7" in six.lines
    assert "IPv6 routes" not in [each.heading for each in named(found, "a").sections]


def test_namespace_that_a_process_holds_is_entered_by_it() -> None:
    with apart() as running:
        (card,) = (c for c in at_rest().values() if "held by process" in c.about)
    way = f"nsenter --net=/proc/{running.pid}/ns/net"
    assert card.sections[0].command == f"{way} ip -brief address"
    assert lines(card, "Addresses") == ("lo UNKNOWN 127.0.0.1/8 ::1/128",)


def test_namespace_that_a_mount_holds_is_entered_by_its_path(tmp_path: Path) -> None:
    place = tmp_path / "a place"
    place.touch()
    with apart() as running:
        sh(f"mount --bind /proc/{running.pid}/ns/net '{place}'")
    (card,) = (c for c in at_rest().values() if "held by a mount" in c.about)
    assert card.sections[1].command == f"nsenter '--net={place}' ip route"
    sh(f"umount '{place}'")


def test_namespace_that_an_open_file_holds_is_entered_by_it() -> None:
    with apart() as running:
        fd = os.open(f"/proc/{running.pid}/ns/net", os.O_RDONLY)
    try:
        (card,) = (c for c in at_rest().values() if "held by an open file" in c.about)
    finally:
        os.close(fd)
    assert f" --net=/proc/{os.getpid()}/fd/{fd} " in card.sections[0].command


def test_packet_filters_are_counted_by_chain() -> None:
    if subprocess.run(["nft", "list", "tables"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel cannot make a table")
    sh(
        """ip netns add net1; ip netns exec net1 nft -f - <<END
    table ip nat { chain post { type nat hook postrouting priority 100; masquerade; }; }
    table inet fw { chain in { type filter hook input priority 0; policy drop; accept; accept; }; }
    END""".replace("    END", "END")
    )
    (section,) = (
        each for each in named(cards(netviz.snapshot()), "net1").sections if "nft" in each.command
    )
    assert section.command == "ip netns exec net1 nft list ruleset"
    assert section.lines == ("ip nat post: 1 rule", "inet fw in: 2 rules, policy drop")


def test_no_name_can_mislead() -> None:
    sh(HOSTILE)
    found = at_rest()
    assert {r"two\nlines", r"\x1b[31mred", r"\udcff", "<script>"} <= {
        c.title for c in found.values()
    }
    told = json.dumps([card.to_dict() for card in found.values()], ensure_ascii=False)
    assert told.isprintable()
    told.encode()


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_shown_and_typed_as_what_can_be_seen(name: str) -> None:
    net = Net()
    net.device(net.space(name), name, "veth")
    for card in cards(net.snapshot()).values():
        assert json.dumps(card.to_dict(), ensure_ascii=False).isprintable()


def test_vanished_ends_raise_nothing() -> None:
    net = Net()
    gone = (ROOT + 99, 7)
    for name in ("peer", "lower", "master"):
        net.device(ROOT, f"without-{name}", "veth", **{name: gone})
    net.device(ROOT, "alone", "veth", state=DOWN)
    net.bridge(net.space("odd", held_by="process"))
    net.space("file", held_by="file")
    net.space("mount", held_by="mount")
    tunnels(net, [net.space(), net.space()], {})
    assert "joined with gone:gone" in named(cards(net.snapshot()), "root:without-peer").about


def test_queue_is_told_with_what_is_known_of_it() -> None:
    net = Net()
    options = {"limit": 1000, "delay": 0.01, "jitter": 0.002, "loss": 0.01}
    queues = (
        Qdisc("eth1", "netem", "8001:", options=options),
        Qdisc("eth1", "tbf", "8002:", "8001:1", {"rate": 1_000_000, "burst": 4000}),
    )
    net.device(net.space("net1", lo=None, qdiscs=queues), "eth1")
    card = named(cards(net.snapshot()), "net1:eth1")
    (section,) = (each for each in card.sections if each.heading == "Queue, in short")
    assert section.command == "tc -n net1 qdisc show dev eth1"
    assert section.lines == (
        "qdisc netem 8001: root limit 1000 delay 10ms jitter 2ms loss 1%",
        "qdisc tbf 8002: parent 8001:1 rate 1Mbit burst 4000",
    )


def test_long_tables_are_cut_and_counted() -> None:
    net = Net()
    routes = tuple(Route(f"10.{n}.0.0/16", "inet", "eth0") for n in range(MOST_LINES + 30))
    net.space("many", routes=routes, rules=(Rule(5, "inet", table=None),))
    net.space("full", routes=routes[:MOST_LINES], fdb=(FdbEntry("02:00:00:00:00:01", "gone"),))
    found = cards(net.snapshot())
    assert lines(named(found, "many"), "Routes")[-2:] == ("10.11.0.0/16 dev eth0", "and 30 more")
    assert lines(named(found, "full"), "Routes")[-1] == "10.11.0.0/16 dev eth0"
    assert lines(named(found, "many"), "Rules") == ("5: from all lookup [l3mdev-table]",)


def test_counters_say_only_what_happened() -> None:
    net = Net()
    idle = dict.fromkeys(("packets", "bytes", "errors", "dropped"), 0)
    busy = {"packets": 1, "bytes": 999_960, "errors": 2, "dropped": 3}
    net.device(ROOT, "eth0", statistics={"rx": busy, "tx": idle | {"packets": 2, "bytes": 1234}})
    net.links[ROOT, 1]["statistics"] = {"rx": idle, "tx": idle}
    assert lines(cards(net.snapshot())[f"ns-{ROOT}-0"], "Counters, in short") == (
        "eth0  received 1 packet, 1.0 MB, 3 dropped, 2 errors  sent 2 packets, 1.2 kB",
    )
