"""Ask the live kernel whether an exercise is solved.

A lab that is wrong is an answer, never an exception, and looking changes nothing in it; only
``reaches`` sends a packet, since nothing less would be proof. What can be claimed of a lab stands
in the modules beside this one, and is imported from here, too.

An endpoint is written ``namespace:device``; without a namespace it lies in the lab's root.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

from netviz.errors import NetvizError
from netviz.model import row
from netviz.net.discovery import snapshot
from netviz.teach.conditions import Condition, Line, condition
from netviz.teach.devices import exists, has_address, has_mtu, installed, is_port_of, peer_is, up
from netviz.teach.kernels import kernel
from netviz.teach.ways import forwards, listens, nat, reaches, routes

if TYPE_CHECKING:
    from netviz.model import JSON

__all__ = [
    "Condition",
    "Line",
    "Result",
    "check",
    "exists",
    "forwards",
    "has_address",
    "has_mtu",
    "installed",
    "is_port_of",
    "kernel",
    "listens",
    "nat",
    "peer_is",
    "reaches",
    "routes",
    "up",
]
_STYLE = "list-style: none; padding: 0; white-space: pre-wrap"
_FAILED: Counter[tuple[str | None, Condition]] = Counter()
"""How often in a row a condition of a task has failed: as many hints, but one, are shown."""


@dataclass(frozen=True, slots=True)
class Result:
    """The lines of one check. It is true when all of them hold."""

    lines: tuple[Line, ...]
    task: str | None = None

    def __bool__(self) -> bool:
        """Tell whether every condition holds."""
        return all(line.holds for line in self.lines)

    def __repr__(self) -> str:
        """Return one line a condition, its hints below it."""
        return "\n".join(str(line) for line in self.lines)

    def _repr_html_(self) -> str:
        """Return a list of the lines, which needs no style sheet."""
        told = (("holds" if line.holds else "fails", escape(str(line))) for line in self.lines)
        items = "".join(f'<li class="nv-{word}">{text}</li>' for word, text in told)
        return f'<ul class="nv-check" style="{_STYLE}">{items}</ul>'

    def to_dict(self) -> JSON:
        """Return ``{"holds", "lines": [{"claim", "holds", "difference", "hints"}, …], "task"}``."""
        told: JSON = {"holds": bool(self)}
        return told | row(self)


def check(*conditions: Condition, task: str | None = None) -> Result:
    """Return what the live kernel says about each condition, shown as ✓ and ✗ lines.

    A condition that fails again shows one more of its hints each time, until it holds. What came
    out of a ``task`` is noted in `netviz.progress`.

    Raises ``ExerciseError`` only for an argument that is no condition.
    """
    task = task if task is None else str(task)
    asked = [condition(each) for each in conditions]
    try:
        seen = snapshot()
        lines = [each.line(seen) for each in asked]
    except (NetvizError, OSError) as error:
        lines = [Line(each.claim, False, str(error)) for each in asked]
    told = [_hinted((task, each), line) for each, line in zip(asked, lines, strict=True)]
    result = Result(tuple(told), task)
    if task is not None:
        from netviz.teach.progress import note  # Most checks are no task.

        note("exercise", task, bool(result))
    return result


def _hinted(asked: tuple[str | None, Condition], line: Line) -> Line:
    """Return a line with as many of its hints as it has failed times before, counting that."""
    if line.holds:
        del _FAILED[asked]
        return line
    _FAILED[asked] += 1
    return replace(line, hints=line.hints[: _FAILED[asked] - 1])
