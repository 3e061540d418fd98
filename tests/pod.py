"""A locked pod, as a careful cluster runs one: a container of Docker's engine, in the test's lab.

Its user is not root and has no capability; Docker's own profile filters its system calls; it has
one processor. Only a home and what every container has, /tmp and 64 MB of /dev/shm, can be written.
Its files are the lab's, so it has the same Python, and then it has no network; or they are those of
another root, and it shares the lab's.

An ordinary user can limit no memory, so what pods use is measured.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread

from labs import PATIENCE, component
from podruntime import FILES, USER, WRITTEN

from netviz.lab.dockerd import recipe
from netviz.lab.filesystem import PRIVATE
from netviz.lab.syscalls import mount, set_read_only
from netviz.lab.trees import own_cache

LIMIT = 2 << 30
"""What such a pod may have of memory, in bytes: more, and the cluster kills it."""
HOME = "/srv"

_CHECKOUT = Path(__file__).parent.parent
_TEMPORARY = ("/tmp", "/run")
_WRITABLE = (*_TEMPORARY, HOME, "/dev/shm")
_turns = count()  # Pods that run at once are on different processors, if there are any.
_MOMENT = 0.5  # Seconds between two looks at its memory.
_LOCKS = (
    *("--user", f"{USER}:{USER}"),
    *("--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
)
_RUNTIME = f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("podruntime.py")} "$@"\n'


@dataclass(frozen=True)
class Ended:
    """How a command in a pod ended; ``memory`` is the most that all pods used."""

    status: int
    output: str
    errors: str
    memory: int


class Pods:
    """What all pods of the lab do: ``memory`` is the most that they used at once, in bytes."""

    def __init__(self) -> None:
        self.memory = 0
        self._ended = Event()

    @contextmanager
    def watched(self) -> Iterator[Pods]:
        """Look at their memory again and again."""
        looking = Thread(target=self._look)
        looking.start()
        try:
            yield self
        finally:
            self._ended.set()
            looking.join()

    def _look(self) -> None:
        while not self._ended.wait(_MOMENT):
            self.memory = max(self.memory, _used())


@contextmanager
def engine(root: Path | None = None) -> Iterator[None]:
    """Have an engine in the lab whose containers are pods, over the lab's files or a root's."""
    component("docker")
    engine = recipe()
    (PRIVATE / "bin/runc-in-a-lab").write_text(_RUNTIME)
    Path(FILES).mkdir(exist_ok=True)
    if root:
        _lay_over(root)
    else:
        _bind_the_lab_s()
    with engine:
        yield


def _bind_the_lab_s() -> None:
    subprocess.run(["mount", "--rbind", "--make-rprivate", "/", FILES], check=True)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if (target := line.split()[4]).startswith(FILES):
            with suppress(OSError):  # Another is mounted over it.
                set_read_only(target)


def _lay_over(root: Path) -> None:
    # Read-only for pods, but not for runc: where it mounts something there has to be a folder.
    Path(WRITTEN).mkdir(exist_ok=True)
    mount("tmpfs", WRITTEN, "tmpfs", options="mode=755")
    upper, work = Path(WRITTEN, "upper"), Path(WRITTEN, "work")
    upper.mkdir()
    work.mkdir()
    layers = f"userxattr,lowerdir={root},upperdir={upper},workdir={work}"
    mount("overlay", FILES, "overlay", options=layers)


def run(
    *command: str, opened: Sequence[str] = (), patience: float = PATIENCE, **variables: str
) -> Ended:
    """Run a command in a pod of its own, with these variables, and wait for it.

    ``opened`` are options of ``docker run`` that take some of its locks away.
    """
    path = f"{sys.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    options = [*_files(), *_environment({"HOME": HOME, "PATH": path} | variables)]
    words = _words("--network", "none", *opened, *options, command=command)
    with Pods().watched() as pods, subprocess.Popen(words, stdout=-1, stderr=-1, text=True) as pod:
        try:
            output, errors = pod.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            pod.kill()
            output, errors = pod.communicate()
    return Ended(pod.returncode, output, errors, pods.memory)


@contextmanager
def started(*command: str, home: Path, **variables: str) -> Iterator[Pods]:
    """Start a command in a pod over a root, in the lab's network, and stop it at the end.

    ``home`` is the folder that its user may write, and in which it starts: ``HOME`` in there.
    """
    there = variables["HOME"]
    options = ["--network", "host", "--volume", f"{home}:{there}", "--workdir", there]
    words = _words(*options, *_environment(variables), command=command)
    with (
        TemporaryFile("a+") as said,
        Pods().watched() as pods,
        subprocess.Popen(words, stdout=said, stderr=said, stdin=subprocess.DEVNULL) as pod,
    ):
        try:
            yield pods
            assert pod.poll() is None, "it has ended before it was told to"
        except BaseException as error:
            said.seek(0)
            error.add_note(f"the pod said:\n{said.read()}")
            raise
        finally:
            pod.terminate()  # The engine passes it on.
            try:
                pod.wait(PATIENCE)
            finally:
                pod.kill()


def _words(*options: str, command: Sequence[str]) -> list[str]:
    every = sorted(os.sched_getaffinity(0))
    processor = str(every[next(_turns) % len(every)])
    temporary = [word for it in _TEMPORARY for word in ("--tmpfs", f"{it}:exec,mode=1777")]
    words = ["docker", "run", "--rm", *_LOCKS, *temporary, *options, "busybox"]
    return [*words, "taskset", "--cpu-list", processor, *command]


def _files() -> Iterator[str]:
    yield from ("--tmpfs", f"{HOME}:exec,mode=1777")
    for folder in (_CHECKOUT, Path(sys.prefix)):  # They may be in one of those.
        yield from ("--volume", f"{folder}:{folder}:ro")
    if own_cache().exists():
        yield from ("--volume", f"{own_cache()}:{HOME}/.cache/netviz:ro")
    yield from ("--workdir", HOME)


def _environment(variables: dict[str, str]) -> Iterator[str]:
    for name, text in variables.items():
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
