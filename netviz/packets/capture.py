"""Listen on every interface of every namespace at once.

One thread opens a tap in each (see `netviz.packets.rings`), stepping from one to the next, and
empties them all. A tap hears every interface of its namespace, also one that comes later; a
namespace that comes while it listens gets its tap as soon as it is seen, a few hundredths of a
second later. Taps never switch an interface to promiscuous mode: nothing about the network changes.

One tap for each interface would tell the same, and takes the kernel thirty milliseconds to open and
to close: half a minute in a lab of 300 namespaces.
"""

from __future__ import annotations

import errno
import select
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Self

from netviz.errors import NetvizError, TraceError
from netviz.lab.sandbox import inside
from netviz.model import Endpoint
from netviz.net import namespaces
from netviz.net.events import Events
from netviz.net.links import links
from netviz.net.netlink import Socket
from netviz.packets.rings import BLOCK, Block, Interfaces, Ring, keep, keep_all

if TYPE_CHECKING:
    from netviz.journeys import Packet
    from netviz.model import Key
    from netviz.packets.rings import Instruction

SNAP = 2048
"""How many bytes of a packet are kept: all of it, where it fits an ordinary MTU."""
_MEMORY = 128 << 20
_FEWEST, _MOST = 16, 512
_GLANCE = 10  # Milliseconds.
_TOGETHER = 16  # Taps that are closed at a time: for each the kernel waits, but not for all.
_SETTLED = 0.05  # By then the kernel has handed over what it holds.
_COMMAND = "tcpdump -i any"


class Capture:
    """Packets of the lab, or outside a lab of the machine, from its beginning to its end.

    ``only`` is a filter in tcpdump's words (``icmp or arp``), which the kernel applies; it sees the
    outermost headers. ``snap`` is how many bytes of each packet are kept, ``memory`` how many all
    taps together may have at the kernel's side.

    Use it as a context. Raises ``TraceError`` where the kernel refuses to listen, and for a filter
    that tcpdump does not understand.
    """

    def __init__(self, *, only: str | None = None, snap: int = SNAP, memory: int = _MEMORY) -> None:
        self.drops = 0
        """How many packets found no room in their ring, so far. Equivalent to: tcpdump's last line,
        ``packets dropped by kernel``."""
        self._program = keep_all(snap) if only is None else _compiled(only, snap)
        self._memory = memory
        self._rings: dict[Key, Ring] = {}
        self._names: dict[int, Interfaces] = {}
        self._lost = 0
        self._heard: list[Block] = []
        self._swapping = Lock()
        self._ready, self._stop = Event(), Event()
        self._failed: NetvizError | None = None
        self._thread = Thread(target=self._listen, name="netviz-capture", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failed:
            self._thread.join()
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def settle(self) -> None:
        """Return when what came by until now can be taken."""
        time.sleep(_SETTLED)

    def take(self) -> list[Packet]:
        """Return the packets since the last time, by time. Those of one moment lie lower first."""
        with self._swapping:
            heard, self._heard = self._heard, []
        found = [packet for block in heard for packet in block.packets()]
        found.sort(key=lambda packet: packet.at)
        return found

    def _listen(self) -> None:
        try:
            with Events() as events:
                self._look()
                self._ready.set()
                while not self._stop.is_set():
                    self._turn(events)
            self._drain()
        except Exception as error:  # Whatever it is: who waits for packets must know.
            self._failed = error if isinstance(error, NetvizError) else _refused(error)
        finally:
            with ThreadPoolExecutor(_TOGETHER) as pool:
                pool.map(Ring.close, self._rings.values())
            self._ready.set()

    def _turn(self, events: Events) -> None:
        waiting = select.poll()
        for ring in self._rings.values():
            waiting.register(ring, select.POLLIN)
        end = time.monotonic() + 1.0
        while time.monotonic() < end and not self._stop.is_set():
            if waiting.poll(_GLANCE):
                self._drain()
            if events.pending():
                events.wait(0, longest=0.02)
                break
        self._look()

    def _drain(self) -> None:
        blocks = [block for ring in self._rings.values() for block in ring.read()]
        with self._swapping:
            self._heard += blocks
        self.drops = self._lost + sum(ring.drops() for ring in self._rings.values())

    def _look(self) -> None:
        """Tap what has come, and let go of what has gone."""
        found, _ = namespaces.find()
        taps: set[Key] = set()
        for namespace in found:
            names = self._names.setdefault(namespace.id, Interfaces(namespace.id, namespace.name))
            try:
                namespace.enter()
            except OSError:  # It is gone again, or not ours to enter; but the root is.
                if namespace.held_by == "root":
                    raise
                continue
            taps |= self._tap(names, self._interfaces(names), len(found))
            self._drain()  # For each tap the kernel waits; meanwhile the others must not overflow.
        found[0].enter()
        for key in self._rings.keys() - taps:
            self._drain()
            ring = self._rings.pop(key)
            self._lost += ring.drops()
            ring.close()

    def _interfaces(self, names: Interfaces) -> dict[int, str]:
        """Keep the names of the interfaces here, and return their kinds by index."""
        space, name = names.space
        with Socket() as socket:
            known = links(socket)
        names |= {link.index: Endpoint(space, link.index, name, link.name) for link in known}
        return {link.index: str(link.fields["kind"]) for link in known}

    def _tap(self, names: Interfaces, kinds: dict[int, str], count: int) -> set[Key]:
        """Open the taps of a namespace, one of ``count``, that are not open; return all of them."""
        key = (names.space[0], 0)
        if key not in self._rings:
            blocks = max(_FEWEST, min(_MOST, self._memory // BLOCK // count))
            self._rings[key] = Ring(names, 0, blocks, self._program)
        return {key}


def _compiled(expression: str, snap: int) -> list[Instruction]:
    try:
        return keep(expression, snap)
    except ValueError as error:
        raise TraceError(
            f"cannot keep '{expression}': {error}",
            command=f"tcpdump '{expression}'",
            remedy="see man pcap-filter",
        ) from error
    except OSError as error:
        raise TraceError(
            f"cannot keep '{expression}': there is no tcpdump to understand it",
            remedy="leave only= out, or install tcpdump",
        ) from error


def _refused(error: Exception) -> TraceError:
    remedies = {errno.EMFILE: "allow more open files: ulimit -n 4096"}
    refused = isinstance(error, PermissionError)
    remedy = remedies.get(getattr(error, "errno", 0) or 0)
    if refused and not inside():
        remedy = "run it in a lab, or with sudo"
    why = getattr(error, "strerror", None) or error
    return TraceError(f"cannot listen on every interface: {why}", command=_COMMAND, remedy=remedy)
