"""The living picture: it shows the network as it is, and again as soon as that is another one.

A thread waits for signs of change, lets a burst end, reads afresh what is so, and draws what is
different. What it shows is always one reading of the kernel, never a sum of events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING
from weakref import WeakSet

from netviz.changes import Changes
from netviz.errors import NetvizError
from netviz.net.discovery import snapshot
from netviz.net.events import Events
from netviz.net.quiet import tellers
from netviz.picture.film import Camera
from netviz.picture.traffic import Traffic

if TYPE_CHECKING:
    from netviz.model import Snapshot
    from netviz.picture.film import Frame
    from netviz.picture.widgets import Shown

_GLANCE = 1.0  # Packet filters, switches and processes give no sign.
_SHARE = 20  # Of the time, looking without a sign takes at most one part in so many,
_OF_A_BURST = 5  # and looking into a burst one in so many.
_LONGEST = 0.06
_PATIENCE = 2.0

_running: WeakSet[Live] = WeakSet()


def live(*, packets: bool | None = None) -> Live:
    """Return the picture that follows this lab, or outside a lab this machine.

    A notebook shows it as a widget; shown twice, it is the same one. It only reads.

    With ``packets`` some of those that pass move along the cables, slowed to be seen; False ends
    that, and None leaves it as it is. What the kernel says of its own accord is left out: see
    `netviz.packets.sampling`.

    Equivalent to: ``netviz draw`` after each line of ``ip monitor all all-nsid``, and a ``tcpdump``
    at each end of each cable.

    Raises ``DiscoveryError`` where not even the root namespace can be read. Where nobody may listen
    for packets, the picture says so, and follows all the same.
    """
    started = next(iter(_running), None)
    if started:
        started.settle()  # What it shows at first is what is so, not what was a moment ago.
    else:
        started = Live()
    _running.add(started)
    if packets is not None:
        started.traffic.switch(packets)
    return started


class Live:
    """A picture that follows a network. ``frame`` is the newest one, ``network`` what it shows.

    ``trouble`` is why it cannot follow just now, if it cannot, or what a listener failed with.
    ``traffic`` are the packets that it shows.
    """

    def __init__(self) -> None:
        self.trouble: NetvizError | None = None
        self.traffic = Traffic()
        self._camera = Camera()
        self._listeners: list[Callable[[Frame], object]] = []
        self._shown: Shown | None = None
        self._let_go: Callable[[], None] = lambda: None
        self._stop = Event()
        self._looked = Condition()
        self._asked = self._answered = self._quiet = 0
        self.network = snapshot()
        self.frame = self._camera.take(self.network)
        self._events = Events()
        self._thread = Thread(target=self._follow, name="netviz-live", daemon=True)
        tellers.add(self.quiet)
        self._thread.start()

    def __repr__(self) -> str:
        """Return the picture in words."""
        return self.frame.alt

    @contextmanager
    def listening(self, act: Callable[[Frame], object]) -> Iterator[None]:
        """Call ``act`` with each new frame meanwhile, in the thread that draws."""
        self._listeners.append(act)
        try:
            yield
        finally:
            self._listeners.remove(act)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Show what changes meanwhile without glow and without words: see `netviz.net.quiet`."""
        self.settle()
        self._quiet += 1
        try:
            yield
        finally:
            self.settle()
            self._quiet -= 1

    def settle(self) -> None:
        """Return when the picture shows what was so before the call, after two seconds anyway."""
        with self._looked:
            self._asked += 1
            asked = self._asked
            self._events.wake()
            alive = self._thread.is_alive
            self._looked.wait_for(lambda: self._answered >= asked or not alive(), _PATIENCE)

    def stop(self) -> None:
        """Follow no longer. The last picture stays."""
        _running.discard(self)
        self._stop.set()
        self._events.wake()
        self._thread.join()
        self._let_go()

    def _follow(self) -> None:
        try:
            with self._events as events:
                while not self._stop.is_set():
                    cost = self._look()
                    rest, longest = max(_GLANCE, _SHARE * cost), max(_LONGEST, _OF_A_BURST * cost)
                    events.wait(rest, longest=longest)
        except Exception as error:  # As below.
            self._complain(error)
        finally:
            _running.discard(self)
            tellers.discard(self.quiet)
            self.traffic.end()

    def _look(self) -> float:
        """Read, and draw what is new; return how many seconds that took."""
        began, asked = time.monotonic(), self._asked
        try:
            self._see(snapshot())
        except Exception as error:  # Whatever it is: a picture that stands still must say so.
            self._complain(error)
        with self._looked:
            self._answered = asked
            self._looked.notify_all()
        return time.monotonic() - began

    def _see(self, after: Snapshot) -> None:
        changes, frame = self.network.diff(after), self.frame
        if changes or _looks(self.network) != _looks(after):
            frame = self._camera.take(after, Changes() if self._quiet else changes)
        elif after != self.network:  # Something was counted.
            frame = self._camera.count(self.frame, after)
        elif frame.trouble:
            frame = replace(self.frame, trouble=None, changed=(), told=())
        # A listener finds the network that the frame shows.
        self.network, self.trouble = after, None
        if frame is not self.frame:
            self._show(frame)

    def _show(self, frame: Frame) -> None:
        self.frame = frame
        for act in [*self._listeners]:
            try:
                act(frame)
            except Exception as error:  # Whatever it is: the others still want to know.
                self.trouble = NetvizError(f"a listener of the picture failed: {error!r}")

    def _complain(self, why: object) -> None:
        """Tell, once, that the picture is not what is so, and why."""
        error = NetvizError(
            f"the picture cannot follow the network: {why}",
            command="ip monitor all",
            remedy="draw it when you want to see it: netviz.draw()",
        )
        if str(error) != str(self.trouble):
            self._show(replace(self.frame, changed=(), told=(), trouble=str(error)))
            self.trouble = error

    def _ipython_display_(self) -> None:
        from netviz.picture import widgets

        if self._shown is None:
            self._shown = shown = widgets.Shown([self.frame])
            self._listeners.append(lambda frame: shown.update([frame]))
            self.traffic.hear(shown.tell)
            shown.update([self.frame])  # It may be another one by now.
            self._let_go = widgets.at_the_end_of_each_cell(self._keep)
        self._shown.display()

    def _keep(self) -> None:
        """Let a notebook that is saved now have the picture of now."""
        if self._shown and not self._stop.is_set():
            self.settle()
            self._shown.keep()


def _looks(network: Snapshot) -> object:
    """Return what a picture shows beyond what `netviz.changes` compares."""
    spaces = [
        (each.id, each.held_by, each.names, each.pids, each.containers, each.networks)
        for each in network.namespaces
    ]
    return spaces, network.warnings
