"""Each packet's way, against roads of which every hop was written down beforehand."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from net.oracle import sh
from roads import ROADS

from netviz import reset, snapshot
from netviz.packets.capture import Capture
from netviz.packets.facts import Facts
from netviz.packets.relations import Relations
from netviz.packets.telling import journey
from netviz.packets.tracing import Track, tracks

if TYPE_CHECKING:
    from roads import Road

    from netviz.journeys import Packet
    from netviz.packets.sightings import Sighting

pytestmark = pytest.mark.long
_PINGS = 20_000
_TRIES = 3  # A machine that stands still for a moment drops packets, and says so: once more then.
_HEADERS = 192  # Bytes: all headers of a segment in a tunnel.


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
    for _ in range(_TRIES):
        packets, relations, drops = captured(network, script)
        if not drops:
            break
        reset()
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


_SERVER = """
import socket
heard = socket.create_server(("10.7.0.2", 9000))
print("listening", flush=True)
with heard.accept()[0] as stream:
    while stream.recv(1 << 20):
        pass
"""
_SIZES = (1, 100, 5000, 65536, 1 << 20, 4 << 20)
_CLIENT = """
import os, socket
with socket.create_connection(("10.7.0.2", 9000)) as stream:
    for size in SIZES:
        stream.sendall(os.urandom(size))
""".replace("SIZES", str(_SIZES))
_OFFLOADS = {
    "segments stay whole": "",
    "cut by the sender's node": "ip netns exec node1 ethtool -K eth0 tso off gso off",
    "cut, and joined by the receiver's": """
        ip netns exec node1 ethtool -K eth0 tso off gso off
        ip netns exec node2 ethtool -K eth0 gro on
        ip netns exec pod2 ethtool -K eth0 gro on
    """,
}


@pytest.mark.parametrize("offloads", _OFFLOADS)
def test_every_byte_of_a_stream_is_followed_through_cuts_and_joins(offloads: str) -> None:
    network, _, _, (there, _) = ROADS["VXLAN"]
    sh(network + _OFFLOADS[offloads])
    before = snapshot()
    python = ("-c", _SERVER)
    with subprocess.Popen(
        ["ip", "netns", "exec", "pod2", sys.executable, *python], stdout=subprocess.PIPE
    ) as server:
        assert server.stdout
        server.stdout.readline()
        with Capture(snap=_HEADERS) as capture:
            client = ["ip", "netns", "exec", "pod1", sys.executable, "-c", _CLIENT]
            subprocess.run(client, check=True)
            assert server.wait(10) == 0
            capture.settle()
    found = tracks(capture.take(), Relations(before, snapshot()))
    assert capture.drops == 0
    streams = [track for track in found if track.first.stream and way(track)[0] == there[0]]
    assert sum(track.first.end - track.first.start for track in streams) >= sum(_SIZES)
    sizes = set()
    for track in streams:
        begin, end = track.first.start, track.first.end
        for hop in there:
            here = [n for n, place in enumerate(way(track)) if place == hop]
            pieces = [track.sightings[n] for n in here]
            sizes |= {piece.end - piece.start for piece in pieces}
            assert covered(pieces, begin, end), (hop, begin, end)
        for number, parents in enumerate(track.parents[1:], 1):
            at = there.index(way(track)[number])
            assert {way(track)[it] for it in parents} == {there[at - 1]}
    assert (max(sizes) > 1448) or "cut" in offloads
    assert len(sizes) > 2


def covered(pieces: list[Sighting], begin: int, end: int) -> bool:
    """Tell whether some pieces hold every byte of a range."""
    for piece in sorted(pieces, key=lambda it: it.start):
        if piece.start > begin:
            return False
        begin = max(begin, piece.end)
    return begin >= end
