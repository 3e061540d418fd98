"""A locked pod, as a careful cluster runs one: a container of Docker's engine, in the test's lab.

Its user is not root and has no capability; Docker's own profile filters its system calls; it has
one processor, and no network. Its files are the lab's, to be read: so it has the same Python. Only
a home and what every container has, /tmp and 64 MB of /dev/shm, can be written.

An ordinary user can limit no memory, so what a pod uses is measured.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from labs import PATIENCE, component
from podruntime import FILES, USER

from netviz.lab.dockerd import recipe
from netviz.lab.filesystem import PRIVATE
from netviz.lab.syscalls import set_read_only
from netviz.lab.trees import own_cache

LIMIT = 2 << 30
"""What such a pod may have of memory, in bytes: more, and the cluster kills it."""
HOME = "/srv"

_CHECKOUT = Path(__file__).parent.parent
_TEMPORARY = (HOME, "/tmp", "/run")
_WRITABLE = (*_TEMPORARY, "/dev/shm")
_turns = count()  # Pods that run at once are on different processors, if there are any.
_MOMENT = 0.5  # Seconds between two looks at its memory.
_LOCKS = (
    *("--user", f"{USER}:{USER}"),
    *("--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
    *("--network", "none"),
)
_RUNTIME = f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("podruntime.py")} "$@"\n'


@dataclass(frozen=True)
class Ended:
    """How a command in a pod ended; ``memory`` is the most that all pods used."""

    status: int
    output: str
    errors: str
    memory: int


@contextmanager
def engine() -> Iterator[None]:
    """Have an engine in the lab whose containers are pods."""
    component("docker")
    engine = recipe()
    (PRIVATE / "bin/runc-in-a-lab").write_text(_RUNTIME)
    Path(FILES).mkdir(exist_ok=True)
    subprocess.run(["mount", "--rbind", "--make-rprivate", "/", FILES], check=True)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if (target := line.split()[4]).startswith(FILES):
            with suppress(OSError):  # Another is mounted over it.
                set_read_only(target)
    with engine:
        yield


def run(*command: str, patience: float = PATIENCE, **variables: str) -> Ended:
    """Run a command in a pod of its own, with these variables, and wait for it."""
    every = sorted(os.sched_getaffinity(0))
    processor = str(every[next(_turns) % len(every)])
    words = ["docker", "run", "--rm", *_LOCKS, *_files(), *_environment(variables), "busybox"]
    words += ["taskset", "--cpu-list", processor, *command]
    memory, deadline = 0, time.monotonic() + patience
    with subprocess.Popen(words, stdout=-1, stderr=-1, text=True) as pod:
        while True:
            with suppress(subprocess.TimeoutExpired):
                output, errors = pod.communicate(timeout=_MOMENT)
                return Ended(pod.returncode, output, errors, memory)
            memory = max(memory, _used())
            if time.monotonic() > deadline:
                pod.kill()


def _files() -> Iterator[str]:
    for folder in _TEMPORARY:
        yield from ("--tmpfs", f"{folder}:exec,mode=1777")
    for folder in (_CHECKOUT, Path(sys.prefix)):  # They may be in one of those.
        yield from ("--volume", f"{folder}:{folder}:ro")
    if own_cache().exists():
        yield from ("--volume", f"{own_cache()}:{HOME}/.cache/netviz:ro")
    yield from ("--workdir", HOME)


def _environment(variables: dict[str, str]) -> Iterator[str]:
    path = f"{sys.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for name, text in ({"HOME": HOME, "PATH": path} | variables).items():
        yield from ("--env", f"{name}={text}")


def _used() -> int:
    """Return the memory of all pods, in bytes: of processes, and of the files that they wrote."""
    used, written = 0, {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, AttributeError):  # It has ended.
            outside = (process / "ns/pid").readlink() == Path("/proc/self/ns/pid").readlink()
            begins = (process / "comm").read_text().startswith("runc")
            if not (outside or begins):
                told = (process / "smaps_rollup").read_text()
                used += 1024 * int(re.search(r"^Pss_Anon: +(\d+)", told, re.MULTILINE)[1])
                for each in (process / f"root{folder}" for folder in _WRITABLE):
                    kept = os.statvfs(each)
                    written[each.stat().st_dev] = kept.f_frsize * (kept.f_blocks - kept.f_bfree)
    return used + sum(written.values())
