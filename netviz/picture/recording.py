"""One timeline of a network: what was typed, what changed because of it, what was so then.

Kept in a file, each namespace is written once for all the moments in which it is the same.
"""

from __future__ import annotations

import json
import reprlib
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from netviz.changes import Changes
from netviz.errors import NetvizError
from netviz.lab.journal import Command, journal
from netviz.model import JSON, Caution, Endpoint, Namespace, Snapshot
from netviz.picture.recorder import Moment, Recorder
from netviz.records import read, snapshot_of, write
from netviz.text import printable

_WIDTH = 60
_LONGEST = 1e12
_KINDS: dict[Any, str] = {str: "text", list: "list", dict: "object", int: "whole number"}


class Recording:
    """What was typed in a lab and what it changed, from `record` to `stop`.

    ``with record() as recording:`` stops it at the end of the block. What was recorded can be read
    meanwhile, and ever after.
    """

    def __init__(
        self, moments: Iterable[Moment], duration: float = 0.0, *, recorder: Recorder | None = None
    ) -> None:
        self._moments = tuple(moments)
        self._duration = duration
        self._recorder = recorder

    @property
    def moments(self) -> tuple[Moment, ...]:
        """The moments in order, first how it began, then one for each command and each change."""
        return self._recorder.moments if self._recorder else self._moments

    @property
    def duration(self) -> float:
        """The seconds that it lasts, so far."""
        return self._recorder.duration if self._recorder else self._duration

    def at(self, t: float) -> Snapshot:
        """Return what the network was, ``t`` seconds after the beginning."""
        moments = self.moments
        return moments[max(bisect_right(moments, t, key=lambda it: it.at) - 1, 0)].network

    def diff(self, t1: float, t2: float) -> Changes:
        """Return what was different between two times, in seconds.

        Equivalent to: ``recording.at(t1).diff(recording.at(t2))``.
        """
        return self.at(t1).diff(self.at(t2))

    def stop(self) -> None:
        """Record no further. Raises ``NetvizError`` where it had to end before."""
        if self._recorder:
            self._recorder.stop()

    def save(self, file: str | Path) -> None:
        """Write it to a file, for `load`. Raises ``NetvizError`` where that cannot be."""
        write(file, "the recording", json.dumps(_told(self), separators=(",", ":")))

    def to_html(self, file: str | Path | None = None, *, title: str = "A recording") -> str:
        """Return it as one page that replays it, whole, and write that to a file if one is named.

        It needs no kernel and no network, and where there is no JavaScript it shows how it ended.
        Raises ``NetvizError`` where the file cannot be written.
        """
        from netviz.picture import replay

        page = replay.page(self.moments, title)
        if file is not None:
            write(file, "the recording", page)
        return page

    @classmethod
    def load(cls, file: str | Path) -> Self:
        """Return the recording that was saved in a file.

        A file may come from anybody: nothing of it is run. Raises ``NetvizError`` where it cannot
        be read, or that names the place where it says what no recording can.
        """
        told = read(file, remedy="save one: recording.save(FILE)")
        try:
            moments = _moments(_field(told, "moments", list, ""), *_pools(told))
            return cls(moments, _time(told, "duration", ""))
        except (AttributeError, TypeError, ValueError, RecursionError) as error:
            # Each value is of its type, and yet says what no network can.
            raise _refusal(str(error)) from error

    def _ipython_display_(self) -> None:
        from netviz.picture import replay

        replay.show(self.moments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __len__(self) -> int:
        """Return the number of moments."""
        return len(self.moments)

    def __repr__(self) -> str:
        """Return a line a moment: its time, what was typed, how much changed."""
        return "\n".join(_line(moment) for moment in self.moments)


def record() -> Recording:
    """Return a recording of what is typed from now on, and of what changes in the network.

    In a notebook, those are its cells and ``!commands``; in a lab, also what is typed in its
    terminals. A recording costs little while nothing happens, and ends with `Recording.stop`.
    Outside a lab it records what changes on the machine: it only reads.

    Raises ``DiscoveryError`` where not even the root can be read.
    """
    recorder = Recorder(journal())
    recorder.start()
    return Recording((), recorder=recorder)


def _line(moment: Moment) -> str:
    command, count = moment.command, len(moment.changes)
    typed = printable(command.text.partition("\n")[0]) if command else "" if moment.at else "start"
    mark = "!" if command and command.kind == "!" else ""
    shown = mark + typed
    shown = shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…"
    changed = f"{count} change{'s' * (count != 1)}" if count else ""
    return f"{moment.at:8.2f} s  {shown:{_WIDTH}}  {changed}".rstrip()


def _told(recording: Recording) -> JSON:
    """Return it as JSON knows it: the moments have numbers of namespaces and of commands."""
    spaces: dict[str, int] = {}
    commands: dict[Command, int] = {}
    known: dict[int, int] = {}
    moments = recording.moments
    for namespace in (it for moment in moments for it in moment.network.namespaces):
        if id(namespace) not in known:
            text = json.dumps(namespace.to_dict())
            known[id(namespace)] = spaces.setdefault(text, len(spaces))
    rows = [
        {
            "at": moment.at,
            "command": commands.setdefault(moment.command, len(commands))
            if moment.command
            else None,
            "namespaces": [known[id(it)] for it in moment.network.namespaces],
            "warnings": [
                {"message": it.message, "where": it.where.to_dict() if it.where else None}
                for it in moment.network.warnings
            ],
        }
        for moment in moments
    ]
    typed = [{name: getattr(it, name) for name in Command.__slots__} for it in commands]
    pool = [json.loads(text) for text in spaces]
    return {"duration": recording.duration, "commands": typed, "namespaces": pool, "moments": rows}


def _pools(told: Any) -> tuple[list[Command], tuple[Namespace, ...]]:
    """Return the commands and the namespaces that the moments of a file have numbers of."""
    commands = []
    for number, row in enumerate(_field(told, "commands", list, "")):
        place = f"commands[{number}]"
        text, kind = (_field(row, name, str, place) for name in ("text", "kind"))
        running = isinstance(row, dict) and row.get("ended", 0) is None
        ended = None if running else _time(row, "ended", place)
        commands.append(Command(text, kind, _time(row, "began", place), ended))
    try:
        spaces = snapshot_of({"namespaces": _field(told, "namespaces", list, "")}).namespaces
    except NetvizError as error:
        raise _refusal(error.what) from error
    return commands, spaces


def _moments(
    rows: list[Any], commands: list[Command], spaces: tuple[Namespace, ...]
) -> list[Moment]:
    moments: list[Moment] = []
    for number, row in enumerate(rows):
        place = f"moments[{number}]"
        at, before = _time(row, "at", place), moments[-1] if moments else None
        if before and at < before.at:
            raise _refusal(f"{place}.at: {at} is before {before.at}")
        numbers = _field(row, "namespaces", list, place)
        has = (_one(spaces, it, f"{place}.namespaces[{n}]") for n, it in enumerate(numbers))
        warned = enumerate(_field(row, "warnings", list, place))
        cautions = (_caution(it, f"{place}.warnings[{n}]") for n, it in warned)
        network = Snapshot(tuple(has), tuple(cautions))
        typed = None if row.get("command") is None else row["command"]
        command = None if typed is None else _one(commands, typed, f"{place}.command")
        found = before.network.diff(network) if before else Changes()
        moments.append(Moment(at, command, network, found))
    if not moments:
        raise _refusal("moments: there is none")
    return moments


def _caution(row: Any, place: str) -> Caution:
    message = _field(row, "message", str, place)
    if row.get("where") is None:
        return Caution(message)
    shape = {"id": int, "index": int, "namespace": str, "name": str}
    where = [_field(row["where"], name, kind, f"{place}.where") for name, kind in shape.items()]
    return Caution(message, Endpoint(*where))


def _field(row: Any, name: str, kind: Any, place: str) -> Any:
    value = _said(row, name, place)
    if type(value) is not kind:
        raise _refusal(f"{_at(place, name)}: {reprlib.repr(value)} is no {_KINDS[kind]}")
    return value


def _time(row: Any, name: str, place: str) -> float:
    """Return seconds. What is no number, or one that no clock shows, is refused."""
    value = _said(row, name, place)
    # True is an int to Python; no comparison holds of NaN.
    if isinstance(value, int | float) and type(value) is not bool and 0 <= value < _LONGEST:
        return float(value)
    raise _refusal(f"{_at(place, name)}: {reprlib.repr(value)} is no time in seconds")


def _said(row: Any, name: str, place: str) -> object:
    if not isinstance(row, dict):
        raise _refusal(f"{place or 'the file'}: {reprlib.repr(row)} is no object")
    if name not in row:
        raise _refusal(f"{_at(place, name)}: missing")
    return row[name]


def _at(place: str, name: str) -> str:
    return f"{place}.{name}".lstrip(".")


def _one(pool: Any, number: Any, place: str) -> Any:
    if type(number) is not int or not 0 <= number < len(pool):
        raise _refusal(f"{place}: {reprlib.repr(number)} is no number of one of {len(pool)}")
    return pool[number]


def _refusal(what: str) -> NetvizError:
    return NetvizError(f"this is no recording: {what}", remedy="give what recording.save wrote")
