"""What a stack says of a packet is what the kernel says: `ip route get` is the judge.

Random rules and routes as well as those that one makes by hand; where `ip` has nothing to ask, such
as the reverse path filter, real packets show what is let in.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "net"))
from oracle import TABLES, sh

from netviz.model import FdbEntry, Interface, Namespace, Rule
from netviz.net.discovery import snapshot
from netviz.packets.lookup import Lookup, Stack

pytestmark = pytest.mark.long

# What the kernel says of each refusal. A rule's "unreachable" is another error than a route's.
ERRORS = {
    "no route": {"Network is unreachable"},
    "unreachable": {"No route to host", "Network is unreachable"},
    "prohibit": {"Permission denied"},
    "blackhole": {"Invalid argument"},
    "foreign source": {"Network is unreachable", "Invalid argument"},
}
DEVICES = """
for n in 0 1 2 3; do
  ip link add d$n type veth peer name p$n
  ip link set d$n up
  ip link set p$n up
done
ip address add 10.0.0.1/24 brd + dev d0
ip address add 10.0.1.1/24 dev d1
ip address add 10.0.1.9/24 dev d1
ip address add 10.9.1.9/16 dev d1
ip address add 10.0.2.1/24 scope link dev d2
ip address add 10.12.2.9/24 dev d2
for n in 0 1 2; do ip address add fd00:$n::1/64 nodad dev d$n; done
ip address add fd00:1::9/64 nodad dev d1
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
for dev in d0 d1 d2 d3; do sysctl -qw net.ipv4.conf.$dev.rp_filter=0; done
"""


def stack(name: str | None = None) -> Stack:
    spaces = snapshot().namespaces
    return Stack(next(s for s in spaces if name is None or name in s.names))


def asked(questions: list[str]) -> list[dict | str]:
    """Return what ``ip route get`` says to each: the route, or the error."""
    script = "".join(f"route get {question}\n" for question in questions)
    command = ["ip", "-d", "-j", "-force", "-batch", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    failed = re.findall(r"^(?:RTNETLINK answers: )?(.*)\nCommand failed -:(\d+)", done.stderr, re.M)
    errors = {int(line): error for error, line in failed}
    told: Iterator[list[dict]] = (json.loads(line) for line in done.stdout.splitlines() if line)
    return [errors[n] if n in errors else next(told)[0] for n in range(1, len(questions) + 1)]


def words(question: tuple) -> str:
    to, source, iif, oif, mark = question
    told = {"from": source, "iif": iif, "oif": oif, "mark": mark or None}
    return " ".join([to, *(f"{name} {value}" for name, value in told.items() if value)])


def same(lookup: Lookup, took: dict | str, matched: dict | str, question: tuple) -> None:
    """Hold an answer against the kernel's: the way it took, and the route that it matched."""
    why = f"{words(question)}: {lookup} {took} {matched}"
    assert not lookup.doubt, why
    if isinstance(took, str) or lookup.refusal:
        assert lookup.refusal, why
        assert took in ERRORS[lookup.refusal], why
        return
    ways = dict(zip(lookup.devices, lookup.gateways, strict=True))
    via = took.get("gateway") or took.get("via", {}).get("host") or question[0]
    assert (took["dev"], via) in zip(lookup.devices, lookup.gateways, strict=True), (why, ways)
    if not question[1] and lookup.source:
        assert lookup.source == took["prefsrc"], why
    if not lookup.route or isinstance(matched, str):
        return
    route, table = lookup.route, matched.get("table", "main")
    # Of two tables in one the kernel says that it is main.
    joined = route.table == TABLES["local"] and table == "main"
    assert route.table == (TABLES.get(table) or int(table)) or joined, why
    assert route.to == matched["dst"], why
    many = ip_address(question[0]).is_multicast or question[0] == "255.255.255.255"
    assert route.type == matched["type"] or many, why
    assert (route.metric or 0) == matched.get("metric", 0), why


def compare(questions: list[tuple]) -> None:
    """Hold the answers against the kernel's, of a network that was at rest while it was asked."""
    for _ in range(50):
        before = snapshot().namespaces[0]
        took = asked([words(question) for question in questions])
        matched = asked([f"fibmatch {words(question)}" for question in questions])
        if decisive(before) == decisive(snapshot().namespaces[0]):
            break
    seen = Stack(before)
    for question, *told in zip(questions, took, matched, strict=True):
        to, source, iif, oif, mark = question
        same(seen.route(to, source=source, iif=iif, oif=oif, mark=mark), *told, question)


def decisive(namespace: Namespace) -> tuple:
    links = [(link.name, link.flags, link.addresses) for link in namespace.interfaces]
    return links, namespace.routes, namespace.rules, namespace.neighbours


PREFIXES = {
    "inet": ["default", "10.0.0.0/8", "10.20.0.0/16", "10.20.1.0/24", "10.20.1.7", "10.0.1.0/25"],
    "inet6": ["default", "fd00::/16", "fd20::/32", "fd20:0:1::/48", "fd20:0:1::7", "fd00:1::/80"],
}
NEXT = {
    "inet": ["10.0.0.2", "10.0.1.2", "10.0.2.2"],
    "inet6": ["fd00:0::2", "fd00:1::2", "fd00:2::2"],
}
TO = {
    "inet": [
        *("10.20.1.7", "10.20.1.8", "10.20.9.9", "10.0.1.5", "10.0.2.7", "10.0.0.1", "10.0.0.255"),
        *("10.9.9.9", "8.8.8.8", "127.0.0.9", "224.0.0.5", "239.1.1.1"),
    ],
    "inet6": [
        *("fd20:0:1::7", "fd20:0:1::8", "fd20:0:9::9", "fd00:1::5", "fd00:2::7", "fd00::1"),
        *("fd77::1", "2001:db8::1"),
    ],
}
FROM = {
    "inet": ["10.0.0.1", "10.0.1.9", "10.0.2.1"],
    "inet6": ["fd00::1", "fd00:1::9", "fd00:2::1"],
}
STRANGERS = {"inet": ["10.0.0.77", "10.20.1.77"], "inet6": ["fd00::77", "fd20:0:1::77"]}
BEGUN = {"inet": ((32766, "main"), (32767, "default")), "inet6": ((32766, "main"),)}
DEVS = ["d0", "d1", "d2", "d3"]


@st.composite
def a_route(draw: st.DrawFn, family: str) -> str:
    kind = draw(st.sampled_from(["via", "via", "dev", "many", "refuse"]))
    place = st.integers(0, 2)
    said = draw(st.sampled_from(PREFIXES[family]))
    said += f" table {draw(st.sampled_from(['main', '100', '101']))}"
    said += f" metric {draw(st.sampled_from([5, 5, 10, 2000]))} proto static"
    if kind == "refuse":
        return draw(st.sampled_from(["unreachable", "prohibit", "blackhole", "throw"])) + f" {said}"
    if kind == "dev":
        source = draw(st.sampled_from(["", "", f" src {FROM[family][1]}"]))
        return f"{said} dev {draw(st.sampled_from(DEVS))}{source}"
    if kind == "via":
        n = draw(place)
        return f"{said} via {NEXT[family][n]} dev d{n}"
    hops = sorted(draw(st.sets(place, min_size=2, max_size=3)))
    return said + "".join(f" nexthop via {NEXT[family][n]} dev d{n}" for n in hops)


@st.composite
def a_rule(draw: st.DrawFn, family: str) -> str:
    maybe = st.sampled_from([True, False, False])
    wide = PREFIXES[family][1:4]
    said = "not " if draw(maybe) else ""
    said += f"priority {draw(st.integers(1, 6)) * 10} "
    own = FROM[family][:2]
    said += f"from {draw(st.sampled_from(own + wide))} " if draw(maybe) else "from all "
    said += f"to {draw(st.sampled_from(wide))} " if draw(maybe) else ""
    said += f"iif {draw(st.sampled_from(['lo', *DEVS, 'gone']))} " if draw(maybe) else ""
    said += f"oif {draw(st.sampled_from(DEVS))} " if draw(maybe) else ""
    said += f"fwmark {draw(st.sampled_from(['1', '2', '3/0x1', '0/0x2']))} " if draw(maybe) else ""
    action = draw(st.integers(0, 9))
    if action == 0:
        return said + draw(st.sampled_from(["unreachable", "prohibit", "blackhole"]))
    said += f"table {draw(st.sampled_from(['100', '101', 'main', '100', '101', '102']))}"
    return said + (f" suppress_prefixlength {draw(st.sampled_from([0, 16]))}" if action < 3 else "")


@st.composite
def a_question(draw: st.DrawFn, family: str) -> tuple:
    to = draw(st.sampled_from(TO[family]))
    mark = draw(st.sampled_from([0, 0, 1, 2, 3]))
    way = draw(st.sampled_from(["plain", "plain", "from", "iif", "iif", "oif"]))
    if way == "iif" and not to.startswith(("127", "224", "239")):
        return to, draw(st.sampled_from(STRANGERS[family])), draw(st.sampled_from(DEVS)), None, mark
    source = draw(st.sampled_from(FROM[family])) if way == "from" else None
    return to, source, None, draw(st.sampled_from(DEVS)) if way == "oif" else None, mark


def lay(family: str, routes: list[str], rules: list[str]) -> None:
    """Put these in place of what the last example left; what the kernel refuses is left out."""
    lines = ["rule flush", *(f"rule add priority {p} table {t}" for p, t in BEGUN[family])]
    lines += [f"route flush table {t} proto static" for t in ("main", "100", "101")]
    lines += [f"rule add {rule}" for rule in rules]
    lines += [f"route add {route}" for route in routes]
    command = ["ip", "-6" if family == "inet6" else "-4", "-force", "-batch", "-"]
    script = "\n".join([*lines, ""])
    subprocess.run(command, input=script, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("router", [0, 1])
@pytest.mark.parametrize("family", ["inet", "inet6"])
def test_random_tables_answer_as_the_kernel_does(family: str, router: int) -> None:
    sh(DEVICES + f"sysctl -qw net.ipv6.conf.all.forwarding={router}")

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(
        st.lists(a_route(family), min_size=2, max_size=10),
        st.lists(a_rule(family), max_size=4),
        st.lists(a_question(family), min_size=6, max_size=10, unique=True),
    )
    def holds(routes: list[str], rules: list[str], questions: list[tuple]) -> None:
        lay(family, routes, rules)
        compare(questions)

    holds()


@pytest.mark.parametrize(
    ("script", "to", "how"),
    [
        ("", "10.0.0.7", {}),
        ("", "127.3.3.3", {}),
        ("", "8.8.8.8", {}),
        ("", "10.0.0.255", {}),
        ("", "10.0.0.7", {"source": "10.0.0.66"}),
        ("ip route add default via 10.0.0.2", "8.8.8.8", {}),
        ("ip route add default via 10.0.0.2", "255.255.255.255", {}),
        ("", "255.255.255.255", {"source": "10.0.1.1"}),
        ("ip route add default via 172.16.0.1 dev d3 onlink", "8.8.8.8", {}),
        ("ip route add 8.8.8.0/24 via 10.0.0.2; ip link set d0 down", "8.8.8.8", {}),
        ("ip link set d0 down", "10.0.0.1", {}),
        ("ip link set d0 down", "10.0.0.7", {"oif": "d0"}),
        ("ip link set p0 down", "10.0.0.7", {}),
        ("ip link set p0 down", "fd00::7", {}),
        ("ip link set p0 down; sysctl -qw net.ipv4.conf.d0.ignore_routes_with_linkdown=1",
         "10.0.0.7", {}),
        ("ip route add 8.8.8.0/24 nexthop via 10.0.0.2 nexthop via 10.0.1.2;"
         "sysctl -qw net.ipv4.conf.d0.ignore_routes_with_linkdown=1; ip link set p0 down",
         "8.8.8.8", {}),
        ("ip link set d0 down; ip route add 8.8.8.0/24 nexthop via 10.0.1.2 nexthop dev d3",
         "8.8.8.8", {}),
        ("ip rule add not fwmark 7 table 100; ip route add default dev d3 table 100", "8.8.8.8",
         {"mark": 7}),
        ("ip rule add not fwmark 7 table 100; ip route add default dev d3 table 100", "8.8.8.8",
         {"mark": 8}),
        ("ip rule add table main suppress_prefixlength 0 priority 9; ip route add default dev d3;"
         "ip rule add table 100 priority 10; ip route add default dev d0 table 100", "8.8.8.8", {}),
        ("ip route add 8.8.8.0/24 via inet6 fd00::7 dev d0", "8.8.8.8", {}),
        ("", "fe80::77", {"oif": "d1"}),
        ("", "ff02::1", {"oif": "d1"}),
        ("", "fd00:1::1", {}),
        ("", "fd00:1::1", {"oif": "d0"}),
        ("", "2001:db8::1", {}),
        ("ip -6 route add default via fd00::2 metric 5; ip -6 route add default via fd00:1::2;"
         "ip neighbour add fd00::2 dev d0 nud failed", "2001:db8::1", {}),
        ("ip -6 route add unreachable default", "2001:db8::1", {"oif": "d0"}),
        ("ip -6 route add 2001:db8::/32 dev d0; ip -6 route append 2001:db8::/32 dev d1",
         "2001:db8::1", {"source": "fd77::1", "iif": "d1"}),
    ],
)  # fmt: skip
def test_by_hand(script: str, to: str, how: dict) -> None:
    sh(DEVICES + script)
    question = (to, *(how.get(name) for name in ("source", "iif", "oif")), how.get("mark", 0))
    compare([question])


def test_what_a_snapshot_cannot_tell_is_a_doubt() -> None:
    sh(
        DEVICES + "ip rule add fwmark 9 goto 32766 priority 5; ip route add 127.9.0.0/16 dev d0;"
        "ip -6 rule add fwmark 9 goto 32766 priority 5"
    )
    seen = stack()
    assert "rule 5" in (seen.route("8.8.8.8", mark=9).doubt or "")
    assert "rule 5" in (seen.route("fd00::2", mark=9).doubt or "")
    assert seen.route("10.0.0.2").doubt is None
    assert "needs a device" in (seen.route("fe80::2").doubt or "")
    assert "route_localnet" in (seen.route("10.0.0.2", source="127.0.0.1").doubt or "")
    assert seen.route("0.0.0.0").doubt
    sh("ip route add default via 10.0.0.2; ip route append default via 10.0.1.2")
    assert "gateway answers" in (stack().route("8.8.8.8").doubt or "")


def test_local_and_main_are_one_table_until_rules_are_touched() -> None:
    sh(DEVICES + "ip route add local 10.50.0.0/16 dev lo; ip route add 10.50.1.0/24 via 10.0.0.2")
    question = [("10.50.1.1", None, None, None, 0)]
    assert asked(["10.50.1.1"])[0]["dev"] == "d0"
    assert stack().route("10.50.1.1").doubt
    sh("ip rule add priority 7 fwmark 3 table 100; ip rule del priority 7")
    assert asked(["10.50.1.1"])[0]["dev"] == "lo"
    assert stack().route("10.50.1.1").doubt
    sh("ip rule add priority 7 fwmark 3 table 100")
    compare(question)


def test_addresses_that_are_its_own_and_those_for_many() -> None:
    sh(DEVICES)
    seen = stack()
    owners = {address: seen.local(address) for address in (
        "10.0.1.9", "127.5.5.5", "fd00:1::9", "::1", "10.0.0.255", "10.0.0.3", "fd00::3"
    )}  # fmt: skip
    named = {address: each.name for address, each in owners.items() if each}
    assert named == {"10.0.1.9": "d1", "127.5.5.5": "lo", "fd00:1::9": "d1", "::1": "lo"}
    for many in ("10.0.0.255", "127.255.255.255", "255.255.255.255", "224.0.0.1", "ff02::1"):
        assert seen.broadcast(many)
    assert not any(seen.broadcast(one) for one in ("10.0.9.255", "10.0.0.1", "fd00::1"))
    assert seen.interface("d1")
    assert not seen.interface("gone")


def test_neighbours() -> None:
    sh(
        DEVICES + "ip neighbour add 10.0.0.5 lladdr 02:00:00:00:00:05 dev d0;"
        "ip neighbour add fd00::5 lladdr 02:00:00:00:00:06 dev d0;"
        "ip neighbour add proxy 10.0.0.6 dev d0"
    )
    seen = stack()
    for address in ("10.0.0.5", "fd00::5"):
        found = seen.neighbour(address, "d0")
        assert found
        told = f"{address} dev d0 lladdr {found.mac} {found.state[0]}"
        assert sh(f"ip neighbour get {address} dev d0").split() == told.split()
    assert seen.neighbour("fd00:0::0005", "d0") == found
    assert not seen.neighbour("10.0.0.5", "d1")
    assert not seen.neighbour("10.0.0.6", "d0")


def test_entries_of_a_bridge() -> None:
    sh(
        DEVICES + "ip link add br0 type bridge; ip link set d0 master br0;"
        "ip link set d1 master br0; ip link set br0 address 02:00:00:00:00:01 up;"
        "bridge fdb add 02:00:00:00:00:09 dev d1 master static"
    )
    seen, own = stack(), json.loads(sh("ip -j link show d0"))[0]["address"]
    for mac, state in (("02:00:00:00:00:09", "static"), (own, "permanent")):
        found = seen.entry("br0", mac)
        assert found
        assert found.state == state
        assert sh(f"bridge fdb get {mac} br br0").split()[:3] == [mac, "dev", found.dev]
    assert seen.entry("br0", "02:00:00:00:00:01")
    assert not seen.entry("br0", "02:00:00:00:00:77")
    assert not seen.entry("br1", "02:00:00:00:00:09")


def test_a_bridge_asks_in_a_vlan_only_if_it_filters() -> None:
    entries = tuple(FdbEntry("02:00:00:00:00:0a", "d0", "br0", vlan) for vlan in (None, 1))

    def bridge(filters: int) -> Stack:
        parameters = {"vlan_filtering": filters}
        on = Interface(1, "br0", "bridge", None, 1500, parameters=parameters)
        return Stack(Namespace(1, "x", interfaces=(on,), fdb=entries))

    assert bridge(0).entry("br0", "02:00:00:00:00:0a", 1) == entries[0]
    assert bridge(1).entry("br0", "02:00:00:00:00:0A", 1) == entries[1]
    assert bridge(1).entry("br0", "02:00:00:00:00:0a", 2) is None


def test_remotes_of_a_vxlan() -> None:
    sh(
        DEVICES + "ip link add vx type vxlan id 5 remote 10.0.0.9 dstport 4789;"
        "bridge fdb append 00:00:00:00:00:00 dev vx dst 10.0.0.8;"
        "bridge fdb append 02:00:00:00:00:05 dev vx dst 10.0.0.5"
    )
    zeros, known = "02:00:00:00:00:77", "02:00:00:00:00:05"
    assert {each.dst for each in stack().remotes("vx", zeros)} == {"10.0.0.9", "10.0.0.8"}
    assert [each.dst for each in stack().remotes("vx", known)] == ["10.0.0.5"]
    # The kernel sends by its table alone: `ip -d link` still tells the remote.
    sh("bridge fdb del 00:00:00:00:00:00 dev vx dst 10.0.0.9")
    sh("bridge fdb del 00:00:00:00:00:00 dev vx dst 10.0.0.8")
    assert stack().remotes("vx", zeros) == ()


TWO_WAYS = """
ip netns add b
for n in 0 1 2; do
  ip link add x$n type veth peer name y$n netns b
  ip address add 10.0.$n.1/24 dev x$n
  ip link set x$n up
  ip -n b address add 10.0.$n.2/24 dev y$n
  ip -n b link set y$n up
done
# Else the filter refuses the question for its neighbour, which comes from 10.7.0.1 as well.
ip -n b link set y0 address 02:00:00:00:00:0b
ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:0b dev x0
ip address add 10.7.0.1/32 dev lo
ip link set lo up
ip -n b link set lo up
ip route add 10.9.0.0/24 via 10.0.0.2
ip -n b address add 10.0.5.2/32 dev lo
ip route add 10.0.5.2 via 10.0.0.2
ip -n b route add 10.9.0.0/24 via 10.0.2.1
"""
STRICT = "sysctl -qw net.ipv4.conf.y0.rp_filter=1;"
LOOSE = "sysctl -qw net.ipv4.conf.y0.rp_filter=2;"
OFF = "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.y0.rp_filter=0;"
SAME = "ip route add 10.7.0.1 via 10.0.0.1;"
OTHER = "ip route add 10.7.0.1 via 10.0.1.1;"
BOTH = "ip route add 10.7.0.1 nexthop via 10.0.0.1 nexthop via 10.0.1.1;"
AFTER = "ip route add 10.7.0.1 via 10.0.0.1 table 7; ip rule add iif {} table 7 priority 9;"
ALL = "sysctl -qw net.ipv4.conf.all.rp_filter="
BARE = "ip address flush dev y0; ip route add 10.0.0.1 dev y0;"


@pytest.mark.parametrize("to", ["10.0.5.2", "10.9.0.1"], ids=["for itself", "to be forwarded"])
@pytest.mark.parametrize(
    ("script", "taken"),
    [
        (OFF + SAME, True),
        (OFF + OTHER, True),
        (OFF, True),
        (STRICT + SAME, True),
        (STRICT + OTHER, False),
        (STRICT + BOTH, True),
        (STRICT, False),
        (LOOSE + OTHER, True),
        (LOOSE, False),
        (LOOSE + "ip route add unreachable 10.7.0.1", False),
        (LOOSE + BARE + OTHER, False),
        (STRICT + ALL + "2;" + OTHER, True),
        (OFF + ALL + "1;" + OTHER, False),
        (STRICT + OTHER + AFTER.format("lo"), None),
        (STRICT + OTHER + AFTER.format("y2"), None),
        (STRICT + OTHER + "ip rule add from 10.9.0.0/16 table 7; ip route add 10.7.0.1 "
         "via 10.0.0.1 table 7", None),
    ],
)  # fmt: skip
def test_reverse_path_filter_lets_in_what_the_kernel_lets_in(
    script: str, taken: bool | None, to: str
) -> None:
    forwarded = to != "10.0.5.2"
    sh(TWO_WAYS + f"ip netns exec b sh -ec '{OFF} sysctl -qw net.ipv4.ip_forward=1; {script}'")
    seen = stack("b")
    assert seen.forwards("inet", "y0")
    came = arrived(to, "ForwDatagrams" if forwarded else "InEchos")
    assert seen.accepts("10.7.0.1", "y0", to) == came
    assert taken in (None, came)


def arrived(to: str, counter: str) -> bool:
    """Send one packet, and tell whether ``b`` has counted it."""

    def count() -> int:
        lines = sh("ip netns exec b cat /proc/net/snmp").splitlines()
        rows = [line.split() for line in lines]
        return next(
            int(values[names.index(counter)])
            for names, values in zip(rows[::2], rows[1::2], strict=True)
            if counter in names
        )

    before = count()
    command = ["ping", "-c1", "-W0.1", "-I", "10.7.0.1", to]
    subprocess.run(command, capture_output=True, check=False)
    return count() > before


def test_nothing_is_forwarded_where_forwarding_is_off() -> None:
    sh(TWO_WAYS + f"ip netns exec b sh -ec '{OFF} sysctl -qw net.ipv4.ip_forward=1; {OTHER}'")
    sh("ip netns exec b sysctl -qw net.ipv4.conf.y0.forwarding=0 net.ipv6.conf.y1.forwarding=1")
    seen = stack("b")
    assert seen.forwards("inet", "y0") is False
    assert seen.forwards("inet", "y1") is True
    assert seen.forwards("inet6", "y1") is False, "IPv6 goes by one switch for all"
    assert seen.forwards("inet", "gone") is None
    assert not arrived("10.9.0.1", "ForwDatagrams")


def test_sources_that_no_filter_takes() -> None:
    sh(TWO_WAYS + f"ip netns exec b sh -ec '{OFF}'")
    seen = stack("b")
    assert seen.accepts("224.0.0.9", "y0", "10.0.0.2") is False
    assert seen.accepts("0.0.0.0", "y0", "10.0.0.2") is False
    assert seen.accepts("0.0.0.0", "y0", "255.255.255.255") is True
    assert seen.accepts("10.0.0.1", "y0", "10.0.0.255") is True
    # What accept_local and route_localnet would let in is not known.
    assert seen.accepts("10.0.0.2", "y0", "10.0.0.2") is None
    assert seen.accepts("127.0.0.1", "y0", "10.0.0.2") is None
    assert seen.accepts("fd00::1", "y0", "fd00::2") is True
    assert seen.accepts("::1", "y0", "fd00::2") is False
    assert seen.accepts("10.0.0.2", "lo", "10.0.0.2") is True


def test_an_answer_is_given_once() -> None:
    sh(DEVICES)
    seen = stack()
    assert seen.route("10.0.0.7") is seen.route("10.0.0.7")
    rule = Rule(0, "inet", table=254)
    assert Stack(Namespace(1, "x", rules=(rule,))).route("10.0.0.7").refusal == "no route"
