"""Why a packet gets there and its answer back, or why not: the steps, as nouns.

A step is one thing that must hold. They stand in the order in which a packet meets them, so the
first that does not hold is what to mend.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from netviz.model import JSON, row
from netviz.text import printable

_MARKS = {True: "✓", False: "✗", None: "?"}
_SEE, _MEND = "see it:  ", "mend it: "
_LIST = "list-style:none;padding-left:1em;margin:0.5em 0"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that must hold for a packet to get there, or for its answer to come back.

    ``holds`` is None where a snapshot cannot tell. ``where`` is the namespace that it is about, or
    ``namespace:device``; ``command`` shows the fact; ``mend`` is one shell command that mends it,
    as typed in the lab's root.
    """

    text: str
    holds: bool | None = True
    where: str = ""
    command: str | None = None
    mend: str | None = None

    def __str__(self) -> str:
        """Return ``✓ text``, ``✗ text`` or ``? text``."""
        return f"{_MARKS[self.holds]} {printable(self.text)}"

    def to_dict(self) -> JSON:
        """Return every field."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The steps of one question, up to the first that breaks. It is true when none does.

    ``doubt`` is why it is not certain; ``verified`` what the kernel did with a real packet, None
    where none was sent, and ``surprise`` says so where that is not what was foretold.
    """

    question: str
    steps: tuple[Step, ...]
    doubt: str | None = None
    verified: bool | None = None

    @property
    def works(self) -> bool:
        """Tell whether no step breaks."""
        return self.broken is None

    @property
    def certain(self) -> bool:
        """Tell whether the tables decide it, so that no step is open before the one that breaks."""
        return self.doubt is None and all(step.holds is not None for step in self.steps)

    @property
    def broken(self) -> Step | None:
        """Return the first step that does not hold."""
        return next((step for step in self.steps if step.holds is False), None)

    @property
    def mend(self) -> str | None:
        """Return the command that mends the first step that breaks."""
        return self.broken.mend if self.broken else None

    @property
    def surprise(self) -> str | None:
        """Return in what the kernel differs from what was foretold."""
        if self.verified in (None, self.works):
            return None
        told, seen = ("works", "no answer came") if self.works else ("breaks", "it was answered")
        return f"the tables say that it {told}, but a real packet was sent: {seen}"

    def __bool__(self) -> bool:
        """Tell whether it works."""
        return self.works

    def __str__(self) -> str:
        """Return one line a step, what is not certain, and the command that mends it."""
        return "\n".join([f"{printable(self.question)}: {self._verdict()}", *self._lines()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the steps as a list, and what is said below; a step's title is its command."""
        items = "".join(
            f'<li class="nv-explain-{ {True: "holds", False: "breaks", None: "open"}[it.holds] }"'
            f' title="{escape(printable(it.command or ""))}">{escape(str(it))}</li>'
            for it in self.steps
        )
        notes = "".join(f"<li>{_shown(*note)}</li>" for note in self._notes())
        head = escape(f"{printable(self.question)}: {self._verdict()}")
        lists = "".join(f'<ul style="{_LIST}">{each}</ul>' for each in (items, notes) if each)
        return f'<div class="nv-explain"><p style="margin:0"><b>{head}</b></p>{lists}</div>'

    def to_dict(self) -> JSON:
        """Return every field, and ``works``, ``certain``, ``mend`` and ``surprise``."""
        told = {name: getattr(self, name) for name in ("works", "certain", "mend", "surprise")}
        return {**row(self), **told}

    def _verdict(self) -> str:
        if self.certain:
            return "works" if self.works else "breaks"
        return "works, as far as the tables tell" if self.works else "breaks, it seems"

    def _lines(self) -> list[str]:
        return [*(f"  {step}" for step in self.steps), *map("".join, self._notes())]

    def _notes(self) -> list[tuple[str, str]]:
        """Return what is said below the steps: what it is about, and the rest."""
        known = self.broken or Step("")
        notes = [
            ("not certain: ", self.doubt),
            (_SEE, known.command),
            (_MEND, known.mend),
            ("the kernel: ", None if self.verified is None else self.surprise or self._sent()),
        ]
        return [(about, printable(told)) for about, told in notes if told]

    def _sent(self) -> str:
        return "a real packet was answered" if self.verified else "a real packet had no answer"


def _shown(about: str, told: str) -> str:
    """Return a note as HTML: a command is one to be copied."""
    text = escape(told)
    return about + (f"<code>{text}</code>" if about in (_SEE, _MEND) else text)
