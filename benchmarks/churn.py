"""Whether a living picture's memory stays flat: ``netviz run -- python benchmarks/churn.py 1800``.

Namespaces and cables come and go for so many seconds, twenty rounds a second at most. Prints one
line of JSON: memory in MB after a tenth of the time and at the end, and the other things that could
grow.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from netviz.net.discovery import snapshot
from netviz.picture.live import Live

ROUND = """netns add a{n}
netns add b{n}
link add eth0 netns a{n} type veth peer name eth0 netns b{n}
-n a{n} link set eth0 up
-n a{n} address add 10.0.0.1/24 dev eth0
netns delete a{n}
netns delete b{n}
"""
REST = 0.05


def main(seconds: float) -> None:
    """Churn, and print the figures."""
    live = Live()
    began, rounds, early = time.monotonic(), 0, {}
    while time.monotonic() - began < seconds:
        for line in ROUND.format(n=rounds % 7).splitlines():
            subprocess.run(["ip", *line.split()], check=True)
        rounds += 1
        time.sleep(REST)
        if not early and time.monotonic() - began > seconds / 10:
            early = size()
    live.settle()
    figures = {"rounds": rounds, "frames true": not live.network.diff(snapshot())}
    for name, value in size().items():
        figures |= {f"{name} early": early.get(name), f"{name} late": value}
    live.stop()
    sys.stdout.write(json.dumps(figures) + "\n")


def size() -> dict[str, float]:
    """Return what this process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors = len([*Path("/proc/self/fd").iterdir()])
    return {
        "MB": round(pages * 4096 / 1e6, 1),
        "descriptors": descriptors,
        "threads": threading.active_count(),
        "objects": len(gc.get_objects()),
    }


if __name__ == "__main__":
    main(float(sys.argv[1]))
