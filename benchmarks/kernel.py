"""What a lab costs a notebook: the kernel's start, and ``!true``, against plain ipykernel.

The floor is the kernel that comes with ipykernel, with IPython's own way to run ``!command``. The
two take turns. Prints one line of JSON, in seconds.
"""

from __future__ import annotations

import json
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
    """Measure, and print the figures."""
    starts: dict[str, list[float]] = {PLAIN: [], LAB: []}
    for _ in range(STARTS):
        for name, seconds in starts.items():
            before = time.perf_counter()
            with kernel(name):
                seconds.append(time.perf_counter() - before)
    commands: dict[str, list[float]] = {}
    for name in (PLAIN, LAB):
        with kernel(name) as client:
            commands[name] = [run(client, "!true") for _ in range(COMMANDS)]
    figures = {
        f"{what} {name}": median(seconds[name])
        for what, seconds in (("start", starts), ("!true", commands))
        for name in (PLAIN, LAB)
    }
    sys.stdout.write(json.dumps(figures) + "\n")


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
