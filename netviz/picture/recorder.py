"""Read a network when it has changed, and note because of which command.

A thread of its own does it. When a command has ended it reads at once, and the next one waits for
that: so what is different belongs to the command before. That it reads in any case, for of packet
filters nothing is heard.

To be heard costs the kernel a tenth of the time in which it builds a network. So a command has its
first moments to itself, and only while it runs on the thread listens, and reads when all has been
quiet for a while.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace

from netviz.changes import Changes
from netviz.lab.journal import Command, Journal, Typed
from netviz.model import Namespace, Snapshot
from netviz.net.discovery import snapshot
from netviz.net.events import Events

_TICK = 0.05
_TICK_OF_COMMAND = 0.2
_REST = 10
"""Times that it rests for as long as it worked, where nobody has asked it to."""
_ALONE = 0.6
_QUIET = 0.012
_FOLD = 0.06
_LONGEST_BURST = 5.0
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What a network was, ``at`` seconds after the recording began, and why.

    ``changes`` are those since the moment before; ``command`` is None where nobody typed any.
    """

    at: float
    command: Command | None
    network: Snapshot
    changes: Changes = Changes()  # noqa: RUF009 (it is a tuple)


class Recorder:
    """A thread that notes moments, from `start` to `stop`.

    It listens to a journal; in a script, whoever runs commands may tell it as a journal does.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self.began = time.time()
        self._journal = journal
        self._typed = Typed()
        self._moments: list[Moment] = []
        self._beginning: list[Command] = []
        self._running: list[Command] = []
        self._ended: list[Command] = []
        self._changed = threading.Condition()
        self._asked = self._answered = 0
        self._pause = _TICK
        self._held = ExitStack()
        self._events: Events | None = None
        self._deaf = 0.0  # Since when nobody listens,
        self._unread = 0.0  # and since when something was heard that is not read yet.
        self._stopping = self._gone = False
        self._error: Exception | None = None
        self._end: float | None = None
        self._thread = threading.Thread(target=self._record, name="netviz-recorder", daemon=True)

    def start(self) -> None:
        """Return when the first moment is noted. Raises ``NetvizError`` where that cannot be."""
        self._thread.start()
        try:
            self._settle(patience=None)
        except BaseException:
            self._stopping = True
            raise
        if self._error:
            raise self._error
        if self._journal:
            self._journal.listen(self)

    def stop(self) -> None:
        """Note the last moment and end the thread. Raises what made it end before."""
        if self._journal:
            self._journal.leave(self)
        self._stopping = True
        self._ask()
        self._thread.join(_PATIENCE)
        if self._error:
            error, self._error = self._error, None
            raise error

    @property
    def moments(self) -> tuple[Moment, ...]:
        """What has been noted, after what is to be noted now."""
        self._settle()
        with self._changed:
            return tuple(self._moments)

    @property
    def duration(self) -> float:
        """The seconds that it has lasted."""
        return (self._end or time.time()) - self.began

    def begins(self, command: Command) -> None:
        """Hear of a command, and let it wait until what was before is noted."""
        with self._changed:
            self._beginning.append(command)
        self._settle()

    def ends(self, command: Command) -> None:
        """Hear of its end. Where another one goes on, it waits like one that begins."""
        with self._changed:
            for commands in (self._beginning, self._running):
                if _unended(command) in commands:
                    commands.remove(_unended(command))
            self._ended.append(command)
            resumed = bool(self._running)
        self._ask()
        if resumed:
            self._settle()

    def _ask(self) -> int:
        """Ask the thread to look now; return the number of the question."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def _settle(self, patience: float | None = _PATIENCE) -> None:
        """Wait until the thread has looked."""
        number = self._ask()
        with self._changed:
            # No lab stands still for ever because a network cannot be read.
            self._changed.wait_for(lambda: self._gone or self._answered >= number, patience)

    def _record(self) -> None:
        try:
            with self._held:
                self._listen()
                self._moments.append(Moment(0.0, None, snapshot()))
                while self._look():
                    pass
        except Exception as error:  # Whatever it is: `stop` tells it.
            self._error = error
        finally:
            with self._changed:
                self._end = time.time()
                self._gone = True
                self._changed.notify_all()

    def _look(self) -> bool:
        """Wait until it is asked, or for a while; read if it is time to. Tell whether to go on."""
        with self._changed:
            asked = self._changed.wait_for(lambda: self._asked > self._answered, self._pause)
            number, last = self._asked, self._stopping
            running = self._running[-1] if self._running else None
            ends = bool(self._ended)
        began = time.monotonic()
        heard = self._hears(began, asked=asked, ends=ends)
        if heard:
            self._unread = self._unread or began
        with self._changed:
            ended, self._ended = self._ended + self._typed.new(), []
        quiet = not heard or began - self._unread > _LONGEST_BURST
        if ended or last or (self._unread and (asked or quiet)):
            self._read(ended, running)
        self._pause = 0.0 if asked else _REST * (time.monotonic() - began)
        self._answer(number, ends=ends)
        return not last

    def _hears(self, now: float, *, asked: bool, ends: bool) -> bool:
        """Tell whether something may have changed since this was last asked.

        Only here anything is heard, so nothing can be heard and forgotten.
        """
        if self._events:
            heard = self._events.pending()
            if heard:
                self._events.wait(0, longest=_FOLD if asked else 0)
            return heard
        if ends or (now - self._deaf > _ALONE and not asked):
            # What the kernel does a little later, as when a cable carries, is the command's too.
            self._listen().wait(_QUIET if ends else 0)
            return True
        return asked

    def _listen(self) -> Events:
        if self._events is None:
            self._events = self._held.enter_context(Events())
        return self._events

    def _answer(self, number: int, *, ends: bool) -> None:
        """Let those go on who wait for an answer, and leave alone what runs now."""
        with self._changed:
            begins, self._beginning = self._beginning, []
            self._running += begins
            if begins or (ends and self._running):
                self._held.close()
                self._events, self._deaf = None, time.monotonic()
            self._pause = max(_TICK_OF_COMMAND if self._running else _TICK, self._pause)
            self._answered = number
            self._changed.notify_all()

    def _read(self, ended: list[Command], running: Command | None) -> None:
        """Note what is different: because of what has ended, else of what runs."""
        at = time.time() - self.began
        self._unread = 0.0
        network = _shared(self._moments[-1].network, snapshot())
        with self._changed:
            for command in ended:
                self._note(float(command.ended or 0) - self.began, command, network)
            if not ended:
                self._note(at, running, network)

    def _note(self, at: float, command: Command | None, network: Snapshot) -> None:
        before = self._moments[-1]
        found = before.network.diff(network)
        # A terminal may tell any time.
        at = max(min(at, time.time() - self.began), before.at)
        if found:
            self._moments.append(Moment(at, command, network, found))
        told = self._claim(command) if command and command.ended else True
        # One that began before the recording is most often the one that began it.
        if not told and command and command.began >= self.began:
            self._moments.append(Moment(at, command, network))

    def _claim(self, command: Command) -> bool:
        """Write a command that has ended to the moments that it had; tell whether it has any.

        Of a terminal's one hears only then: what nobody seemed to type meanwhile was its work.
        """
        mine = False
        for number, moment in enumerate(self._moments[1:], 1):
            nobodys = moment.command is None and command.kind == "terminal"
            meanwhile = command.began <= self.began + moment.at <= float(command.ended or 0) + _TICK
            if (nobodys and meanwhile) or moment.command in (command, _unended(command)):
                self._moments[number] = replace(moment, command=command)
                mine = True
        return mine


def _shared(before: Snapshot, after: Snapshot) -> Snapshot:
    """Return a network that shares with the one before each namespace that only counted on."""
    old = {namespace.id: namespace for namespace in before.namespaces}
    spaces = tuple(
        known if (known := old.get(it.id)) and _same(known, it) else it for it in after.namespaces
    )
    return Snapshot(spaces, after.warnings)


def _same(before: Namespace, after: Namespace) -> bool:
    counts = {link.index: link.statistics for link in before.interfaces}
    links = (replace(it, statistics=counts.get(it.index, {})) for it in after.interfaces)
    return replace(after, interfaces=tuple(links)) == before


def _unended(command: Command) -> Command:
    return replace(command, ended=None)
