"""What a page is told of the packets that pass: some numbers twice a second, beside the film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING

from netviz.errors import TraceError
from netviz.picture.blocks import gid

if TYPE_CHECKING:
    from netviz.errors import NetvizError
    from netviz.model import JSON
    from netviz.packets.sampling import Sight


class Traffic:
    """Packets on their way, while it is ``on``; ``trouble`` is why it is not, though it should be.

    What is told is ``{"sights": [[id of a cable's end, direction, protocol, number], …]}``, in the
    order in which they were seen, ``{"trouble": why}`` or ``{"off": True}``.
    """

    def __init__(self) -> None:
        self.on = False
        self.trouble: NetvizError | None = None
        self._hearers: list[Callable[[JSON], object]] = []
        self._ticks = count()
        self._taps = ExitStack()
        self._switching = Lock()
        self._ended = False

    def hear(self, act: Callable[[JSON], object]) -> None:
        """Call ``act`` from now on with what is told, in the thread that listens to packets."""
        self._hearers.append(act)
        if self.trouble:
            act({"trouble": str(self.trouble)})

    @contextmanager
    def hearing(self, act: Callable[[JSON], object]) -> Iterator[None]:
        """Call ``act`` with what is told meanwhile."""
        self.hear(act)
        try:
            yield
        finally:
            self._hearers.remove(act)

    def switch(self, on: bool) -> None:
        """Begin to listen to packets, or end it."""
        with self._switching:
            if on == self.on or (on and self._ended):
                return
            self.on, self.trouble = on, None
            if on:
                # Who shows no packets need not load what reads them.
                from netviz.packets.sampling import Sampling

                with suppress(TraceError):  # It has been told.
                    self._taps.enter_context(Sampling(self._pass_by, self._refuse))
            else:
                self._taps.close()
                self._tell({"off": True})

    def end(self) -> None:
        """Listen no longer, for good."""
        self._ended = True
        self.switch(False)

    def _pass_by(self, sights: list[Sight]) -> None:
        self._tell({"sights": [[gid(each.where), *each[1:]] for each in sights]})

    def _refuse(self, why: NetvizError) -> None:
        self.on, self.trouble = False, why
        self._tell({"trouble": str(why)})

    def _tell(self, told: JSON) -> None:
        told["tick"] = next(self._ticks)  # The same once more is news, too.
        for act in [*self._hearers]:
            with suppress(Exception):  # Whatever it is: the others still want to hear.
                act(told)
