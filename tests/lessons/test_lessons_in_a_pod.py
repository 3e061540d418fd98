"""The first lessons in a locked pod, by nbclient: what test_lessons.py says of them holds there.

The sandbox is refused, so the installed kernelspec chooses a kernel of the lesson's own.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pod
import pytest
from labs import component

from netviz.lab.linux import own

BY_NBCLIENT = Path(__file__).with_name("by_nbclient.py")
LESSONS = ("00", "02", "04")
PATIENCE = 240  # Seconds, for what takes about one minute, mostly waiting.


def told(number: str) -> tuple[dict, int]:
    """Return what a lesson told in a pod, and how much memory it used."""
    done = pod.run("python", str(BY_NBCLIENT), number, patience=PATIENCE, NETVIZ_SEED="1")
    assert done.status == 0, f"lesson {number}\n{done.output}\n{done.errors}"
    return json.loads(done.output), done.memory


@pytest.mark.long
def test_lessons_in_a_pod_are_whole_and_say_that_they_have_a_kernel_of_their_own() -> None:
    component("own-kernel")
    version = ".".join(own().version.split(".")[:2])
    with pod.engine(), ThreadPoolExecutor() as pods:
        for lesson, memory in pods.map(told, LESSONS):
            first = " ".join(lesson["first"].split())
            assert f"Linux {version} of this lab's own, on User-Mode Linux" in first
            assert "a seccomp filter forbids it" in first
            assert pod.LIMIT / 8 < memory < pod.LIMIT
