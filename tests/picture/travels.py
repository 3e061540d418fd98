"""Journeys made by hand, over any network: `Travel` writes them as a tracer would."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import netviz
from netviz.journeys import Followed, Header, Hop, Journey, Packet, Reason, Rewrite
from netviz.model import Endpoint, Snapshot

START = 1_700_000_000_000_000_000
STEP = 7_300
"""Nanoseconds from one hop to the next."""
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


def spans(at: int, *ends: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple((at + start, at + end) for start, end in ends)


def ethernet(at: int = 0, macs: tuple[str, str] = MACS) -> Header:
    fields = (("dst", macs[1]), ("src", macs[0]), ("type", "IPv4"))
    return Header("Ethernet", fields, at, at + 14, spans(at, (0, 6), (6, 12), (12, 14)))


def ipv4(at: int = 14, src: str = "10.1.1.2", dst: str = "10.1.1.3", ttl: int = 64) -> Header:
    fields = (("ttl", str(ttl)), ("src", src), ("dst", dst))
    return Header("IPv4", fields, at, at + 20, spans(at, (8, 9), (12, 16), (16, 20)))


def icmp(at: int = 34, kind: str = "echo request") -> Header:
    fields = (("type", kind), ("seq", "1"))
    return Header("ICMP", fields, at, at + 8, spans(at, (0, 1), (6, 8)))


PING = (ethernet(), ipv4(), icmp())


class Travel:
    """A journey under construction; each `hop` comes after the one before, if nothing is said."""

    def __init__(self, network: Snapshot, title: str = "ICMP echo request", **more: Any) -> None:
        self.ends = {
            f"{space.name}:{link.name}": Endpoint(space.id, link.index, space.name, link.name)
            for space, link in network
        }
        self.title, self.more = title, {"protocol": "icmp"} | more
        self.hops: list[Hop] = []

    def hop(
        self, where: str, direction: str, *reasons: str, headers: tuple[Header, ...] = PING,
        seen: bool = True, after: tuple[int, ...] | None = None, **more: Any,
    ) -> Travel:  # fmt: skip
        """Add a hop; one that is not ``seen`` has no packet."""
        number, end = len(self.hops) + 1, self.ends[where]
        size = max((header.end for header in headers), default=0) + 16
        data = bytes((31 * n + number) % 256 if n % 5 == 0 else n % 256 for n in range(size))
        packet = Packet(START + number * STEP, end, direction, data, size) if seen else None
        told = tuple(Reason(each) for each in reasons)
        sources = after if after is not None else (number - 1,) if number > 1 else ()
        self.hops.append(
            Hop(number, end, direction, "", packet, headers if seen else (), (), told, sources)
        )
        return self.mark(**more)

    def mark(self, **more: Any) -> Travel:
        """Say more of the last hop: its ``fate``, its ``changes``."""
        end = more.pop("end", None)
        more |= {"end": Reason(end)} if isinstance(end, str) else {}
        self.hops[-1] = replace(self.hops[-1], **more)
        return self

    def journey(self) -> Journey:
        return Journey(self.title, hops=tuple(self.hops), **self.more)


def bridged(network: Snapshot, *, back: bool = False) -> Journey:
    """Return a ping from net1 to net2 over br1, or its answer."""
    here, there = (2, 1) if back else (1, 2)
    title = "ICMP echo reply, id 7 seq 1" if back else "ICMP echo request, id 7 seq 1"
    travel = Travel(network, title)
    travel.hop(f"net{here}:veth{here - 1}", "out", "route: 10.1.1.0/24 dev veth0, on-link")
    travel.hop(f"root:br1-veth{here - 1}", "in", "the other end of the cable", role="port of br1")
    travel.hop("root:br1", "through", f"FDB: {MACS[1]} is behind br1-veth{there - 1}", seen=False)
    travel.hop(f"root:br1-veth{there - 1}", "out", role="port of br1")
    travel.hop(f"net{there}:veth{there - 1}", "in", fate="delivered", end="an address of net2")
    return travel.journey()


def flooded(network: Snapshot) -> Journey:
    """Return a question to all: it reaches net2, who answers, and net3, who does not."""
    travel = Travel(network, "ARP request: who has 10.1.1.3?", protocol="arp", prelude=True)
    travel.hop("net1:veth0", "out", "no neighbour entry for 10.1.1.3")
    travel.hop("root:br1-veth0", "in")
    travel.hop("root:br1", "in", "a broadcast is flooded to every port", after=(2,))
    travel.hop("root:br1-veth1", "out", "flooded", after=(3,))
    travel.hop("root:br1-veth2", "out", "flooded", after=(3,))
    travel.hop(
        "net2:veth1", "in", after=(4,), fate="delivered", end="10.1.1.3 is an address of net2"
    )
    travel.hop("net3:veth2", "in", after=(5,), fate="discarded", end="no address of net3")
    return travel.journey()


def masqueraded(network: Snapshot) -> Journey:
    """Return a packet that the root of `netviz.router` sends on, with another source."""
    travel = Travel(network, "ICMP echo request, id 9 seq 1")
    travel.hop("net1:v1", "out", "default via 10.1.1.1 dev v1")
    travel.hop("root:v1_r", "in")
    changes = (
        Rewrite("IPv4", "ttl", "64", "63"), Rewrite("IPv4", "src", "10.1.1.2", "10.1.2.1"),
        Rewrite("Ethernet", "src", MACS[0], "02:00:00:00:00:09"),
    )  # fmt: skip
    ours = (ethernet(macs=("02:00:00:00:00:09", MACS[1])), ipv4(src="10.1.2.1", ttl=63), icmp())
    travel.hop("root:v2_r", "out", "10.1.2.0/24 dev v2_r, main", "masquerade in ip nat postrouting",
               headers=ours, changes=changes)  # fmt: skip
    travel.hop(
        "net2:v2", "in", headers=ours, fate="delivered", end="10.1.2.2 is an address of net2"
    )
    return travel.journey()


def tunnelled(network: Snapshot, cable: tuple[str, str], wrapped: tuple[str, str]) -> Journey:
    """Return a packet with a VXLAN put around it between two ends, and taken off again."""
    travel = Travel(network, "ICMP echo request, id 3 seq 1")
    outer = (ethernet(), ipv4(src="192.168.1.1", dst="192.168.1.2"),
             Header("UDP", (("dport", "4789"),), 34, 42, ((36, 38),)),
             Header("VXLAN", (("vni", "42"),), 42, 50, ((46, 49),)))  # fmt: skip
    inner = (ethernet(50), ipv4(64), icmp(84))
    travel.hop(wrapped[0], "out", "FDB: behind the tunnel")
    wraps, unwraps = (Rewrite("VXLAN", "", *it) for it in (("", "vni 42"), ("vni 42", "")))
    travel.hop(cable[0], "out", headers=(*outer, *inner), changes=(wraps,))
    travel.hop(cable[1], "in", headers=(*outer, *inner))
    travel.hop(wrapped[1], "in", changes=(unwraps,), fate="delivered")
    return travel.journey()


def lost(network: Snapshot) -> Journey:
    """Return a packet that a bridge's rule drops."""
    travel = Travel(network, "ICMP echo request, id 8 seq 1")
    travel.hop("net1:veth0", "out").hop("root:br1-veth0", "in")
    travel.mark(fate="lost", end="nft dropped it: bridge filter forward, counter 0 → 1")
    return travel.journey()


def followed(network: Snapshot, *journeys: Journey, **more: Any) -> Followed:
    """Return what a tracer would have seen."""
    packets = tuple(hop.packet for each in journeys for hop in each if hop.packet)
    told = {"command": "ping -c1 10.1.1.3", "output": "1 received\n", "packets": packets}
    return Followed(journeys, network, **told | more)


def pinged() -> Followed:
    """Return a whole ping over a bridge with three namespaces."""
    network = netviz.bridge(3).planned()
    answer = replace(bridged(network, back=True), title="ARP reply", protocol="arp", prelude=True)
    journeys = (flooded(network), answer, bridged(network), bridged(network, back=True))
    return followed(network, *journeys)
