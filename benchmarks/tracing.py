"""What it takes to follow packets: floods of pings over roads of which each hop is known.

How many of them are found with every hop in its place, and how long it takes for each packet that a
tap saw, against what tcpdump and tshark need to read the same packets and print a line for each.
Prints one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from shutil import which
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "packets"))

from roads import ROADS

import netviz
from netviz.packets.capture import Capture
from netviz.packets.pcapng import written
from netviz.packets.relations import Relations
from netviz.packets.tracing import tracks

if TYPE_CHECKING:
    from netviz.journeys import Packet
    from netviz.packets.tracing import Track

PINGS = 20_000
KINDS = {8: 0, 0: 1}
"""Echo request and reply, and which of the roads they take."""


def main() -> None:
    """Measure, and print the figures."""
    figures: dict[str, float] = {}
    costs: dict[str, list[float]] = {"ours": [], "tcpdump": [], "tshark": []}
    for name, (network, where, to, roads) in ROADS.items():
        subprocess.run(["sh", "-ec", network], check=True)
        before = netviz.snapshot()
        with Capture() as capture:
            flood = ["ip", "netns", "exec", where, "ping", "-q", "-f", "-c", str(PINGS), to]
            subprocess.run(flood, check=True, stdout=subprocess.DEVNULL)
            capture.settle()
        packets, relations = capture.take(), Relations(before, netviz.snapshot())
        began = time.perf_counter()
        found = tracks(packets, relations)
        costs["ours"].append((time.perf_counter() - began) / len(packets))
        right = sum(way(it) == roads[KINDS[kind]] for it in found if (kind := echo(it)) in KINDS)
        figures[f"journeys, {name}"] = right / len(KINDS)
        figures[f"dropped, {name}"] = capture.drops
        for program, cost in read(packets).items():
            costs[program].append(cost)
        netviz.reset()
    for program, each in costs.items():
        if each:
            figures[f"a packet, {program}"] = median(each)
    sys.stdout.write(json.dumps(figures) + "\n")


def echo(track: Track) -> int | None:
    """Return the type of an ICMP message, None for other packets."""
    kind, *rest = track.first.key
    return int(str(rest[2])) if kind == "icmp" else None


def way(track: Track) -> list[tuple[str, str]]:
    """Return where a packet was seen, in order."""
    return [(str(each.packet.where), each.packet.direction) for each in track.sightings]


def read(packets: list[Packet]) -> dict[str, float]:
    """Return how many seconds a packet others take to read the packets of a file."""
    taken = {}
    with TemporaryDirectory() as folder:
        file = Path(folder, "flood.pcapng")
        file.write_bytes(written(packets))
        for program in ("tcpdump", "tshark"):
            if which(program):
                began = time.perf_counter()
                command = [program, "-n", "-r", str(file)]
                subprocess.run(command, capture_output=True, check=True)
                taken[program] = (time.perf_counter() - began) / len(packets)
    return taken


if __name__ == "__main__":
    main()
