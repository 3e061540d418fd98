"""Each packet's way, against roads of which every hop was written down beforehand."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from net.oracle import sh
from roads import ROADS

from netviz import snapshot
from netviz.packets.capture import Capture
from netviz.packets.facts import Facts
from netviz.packets.relations import Relations
from netviz.packets.telling import journey
from netviz.packets.tracing import Track, tracks

if TYPE_CHECKING:
    from netviz.journeys import Packet
    from roads import Road

_PINGS = 20_000


def captured(network: str, script: str) -> tuple[list[Packet], Relations, int]:
    """Build a network, run a script in it; return what was seen meanwhile, and what was dropped."""
    sh(network)
    before = snapshot()
    with Capture() as capture:
        sh(script)
        capture.settle()
    return capture.take(), Relations(before, snapshot()), capture.drops


def way(track: Track) -> Road:
    return [(str(each.packet.where), each.packet.direction) for each in track.sightings]


def echoes(found: list[Track], kind: int) -> list[Track]:
    return [track for track in found if track.first.key[0] == "icmp" and track.first.key[3] == kind]


@pytest.mark.parametrize("road", ROADS)
def test_every_hop_of_a_flood_of_pings_is_found_in_order(road: str) -> None:
    network, where, to, expected = ROADS[road]
    script = f"ip netns exec {where} ping -c1 -W2 {to}; "
    script += f"ip netns exec {where} ping -f -q -c{_PINGS} {to}"
    packets, relations, drops = captured(network, script)
    assert drops == 0
    found = tracks(packets, relations)
    for kind, hops in zip((8, 0), expected, strict=True):
        pings = echoes(found, kind)
        wrong = Counter(tuple(way(track)) for track in pings if way(track) != hops)
        assert not wrong
        assert Counter(track.first.key[4] for track in pings) == Counter([1, *range(1, _PINGS + 1)])
        line = [(), *((number,) for number in range(len(hops) - 1))]
        assert all(track.parents == line for track in pings)
    facts = Facts(relations, relations.spaces.values(), found)
    for track in echoes(found, 8)[:: _PINGS // 50]:
        assert journey(track, facts).fate == "delivered"
