"""Find every network namespace of the machine, or of the lab.

The kernel keeps no list. A namespace lives as long as something holds it, so every kind of holder
is looked at: a file that it is mounted on (``ip netns add`` does that in /run/netns), a process
that lives in it, a descriptor that a process has open. All of them show the same inode number,
which is the namespace's ``id``.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from netviz.errors import DiscoveryError
from netviz.lab.filesystem import OUTER
from netviz.lab.sandbox import inside, root_namespace
from netviz.lab.syscalls import CLONE_NEWNET, setns
from netviz.model import Caution, Container, EngineNetwork
from netviz.net import containers
from netviz.net.names import FOLDER as NAMED
from netviz.text import in_order, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_PIDS = 32
_MOMENT = 1.0  # Seconds from the file to the namespace, on a busy machine.
_SEEN_FROM_LINK = re.compile(r"net:\[(\d+)\]")
_OCTAL = re.compile(r"\\([0-7]{3})")
_DRAWN = re.compile(r"(cni|netns)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The names that engines draw by lot; another somebody has chosen."""


@dataclass(slots=True)
class Found:
    """A namespace and what holds it: ``paths`` are the files that lead to it, the best first."""

    id: int
    name: str
    held_by: str
    paths: list[str]
    names: list[str] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)
    containers: tuple[Container, ...] = ()
    networks: tuple[EngineNetwork, ...] = ()

    @property
    def known_as(self) -> tuple[str, ...]:
        """Return every name by which one may ask for it: those of its containers as well."""
        return self.name, *self.names, *(each.name for each in self.containers)

    @property
    def inside(self) -> tuple[str, ...]:
        """Return how a command begins that is carried out inside, as one types it in the root."""
        known = {"root": (), "name": ("ip", "netns", "exec", *self.names[:1])}
        return known.get(self.held_by, ("nsenter", f"--net={self.paths[0]}"))

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Lend a descriptor of the namespace itself.

        Raises ``OSError`` where it cannot be opened, ``FileNotFoundError`` where it is gone; a
        namespace that has taken its place under the same name is another one.
        """
        fd = self._open()
        try:
            yield fd
        finally:
            os.close(fd)

    def enter(self) -> None:
        """Move the calling thread into the namespace: one that `netviz.net.worker.aside` began.

        Raises ``OSError`` as `opened` does, and where the kernel refuses.
        """
        with self.opened() as fd:
            try:
                setns(fd, CLONE_NEWNET)
            except PermissionError:
                # An ordinary user may not even enter where she is; but there she may read.
                if Path("/proc/thread-self/ns/net").stat().st_ino != self.id:
                    raise

    def _open(self) -> int:
        refused: OSError = FileNotFoundError()
        for path in self.paths:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                refused = error
                continue
            if os.fstat(fd).st_ino == self.id:
                return fd
            os.close(fd)
        raise refused


class _Finding:
    """The namespaces found so far, by id."""

    def __init__(self) -> None:
        self.found: dict[int, Found] = {}
        self.cautions: list[Caution] = []
        self._taken: set[str] = set()
        self._crowd: dict[int, list[int]] = defaultdict(list)
        # Where a test stands in a network of its own, the one that its lab began with is scenery.
        self._left_out = _inode(str(OUTER))

    def add(self, inode: int, held_by: str, path: str) -> Found | None:
        """Note one more holder; the first names the namespace. None for what is left out."""
        known = self.found.get(inode)
        if known:
            known.paths.append(path)
            return known
        if self.found and inode == self._left_out:
            return None
        name = "root" if held_by == "root" else _named_after(path)
        if name in self._taken:
            name = path
        self._taken.add(name)
        self.found[inode] = Found(inode, name, held_by, [path])
        return self.found[inode]

    def named(self) -> None:
        """Look at the files in /run/netns. Equivalent to: ``ip netns list``."""
        for path in files(NAMED):
            inode = _inode(path)
            if not inode and not _fresh(path):
                text = f"'{printable(path)}' is not a namespace; remove it with ip netns del"
                self.cautions.append(Caution(text))
            if inode and (known := self.add(inode, "name", path)):
                known.names.append(_named_after(path))

    def mounted(self) -> None:
        """Look at namespaces mounted elsewhere, as Docker does. Equivalent to: ``findmnt``."""
        root = root_namespace()
        for inode, path in mounts():
            shown = Path(path).parent != Path(NAMED) and path != root
            if shown and _inode(path) == inode:
                known = self.add(inode, "mount", path)
                if known:
                    known.names.append(path)

    def held_by_processes(self) -> None:
        """Look at every process. Equivalent to: ``lsns -t net``."""
        hidden = 0
        for pid in _processes():
            path = f"/proc/{pid}/ns/net"
            try:
                known = self.add(_target(path), "process", path)
            except PermissionError:
                hidden += 1
                continue
            except OSError:
                continue  # It ended meanwhile.
            if known and len(known.pids) < MOST_PIDS:
                known.pids.append(pid)
            if known and known.held_by != "root":
                self._crowd[known.id].append(pid)
        if hidden and not inside():
            remedy = "; run it with sudo" if os.geteuid() else ""
            self.cautions.append(Caution(f"processes that hide their namespace: {hidden}{remedy}"))

    def held_by_files(self) -> None:
        """Look at every open descriptor. Equivalent to: ``ls -l /proc/*/fd``."""
        for pid in _processes():
            for path in files(f"/proc/{pid}/fd"):
                try:
                    inode = _target(path)
                except OSError:
                    continue
                if inode:
                    self.add(inode, "file", path)

    def held_by_containers(self) -> None:
        """Name what is a container's after it. Equivalent to: ``docker ps; docker network ls``."""
        seen = containers.look(self._crowd, next(iter(self.found)))
        self.cautions += seen.cautions
        for space in seen.networks.keys() & self.found.keys():
            self.found[space].networks = seen.networks[space]
        for space, those in seen.containers.items():
            known = self.found.get(space)
            if not (known and those):
                continue
            known.containers = those
            chosen = known.held_by == "name" and not _DRAWN.fullmatch(known.name)
            if known.held_by != "root" and not chosen and space not in seen.networks:
                self._rename(known, those[0].pod or those[0].name, seen.homes[space])

    def _rename(self, known: Found, name: str, home: int) -> None:
        """Call a namespace after its container; of two engines, each may have one of that name."""
        host = self.found[home].name if home in self.found else "root"
        free = (it for it in (name, f"{host}/{name}", known.name) if it not in self._taken)
        self._taken.discard(known.name)
        known.name = next(free, known.name)
        self._taken.add(known.name)


def find() -> tuple[list[Found], list[Caution]]:
    """Return every namespace, the root first, then by name; and what could not be looked at.

    Equivalent to: ``ip netns list; lsns -t net; findmnt -t nsfs; ls -l /proc/*/fd``.

    A namespace that nothing but a socket or a second thread holds cannot be seen. At most 32
    ``pids`` of each are kept. One that a container holds has its name, or that of its pod.

    Raises ``DiscoveryError`` where not even the root can be found.
    """
    root = root_namespace()
    if not Path(root).exists():
        raise DiscoveryError(f"cannot find the network namespace '{root}'", remedy="mount /proc")
    finding = _Finding()
    finding.add(_inode(root), "root", root)
    finding.named()
    finding.mounted()
    finding.held_by_processes()
    finding.held_by_files()
    finding.held_by_containers()
    first, *others = finding.found.values()
    return [first, *sorted(others, key=_order)], finding.cautions


def _order(found: Found) -> tuple[bool, list[tuple[int, str]]]:
    """Put names before processes, and net2 before net10."""
    return found.held_by != "name", in_order(found.name)


def _fresh(path: str) -> bool:
    """Tell whether a file is so new, or gone, that ``ip netns`` is perhaps at work on it."""
    try:
        return time.time() - Path(path).lstat().st_mtime < _MOMENT
    except FileNotFoundError:
        return True


def _inode(path: str) -> int:
    """Return the number of the namespace behind a file, 0 where there is none to be seen."""
    try:
        status = Path(path).stat()
    except OSError:
        return 0
    return status.st_ino if status.st_dev == _device() else 0


@cache
def _device() -> int:
    """Return the number of the file system in which all namespaces lie."""
    return Path("/proc/self/ns/net").stat().st_dev


def _target(path: str) -> int:
    """Return the number of the network namespace that a link in /proc leads to, or 0."""
    target = os.readlink(path)  # noqa: PTH115 (a machine has thousands of descriptors)
    match = _SEEN_FROM_LINK.match(target)
    if match:
        return int(match[1])
    # Opened by a name in /run/netns; "/" once that name is gone.
    return _inode(path) if target == "/" or "/netns/" in target else 0


def files(folder: str) -> list[str]:
    """Return the paths of what is in a folder; nothing where there is none."""
    try:
        return sorted(entry.path for entry in os.scandir(folder))
    except OSError:
        return []


def _processes() -> list[int]:
    return sorted(int(entry.name) for entry in os.scandir("/proc") if entry.name.isdecimal())


def _named_after(path: str) -> str:
    """Return the last part of a path; for one in /proc the program, and the file that it opened."""
    _, parent, *rest = path.split("/")
    if parent != "proc":
        return rest[-1]
    pid, folder, number = rest
    try:
        program = os.fsdecode(Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n"))
    except OSError:
        program = "process"  # It ended meanwhile.
    return f"{program}-{pid}" + (f"-fd{number}" if folder == "fd" else "")


def mounts() -> Iterator[tuple[int, str]]:
    """Yield the number and the path of every network namespace that is mounted on a file."""
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        what, path = os.fsdecode(line).split(" ")[3:5]
        match = _SEEN_FROM_LINK.match(what)
        if match:
            yield int(match[1]), _OCTAL.sub(lambda code: chr(int(code[1], 8)), path)
