"""Networks by the hundred; the same for the same number.

A `Net` is built from links, each of a kind that people build: a cable, bridges, a VXLAN, macvlans.
Some have routers in a row between them, or NAT, or another way back than there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

OPTIONAL = ("vxlan", "macvlan")
"""Kinds of links that not every kernel has; a bridge then takes their place."""
NFT = "nsenter --net=/run/netns/{0} nft -f - <<END\n{1}\nEND"


@dataclass
class Card:
    """A device with addresses, on a link; ``at`` is the link's number."""

    space: str
    dev: str
    mac: str
    at: int
    kind: str = "veth"
    addresses: list[str] = field(default_factory=list)

    def ip(self, words: str) -> str:
        return f"ip -n {self.space} {words}"

    def first(self, *, v6: bool = False) -> str:
        return next(it for it in self.addresses if (":" in it) == v6).split("/")[0]


@dataclass
class Port:
    """A port of a bridge, and the MAC of the card behind it, if one is."""

    space: str
    dev: str
    mac: str = ""


@dataclass
class Way:
    """A route that somebody has."""

    space: str
    to: str
    via: str


@dataclass
class Tunnel:
    """One end of a tunnel, and what makes it."""

    space: str
    dev: str
    made: str
    there: str


class Net:
    """One network: how it is built, and what one may ask; ``wrong`` is what breaks it, by name."""

    def __init__(self, number: int, kinds: Iterable[str]) -> None:
        self.random = Random(number)
        self.number, self._kinds = number, list(kinds)
        self.spaces: list[str] = []
        self.cards: list[Card] = []
        self.ports: list[Port] = []
        self.ways: list[Way] = []
        self.tunnels: list[Tunnel] = []
        self.lowers: list[tuple[str, str]] = []
        self.hosts: list[str] = []
        self.routers: list[str] = []
        self.bridges: list[tuple[str, str]] = []
        self.translates: tuple[str, str] | None = None
        self.asymmetric: list[str] = []
        self._root: list[str] = []
        self._made: dict[str, list[str]] = defaultdict(list)
        self._set: dict[str, list[str]] = defaultdict(list)
        self._more: list[str] = []
        self._links = self._macs = 0
        self.shape = self.random.choice(["link", "link", "row", "row", "row", "NAT", "two ways"])
        self.dual = self.random.random() < 0.3
        self._build()
        self.questions = self._questions()
        self.wrong: dict[str, str] = {}

    def script(self) -> str:
        """Return the shell script that builds it, in a lab's root."""
        lines = ["ip -batch - <<END", *(f"netns add {space}" for space in self.spaces), "END"]
        if self.dual:  # Addresses are to be had at once.
            set_ = "sysctl -qw net.ipv6.conf.default.accept_dad=0"
            lines += [f"nsenter --net=/run/netns/{space} {set_}" for space in self.spaces]
        lines += ["ip -batch - <<END", *self._root, "END"]
        for told in (self._made, self._set):
            for space, some in told.items():
                lines += [f"ip -n {space} -batch - <<END", *some, "END"]
        # One fault may have taken away what the next one is about.
        return "\n".join([*lines, *self._more, "set +e", *self.wrong.values(), "set -e", ""])

    def gone(self) -> str:
        """Return what takes it away."""
        return "".join(f"netns delete {space}\n" for space in self.spaces)

    # Its parts.

    def space(self, role: str) -> str:
        name = f"n{self.number}-{role}{sum(f'-{role}' in each for each in self.spaces) + 1}"
        self.spaces.append(name)
        self._set[name].append("link set lo up")
        return name

    def mac(self) -> str:
        self._macs += 1
        return f"02:00:{self.number >> 8:02x}:{self.number & 255:02x}:00:{self._macs:02x}"

    def _up(self, space: str, dev: str, more: str = "") -> None:
        quiet = "" if self.dual else "addrgenmode none"  # Less is sent, and less is to be read.
        self._set[space].append(f"link set {dev} {quiet} {more} up")

    def cable(self, a: str, a_dev: str, b: str, b_dev: str) -> tuple[str, str]:
        one, other = self.mac(), self.mac()
        self._root.append(
            f"link add {a_dev} address {one} netns {a} type veth"
            f" peer name {b_dev} address {other} netns {b}"
        )
        self._up(a, a_dev)
        self._up(b, b_dev)
        return one, other

    def bridge(self, space: str) -> tuple[str, str]:
        """Give a namespace a bridge; return its MAC and where it is."""
        mac = self.mac()
        self._made[space].append(f"link add br0 address {mac} type bridge")
        self._up(space, "br0")
        self.bridges.append((space, "br0"))
        return mac

    def plug(self, switch: str, member: str, dev: str, at: int) -> Card:
        port = f"p{sum(it.space == switch for it in self.ports) + 1}"
        _, mac = self.cable(switch, port, member, dev)
        self._set[switch].append(f"link set {port} master br0")
        self.ports.append(Port(switch, port, mac))
        return Card(member, dev, mac, at)

    # Links. Each returns the members' cards.

    def link(self, members: list[str], kind: str) -> list[Card]:
        self._links += 1
        at = self._links
        dev = f"eth{at}"
        if kind in OPTIONAL and kind not in self._kinds:
            kind = "bridge"
        found = getattr(self, f"_{kind}")(members, dev, at)
        for n, card in enumerate(found, 1):
            card.addresses.append(f"10.{at}.0.{n}/24")
            if self.dual:
                card.addresses.append(f"fd{at:02x}::{n}/64")
            own = [f"address add {it} dev {card.dev}" for it in card.addresses]
            self._set[card.space] += own
        self.cards += found
        return found

    def _cable(self, members: list[str], dev: str, at: int) -> list[Card]:
        macs = self.cable(members[0], dev, members[1], dev)
        return [Card(it, dev, mac, at) for it, mac in zip(members, macs, strict=True)]

    def _bridge(self, members: list[str], dev: str, at: int) -> list[Card]:
        switch = self.space("sw")
        self.bridge(switch)
        return [self.plug(switch, it, dev, at) for it in members]

    def _bridges(self, members: list[str], dev: str, at: int) -> list[Card]:
        one, other = self.space("sw"), self.space("sw")
        for each in (one, other):
            self.bridge(each)
        self.cable(one, "t0", other, "t0")
        for each in (one, other):
            self._set[each].append("link set t0 master br0")
            self.ports.append(Port(each, "t0"))
        return [self.plug((one, other)[n % 2], it, dev, at) for n, it in enumerate(members)]

    def _home(self, members: list[str], dev: str, at: int) -> list[Card]:
        """Plug the others into a bridge that the first one has, as Docker does."""
        first, *others = members
        if (first, "br0") in self.bridges:
            return self._bridge(members, dev, at)
        card = Card(first, "br0", self.bridge(first), at, "bridge")
        return [card, *(self.plug(first, it, dev, at) for it in others)]

    def _macvlan(self, members: list[str], dev: str, at: int) -> list[Card]:
        """Put the others on the card of a node, at the other end of the first one's cable."""
        first, *others = members
        node = self.space("node")
        mac, _ = self.cable(first, dev, node, "up0")
        self.lowers.append((node, "up0"))
        found = [Card(first, dev, mac, at)]
        for each in others:
            mac = self.mac()
            self._made[node].append(
                f"link add {dev} link up0 netns {each} address {mac} type macvlan mode bridge"
            )
            self._up(each, dev)
            found.append(Card(each, dev, mac, at, "macvlan"))
        return found

    def _under(self) -> list[Card]:
        """Return the cards of two nodes that a tunnel is to join."""
        nodes, dual = [self.space("node"), self.space("node")], self.dual
        self.dual = False
        kind = self.random.choice(["cable", "bridge"])
        found = self.link(nodes, kind)
        self.dual = dual
        return found

    def _vxlan(self, members: list[str], dev: str, at: int) -> list[Card]:
        one, other = self._under()
        for here, there in ((one, other), (other, one)):
            self.bridge(here.space)
            ends = f"local {here.first()} remote {there.first()} dev {here.dev}"
            made = f"link add vx0 address {self.mac()} type vxlan id {at} dstport 4789 {ends}"
            self._made[here.space].append(made)
            self._up(here.space, "vx0", "master br0")
            self.tunnels.append(Tunnel(here.space, "vx0", made, there.first()))
        where = (one.space, other.space)
        return [self.plug(where[n % 2], it, dev, at) for n, it in enumerate(members)]

    # The whole.

    def _build(self) -> None:
        draw = self.random
        wide = ["bridge", "bridge", "bridges", "home", "vxlan", "macvlan"]
        if self.shape == "link":
            self.hosts = [self.space("host") for _ in range(draw.randint(2, 4))]
            kind = draw.choice([*wide, "cable"] if len(self.hosts) == 2 else wide)
            self.link(self.hosts, kind)
            return
        count = 2 if self.shape == "two ways" else draw.choice([1, 1, 2, 3])
        self.routers = [self.space("router") for _ in range(count)]
        ends = [[self.space("host") for _ in range(draw.randint(1, 2))] for _ in range(2)]
        self.hosts = [*ends[0], *ends[1]]
        lans: list[list[Card]] = []
        for router, hosts in ((self.routers[0], ends[0]), (self.routers[-1], ends[1])):
            kind = draw.choice([*wide, "cable", "cable"] if len(hosts) == 1 else wide)
            lans.append(self.link([router, *hosts], kind))
        between = []
        for pair in zip(self.routers, self.routers[1:], strict=False):
            between.append(self.link([*pair], draw.choice(["cable", "bridge"])))
        back = between[:]
        if self.shape == "two ways":
            back = [self.link(self.routers, draw.choice(["cable", "bridge"]))]
            self.asymmetric = self.routers
        self._routes(lans, between, back)
        for router in self.routers:
            wide6 = "net.ipv6.conf.all.forwarding=1" if self.dual else ""
            self._more.append(
                f"nsenter --net=/run/netns/{router} sysctl -qw net.ipv4.ip_forward=1 {wide6}"
            )
        if self.shape == "NAT":
            self.translates = (self.routers[0], (between[0][0] if between else lans[1][0]).dev)
            self._more.append(NFT.format(self.routers[0], self.masquerade()))

    def masquerade(self, how: str = "masquerade") -> str:
        assert self.translates
        rule = f'oifname "{self.translates[1]}" {how}'
        chain = f"chain post {{ type nat hook postrouting priority srcnat; {rule}; }}"
        return f"table ip nat {{ {chain}; }}"

    def _routes(
        self, lans: list[list[Card]], between: list[list[Card]], back: list[list[Card]]
    ) -> None:
        """Give everybody ways to both ends; behind NAT nobody knows where the first end is."""
        for v6 in (False, True) if self.dual else (False,):
            left, right = (lan[0].addresses[v6] for lan in lans)
            nets = [_network(left), _network(right)]
            for n, lan in enumerate(lans):
                for host in lan[1:]:
                    if self.shape == "NAT" and n == 1 and not v6:
                        continue
                    default = self.random.random() < 0.6
                    self.way(host.space, "default" if default else nets[1 - n], lan[0].first(v6=v6))
            for there in between:
                self.way(there[0].space, nets[1], there[1].first(v6=v6))
            for there in back:
                if not (self.shape == "NAT" and not v6):
                    self.way(there[1].space, nets[0], there[0].first(v6=v6))
            if self.shape == "NAT" and not v6:
                for there in between[1:]:
                    self.way(there[1].space, _network(between[0][0].addresses[0]), there[0].first())
                for host in lans[1][1:]:
                    self.way(host.space, "default", lans[1][0].first())

    def way(self, space: str, to: str, via: str) -> None:
        self.ways.append(Way(space, to, via))
        version = "-6 " if ":" in via else ""
        self._more.append(f"ip {version}-n {space} route add {to} via {via}")

    def _questions(self) -> list[tuple[str, str]]:
        """Return who may ask for which address: across it all, along it, and one's own."""
        own: dict[str, list[Card]] = defaultdict(list)
        for card in self.cards:
            own[card.space].append(card)
        v6 = self.dual and self.random.random() < 0.5
        first, last = self.hosts[0], self.hosts[-1]
        found = [(first, own[last][0].first(v6=v6))]
        if self.shape != "NAT" or v6:
            found.append((last, own[first][0].first(v6=v6)))
        others = [
            it
            for it in self.cards
            if it.space != first and (it.space in (*self.hosts, *self.routers))
        ]
        others = [it for it in others if self.shape != "NAT" or it.at != 1]
        for card in self.random.sample(others, 1):
            found.append((first, card.first(v6=v6 and len(card.addresses) > 1)))
        if self.random.random() < 0.15:
            found.append((first, own[first][0].first()))
        return [*dict.fromkeys(found)]


def _network(address: str) -> str:
    from ipaddress import ip_interface

    return str(ip_interface(address).network)
