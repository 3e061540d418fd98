"""What is said of packet filters is what they do: packets are sent through each set of rules.

A table behind all others notes what came through to whom, with which addresses.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest
from net.oracle import sh

from netviz.model import Namespace
from netviz.net import namespaces
from netviz.net.discovery import snapshot
from netviz.net.worker import aside
from netviz.packets.filters import Filters, Flowing, Judgement

SEEN = """
table inet seen {
    set icmp4 { type icmp_type . ipv4_addr . ipv4_addr; flags dynamic; size 99; }
    set icmp6 { type icmpv6_type . ipv6_addr . ipv6_addr; flags dynamic; size 99; }
    set ports4 { type inet_proto . ipv4_addr . ipv4_addr . inet_service; flags dynamic; size 99; }
    set ports6 { type inet_proto . ipv6_addr . ipv6_addr . inet_service; flags dynamic; size 99; }
    chain seen {
        type filter hook input priority 9999
        icmp type { echo-request, echo-reply } update @icmp4 { icmp type . ip saddr . ip daddr }
        icmpv6 type >= 128 icmpv6 type <= 129 update @icmp6 { icmpv6 type . ip6 saddr . ip6 daddr }
        meta l4proto { tcp, udp } update @ports4 { meta l4proto . ip saddr . ip daddr . th dport }
        meta l4proto { tcp, udp } update @ports6 { meta l4proto . ip6 saddr . ip6 daddr . th dport }
    }
}
"""
# No neighbour has to be asked for: what is sent arrives before the sender goes on.
ROUTER = f"""
ip netns add net1; ip netns add net2; ip netns add router
for n in 1 2; do
    ip link add eth0 address 02:00:00:00:00:0$n netns net$n type veth \
        peer name eth$n address 02:00:00:00:01:0$n netns router
    ip -n router -batch - <<END
address add 10.1.$n.1/24 dev eth$n
address add fd0$n::1/64 dev eth$n nodad
link set eth$n up
neighbour add 10.1.$n.2 lladdr 02:00:00:00:00:0$n dev eth$n
neighbour add fd0$n::2 lladdr 02:00:00:00:00:0$n dev eth$n
END
    ip -n net$n -batch - <<END
address add 10.1.$n.2/24 dev eth0
address add fd0$n::2/64 dev eth0 nodad
link set eth0 up
neighbour add 10.1.$n.1 lladdr 02:00:00:00:01:0$n dev eth0
neighbour add fd0$n::1 lladdr 02:00:00:00:01:0$n dev eth0
route add default via 10.1.$n.1
route add default via fd0$n::1
END
done
ip -n router link set lo up
ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
for n in net1 net2 router; do ip netns exec $n nft -f - <<END
{SEEN}
END
done
"""
Sent = tuple[str, str, str, int | None]
"""Who sends, to whom, by which protocol, to which port."""
FLOWS: list[Sent] = [
    ("net1", "10.1.2.2", "icmp", None),
    ("net1", "10.1.2.2", "tcp", 80),
    ("net1", "10.1.2.2", "udp", 53),
    ("net1", "10.1.1.1", "icmp", None),
    ("net1", "10.1.1.1", "tcp", 8080),
    ("net1", "fd02::2", "icmpv6", None),
    ("net1", "fd02::2", "tcp", 22),
    ("net1", "fd01::1", "udp", 1500),
    ("net2", "10.1.1.2", "icmp", None),
    ("router", "10.1.1.2", "icmp", None),
    ("router", "10.1.2.2", "tcp", 443),
]


def chain(rules: str, hook: str = "forward", family: str = "inet", policy: str = "accept") -> str:
    lines = "\n".join(f"        {line.strip()}" for line in rules.split(";"))
    head = f"type filter hook {hook} priority 0; policy {policy};"
    return f"table {family} f {{\n    chain c {{\n        {head}\n{lines}\n    }}\n}}\n"


def nat(pre: str = "", post: str = "", out: str = "", family: str = "ip") -> str:
    hooks = {"prerouting": (pre, -100), "postrouting": (post, 100), "output": (out, -100)}
    chains = (
        f"chain {hook} {{ type nat hook {hook} priority {when};\n{text.replace(';', chr(10))}\n}}"
        for hook, (text, when) in hooks.items()
        if text
    )
    return f"table {family} n {{\n" + "\n".join(chains) + "\n}\n"


DOCKER = """
table ip nat {
    chain DOCKER {
        iifname "eth2" return
        iifname != "eth2" tcp dport 8080 dnat to 10.1.2.2:80
    }
    chain PREROUTING {
        type nat hook prerouting priority dstnat
        fib daddr type local jump DOCKER
    }
    chain OUTPUT {
        type nat hook output priority -100
        ip daddr != 127.0.0.0/8 fib daddr type local jump DOCKER
    }
    chain POSTROUTING {
        type nat hook postrouting priority srcnat
        ip saddr 10.1.2.0/24 oifname != "eth2" counter masquerade
    }
}
table ip filter {
    chain DOCKER {
        ip daddr 10.1.2.2 iifname != "eth2" oifname "eth2" tcp dport 80 accept
    }
    chain FORWARD {
        type filter hook forward priority filter; policy drop
        oifname "eth2" ct state related,established counter accept
        oifname "eth2" jump DOCKER
        iifname "eth2" oifname != "eth2" accept
        iifname "eth2" oifname "eth2" accept
    }
}
"""
RULES = {
    "none": "",
    "policy drop at input": chain("", "input", policy="drop"),
    "policy drop at forward": chain("", policy="drop"),
    "policy drop at output": chain("", "output", policy="drop"),
    "one protocol": chain("icmp type echo-request drop"),
    "of IPv6": chain("icmpv6 type echo-request drop"),
    "other family": chain("meta l4proto tcp drop", family="ip6"),
    "ports": chain("tcp dport { 22, 80-90 } drop; udp dport != 53 drop"),
    "any transport": chain("meta l4proto { tcp, udp } th dport { 53, 8080 } drop", "prerouting"),
    "addresses": chain("ip saddr 10.1.1.0/24 drop; ip6 daddr fd02::2 reject"),
    "address that is not": chain("ip daddr != { 10.1.1.0/25, 10.1.2.2-10.1.2.9 } drop", "output"),
    "devices": chain('iifname "eth1" oif "eth2" drop; iifname "lo*" accept'),
    "devices with the same beginning": chain('iifname "eth*" drop', "input", family="ip"),
    "device that is not": chain('iifname != "eth1" drop', "output"),
    "stateful": chain("ct state established,related accept; tcp dport 80 accept", policy="drop"),
    "one way only": chain('ct state vmap { established : accept, new : continue }; iif eth1 accept',
                          policy="drop"),
    "answers are forgotten": chain("icmp type echo-request accept; tcp dport 80 accept",
                                   policy="drop"),
    "no answers": chain("ct state != new drop"),
    "version": chain("meta nfproto ipv6 drop; meta protocol ip accept", "input", policy="drop"),
    "numbers": chain("tcp dport >= 80 drop; udp dport < 53 drop"),
    "marks": chain("tcp dport 80 meta mark set 0x15; meta mark & 0xf == 5 drop; mark 0x15 accept"),
    "limits that do not matter": chain("limit rate 1/second accept; counter; log"),
    "later chains see what is accepted": chain("accept") + chain("tcp dport 80 drop").replace(
        "table inet f", "table ip g").replace("priority 0", "priority 10"),
    "earlier chains": chain("drop").replace("priority 0", "priority 5") + chain("accept").replace(
        "table inet f", "table inet g").replace("priority 0", "priority -5"),
    "asleep": chain("drop", policy="drop").replace("f {", "f {\n    flags dormant\n", 1),
    "jump, goto and return": """table inet f {
        chain deep { tcp dport 80 return
            udp dport 53 drop
        }
        chain deeper { jump deep
            tcp dport 80 drop
        }
        chain last { icmp type echo-request return
            drop
        }
        chain c { type filter hook forward priority 0
            ip protocol { tcp, udp } jump deeper
            ip protocol icmp goto last
            drop
        }
    }""",
    "named sets and maps": """table inet f {
        set who { type ipv4_addr; flags interval; elements = { 10.1.2.0/25, 10.9.0.1-10.9.0.7 } }
        set pair { type ipv4_addr . inet_service; elements = { 10.1.2.2 . 80, 10.1.2.2 . 53 } }
        map what { type inet_service : verdict; elements = { 80 : drop, 22 : jump c1 } }
        chain c1 { drop; }
        chain c { type filter hook forward priority 0
            ip daddr . udp dport @pair drop
            tcp dport vmap @what
            meta l4proto icmp ip daddr @who drop
        }
    }""",
    "masquerade": nat(post='oifname "eth2" masquerade'),
    "of other addresses": nat(post="ip saddr 10.1.1.0/24 snat to 10.1.2.1; tcp dport 1 masquerade"),
    "of IPv6 too": nat(post='oif "eth2" masquerade', family="inet"),
    "forwarded port": nat(pre="tcp dport 8080 dnat to 10.1.2.2:80;ip daddr 10.1.1.1 dnat 10.1.2.2"),
    "redirected": nat(pre="tcp dport 80 redirect to :8080; udp dport 53 redirect"),
    "own packets": nat(out="tcp dport 443 dnat to 10.1.1.2; icmp type echo-request redirect"),
    "filtered after translation": nat(pre="tcp dport 8080 dnat to 10.1.2.2:80")
    + chain("tcp dport 80 ct status dnat drop; tcp dport 8080 accept"),
    "only the first translates": nat(pre="tcp dport 8080 dnat to 10.1.2.2:80; accept")
    + nat(pre="tcp dport 8080 dnat ip to 10.1.2.2:81", family="inet"),
    "dropped where translated": nat(pre="tcp dport 80 drop; udp dport 53 redirect"),
    "nothing is translated or tracked": nat(pre="tcp dport 80 drop"),
    "Docker": DOCKER,
}  # fmt: skip
BEFORE = "iptables-nft -t nat -A PREROUTING"
TRANSLATIONS = {
    "DNAT": f"{BEFORE} -p tcp --dport 8080 -j DNAT --to-destination 10.1.2.2:80",
    "DNAT to an address": f"{BEFORE} -d 10.1.1.1 -p icmp -j DNAT --to-destination 10.1.2.2",
    "DNAT to a port": f"{BEFORE} -p tcp --dport 80 -j DNAT --to-destination :8080",
    "DNAT of IPv6": f"ip6{BEFORE[2:]} -d fd01::1 -p udp -j DNAT --to-destination [fd02::2]:53",
    "SNAT": "iptables-nft -t nat -A POSTROUTING -o eth2 -j SNAT --to-source 10.1.2.1",
    "REDIRECT": f"{BEFORE} -p tcp --dport 80 -j REDIRECT --to-ports 8080",
    "REDIRECT of all": f"{BEFORE} -p udp -j REDIRECT",
}
UNKNOWN = {
    "limit": (chain("limit rate 1/second drop"), "if 'limit rate 1/second' holds"),
    "users": (chain("meta skuid 0 drop", "output"), "if 'meta skuid 0' holds"),
    "marks of connections": (chain("ct mark 0 drop"), "if 'ct mark 0' holds"),
    "addresses by chance": (
        nat(pre="icmp type 8 dnat to 10.1.2.2-10.1.2.9"),
        "the new address of icmp type echo-request dnat to 10.1.2.2-10.1.2.9",
    ),
}


def load(namespace: str, rules: str) -> None:
    command = ["ip", "netns", "exec", namespace, "nft", "-f", "-"]
    subprocess.run(command, input=rules, text=True, check=True)


def spaces() -> dict[str, Namespace]:
    return {space.name: space for space in snapshot().namespaces}


def send(flows: list[Sent]) -> None:
    """Send the first packet of each, and nothing more."""
    found = {each.name: each for each in namespaces.find()[0]}

    def sent() -> None:
        with ExitStack() as stack:
            for who, to, protocol, port in flows:
                found[who].enter()
                v6 = ":" in to
                family = socket.AF_INET6 if v6 else socket.AF_INET
                kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}.get(protocol)
                raw = socket.getprotobyname("ipv6-icmp" if v6 else "icmp")
                way = (family, kind, 0) if kind else (family, socket.SOCK_RAW, raw)
                opened = stack.enter_context(socket.socket(*way))
                opened.setblocking(False)
                with suppress(OSError):
                    if protocol == "tcp":
                        opened.connect((to, port))
                    else:
                        # The checksum of IPv6 is the kernel's business.
                        echo = struct.pack(">BBHHH", 128 if v6 else 8, 0, 0xF7FE, 1, 0)
                        opened.sendto(b"x" if port else echo, (to, port or 0))

    aside(sent)


def arrived() -> set[tuple[object, ...]]:
    """Return ``(who, protocol or type, source, destination, port)`` of all that came through."""
    found: set[tuple[object, ...]] = set()
    for who in ("net1", "net2", "router"):
        told = json.loads(sh(f"ip netns exec {who} nft -j list table inet seen"))["nftables"]
        for each in (item["set"] for item in told if "set" in item):
            for element in each.get("elem", ()):
                what, source, to, *port = element["concat"]
                what += "6" * (each["name"] == "icmp6")
                found.add((who, what, source, to, *(port or (None,))))
    return found


class Through:
    """The way of a packet over the router, as filters judge it."""

    def __init__(self, filters: Filters) -> None:
        self.filters = filters
        self.judged: list[Judgement] = []

    def _judge(self, hook: str, packet: Flowing) -> Flowing | None:
        self.judged.append(self.filters.judge(hook, packet))
        return None if self.judged[-1].dropped else self.judged[-1].packet

    def follow(self, who: str, packet: Flowing) -> tuple[str, Flowing] | None:
        """Return where it arrives, and as what."""
        stack = self.filters.stack
        it: Flowing | None = packet
        if who == "router":
            it = self._judge("output", replace(packet, oif=stack.route(packet.to).devices[0]))
            if it and stack.local(it.to):
                it = self._judge("input", replace(it, iif="lo", oif=None))
                return ("router", it) if it else None
        else:
            it = self._judge("prerouting", replace(packet, iif=f"eth{who[-1]}"))
            if it and stack.local(it.to):
                it = self._judge("input", it)
                return ("router", it) if it else None
            if it:
                way = stack.route(it.to, source=it.source, iif=it.iif).devices[0]
                it = self._judge("forward", replace(it, oif=way))
        if it:
            way = stack.route(it.to).devices[0]
            it = self._judge("postrouting", replace(it, oif=way))
        return (
            (f"net{it.to.split('.')[2]}" if "." in it.to else f"net{it.to[3]}", it) if it else None
        )


def begun(sent: Sent) -> Flowing:
    who, to, protocol, port = sent
    family = "inet6" if ":" in to else "inet"
    own = {"net1": ("10.1.1.2", "fd01::2"), "net2": ("10.1.2.2", "fd02::2")}
    near = ("10.1.1.1", "fd01::1") if to.startswith(("10.1.1", "fd01")) else ("10.1.2.1", "fd02::1")
    source = own.get(who, near)[family == "inet6"]
    return Flowing(family, source, to, protocol, dport=port)


def row(where: str, packet: Flowing) -> tuple[object, ...]:
    what = packet.protocol
    if what.startswith("icmp"):
        what = f"echo-{packet.kind}" + "6" * (packet.family == "inet6")
    return where, what, packet.source, packet.to, packet.dport


def foretold(filters: Filters) -> tuple[set[tuple[object, ...]], list[Judgement]]:
    """Return what should come through: the questions, and of pings the answers too."""
    found, judged = set(), []
    for sent in FLOWS:
        through = Through(filters)
        packet = begun(sent)
        end = through.follow(sent[0], packet)
        judged += through.judged
        if end is None:
            continue
        where, it = end
        found.add(row(where, it))
        if it.protocol.startswith("icmp"):
            back = Flowing(
                it.family, it.to, it.source, it.protocol, state="established", kind="reply"
            )
            through = Through(filters)
            answered = through.follow(where, back)
            judged += through.judged
            if answered:
                found.add(row(sent[0], replace(answered[1], source=packet.to, to=packet.source)))
    return found, judged


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_judgement_is_what_happens(rules: str) -> None:
    sh(ROUTER)
    load("router", rules)
    comes_as_judged()


@pytest.mark.parametrize("typed", TRANSLATIONS.values(), ids=TRANSLATIONS)
def test_what_iptables_translates_is_what_happens(typed: str) -> None:
    sh(ROUTER)
    sh(f"ip netns exec router sh -ec '{typed}'")
    comes_as_judged()


def comes_as_judged() -> None:
    expected, judged = foretold(Filters(spaces()["router"]))
    assert not [each for each in judged if each.doubt or each.dropped is None]
    assert all(bool(each.reason and each.mend) for each in judged if each.dropped)
    send(FLOWS)
    end = time.monotonic() + 1
    while not expected <= (seen := arrived()) and time.monotonic() < end:
        time.sleep(0.01)
    assert {each for each in seen if each[1] not in ("tcp", "udp") or each[-1] < 9999} == expected


@pytest.mark.parametrize(("rules", "doubt"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_cannot_be_told_is_a_doubt(rules: str, doubt: str) -> None:
    sh(ROUTER)
    load("router", rules)
    judged = foretold(Filters(spaces()["router"]))[1]
    assert any(each.dropped is None for each in judged)
    for each in judged:
        assert (each.dropped is None) == (each.doubt is not None)
        assert doubt in (each.doubt or doubt)


def test_what_iptables_asks_is_unknown_only_where_it_matters() -> None:
    sh(ROUTER)
    sh("""ip netns exec router sh -ec '
        iptables-nft -t nat -N DOCKER
        iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        iptables-nft -t nat -A DOCKER ! -i eth2 -p tcp -m tcp --dport 8080 -j DNAT --to 10.1.2.2:80
        iptables-nft -t nat -A POSTROUTING -s 10.1.1.0/24 ! -o eth1 -j MASQUERADE
        iptables-nft -A FORWARD -p udp -m comment --comment why -j REJECT
        iptables-nft -A FORWARD -m ttl --ttl-lt 9 -j DROP'""")
    filters = Filters(spaces()["router"])
    ping, web = begun(FLOWS[0]), replace(begun(FLOWS[4]), iif="eth1")
    assert filters.judge("prerouting", replace(ping, iif="eth1")) == Judgement(
        replace(ping, iif="eth1")
    )
    left = filters.judge("postrouting", replace(ping, oif="eth2"))
    assert (left.packet.source, left.doubt) == ("10.1.2.1", None)
    led = filters.judge("prerouting", web)
    assert (led.packet.to, led.packet.dport, led.doubt) == ("10.1.2.2", 80, None)
    assert str(led.reason).endswith('xt target "DNAT", here 10.1.2.2 port 80')
    onward = filters.judge("forward", replace(ping, iif="eth1", oif="eth2"))
    assert (onward.dropped, onward.doubt) == (
        None,
        "a snapshot cannot tell if 'xt match \"ttl\"' holds in table ip filter, chain FORWARD",
    )
    asked = filters.judge("forward", replace(begun(FLOWS[2]), iif="eth1", oif="eth2"))
    assert asked.dropped
    assert str(asked.reason).endswith(
        ': meta l4proto udp xt match "comment" counter xt target "REJECT"'
    )


@pytest.mark.parametrize("to", ["10.1.2.2-10.1.2.9", "10.1.2.2:80-90", "10.1.2.2:80 --random"])
def test_what_iptables_chooses_by_chance_is_a_doubt(to: str) -> None:
    sh(ROUTER)
    sh(f"ip netns exec router {BEFORE} -p tcp -j DNAT --to-destination {to}")
    web = replace(begun(FLOWS[4]), iif="eth1")
    said = Filters(spaces()["router"]).judge("prerouting", web)
    assert "what 'xt target \"DNAT\"' does" in str(said.doubt)


@pytest.mark.parametrize(
    ("asked", "new", "answer"),
    [
        ("--ctstate RELATED,ESTABLISHED", True, False),
        ("! --ctstate ESTABLISHED", False, True),
        ("--ctstate NEW,ESTABLISHED", False, False),
        ("--ctstate SNAT", None, None),
        ("--ctstate NEW --ctproto 6", None, None),
        ('--ctstate NEW -m comment --comment "x -m conntrack --ctstate DNAT"', False, True),
        ("--ctstate ESTABLISHED -m conntrack --ctstate NEW", None, None),
        ('--ctstate NEW -m comment --comment "$(printf "a\\nb")"', None, None),
        ('--ctstate NEW -m comment --comment "$(printf "a\\377b")"', False, True),
        ("--ctstate NEW -m comment --comment -m", False, True),
    ],
)
def test_which_state_iptables_asks_for_is_known(
    asked: str, new: bool | None, answer: bool | None
) -> None:
    sh(ROUTER)
    sh(f"""ip netns exec router sh -ec '
        iptables-nft -P FORWARD DROP
        iptables-nft -A FORWARD -m conntrack {asked} -m comment --comment "a -j b" -j ACCEPT'""")
    packet = replace(begun(FLOWS[0]), iif="eth1", oif="eth2")
    filters = Filters(spaces()["router"])
    assert filters.judge("forward", packet).dropped is new
    assert filters.judge("forward", replace(packet, state="established")).dropped is answer


def test_chain_with_the_name_of_a_match_is_another_thing() -> None:
    sh(ROUTER)
    sh("""ip netns exec router sh -ec '
        iptables-nft -P FORWARD DROP
        iptables-nft -N conntrack
        iptables-nft -A conntrack -j ACCEPT
        iptables-nft -A FORWARD -m conntrack --ctstate NEW -j conntrack'""")
    packet = replace(begun(FLOWS[0]), iif="eth1", oif="eth2")
    filters = Filters(spaces()["router"])
    assert filters.judge("forward", packet).dropped is False
    assert filters.judge("forward", replace(packet, state="established")).dropped is True


@pytest.mark.parametrize(
    ("rules", "said", "mends"),
    [
        (
            chain("tcp dport { 22, 80-90 } counter drop; icmp type echo-request reject"),
            "table inet f, chain c: icmp type echo-request reject",
            ["ip netns exec router nft delete rule inet f c handle 4"],
        ),
        (
            chain("ip saddr 10.1.1.0/24 ip daddr != 10.9.0.0-10.9.0.8 drop", policy="drop"),
            "table inet f, chain c: ip saddr 10.1.1.0/24 ip daddr != 10.9.0.0-10.9.0.8 drop",
            [
                "ip netns exec router nft delete rule inet f c handle 2",
                "ip netns exec router nft chain inet f c '{ policy accept; }'",
            ],
        ),
        (
            chain("", policy="drop"),
            "table inet f, chain c: policy drop",
            ["ip netns exec router nft chain inet f c '{ policy accept; }'"],
        ),
    ],
)
def test_what_drops_is_named_shown_and_mended(rules: str, said: str, mends: list[str]) -> None:
    sh(ROUTER)
    load("router", rules)
    packet = replace(begun(FLOWS[0]), iif="eth1", oif="eth2")
    told = []
    while (it := Filters(spaces()["router"]).judge("forward", packet)).dropped:
        assert it.reason
        assert it.mend
        told.append(it)
        assert it.reason.command == "ip netns exec router nft -a list chain inet f c"
        assert "chain c {" in sh(it.reason.command)
        sh(it.mend)
    assert str(told[0].reason) == f"dropped by a packet filter: {said}"
    assert [it.mend for it in told] == mends
    send(FLOWS[:1])
    assert ("net2", "echo-request", "10.1.1.2", "10.1.2.2", None) in arrived()


def test_bridges_and_arp_have_filters_of_their_own() -> None:
    sh("ip netns add net1")
    load("net1", chain("ip protocol icmp drop; ether type arp drop", family="bridge"))
    load("net1", "table arp f { chain i { type filter hook input priority 0; policy drop; }; }")
    filters = Filters(spaces()["net1"])
    ping = Flowing("inet", "10.1.1.1", "10.1.1.2", "icmp", iif="port1", oif="port2")
    arp = replace(ping, protocol="arp")
    assert not filters.judge("forward", ping).dropped
    assert filters.judge("forward", ping, family="bridge").dropped
    assert filters.judge("forward", arp, family="bridge").dropped
    assert not filters.judge("forward", replace(ping, protocol="tcp"), family="bridge").dropped
    assert filters.judge("input", arp).dropped
    assert not filters.judge("output", arp).dropped


def test_nd_is_filtered_as_icmpv6_is() -> None:
    sh("ip netns add net1")
    load("net1", chain("icmpv6 type nd-neighbor-solicit drop; ct state new drop", "output"))
    filters = Filters(spaces()["net1"])
    asks = Flowing("inet6", "fd00::1", "ff02::1:ff00:2", "icmpv6", state="untracked")
    assert filters.judge("output", replace(asks, kind="solicit")).dropped
    assert not filters.judge("output", replace(asks, kind="advert")).dropped
    assert filters.judge("output", replace(asks, state="new")).dropped


def test_hostile_names_are_escaped_and_quoted() -> None:
    place = {"family": "ip", "table": "\x1b[31m"}
    base = {"type": "filter", "hook": "input", "prio": 0, "policy": "accept"}
    expression = [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "a\nb"}}]
    told: list[dict[str, object]] = [
        {"chain": place | {"name": "$(x)"} | base},
        {"rule": place | {"chain": "$(x)", "handle": 4, "expr": [*expression, {"drop": None}]}},
    ]
    filters = Filters(Namespace(1, "net1", nft=tuple(told)))
    it = filters.judge("input", Flowing("inet", "10.0.0.1", "10.0.0.2", "icmp", iif="a\nb"))
    assert str(it.reason).isprintable()
    assert it.mend == ("ip netns exec net1 nft delete rule ip '\x1b[31m' '$(x)' handle 4")
