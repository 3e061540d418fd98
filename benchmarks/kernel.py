"""What a lab costs a notebook: the kernel's start, and ``!true``, against plain ipykernel.

``make bench`` runs it. The floor is the kernel that comes with ipykernel, with IPython's own way to
run ``!command``. Believe the ratios: machines differ, and so do runs; the two take turns.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_client.blocking.client import BlockingKernelClient

STARTS = 7
COMMANDS = 40
PLAIN, LAB = "python3", "netviz"
PATIENCE = 60


def main() -> None:
    """Measure and print one line a figure."""
    starts: dict[str, list[float]] = {PLAIN: [], LAB: []}
    for _ in range(STARTS):
        for name, seconds in starts.items():
            before = time.perf_counter()
            with kernel(name):
                seconds.append(time.perf_counter() - before)
    report("a kernel's start", starts, "times plain ipykernel's")
    commands = {}
    for name in (PLAIN, LAB):
        with kernel(name) as client:
            commands[name] = [run(client, "!true") for _ in range(COMMANDS)]
    report("!true", commands, "times plain IPython's")


def report(what: str, seconds: dict[str, list[float]], unit: str) -> None:
    """Show the medians of both, and the ratio."""
    floor, ours = (median(seconds[name]) for name in (PLAIN, LAB))
    sys.stdout.write(
        f"{what:<20} {ours * 1e3:8.1f} ms {floor * 1e3:8.1f} ms {ours / floor:6.3f} {unit}\n"
    )
    sys.stdout.flush()


@contextmanager
def kernel(name: str) -> Iterator[BlockingKernelClient]:
    """Start a kernel and wait until it answers; shut it down in the end."""
    manager = KernelManager(kernel_name=name)
    manager.start_kernel(stderr=subprocess.DEVNULL)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client: BlockingKernelClient, code: str) -> float:
    """Return how long a cell took, as its client sees it."""
    before = time.perf_counter()
    client.execute_interactive(code, timeout=PATIENCE, output_hook=lambda _: None)
    return time.perf_counter() - before


if __name__ == "__main__":
    main()
