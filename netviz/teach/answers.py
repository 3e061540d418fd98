"""What happened: which of some options the kernel, a command or a value says that it is.

A lesson does not write its answer down. It says where to look, and that is done when it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netviz.errors import ExerciseError
from netviz.lab.sandbox import must_be_inside
from netviz.net import namespaces
from netviz.net.discovery import snapshot
from netviz.packets.running import run
from netviz.teach.conditions import Condition

Options = Sequence[str] | Mapping[str, Condition] | Mapping[str, str]
Where = str | Callable[[], object] | None

_LIKE = 'predict("What is it called?", ["lab", "net1"], "hostname")'
_PATIENCE = 30.0  # Seconds.


@dataclass(frozen=True, slots=True)
class Found:
    """The option that happened, None if it is none of them; and what was seen."""

    option: str | None
    seen: str


class Answer:
    """The options, each with the condition or the pattern that it is known by; and where to look.

    Raises ``ExerciseError`` for what can never be an answer.
    """

    def __init__(self, options: Options, where: Where) -> None:
        names = [*options] if isinstance(options, list | tuple | Mapping) else []
        texts = {name for name in names if isinstance(name, str) and name.strip()}
        if len(texts) < max(2, len(names)):
            raise _refusal(f"{options!r} are not two options or more, each another text")
        whole = {name: rf"\A{re.escape(name.strip())}\Z" for name in names}
        signs = options if isinstance(options, Mapping) else whole
        self._states = {name: it for name, it in signs.items() if isinstance(it, Condition)}
        if self._states and (where is not None or len(self._states) < len(names)):
            raise _refusal("conditions say where to look: they go with nothing else")
        if not (where is None or callable(where) or isinstance(where, str)):
            raise _refusal(f"{where!r} is no place to look at")
        self._patterns = {} if self._states else {it: _pattern(signs[it]) for it in names}
        self._where = where

    def find(self, seen: object = None) -> Found:
        """Return what happened: by what was ``seen`` already, or else by what is so now.

        What cannot be looked at is told, and is none of the options.
        """
        try:
            return self._of_text(seen) if seen is not None or not self._states else self._of_state()
        except Exception as error:  # A lab may be in any state, and a lesson goes on.
            return Found(None, str(error) or type(error).__name__)

    def _of_state(self) -> Found:
        now = snapshot()
        lines = {name: condition.line(now) for name, condition in self._states.items()}
        happened = next((name for name, line in lines.items() if line.holds), None)
        seen = [lines[happened]] if happened else lines.values()
        return Found(happened, "\n".join(map(str, seen)))

    def _of_text(self, seen: object) -> Found:
        typed = f"$ {self._where}\n" if seen is None and isinstance(self._where, str) else ""
        if seen is None:
            seen = self._where() if callable(self._where) else _printed(self._where)
        text = ("\n".join(map(str, seen)) if isinstance(seen, list) else str(seen)).strip()
        happened = (name for name, pattern in self._patterns.items() if pattern.search(text))
        return Found(next(happened, None), typed + text)


def _printed(command: str | None) -> str:
    """Return what a command prints in the lab's root. Equivalent to: ``!command`` in a cell."""
    if not command:
        raise _refusal("nothing was seen; hand over what was: reveal(seen)")
    must_be_inside(f"run '{command}'")
    root = namespaces.find()[0][0]
    return run(root, command, _PATIENCE, lambda piece: None).output


def _pattern(sign: Any) -> re.Pattern[str]:
    try:
        return re.compile(sign, re.MULTILINE)
    except (re.error, TypeError) as error:
        raise _refusal(f"{sign!r} is neither a condition nor a regular expression") from error


def _refusal(what: str) -> ExerciseError:
    return ExerciseError(what, command=_LIKE, remedy="help(netviz.teach.predict) has all kinds")
