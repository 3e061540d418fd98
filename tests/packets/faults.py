"""Faults by the dozen, to be put into generated networks.

A fault is a function of a network that draws where it is, and returns the script that does it;
nothing where it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TypeVar

from numbered import NFT, Card, Net

_T = TypeVar("_T")
Fault = Callable[[Net, Random], str]


def broken(number: int, kinds: Iterable[str], fault: str | None = None) -> Net:
    """Return a network in which one to three things are wrong, or the one that is told.

    Of every fourteen one is as it should be.
    """
    net = Net(number, kinds)
    draw = net.random
    wanted = 1 if fault else draw.choice([1, 1, 1, 1, 2, 2, 3]) if number % 14 else 0
    names = [fault] if fault else [*FAULTS, *RARE, *RARE, *RARE]
    draw.shuffle(names)
    for name in names:
        if len(net.wrong) < wanted and (script := FAULTS[name](net, draw)):
            net.wrong[name] = script
    return net


def _some(draw: Random, some: Sequence[_T]) -> _T | None:
    return draw.choice(some) if some else None


def _cards(net: Net) -> list[Card]:
    ours = {*net.hosts, *net.routers}
    return [card for card in net.cards if card.space in ours]


def _down(net: Net, draw: Random) -> str:
    card = draw.choice(_cards(net))
    return card.ip(f"link set {card.dev} down")


def _of_ports(command: str, *, wide: bool = False) -> Fault:
    def fault(net: Net, draw: Random) -> str:
        if not net.ports:
            return ""
        port = draw.choice(net.ports)
        chosen = [it for it in net.ports if it.space == port.space] if wide else [port]
        return "\n".join(command.format(it.space, it.dev) for it in chosen)

    return fault


def _bridge_down(net: Net, draw: Random) -> str:
    if not net.bridges:
        return ""
    space, dev = draw.choice(net.bridges)
    return f"ip -n {space} link set {dev} down"


def _readdressed(new: Callable[[str, str, Random], str]) -> Fault:
    """Give a card another address; ``new`` is told the old one and its length."""

    def fault(net: Net, draw: Random) -> str:
        card = draw.choice(_cards(net))
        old = draw.choice(card.addresses)
        it = new(*old.split("/"), draw)
        add = card.ip(f"address add {it} dev {card.dev}") if it else "true"
        change = [add, card.ip(f"address delete {old} dev {card.dev}")]
        # Routes stay where they can; IPv6 does not have an address twice.
        return "\n".join(change[::-1] if ":" in it else change)

    return fault


def _elsewhere(address: str, length: str, draw: Random) -> str:
    return (
        f"fd99::{draw.randint(1, 9)}/64" if ":" in address else f"10.99.{draw.randint(0, 9)}.1/24"
    )


def _renumbered(address: str, length: str, draw: Random) -> str:
    return f"{address[:-1]}{draw.randint(70, 99)}/{length}"


def _narrow(address: str, length: str, draw: Random) -> str:
    return f"{address}/{'128' if ':' in address else draw.choice(['30', '31', '32'])}"


def _wide(address: str, length: str, draw: Random) -> str:
    return f"{address}/{'8' if ':' in address else draw.choice(['8', '9'])}"


def _twice(net: Net, draw: Random) -> str:
    card = draw.choice(_cards(net))
    near = [it for it in _cards(net) if it.at == card.at and it.space != card.space and it.mac]
    if not (it := _some(draw, near)):
        return ""
    return it.ip(f"address add {card.addresses[0]} dev {it.dev}")


def _shadowed(net: Net, draw: Random) -> str:
    who, to = net.questions[0]
    return f"ip -n {who} address add {to}/{128 if ':' in to else 32} dev lo"


def _no_way(net: Net, draw: Random) -> str:
    if not (way := _some(draw, net.ways)):
        return ""
    return f"ip {'-6 ' * (':' in way.via)}-n {way.space} route delete {way.to} via {way.via}"


def _wrong_way(net: Net, draw: Random) -> str:
    if not (way := _some(draw, net.ways)):
        return ""
    stem = way.via[:-1]
    others = [a.split("/")[0] for it in net.cards for a in it.addresses if it.space != way.space]
    near = [a for a in others if a != way.via and a.startswith(stem)] + [f"{stem}88"]
    version = "-6 " * (":" in way.via)
    return f"ip {version}-n {way.space} route replace {way.to} via {draw.choice(near)}"


def _refused(net: Net, draw: Random) -> str:
    _, to = draw.choice(net.questions)
    kind = draw.choice(["blackhole", "unreachable", "prohibit"])
    where = draw.choice([*net.hosts, *net.routers])
    version = "-6 " * (":" in to)
    return f"ip {version}-n {where} route add {kind} {to}/{128 if version else 32}"


def _ruled(net: Net, draw: Random) -> str:
    _, to = draw.choice(net.questions)
    what = draw.choice([f"to {to} prohibit", f"to {to} blackhole", f"from {to} lookup 77"])
    where = draw.choice([*net.hosts, *net.routers])
    version = "-6 " * (":" in to)
    more = f"\nip {version}-n {where} route add unreachable default table 77" * ("77" in what)
    return f"ip {version}-n {where} rule add {what} priority 100{more}"


def _switched(*switches: str) -> Fault:
    def fault(net: Net, draw: Random) -> str:
        if not net.routers:
            return ""
        told = [it for it in switches if "ipv6" not in it or net.dual]
        where = draw.choice(net.asymmetric or net.routers)
        return f"nsenter --net=/run/netns/{where} sysctl -qw {' '.join(told)}"

    return fault


def _strict(net: Net, draw: Random) -> str:
    """Do it where answers take another way than questions."""
    return _switched("net.ipv4.conf.all.rp_filter=1")(net, draw) if net.asymmetric else ""


def _filtered(hook: str) -> Fault:
    def fault(net: Net, draw: Random) -> str:
        where = _some(draw, net.routers if hook == "forward" else [*net.hosts, *net.routers])
        if not where:
            return ""
        rules = [
            ("accept", "meta l4proto { icmp, ipv6-icmp } counter drop"),
            ("accept", "icmp type echo-request drop; icmpv6 type echo-request drop"),
            ("accept", f"ip daddr {{ {net.cards[-1].first()}, {net.cards[0].first()} }} reject"),
            ("accept", "ct state new icmp type echo-request jump deep"),
            ("drop", "ct state established,related accept; tcp dport 22 accept"),
            ("drop", "icmp type echo-request accept; icmpv6 type != echo-reply accept"),
        ]
        policy, rule = draw.choice(rules)
        rule = rule.replace("; ", "\n")
        head = f"type filter hook {hook} priority 0; policy {policy};"
        table = (
            f"table inet guard {{\nchain deep {{\ndrop\n}}\nchain {hook} {{\n{head}\n{rule}\n}}\n}}"
        )
        return NFT.format(where, table)

    return fault


def _forgotten(net: Net, draw: Random) -> str:
    if not net.routers:
        return ""
    where = draw.choice(net.routers)
    card = draw.choice([it for it in net.cards if it.space == where])
    head = "type filter hook forward priority 0; policy drop;"
    table = f'table inet oneway {{ chain f {{ {head} iifname "{card.dev}" accept; }}; }}'
    return NFT.format(where, table)


def _bridge_filters(net: Net, draw: Random) -> str:
    if not net.bridges:
        return ""
    space, _ = draw.choice(net.bridges)
    rule = draw.choice(
        ["ip protocol icmp drop", "icmp type echo-reply drop", "ether type arp drop"]
    )
    table = f"table bridge guard {{ chain f {{ type filter hook forward priority 0; {rule}; }}; }}"
    return NFT.format(space, table)


def _arp_filtered(net: Net, draw: Random) -> str:
    where = draw.choice([*net.hosts, *net.routers])
    table = "table arp guard { chain i { type filter hook input priority 0; policy drop; }; }"
    return NFT.format(where, table)


def _wrong_neighbour(net: Net, draw: Random) -> str:
    card = draw.choice([it for it in _cards(net) if it.mac])
    near = [it for it in net.cards if it.at == card.at and it.space != card.space]
    far = draw.choice(near)
    other = draw.choice([f"02:99:00:00:00:{draw.randint(1, 9):02x}", *(it.mac for it in near)])
    to = draw.choice(far.addresses).split("/")[0]
    if other == far.mac:
        other = "02:99:00:00:00:0a"
    return card.ip(f"neighbour replace {to} lladdr {other} dev {card.dev} nud permanent")


def _wrong_entry(net: Net, draw: Random) -> str:
    if not (port := _some(draw, [it for it in net.ports if it.mac])):
        return ""
    others = [it.dev for it in net.ports if it.space == port.space and it.dev != port.dev]
    if not others:
        return ""
    kind = draw.choice(["static", "sticky static", "sticky static"])
    return f"bridge -n {port.space} fdb replace {port.mac} dev {draw.choice(others)} master {kind}"


def _wrong_tunnel(kind: str) -> Fault:
    def fault(net: Net, draw: Random) -> str:
        if not (it := _some(draw, net.tunnels)):
            return ""
        if kind == "VNI":
            made = it.made.replace(" id ", " id 7")
        else:
            made = it.made.replace(f"remote {it.there}", f"remote {it.there}9")
        ip = f"ip -n {it.space}"
        return f"{ip} link delete vx0\n{ip} {made}\n{ip} link set vx0 master br0 up"

    return fault


def _wrong_translation(net: Net, draw: Random) -> str:
    if not net.translates:
        return ""
    space, dev = net.translates
    table = draw.choice(["", net.masquerade("snat to 10.99.9.9"),
                         net.masquerade().replace(dev, f"{dev}9")])  # fmt: skip
    return NFT.format(space, f"flush ruleset\n{table}")


def _loopback(net: Net, draw: Random) -> str:
    who = next((who for who, to in net.questions if _owns(net, who, to)), "")
    if not who:
        who = draw.choice(net.hosts)
        net.questions.append((who, next(it for it in net.cards if it.space == who).first()))
    return f"ip -n {who} link set lo down"


def _owns(net: Net, who: str, address: str) -> bool:
    return any(
        it.space == who and address in (a.split("/")[0] for a in it.addresses) for it in net.cards
    )


def _mute(net: Net, draw: Random) -> str:
    card = draw.choice([it for it in _cards(net) if it.mac])
    return card.ip(f"link set {card.dev} arp off")


def _private(net: Net, draw: Random) -> str:
    if not (card := _some(draw, [it for it in net.cards if it.kind == "macvlan"])):
        return ""
    return card.ip(f"link set {card.dev} type macvlan mode private")


def _lower_down(net: Net, draw: Random) -> str:
    if not net.lowers:
        return ""
    space, dev = draw.choice(net.lowers)
    return f"ip -n {space} link set {dev} down"


def _tunnel_down(net: Net, draw: Random) -> str:
    it = _some(draw, net.tunnels)
    return f"ip -n {it.space} link set {it.dev} down" if it else ""


FAULTS: dict[str, Fault] = {
    "interface down": _down,
    "far end down": _of_ports("ip -n {0} link set {1} down"),
    "port unplugged": _of_ports("ip -n {0} link set {1} nomaster"),
    "bridge down": _bridge_down,
    "address missing": _readdressed(lambda *_: ""),
    "address of another subnet": _readdressed(_elsewhere),
    "another address": _readdressed(_renumbered),
    "mask too long": _readdressed(_narrow),
    "mask too short": _readdressed(_wide),
    "address twice": _twice,
    "address is one's own": _shadowed,
    "route missing": _no_way,
    "wrong gateway": _wrong_way,
    "route refuses": _refused,
    "rule refuses": _ruled,
    "forwarding off": _switched("net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"),
    "strict reverse path": _strict,
    "dropped at input": _filtered("input"),
    "dropped at forward": _filtered("forward"),
    "dropped at output": _filtered("output"),
    "answers forgotten": _forgotten,
    "bridge filters": _bridge_filters,
    "ARP filtered": _arp_filtered,
    "wrong neighbour": _wrong_neighbour,
    "wrong FDB entry": _wrong_entry,
    "ports isolated": _of_ports("bridge -n {0} link set dev {1} isolated on", wide=True),
    "port disabled": _of_ports("bridge -n {0} link set dev {1} state 0"),
    "no flooding": _of_ports("bridge -n {0} link set dev {1} bcast_flood off flood off"),
    "wrong VNI": _wrong_tunnel("VNI"),
    "wrong remote": _wrong_tunnel("remote"),
    "tunnel down": _tunnel_down,
    "wrong NAT": _wrong_translation,
    "loopback down": _loopback,
    "ARP off": _mute,
    "macvlan alone": _private,
    "lower device down": _lower_down,
}
RARE = ("strict reverse path", "wrong VNI", "wrong remote", "tunnel down", "wrong NAT",
        "macvlan alone", "lower device down")  # fmt: skip
"""Those that few networks have."""
