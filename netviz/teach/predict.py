"""Predictions: the learner commits herself first, and only then it is looked at what is so.

    one = nv.predict("Will net1 reach net2?", {"yes": reached, "no": ~reached})
    …                                               # the commands that it is about
    one.reveal()

What happened is the first option that is known by what is found when it is revealed:

- ``{"yes": reaches("net1", "10.1.1.3"), "no": …}``: its condition holds in the live kernel;
- ``["1", "3"], "grep -c request /run/heard"``: the command, run in the lab's root, prints just it;
- ``{"none": "^0 packets", "some": "packets"}, "…"``: its regular expression is in that output;
- ``[…], lambda: …``: it is what the function returns, or that is searched like an output;
- ``reveal(seen)``: it is what was seen, an output kept by ``seen = !command`` or a trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from netviz.errors import ExerciseError
from netviz.model import JSON, row
from netviz.picture.questions import Question, formatted
from netviz.teach.answers import Answer
from netviz.teach.progress import note
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.teach.answers import Options, Where

_LINES, _LETTERS = 8, 200
"""Of what was seen, as many are shown."""
_asked: dict[str, Prediction] = {}
"""The latest of each question."""


def predict(question: str, options: Options, answer: Where = None) -> Prediction:
    """Return a prediction to be made, and show it below the cell: choose, then run on.

    ``answer`` is where to look afterwards, and ``options`` may say what each is known by: see
    `netviz.teach.predict`. Text between backticks is code. The same asked again, and not revealed
    yet, keeps the choice.

    Raises ``ExerciseError`` for what can have no answer.
    """
    asked = Prediction(question, options, answer)
    before, _asked[question] = _asked.get(question), asked
    if before and before._options == asked._options and not before._question.closed:
        asked._question.chosen = before._question.chosen
    asked._ipython_display_()
    return asked


@dataclass(frozen=True, slots=True)
class Revealed:
    """What was predicted, None if nothing was, and what happened, None if no option did.

    ``seen`` is what says so. It is true if both are the same.
    """

    predicted: str | None
    happened: str | None
    seen: str
    why: str = ""

    def __bool__(self) -> bool:
        """Tell whether the prediction was right."""
        return self.predicted is not None and self.predicted == self.happened

    @property
    def verdict(self) -> str:
        """What became of the prediction, in words and with a sign."""
        if self.predicted is None:
            return "You made no prediction."
        sign = "✓ Right" if self else "✗ Not so" if self.happened else "? Not decided"
        return f"{sign}: you predicted “{self.predicted}”."

    def __repr__(self) -> str:
        """Return the verdict, what happened, why, and what was seen."""
        seen = (f"  {line}" for line in self._seen())
        return "\n".join([*map(printable, (self.verdict, *self._told())), *seen])

    def _repr_html_(self) -> str:
        """Return the same as HTML."""
        told = "".join(f"<p>{formatted(line)}</p>" for line in self._told())
        seen = "\n".join(map(escape, self._seen()))
        guess = f'<p class="nv-guess"><strong>{formatted(self.verdict)}</strong></p>'
        return f'<div class="nv-revealed">{guess}{told}{seen and f"<pre>{seen}</pre>"}</div>'

    def to_dict(self) -> JSON:
        """Return ``{"predicted", "happened", "seen", "why"}``."""
        return row(self)

    def _told(self) -> list[str]:
        why = [f"Why: {self.why}"] if self.why else []
        seen = ["What was seen:"] if self._seen() else []
        return [f"What happened: {self.happened or 'none of the options'}", *why, *seen]

    def _seen(self) -> list[str]:
        """Return what was seen, if it says more than the option, and no more than fits."""
        if self.seen == self.happened:
            return []
        lines = [printable(line.expandtabs()[:_LETTERS]) for line in self.seen.splitlines()]
        return [*lines[:_LINES], "…"] if len(lines) > _LINES else lines


class Prediction:
    """A question and its options; the learner's choice is open until it is revealed."""

    def __init__(self, question: str, options: Options, answer: Where) -> None:
        if not isinstance(question, str):
            raise ExerciseError(f"{question!r} is no question", remedy="write it as a text")
        self._answer = Answer(options, answer)
        self._task, self._options = question, [*options]
        self._question, self._noted = Question(question, self._options), False

    def __repr__(self) -> str:
        """Return the question, its options, and what is chosen."""
        return self._question.plain()

    def _ipython_display_(self) -> None:
        self._question.show()

    def choose(self, option: str) -> None:
        """Choose an option, where there are no buttons for it.

        Raises ``ExerciseError`` where there is no such option, or it was revealed already.
        """
        if option not in self._options:
            known = ", ".join(map(repr, self._options))
            raise ExerciseError(f"{option!r} is no option", remedy=f"choose one: {known}")
        if self._question.closed:
            raise ExerciseError("it was revealed already", remedy="run the cell that asks again")
        self._question.chosen = self._options.index(option)

    def reveal(self, seen: object = None, *, why: str = "") -> Revealed:
        """Return what was predicted and what happened, and let nothing be chosen any more.

        What happened is found out now, or by what was ``seen``: a text, a list of lines, a trace.
        Once, whether it was right is noted in `netviz.progress`.
        """
        self._question.closed = True
        predicted = [*self._options, None][self._question.chosen]  # -1 is none.
        found = self._answer.find(seen)
        revealed = Revealed(predicted, found.option, found.seen, why)
        marks = [_mark(option, revealed) for option in self._options]
        self._question.settle(marks, revealed.verdict)
        if predicted and found.option and not self._noted:
            note("prediction", self._task, bool(revealed))
            self._noted = True
        return revealed


def _mark(option: str, revealed: Revealed) -> str:
    """Return what is said beside an option."""
    is_so, is_hers = option == revealed.happened, option == revealed.predicted
    if is_hers:
        wrong = "✗ your prediction" if revealed.happened else "your prediction"
        return "✓ your prediction, and what happened" if is_so else wrong
    return "← what happened" if is_so else ""
