"""How far a learner is: what she foresaw, solved and mended, lesson by lesson.

A result belongs to the notebook that runs, as Jupyter names it to the kernel. In a run without
such a name, as that of a published page, nothing is noted.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from netviz.errors import NetvizError
from netviz.lab.lessons import published
from netviz.lab.resources import notebooks
from netviz.records import read
from netviz.teach import results
from netviz.text import in_order, printable

if TYPE_CHECKING:
    from netviz.model import JSON
    from netviz.teach.results import Results

_KINDS = {
    "prediction": ("right", r"\bpredict\(\s*(.*)"),
    "exercise": ("solved", r"\btask=([^,)]*)"),
    "mending": ("mended", r"\bbreak_something\((.*)"),
}
"""The kinds of task: the word for one that came out right, and what asks for one in a cell."""
_LONGEST = 200  # Letters of a task's name.
_NOWHERE = "Nothing is noted in this run: it is none of a lesson that Jupyter has opened."


@dataclass(frozen=True, slots=True)
class Count:
    """Of one kind of task in a lesson: how many it has, were tried, came out right once."""

    asked: int
    tried: int
    right: int

    def told(self, word: str) -> str:
        """Return it in words: ``2 of 5 right, 3 tried``."""
        of = max(self.asked, self.tried)
        more = f", {self.tried} tried" if self.tried > self.right else ""
        return f"{'✓ ' * (self.right == of)}{self.right} of {of} {word}{more}" if of else "none"


@dataclass(frozen=True)
class Progress:
    """A learner's results, a row a lesson; ``remarks`` is what is to be said of the file."""

    lessons: dict[str, dict[str, Count]]
    remarks: tuple[str, ...] = ()

    def reset(self) -> Progress:
        """Forget all results that are kept now, and return what is left of them: none."""
        here = _lesson()
        said = _change(here, dict.clear) or "All results are forgotten." if here else None
        return _progress(*filter(None, [said]))

    def __repr__(self) -> str:
        """Return the table as text."""
        widths = [max(map(len, column)) for column in zip(*self._rows(), strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in self._rows())
        return "\n".join([*lines, *self.remarks])

    def _repr_html_(self) -> str:
        """Return the table as HTML."""
        (head, *rows), html = self._rows(), '<table class="nv-progress"><thead><tr>'
        html += "".join(f'<th scope="col">{cell}</th>' for cell in head) + "</tr></thead><tbody>"
        for name, *cells in rows:
            html += f'<tr><th scope="row">{escape(name)}</th>'
            html += "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        return html + "</tbody></table>" + "".join(f"<p>{escape(it)}</p>" for it in self.remarks)

    def to_dict(self) -> JSON:
        """Return ``{"lessons": {lesson: {kind: {"asked", "tried", "right"}}}, "remarks": […]}``."""
        return asdict(self)

    def _rows(self) -> list[list[str]]:
        rows = [["Lesson", "Predictions", "Exercises", "Mendings"]]
        for name, counts in self.lessons.items():
            told = (counts[kind].told(word) for kind, (word, _) in _KINDS.items())
            rows.append([printable(name), *told])
        return rows


def progress() -> Progress:
    """Return how far the learner is, by the results beside the notebook that runs.

    What a published lesson asks is counted in its notebook there; where Jupyter has opened none,
    as it was published. A file that cannot be read is a remark, never an exception.
    """
    return _progress()


def note(kind: str, task: str, right: bool) -> None:
    """Keep what came of a ``prediction``, an ``exercise`` or a ``mending`` of the lesson that runs.

    Of a prediction only the first attempt can be right: then its answer is known. Never fails: what
    is to be said is said below the cell, once. Without a lesson it does nothing.
    """
    here = _lesson()
    if here is None or kind not in _KINDS:
        return
    now = datetime.now().astimezone().isoformat(timespec="seconds")

    def add(kept: Results) -> None:
        tasks = kept.setdefault(here.stem, {}).setdefault(kind, {})
        known = tasks.setdefault(task[:_LONGEST], {"attempts": 0, "right": 0, "solved": None})
        known["right"] += right and not (kind == "prediction" and known["attempts"])
        known["attempts"] += 1
        known["solved"] = known["solved"] or (now if known["right"] else None)

    if said := _change(here, add):
        _say(said)


def _lesson() -> Path | None:
    """Return the notebook that runs, if Jupyter has told its kernel which one that is."""
    named = os.environ.get("JPY_SESSION_NAME", "")
    return Path(named).absolute() if named.endswith(".ipynb") else None


def _change(lesson: Path, act: Callable[[Results], object]) -> str | None:
    """Change the results beside a lesson, and return what there is to say."""
    try:
        return results.change(lesson.parent, act)
    except OSError as error:
        return f"Your results cannot be kept in '{lesson.parent}': {error.strerror}."


@cache
def _say(text: str) -> None:
    logging.getLogger(__name__).warning("%s", printable(text))


def _progress(*remarks: str) -> Progress:
    here = _lesson()
    folder, kept = here.parent if here else notebooks(), {}
    try:
        kept = results.kept(folder) if here else {}
    except (NetvizError, OSError) as error:
        remarks += (f"{error}: with the next result it gets another name.",)
    # And nothing of copies beside them.
    asked = {it.stem: _asked(it) for it in published(folder) if (notebooks() / it.name).exists()}
    rows: dict[str, dict[str, Count]] = {}
    for name in sorted({*asked, *kept}, key=in_order):
        for kind in _KINDS:
            tried = kept.get(name, {}).get(kind, {}).values()
            right, of = sum(it["right"] > 0 for it in tried), asked.get(name, {}).get(kind, 0)
            rows.setdefault(name, {})[kind] = Count(of, len(tried), right)
    return Progress(rows, remarks if here else (*remarks, _NOWHERE))


def _asked(notebook: Path) -> dict[str, int]:
    """Count what a lesson asks of each kind; of what is no notebook, nothing."""
    with suppress(NetvizError, AttributeError, KeyError, TypeError):
        cells = read(notebook, remedy="netviz lab --fresh")["cells"]
        code = "\n".join("".join(it["source"]) for it in cells if it["cell_type"] == "code")
        return {kind: len({*re.findall(asks, code)}) for kind, (_, asks) in _KINDS.items()}
    return {}
