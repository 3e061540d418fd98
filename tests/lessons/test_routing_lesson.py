"""The lesson about routing from top to bottom, and what its text says of the outputs."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from lessons import lesson
from net.oracle import sh
from running import assert_solved, hops, run, say, titles

import netviz as nv

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernels import Notebook
    from running import Said

REQUEST, REPLY, EXPIRED = "ICMP echo request 1", "ICMP echo reply 1", "ICMP time exceeded"
THERE = ["net1:v1 out", "root:v1_r in", "root:v2_r out", "net2:v2 in"]
BACK = ["net2:v2 out", "root:v2_r in", "root:v1_r out", "net1:v1 in"]
SECOND = ["net2:v2 out", "root:v2_r in", "root:w1_r out", "net1:w1 in"]
BY_V1 = ["net1:v1 out", "root:v1_r in", "root:v2_r out", "net2:v2 in"]
BY_W1 = ["net1:w1 out", "root:w1_r in", "root:v2_r out", "net2:v2 in"]
TWO_TABLES = "ip -n net1 rule add from 10.1.3.2 table 100"


@pytest.mark.long
def test_08_routing(lesson_lab: Callable[[str], Notebook]) -> None:
    lab = lesson_lab("08")
    said = run(lab, "08")
    ways = ["10.1.1.1 and 10.1.2.1", "10.1.1.1", "32 times", "nothing: it waits in vain"]
    assert said.happened == [*ways, "w1", "no", "yes: 2 counts", "v1"]
    assert_solved(said.by("installed("))
    of_tables(said)
    of_journeys(said)
    of_sources(said)
    # Two default routes do as well, and are told from what was asked for.
    lazy = lesson("08").solution
    for n in (1, 3):
        lazy = lazy.replace(f"route add 10.1.{n}.0/24", "route add default")
    say(lab, f"%%bash\n{lazy}")
    check = next(source for source, _ in said if 'task="exercise"' in source)
    told = say(lab, check)
    assert "✗ no packet for a stranger circles" in told
    assert told.count("✗") == 1


def of_tables(said: Said) -> None:
    """Hold what the text says of routes and rules against what was said."""
    assert said.by("!ip -n net1 route\n!ip netns exec net1 ping").count("dev v1") == 1
    assert "Network is unreachable" in said.by("!ip -n net1 route\n!ip netns exec net1 ping")
    old = r"10.1.2.0 +10.1.1.1 +255.255.255.0 +UG "
    assert re.search(r"10.1.1.0 +0.0.0.0 +255.255.255.0 +U ", said.by("route add -net"))
    assert re.search(old, said.by("route add -net"))
    again = said.by("route delete 10.1.2.0/24")
    assert re.search(old, again)
    assert "10.1.2.0/24 via 10.1.1.1 dev v1" in again
    assert "via 10.1.1.1 dev v1 src 10.1.1.2" in said.by("route get 10.1.2.2", turn=1)
    assert said.by("-q $to | grep loss").count(" 0% packet loss") == 2
    assert "ip_forward = 0" in said.by("!sysctl net.ipv4.ip_forward\n")
    assert "ttl=63" in said.by("!sysctl net.ipv4.ip_forward\n")
    assert "1 received" in said.by("route add default via 10.1.2.1")
    listed = said.by("route add 10.1.2.2/32").splitlines()
    assert [line.split()[0] for line in listed][1:3] == ["10.1.2.0/24", "10.1.2.2"]
    both = said.by("!ip -n net1 route get 10.1.2.1")
    assert ["dev w1" in both.split("10.1.2.1 via")[0], "dev v1" in both] == [True, True]
    refused = said.by("ip route add blackhole").splitlines()
    why = ["silence", "Destination Host Unreachable", "Packet filtered"]
    assert [line.endswith(end) for line, end in zip(refused, why, strict=True)] == [True] * 3
    rules = said.by("!ip -n net1 rule", turn=1).splitlines()[1:]
    assert [line.split()[-1] for line in rules] == ["local", "main", "default"]
    assert "32765:\tfrom 10.1.3.2 lookup 100" in said.by("rule add from")
    assert "default via 10.1.3.1 dev w1" in said.by("rule add from")
    chosen = said.by("route get 10.1.2.2 from 10.1.3.2")
    assert "dev v1 src 10.1.1.2" in chosen.split("from")[0]
    assert "dev w1 table 100" in chosen
    assert "rule add from 10.1.3.2 priority 32765 table 100" in said.by("print(nv.script")
    assert "default via 10.1.3.1 dev w1 table 100" in said.by("print(nv.script")
    assert "ttl=63" in said.by("fd00:2::2")
    assert "fd00:1::1 dev v1 lladdr" in said.by("fd00:2::2")


def of_journeys(said: Said) -> None:
    """Hold what the text says of the way there, the way back, and a packet's life."""
    at_a_host = said.by('nv.trace("net1", "ping -c 1 -W 0.5 10.1.2.2")', turn=1)
    assert hops(at_a_host, REQUEST) == THERE[:2]
    assert "it does not forward" in at_a_host
    assert "✗ 10.1.2.2 is not root's own" in said.by('nv.explain("net1", "10.1.2.2")', turn=1)
    through = said.by('nv.trace("net1", "ping -c 1 10.1.2.2")')
    assert [hops(through, it) for it in (REQUEST, REPLY)] == [THERE, BACK]
    third = re.split("^ [34] ", through, flags=re.MULTILINE)[1]
    changed = re.findall(r"(Ethernet destination|Ethernet source|IPv4 ttl|IPv4 \w+)", third)
    assert changed == ["Ethernet destination", "Ethernet source", "IPv4 ttl", "IPv4 checksum"]
    assert through.count("IPv4 ttl 64 → 63") == 2
    dying = said.by('nv.trace("net1", "ping -c 1 -t 1')
    assert [hops(dying, it) for it in (REQUEST, EXPIRED)] == [THERE[:2], BACK[2:]]
    assert "LOST: its time to live is used up" in dying
    assert f"{EXPIRED}: 10.1.1.1 → 10.1.1.2 · delivered" in dying
    by_hand = [line.split()[:4] for line in said.by("for ttl in 1 2").splitlines()]
    assert [next(word for word in it if "10." in word) for it in by_hand] == [
        "10.1.1.1",
        "10.1.2.2:",
    ]
    circle = said.by('nv.explain("net1", "10.9.9.9")')
    assert "until its time to live is used up: a loop" in circle
    assert "route delete 10.9.0.0/16" in circle
    one_way = said.by("!ip -n net2 route delete 10.1.1.0/24")
    assert hops(one_way, REQUEST) == THERE
    assert hops(one_way, f"the answer to {REQUEST}") == ["net2 out"]
    assert "LOST: net2 has no way to 10.1.1.2: no route" in one_way
    missing = said.by('nv.explain("net1", "10.1.2.2")', turn=2)
    assert "✗ back: net2 has no way to 10.1.1.2" in missing
    assert "mend it: ip -n net2 route add 10.1.1.0/24 via 10.1.2.1" in missing


def of_sources(said: Said) -> None:
    """Hold what the text says of ways in and out by two cables."""
    loose = said.by('nv.trace("net2", "ping -c 1 10.1.3.2")', turn=1)
    assert [hops(loose, it) for it in (REQUEST, REPLY)] == [SECOND, BY_V1]
    strict = said.by("!sysctl -w net.ipv4.conf.all.rp_filter=1")
    assert [hops(strict, it) for it in (REQUEST, REPLY)] == [SECOND, BY_V1[:2]]
    assert "LOST: rp_filter: the way back to 10.1.3.2 is not by v1_r" in strict
    assert not [title for title in titles(strict) if "unreachable" in title]
    assert "✗ back: rp_filter" in said.by('nv.explain("net2", "10.1.3.2")')
    assert "1 received" in said.by("!sysctl -w net.ipv4.conf.v1_r.rp_filter=2")
    by_rule = said.by('nv.trace("net2", "ping -c 1 10.1.3.2")', turn=2)
    assert [hops(by_rule, it) for it in (REQUEST, REPLY)] == [SECOND, BY_W1]
    assert re.search(r"table\s+100 \(rule 32765\)", by_rule)


FAULTS = {
    "ip netns exec net1 sysctl -qw net.ipv4.ip_default_ttl=1": (
        "its time to live is used up when it comes to root",
        "ip netns exec net1 sysctl -w net.ipv4.ip_default_ttl=64",
    ),
    "sysctl -qw net.ipv4.ip_forward=0": ("it does not forward", "sysctl -w net.ipv4.ip_forward=1"),
    "ip -n net2 route delete default": (
        "back: net2 has no way to 10.1.1.2: no route",
        "ip -n net2 route add 10.1.1.0/24 via 10.1.2.1",
    ),
    "ip route add prohibit 10.1.2.2": ("prohibit 10.1.2.2", "ip route delete prohibit 10.1.2.2"),
    "ip route add blackhole 10.1.1.2": ("back: root has no way", "delete blackhole 10.1.1.2"),
    "ip -n net1 route add unreachable default table 9; ip -n net1 rule add to 10.1.2.2 table 9": (
        "unreachable default, a route of net1",
        "route delete unreachable default table 9",
    ),
}
"""What is broken, how it is told, and what mends it, as net1 calls 10.1.2.2."""


@pytest.mark.parametrize("fault", FAULTS)
def test_what_stops_a_routed_packet_is_told_and_mended(fault: str) -> None:
    sh(built())
    assert nv.explain("net1", "10.1.2.2").works
    sh(fault)
    told, (cause, mend) = nv.explain("net1", "10.1.2.2"), FAULTS[fault]
    assert told.broken, told
    assert cause in told.broken.text
    assert mend in str(told.mend)
    assert not answered("net1", "10.1.2.2")
    sh(str(told.mend))
    assert answered("net1", "10.1.2.2")
    assert nv.explain("net1", "10.1.2.2").works


@pytest.mark.parametrize(
    ("wide", "narrow", "passes"),
    [(0, 0, True), (1, 0, False), (0, 1, False), (2, 1, True), (1, 2, True), (0, 2, True)],
)
def test_of_two_switches_the_greater_number_is_the_filter(
    wide: int, narrow: int, *, passes: bool
) -> None:
    sh(built())
    assert answered("net2", "10.1.3.2")  # Now net1 knows 10.1.1.1, and need not ask.
    sh(f"sysctl -qw net.ipv4.conf.all.rp_filter={wide} net.ipv4.conf.v1_r.rp_filter={narrow}")
    told = nv.explain("net2", "10.1.3.2")
    assert told.works is answered("net2", "10.1.3.2") is passes
    if told.broken:
        assert "back: rp_filter: the way back to 10.1.3.2 is not by v1_r" in told.broken.text
        sh(str(told.mend))
        assert answered("net2", "10.1.3.2")


def test_a_rule_by_source_satisfies_the_strict_filter_and_is_written_down() -> None:
    sh(built())
    sh("sysctl -qw net.ipv4.conf.all.rp_filter=1")
    sh(f"ip -n net1 route add default via 10.1.3.1 table 100; {TWO_TABLES}")
    told = nv.explain("net2", "10.1.3.2")
    assert told.works
    assert "table 100 (rule 32765)" in str(told)
    reply = next(it for it in nv.trace("net2", "ping -c 1 10.1.3.2").journeys if REPLY in it.title)
    assert [f"{hop.where} {hop.direction}" for hop in reply.hops] == BY_W1
    sh(TWO_TABLES.replace("add", "delete"))
    assert not nv.explain("net2", "10.1.3.2").works


def built() -> str:
    """Return what the lesson has typed when its second cable is in place, and all may pass."""
    chosen = lesson("08").sources
    parts = ("%%bash\nsysctl -qw", "%%bash\nip link add w1_r")
    cells = [next(it.partition("\n")[2] for it in chosen if it.startswith(part)) for part in parts]
    cells.append("ip -n net1 route delete 10.1.2.2; sysctl -qw net.ipv4.ip_forward=1")
    cells.append("ip -n net1 route add 10.1.2.0/24 via 10.1.1.1")
    cells.append("ip -n net2 route add default via 10.1.2.1")
    switches = next(it for it in chosen if "for dev in all v1_r" in it).splitlines()[-2:]
    return "\n".join([*cells, *switches])


def answered(where: str, to: str) -> bool:
    """Tell whether an echo request comes back."""
    ping = ["ip", "netns", "exec", where, "ping", "-c1", "-W0.3", to]
    return subprocess.run(ping, check=False, capture_output=True).returncode == 0
