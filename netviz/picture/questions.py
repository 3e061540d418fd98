"""A question that is answered by choosing, in a notebook; beside it the same as plain HTML.

Python writes the words, already escaped; `view/question.js` puts them beside buttons. So what is
asked may hold code between backticks, and nothing that it holds is taken for markup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from netviz.picture.outputs import Output
from netviz.text import printable

NONE = -1
"""The number of an option that was not chosen."""
_CODE = re.compile("`([^`]+)`")
_VIEW = Path(__file__).parent / "view"


class Question(anywidget.AnyWidget):
    """A question with its options; ``chosen`` is the number of one, until it is closed."""

    _esm = _VIEW / "question.js"
    _css = _VIEW / "question.css"
    text = traitlets.Unicode().tag(sync=True)
    options = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Int(NONE).tag(sync=True)
    marks = traitlets.List(traitlets.Unicode()).tag(sync=True)
    told = traitlets.Unicode().tag(sync=True)
    closed = traitlets.Bool(False).tag(sync=True)

    def __init__(self, text: str, options: Sequence[str]) -> None:
        super().__init__(text=formatted(text), options=[*map(formatted, options)])
        self._plain = [printable(each) for each in (text, *options)]
        self._output = Output(self)

    @traitlets.validate("chosen")
    def _choice(self, proposal: Any) -> int:
        """Return what may be chosen of what a page says: once it is closed, nothing else."""
        wanted = int(proposal["value"])
        return wanted if not self.closed and NONE <= wanted < len(self.options) else self.chosen

    def show(self) -> None:
        """Show it below the cell that runs."""
        self._output.show(listed(self.text, self.options), self.plain())

    def settle(self, marks: Sequence[str], told: str) -> None:
        """Let nothing be chosen any more; set a mark beside each option, and a line below them."""
        self.closed, self.marks, self.told = True, [*marks], told
        self._output.keep(listed(self.text, self.options, marks, told), self.plain())

    def plain(self) -> str:
        """Return it as text, a line an option."""
        text, *options = self._plain
        signs = ("●" if number == self.chosen else "○" for number in range(len(options)))
        rows = zip_longest(signs, options, self.marks, fillvalue="")
        return "\n".join([text, *(f"  {' '.join(row)}".rstrip() for row in rows)])


def formatted(text: str) -> str:
    """Return a text as HTML, what is between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(printable(text)))


def listed(text: str, options: Sequence[str], marks: Sequence[str] = (), told: str = "") -> str:
    """Return a question as HTML that needs no script: a box with the options as a list."""
    marked = (mark and f" <strong>{escape(mark)}</strong>" for mark in marks)
    items = "".join(
        f"<li>{option}{mark}</li>" for option, mark in zip_longest(options, marked, fillvalue="")
    )
    return (
        '<div class="admonition tip alert alert-success nv-question">'
        '<p class="admonition-title"><strong>Predict</strong></p>'
        f"<p>{text}</p><ul>{items}</ul>{told and f'<p>{escape(told)}</p>'}</div>"
    )
