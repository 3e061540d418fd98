"""Waiting until the machine has nothing else to do."""

from __future__ import annotations

import time
from pathlib import Path

MOMENT = 0.1
IDLE = 0.9


def quiet(patience: float) -> None:
    """Return when the processors have been idle for a moment, or when the patience is over.

    What was built a moment ago is still at work: hosts look for twins of their addresses, and a
    bridge copies each question to all of its ports.
    """
    end = time.monotonic() + patience
    before = ticks()
    while time.monotonic() < end:
        time.sleep(MOMENT)
        now = ticks()
        if now[0] - before[0] >= IDLE * (now[1] - before[1]):
            return
        before = now


def ticks() -> tuple[int, int]:
    """Return how long the processors have been idle, and how long they have been."""
    spent = [int(each) for each in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return spent[3] + spent[4], sum(spent)
