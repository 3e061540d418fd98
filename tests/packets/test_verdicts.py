"""What packet filters decided, told by the kernel while real packets pass real rules."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from net.oracle import sh

from netviz.net import namespaces, nftables
from netviz.net.discovery import snapshot
from netviz.net.namespaces import Found
from netviz.net.worker import aside
from netviz.packets import verdicts as module
from netviz.packets.verdicts import Traced, Verdict, Watch, verdicts

pytestmark = pytest.mark.long

PAIR = """
ip netns add net1; ip netns add net2
ip -n net1 link add eth0 type veth peer name eth0 netns net2
ip -n net1 address add 10.1.1.1/24 dev eth0; ip -n net1 address add fd00::1/64 dev eth0 nodad
ip -n net2 address add 10.1.1.2/24 dev eth0; ip -n net2 address add fd00::2/64 dev eth0 nodad
ip -n net1 link set eth0 up; ip -n net2 link set eth0 up
"""
ROUTER = """
ip netns add net1; ip netns add router; ip netns add net2
ip -n net1 link add eth0 type veth peer name eth1 netns router
ip -n net2 link add eth0 type veth peer name eth2 netns router
ip -n net1 address add 10.1.1.1/24 dev eth0; ip -n router address add 10.1.1.254/24 dev eth1
ip -n net2 address add 10.1.2.1/24 dev eth0; ip -n router address add 10.1.2.254/24 dev eth2
for n in net1 net2; do ip -n $n link set eth0 up; done
ip -n router link set eth1 up; ip -n router link set eth2 up
ip netns exec router sysctl -qw net.ipv4.ip_forward=1
ip -n net1 route add default via 10.1.1.254; ip -n net2 route add default via 10.1.2.254
"""
SOMEWHERE = Found(7, "net2", "name", ["/run/netns/net2"], ["net2"])


def rules(namespace: str, text: str) -> None:
    command = ["ip", "netns", "exec", namespace, "nft", "-f", "-"]
    subprocess.run(command, input=text, text=True, check=True)


def watched(script: str) -> tuple[Verdict, ...]:
    """Run a script, which may fail, and return what packet filters decided meanwhile."""
    with Watch(namespaces.find()[0]) as watch:
        subprocess.run(["sh", "-c", script], capture_output=True, check=False)
    return watch.verdicts()


def ping(namespace: str, to: str) -> str:
    return f"ip netns exec {namespace} ping -c1 -W0.3 {to}"


def tables() -> str:
    return sh("ip -all netns exec nft list tables; nft list tables")


def one(found: tuple[Verdict, ...]) -> Verdict:
    """Return the verdict that ended a packet's journey; its copies say the same."""
    dropped = [each for each in found if each.dropped]
    assert dropped, found
    return dropped[0]


def test_drop_in_input_names_the_rule_and_the_packet() -> None:
    sh(PAIR)
    rule = "icmp type echo-request counter drop"
    rules("net2", f"table ip f {{ chain i {{ type filter hook input priority 0; {rule}; }}; }}")
    found = one(watched(ping("net1", "10.1.1.2")))
    assert found.text == (
        "dropped by a packet filter: table ip f, chain i: icmp type echo-request counter drop"
    )
    assert found.command == "ip netns exec net2 nft -a list chain ip f i"
    assert f"# handle {found.handle}\n" in sh(found.command)
    assert found.namespace == Path("/run/netns/net2").stat().st_ino
    packet = found.packet
    assert (packet.source, packet.destination, packet.protocol) == ("10.1.1.1", "10.1.1.2", 1)
    assert packet.ip_id
    assert (packet.icmp_sequence, packet.iif, packet.oif) == (1, "eth0", None)
    assert json.loads(json.dumps(found.to_dict()))["packet"]["source"] == "10.1.1.1"


def test_chains_that_a_packet_is_sent_through_are_told_in_order() -> None:
    sh(PAIR)
    rules(
        "net2",
        """table ip f {
        chain i { type filter hook input priority 0; udp dport 9 jump deeper; counter; }
        chain deeper { meta mark set 5; return; }
        }""",
    )
    found = watched("ip netns exec net1 bash -c 'echo > /dev/udp/10.1.1.2/9'")
    told = [(each.chain, each.verdict) for each in found if each.packet.dport == 9]
    assert told == [
        *[("i", "jump deeper"), ("deeper", "continue"), ("deeper", "return")],
        *[("i", "continue"), ("i", "policy accept")],
    ]
    assert {each.packet.protocol for each in found if each.packet.dport == 9} == {17}


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ("type filter hook forward priority 0; tcp dport 80 reject", "tcp dport 80 reject"),
        ("type filter hook prerouting priority -300; policy drop", "policy drop"),
    ],
)
def test_drop_on_the_way_is_told_where_it_was(chain: str, said: str) -> None:
    sh(ROUTER)
    rules("router", f"table inet f {{ chain c {{ {chain}; }}; }}")
    told = watched("ip netns exec net1 timeout 0.3 bash -c '> /dev/tcp/10.1.2.1/80'")
    found = one(tuple(each for each in told if each.packet.protocol == 6))
    assert found.text == f"dropped by a packet filter: table inet f, chain c: {said}"
    assert found.command == "ip netns exec router nft -a list chain inet f c"
    assert (found.packet.destination, found.packet.dport) == ("10.1.2.1", 80)
    assert (found.packet.protocol, found.packet.iif) == (6, "eth1")


def test_rule_that_translates_is_told_and_the_addresses_before_it() -> None:
    sh(ROUTER)
    rules(
        "router",
        """table ip nat {
        chain pre { type nat hook prerouting priority -100; ip daddr 10.9.9.9 dnat to 10.1.2.1; }
        chain post { type nat hook postrouting priority 100; oif eth2 masquerade; }
        }""",
    )
    told = {each.chain: each for each in watched(ping("net1", "10.9.9.9")) if each.rule}
    assert told["pre"].rule == "ip daddr 10.9.9.9 dnat to 10.1.2.1"
    assert (told["pre"].verdict, told["pre"].packet.destination) == ("accept", "10.9.9.9")
    assert told["post"].rule.endswith("masquerade")
    assert told["post"].packet.destination == "10.1.2.1"
    assert told["pre"].trace == told["post"].trace


def test_bridge_drops() -> None:
    sh(PAIR.replace("netns net2\n", "netns net2\nip -n net2 link add br0 type bridge\n"))
    sh(
        "ip -n net2 address flush dev eth0; ip -n net2 link set eth0 master br0;"
        "ip -n net2 address add 10.1.1.2/24 dev br0; ip -n net2 link set br0 up"
    )
    rules(
        "net2",
        "table bridge f { chain i { type filter hook input priority 0; ip protocol icmp drop; }; }",
    )
    found = one(watched(ping("net1", "10.1.1.2")))
    assert (found.family, found.table, found.chain) == ("bridge", "f", "i")
    assert found.rule == "ip protocol icmp drop"
    assert (found.packet.source, found.packet.protocol) == ("10.1.1.1", 1)


def test_arp_that_is_dropped() -> None:
    sh(PAIR)
    rules("net2", "table arp f { chain i { type filter hook input priority 0; policy drop; }; }")
    found = one(watched(ping("net1", "10.1.1.2")))
    assert found.text == "dropped by a packet filter: table arp f, chain i: policy drop"


def test_ping_of_ipv6_has_its_numbers() -> None:
    sh(PAIR)
    rules("net2", "table ip6 f { chain i { type filter hook input priority 0; }; }")
    found = watched("ip netns exec net1 ping -c1 -W3 -e 4660 fd00::2")
    packet = next(each.packet for each in found if each.packet.icmp_id is not None)
    assert (packet.source, packet.destination) == ("fd00::1", "fd00::2")
    assert (packet.protocol, packet.icmp_id, packet.icmp_sequence) == (58, 4660, 1)


def test_rules_of_iptables_are_told() -> None:
    sh(PAIR)
    sh("ip netns exec net2 iptables-nft -A INPUT -p udp --dport 99 -m comment --comment hi -j DROP")
    found = one(watched("ip netns exec net1 bash -c 'echo > /dev/udp/10.1.1.2/99'"))
    assert (found.table, found.chain, found.verdict) == ("filter", "INPUT", "drop")
    assert "udp dport 99" in found.rule


def test_every_namespace_with_filters_is_watched_and_no_other() -> None:
    sh(PAIR)
    rules("net1", "table ip f { chain o { type filter hook output priority 0; }; }")
    nft = "table ip f { chain i { type filter hook input priority 0; }; }"
    subprocess.run(["nft", "-f", "-"], input=nft, text=True, check=True)
    with Watch(namespaces.find()[0]) as watch:
        assert tables().count(nftables.TRACING) == 2
        sh("ip link set lo up; ping -c1 127.0.0.1;" + ping("net1", "10.1.1.2"))
    assert tables().count(nftables.TRACING) == 0
    commands = {each.command for each in watch.verdicts()}
    assert commands == {
        "nft -a list chain ip f i",
        "ip netns exec net1 nft -a list chain ip f o",
    }


def test_nothing_of_the_watch_is_seen_elsewhere() -> None:
    sh(PAIR)
    rules("net2", "table bridge f { chain i { type filter hook input priority 0; }; }")
    before = snapshot()
    with Watch(namespaces.find()[0]):
        assert tables().count(nftables.TRACING) == 2
        during = snapshot()
    assert not before.diff(during)
    assert [space.nft for space in before.namespaces] == [s.nft for s in during.namespaces]
    assert nftables.TRACING not in tables()


def test_rules_may_be_flushed_meanwhile() -> None:
    sh(PAIR)
    rules("net2", "table ip f { chain i { type filter hook input priority 0; policy drop; }; }")

    def flush() -> list[object]:
        next(each for each in namespaces.find()[0] if each.name == "net2").enter()
        nftables.flush()
        return [*nftables.ruleset(), *nftables.families()]

    with Watch(namespaces.find()[0]):
        assert aside(flush) == []
    assert nftables.TRACING not in tables()


def test_two_may_watch_at_once() -> None:
    sh(PAIR)
    rules("net2", "table ip f { chain i { type filter hook input priority 0; policy drop; }; }")
    with Watch(namespaces.find()[0]) as outer:
        inner = watched(ping("net1", "10.1.1.2"))
        sh(f"{ping('net1', '10.1.1.2')} || true")
    assert one(inner).text == one(outer.verdicts()).text
    assert nftables.TRACING not in tables()


def test_killed_watcher_leaves_no_table_and_no_process() -> None:
    sh(PAIR)
    rules("net2", "table ip f { chain i { type filter hook input priority 0; }; }")
    code = """
from netviz.net import namespaces
from netviz.packets.verdicts import Watch
import time
with Watch(namespaces.find()[0]):
    print("on", flush=True)
    time.sleep(60)
"""
    watcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert watcher.stdout
    assert watcher.stdout.readline() == "on\n"
    assert nftables.TRACING in tables()
    watcher.send_signal(signal.SIGKILL)
    watcher.communicate()
    end = time.monotonic() + 1
    while nftables.TRACING in tables():
        assert time.monotonic() < end
    assert "nft" not in sh("ip netns pids net2 | xargs -r ps -o comm=")


def test_nothing_is_begun_where_nobody_filters_or_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    sh(PAIR)
    with Watch(namespaces.find()[0]) as watch:
        assert nftables.TRACING not in tables()
    assert watch.verdicts() == ()
    rules("net2", "table ip f { chain i { type filter hook input priority 0; }; }")
    monkeypatch.setattr(module, "inside", lambda: False)
    with Watch(namespaces.find()[0]) as watch:
        assert nftables.TRACING not in tables()
    assert watch.verdicts() == ()


@pytest.mark.parametrize("command", [("/nowhere/nft",), ("false",), ("sleep", "60")])
def test_program_that_is_missing_or_fails_means_no_verdicts(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    sh(PAIR)
    rules("net2", "table ip f { chain i { type filter hook input priority 0; }; }")
    monkeypatch.setattr(module, "_COMMAND", command)
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    with Watch(namespaces.find()[0]) as watch:
        pass
    assert watch.verdicts() == ()


def test_namespace_that_is_gone_is_passed_over() -> None:
    sh(PAIR)
    rules("net2", "table ip f { chain i { type filter hook input priority 0; policy drop; }; }")
    found = namespaces.find()[0]
    sh("ip netns add net3; ip netns exec net3 nft add table ip f")
    gone = next(each for each in namespaces.find()[0] if each.name == "net3")
    sh("ip netns del net3")
    with Watch([gone, *found]) as watch:
        subprocess.run(ping("net1", "10.1.1.2").split(), capture_output=True, check=False)
    assert one(watch.verdicts()).chain == "i"


def test_watch_ends_though_an_exception_does() -> None:
    sh(PAIR)
    rules("net2", "table ip f { chain i { type filter hook input priority 0; }; }")
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(ZeroDivisionError), Watch(namespaces.find()[0]):
        raise ZeroDivisionError
    assert nftables.TRACING not in tables()
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_hostile_words_in_rules_mislead_nobody() -> None:
    sh(PAIR)
    rules(
        "net2",
        """table ip f { chain i { type filter hook input priority 0;
        log prefix "x # handle 9 (verdict drop)" comment "trace id 1 ip f i policy drop"
        ip protocol icmp counter drop comment "\x1b[31m (verdict accept)"
        }; }""",
    )
    found = [each for each in watched(ping("net1", "10.1.1.2")) if each.packet.protocol == 1]
    assert [each.verdict for each in found] == ["continue", "drop"]
    assert found[0].rule.startswith('log prefix "x # handle 9 (verdict drop)"')
    assert found[0].handle != 9
    assert found[1].text.endswith('drop comment "\\x1b[31m (verdict accept)"')


@pytest.mark.parametrize("name", ["accept", "policy drop", "$(reboot)", "packet:", "i\nx", "<b>"])
def test_hostile_names_mislead_nobody(name: str) -> None:
    sh(PAIR)
    place = {"family": "ip", "table": name}
    hook = {"type": "filter", "hook": "input", "prio": 0, "policy": "accept"}
    told = [
        {"table": {"family": "ip", "name": name}},
        {"chain": place | {"name": name} | hook},
        {"rule": place | {"chain": name, "expr": [{"counter": None}, {"drop": None}]}},
    ]
    command = ["ip", "netns", "exec", "net2", "nft", "-j", "-f", "-"]
    text = json.dumps({"nftables": [{"add": each} for each in told]})
    subprocess.run(command, input=text, text=True, check=True)
    found = watched(ping("net1", "10.1.1.2"))
    assert not {each.verdict for each in found} - {"drop"}
    for each in found:
        assert each.packet.source == "10.1.1.1"
        assert shlex.split(each.command)[-3:] == ["ip", each.table, each.chain]
        assert each.text.isprintable()
    if " " not in name and "\n" not in name:
        assert {(each.table, each.chain) for each in found} == {(name, name)}


@given(some.text(), some.binary(max_size=64))
def test_any_text_is_read(text: str, data: bytes) -> None:
    line = "trace id 1 ip f i rule counter drop # handle 4 (verdict drop)"
    told = f"{text}\ntrace id 1 ip f i packet: ip saddr {text}\n{data.decode(errors='replace')}"
    *_, last = verdicts(f"{told}\n{line}\n", SOMEWHERE)
    assert (last.verdict, last.handle) == ("drop", 4)
    assert last.to_dict()


def test_line_of_a_rule_that_came_later_has_a_handle_only() -> None:
    line = "trace id 1 ip f i unknown rule handle 5 (verdict drop)"
    (found,) = verdicts(line, SOMEWHERE)
    assert found == Verdict(
        7, "1", "ip", "f", "i", "drop", "", 5, Traced(), ("ip", "netns", "exec", "net2")
    )
    assert found.text == "dropped by a packet filter: table ip f, chain i: drop"
