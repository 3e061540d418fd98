"""Find out which container a namespace is the network of.

A container's processes tell: their cgroup has its id in it, and where there is none (a rootless
engine), the program that the engine left behind as their parent has it among its arguments. What an
engine says of that id (see `netviz.net.engines`) makes it a name; where none can be asked, a pod is
called by its hostname, another container by the first letters of its id, as in ``docker ps``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise

from netviz.lab.processes import BEGAN, PARENT, stat
from netviz.lab.syscalls import CLONE_NEWUTS, setns
from netviz.model import Caution, Container, EngineNetwork
from netviz.net import engines
from netviz.net.worker import aside

_ENGINES = {
    "docker": "docker",
    "libpod": "podman",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
}
_ID = re.compile(
    rf"(?<![0-9a-z])(?:({'|'.join(_ENGINES)})[-/:])?(?<!conmon-)([0-9a-f]{{64}})(?![0-9a-z])"
)
_POD = re.compile(r"(?:^|[-/])pod([0-9a-f_-]{32,36})(?=[./:]|$)")
_MOST_PARENTS = 32


@dataclass(frozen=True, slots=True)
class Clue:
    """What a process betrays of its container; ``pod`` is the number of one, not its name."""

    id: str
    engine: str = ""
    name: str = ""
    pod: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of containers, by the number of the namespace: the longest there come first.

    ``homes`` is where the engine of its containers lives.
    """

    containers: dict[int, tuple[Container, ...]] = field(default_factory=dict)
    networks: dict[int, tuple[EngineNetwork, ...]] = field(default_factory=dict)
    homes: dict[int, int] = field(default_factory=dict)
    cautions: list[Caution] = field(default_factory=list)


def look(crowd: Mapping[int, Iterable[int]], root: int) -> Seen:
    """Return the containers in some namespaces: ``crowd`` has their processes, but for the root's.

    Equivalent to: ``docker ps``, ``docker network ls``, ``cat /proc/PID/cgroup``.
    """
    answers, cautions, closed = engines.ask(root)
    seen = Seen(cautions=cautions)
    known = {id: (each, told.home) for told in answers for id, each in told.containers.items()}
    residents = _residents(crowd)
    hostnames = _hostnames(it.pid for it in residents if it.clue.pod and it.clue.id not in known)
    nameless: set[str] = set()
    for resident in residents:
        clue, space = resident.clue, resident.space
        container, home = known.get(clue.id, (None, root))
        if container is None:
            nameless.add(clue.engine)
            pod = hostnames.get(resident.pid) or (clue.pod and f"pod-{clue.pod[:8]}")
            container = Container(clue.name or clue.id[:12], clue.id, clue.engine, pod=pod)
        here = seen.containers.get(space, ())
        seen.containers[space] = (*here, replace(container, pid=resident.pid))
        seen.homes.setdefault(space, home)
    for told in answers:
        here = seen.containers.get(told.home, ())
        shared = (it for it in told.at_home if it.id not in {each.id for each in here})
        seen.containers[told.home] = (*here, *shared)
        seen.networks[told.home] = seen.networks.get(told.home, ()) + told.networks
    unasked = (why for engine, why in closed.items() if engine in nameless)
    cautions += (Caution(f"names of containers are not known: {why}") for why in unasked)
    return seen


@dataclass(frozen=True, slots=True)
class _Resident:
    """The first process of a container; ``began`` is in ticks since the machine did."""

    began: int
    pid: int
    space: int
    clue: Clue


def _residents(crowd: Mapping[int, Iterable[int]]) -> list[_Resident]:
    """Return the first process of each container, the first container first."""
    found: dict[str, _Resident] = {}
    climbed: dict[int, Clue | None] = {}
    # A whole lab may be inside of a container: that one is not inside of the lab.
    own = _clue(os.getpid(), climbed) if crowd else None
    ours = _hosted_by("self")
    for space, pids in crowd.items():
        for pid in pids:
            with suppress(OSError):  # It ended meanwhile.
                # Who has a network of his own and no hostname is in no container: most are not.
                clue = _clue(pid, climbed) if _hosted_by(pid) != ours else None
                if clue and not (own and clue.id == own.id):
                    here = _Resident(int(stat(pid)[BEGAN]), pid, space, clue)
                    known = found.setdefault(clue.id, here)
                    if (here.began, here.pid) < (known.began, known.pid):
                        found[clue.id] = here
    return sorted(found.values(), key=lambda it: (it.began, it.pid))


def _hosted_by(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/uts")  # noqa: PTH115 (there may be thousands)


def _clue(pid: int, climbed: dict[int, Clue | None]) -> Clue | None:
    """Return what betrays a process's container; ``climbed`` is what their parents did before."""
    clue = None
    with suppress(OSError):
        clue = in_cgroup(_read(pid, "cgroup").decode(errors="replace"))
        if clue:
            return clue
        way: list[int] = []
        parent = int(stat(pid)[PARENT])
        while parent > 1 and parent not in climbed and len(way) < _MOST_PARENTS:
            way.append(parent)
            arguments = _read(parent, "cmdline").split(b"\0")
            clue = in_command([it.decode(errors="replace") for it in arguments])
            if clue:
                break
            parent = int(stat(parent)[PARENT])
        clue = clue or climbed.get(parent)
        climbed.update(dict.fromkeys(way, clue))
    return clue


def in_cgroup(told: str) -> Clue | None:
    """Return the container whose id stands in a process's cgroup, the innermost one.

    ``told`` is a file such as ``/proc/PID/cgroup``.
    """
    for path in told.splitlines() if _ID.search(told) else ():
        for kind, id in reversed(_ID.findall(path)):
            pod = _POD.search(path)
            return Clue(id, _ENGINES.get(kind, ""), pod=pod[1].replace("_", "-") if pod else "")
    return None


def in_command(arguments: list[str]) -> Clue | None:
    """Return the container for which a program runs, if it is one that engines leave behind."""
    program = arguments[0].rpartition("/")[2]
    said = dict(pairwise(arguments))
    if program.startswith("containerd-shim") and said.get("-id"):
        return Clue(said["-id"], "docker" if said.get("-namespace") == "moby" else "containerd")
    if program == "conmon" and said.get("-c"):
        return Clue(said["-c"], "podman", said.get("-n", ""))
    return None


def _read(pid: int, name: str) -> bytes:
    """Return a file of a process in /proc; quickly, for there are many."""
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)


def _hostnames(pids: Iterable[int]) -> dict[int, str]:
    """Return what processes call their machine, where that is another name than ours.

    Kubernetes gives a pod its own name. Equivalent to: ``nsenter --target PID --uts hostname``.
    """
    asked = list(pids)

    def work() -> dict[int, str]:
        ours, names = os.uname().nodename, {}
        for pid in asked:
            with suppress(OSError):
                fd = os.open(f"/proc/{pid}/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    setns(fd, CLONE_NEWUTS)
                finally:
                    os.close(fd)
                names[pid] = os.fsencode(os.uname().nodename).decode(errors="replace")
        return {pid: name for pid, name in names.items() if name != ours}

    return aside(work) if asked else {}
