"""Ask the live kernel whether an exercise is solved.

A condition is a claim and a way to look: given a snapshot, it answers with the difference in words,
or with nothing where the claim holds. A lab that is wrong is an answer, never an exception, and
looking changes nothing in it; only ``reaches`` sends a packet, since nothing less would be proof.

An endpoint is written ``namespace:device``; without a namespace it lies in the lab's root.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from netviz.errors import ExerciseError, NetvizError
from netviz.model import JSON, Interface, Namespace, Snapshot
from netviz.net import namespaces
from netviz.net.discovery import snapshot
from netviz.net.worker import aside
from netviz.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

Difference = str | None
_T = TypeVar("_T")
_TCP_LISTEN = "0A"
_SERVER_STARTS = 3.0
"""Seconds for which a server that was just started may still be on its way to its port."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What should hold, and how to see whether it does."""

    claim: str
    look: Callable[[Snapshot], Difference]


@dataclass(frozen=True, slots=True)
class Line:
    """What came out for one condition; ``difference`` is None where it holds."""

    claim: str
    holds: bool
    difference: Difference

    def __str__(self) -> str:
        """Return ``✓ claim``, or ``✗ claim: difference``."""
        return printable(f"✓ {self.claim}" if self.holds else f"✗ {self.claim}: {self.difference}")


@dataclass(frozen=True, slots=True)
class Result:
    """The lines of one check. It is true when all of them hold."""

    lines: tuple[Line, ...]

    def __bool__(self) -> bool:
        """Tell whether every condition holds."""
        return all(line.holds for line in self.lines)

    def __repr__(self) -> str:
        """Return one line a condition."""
        return "\n".join(str(line) for line in self.lines)

    def to_dict(self) -> JSON:
        """Return ``{"holds", "lines": [{"claim", "holds", "difference"}, …]}``."""
        return {"holds": bool(self), "lines": [asdict(line) for line in self.lines]}


def check(*conditions: Condition) -> Result:
    """Return what the live kernel says about each condition, shown as ✓ and ✗ lines.

    Raises ``ExerciseError`` only for an argument that is no condition.
    """
    for each in conditions:
        if not isinstance(each, Condition):
            raise ExerciseError(f"{each!r} is no condition", remedy='try: check(exists("net1"))')
    lines = []
    for each in conditions:
        try:
            difference = each.look(snapshot())
        except (NetvizError, OSError) as error:
            difference = str(error)
        lines.append(Line(each.claim, difference is None, difference))
    return Result(tuple(lines))


def installed(*programs: str) -> Condition:
    """Hold when every program is there. Equivalent to: ``command -v PROGRAM``."""

    def look(_: Snapshot) -> Difference:
        lacking = [f"no {program}" for program in programs if not shutil.which(program)]
        return f"there is {', '.join(lacking)}; see `netviz doctor`" if lacking else None

    return Condition(f"this machine has {', '.join(programs)}", look)


def exists(what: str) -> Condition:
    """Hold when there is such a namespace or endpoint. Equivalent to: ``ip netns list``."""

    def look(seen: Snapshot) -> Difference:
        here = _interface(seen, what)
        if ":" in what or isinstance(here, Interface):
            return here if isinstance(here, str) else None
        found = _namespace(seen, what)
        return found if isinstance(found, str) else None

    return Condition(f"{what} exists", look)


def up(endpoint: str) -> Condition:
    """Hold when an interface is up and, if it is one end of a pair, so is the other end."""

    def look(seen: Snapshot) -> Difference:
        here = _interface(seen, endpoint)
        if isinstance(here, str) or not here.up:
            return here if isinstance(here, str) else f"{endpoint} is down"
        far = here.peer and _interface(seen, str(here.peer))
        if not isinstance(far, Interface) or far.up:
            return None
        word = f"port {far.name}" if far.master else f"far end {_short(str(here.peer))}"
        return f"{endpoint} is up, but its {word} is not"

    return Condition(f"{endpoint} is up", look)


def has_address(endpoint: str, address: str) -> Condition:
    """Hold when an interface has this address with this prefix: ``10.1.1.1/24``."""

    def look(here: Interface) -> Difference:
        own = [str(each) for each in here.addresses]
        shown = [str(each) for each in here.addresses if each.scope != "link"]
        return None if address in own else f"it has {', '.join(shown) or 'no address'}"

    return Condition(f"{endpoint} has {address}", _on(endpoint, look))


def is_port_of(endpoint: str, bridge: str) -> Condition:
    """Hold when an interface is a port of this bridge. Equivalent to: ``bridge link``."""

    def look(here: Interface) -> Difference:
        master = here.master.name if here.master else "no bridge"
        return None if master == bridge else f"it is a port of {master}"

    return Condition(f"{endpoint} is a port of {bridge}", _on(endpoint, look))


def peer_is(endpoint: str, far: str) -> Condition:
    """Hold when two interfaces are the ends of one pair. Equivalent to: ``ethtool -S DEVICE``."""

    def look(here: Interface) -> Difference:
        peer = _short(str(here.peer)) if here.peer else "nowhere"
        return None if peer == _short(far) else f"the other end is {peer}"

    return Condition(f"a pair joins {endpoint} and {far}", _on(endpoint, look))


def listens(namespace: str, port: int) -> Condition:
    """Hold when a TCP server waits at a port there. Equivalent to: ``ss -ltn``."""

    def look(seen: Snapshot) -> Difference:
        found = _namespace(seen, namespace)
        if isinstance(found, str):
            return found
        deadline = time.monotonic() + (_SERVER_STARTS if found.pids else 0)
        while port not in (ports := _inside(found, _listening)):
            if time.monotonic() > deadline:
                return f"only {sorted(ports)} is taken" if ports else "no server listens there"
            time.sleep(0.05)
        return None

    return Condition(f"a server listens at port {port} in {namespace}", look)


def reaches(namespace: str, address: str) -> Condition:
    """Hold when an echo request is answered. Equivalent to: ``ping -c 1 ADDRESS`` there."""

    def look(seen: Snapshot) -> Difference:
        found = _namespace(seen, namespace)
        return found if isinstance(found, str) else _inside(found, lambda: _ping(address))

    return Condition(f"{namespace} reaches {address}", look)


def _ping(address: str) -> Difference:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # Sends nothing: it asks the routing table.
        except OSError as error:
            return f"no route leads there ({error.strerror})"
    ping = ["ping", "-n", "-q", "-c", "1", "-w", "2", address]
    answered = subprocess.run(ping, capture_output=True, check=False).returncode == 0
    return None if answered else "no reply within two seconds"


def _listening() -> set[int]:
    tables = (Path(f"/proc/thread-self/net/{name}") for name in ("tcp", "tcp6"))
    rows = [row.split() for each in tables if each.exists() for row in each.read_text().split("\n")]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3:4] == [_TCP_LISTEN]}


def _inside(found: Namespace, work: Callable[[], _T]) -> _T:
    """Do ``work`` in a namespace, on a thread of its own: the caller stays where it is."""

    def there() -> _T:
        place = next((each for each in namespaces.find()[0] if each.id == found.id), None)
        if place is None:
            raise FileNotFoundError(f"namespace {found.name} is gone")
        place.enter()
        return work()

    return aside(there)


def _short(endpoint: str) -> str:
    return endpoint.removeprefix("root:")


def _namespace(seen: Snapshot, name: str) -> Namespace | str:
    """Return a namespace, or in words that it is missing."""
    found = (each for each in seen.namespaces if name in (each.name, *each.names))
    return next(found, f"there is no namespace {name}")


def _interface(seen: Snapshot, endpoint: str) -> Interface | str:
    """Return an interface, or in words what is missing."""
    place, _, device = endpoint.rpartition(":")
    found = _namespace(seen, place or "root")
    if isinstance(found, str):
        return found
    here = (each for each in found.interfaces if each.name == device)
    elsewhere = [f"; there is {n.name}:{i.name}" for n, i in seen if i.name == device]
    return next(here, f"{found.name} has no {device}{''.join(elsewhere[:1])}")


def _on(endpoint: str, look: Callable[[Interface], Difference]) -> Callable[[Snapshot], Difference]:
    """Return a way to look at an interface; where it is missing, that is the difference."""

    def find_and_look(seen: Snapshot) -> Difference:
        here = _interface(seen, endpoint)
        return here if isinstance(here, str) else look(here)

    return find_and_look
