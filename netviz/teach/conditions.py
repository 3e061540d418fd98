"""What should hold, and the line that says whether it does.

A condition is a claim and a way to look: given a snapshot, it answers with the difference in words,
or with nothing where the claim holds. ``&``, ``|`` and ``~`` make one of others; what ``~`` turns
round is always a single claim, for of ``~(a & b)`` is made ``~a | ~b``. A look that fails tells
nothing: then neither the claim nor its opposite holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from netviz.errors import ExerciseError
from netviz.model import JSON, Snapshot, row
from netviz.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

Difference = str | None


@dataclass(frozen=True, slots=True)
class Line:
    """What came out for one condition; ``difference`` is None where it holds."""

    claim: str
    holds: bool
    difference: Difference = None
    hints: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return ``✓ claim``, or ``✗ claim: difference`` and below it the hints."""
        told = f"✓ {self.claim}" if self.holds else f"✗ {self.claim}: {self.difference}"
        return "\n  hint: ".join(map(printable, (told, *self.hints)))

    def to_dict(self) -> JSON:
        """Return ``{"claim", "holds", "difference", "hints"}``."""
        return row(self)


@dataclass(frozen=True, slots=True)
class Condition:
    """What should hold, and how to see whether it does: ``look`` returns what is different.

    Of several ``parts`` every one has to hold, or ``some`` of them. What ``denies`` a condition
    holds where that one does not. Conditions are equal if they say the same.
    """

    claim: str
    look: Callable[[Snapshot], Difference] | None = field(default=None, compare=False, repr=False)
    parts: tuple[Condition, ...] = ()
    some: bool = False
    denies: Condition | None = None
    hints: tuple[str, ...] = ()
    temptations: tuple[tuple[Condition, str], ...] = ()

    def __and__(self, other: Condition) -> Condition:
        """Return what holds where both do. Raises ``ExerciseError`` where one is no condition."""
        return _joined((self, other), some=False)

    def __or__(self, other: Condition) -> Condition:
        """Return what holds where one of both does. Raises ``ExerciseError`` as ``&`` does."""
        return _joined((self, other), some=True)

    def __invert__(self) -> Condition:
        """Return what holds where this does not; its hints stay."""
        if self.denies is not None:
            other = self.denies
        elif self.parts:
            other = _joined(tuple(~each for each in self.parts), some=not self.some)
        else:
            other = Condition(f"not: {self.claim}", denies=replace(self, hints=(), temptations=()))
        return replace(other, hints=self.hints, temptations=self.temptations)

    def __bool__(self) -> bool:
        """Refuse: ``and``, ``or`` and ``not`` would drop conditions silently."""
        raise ExerciseError(
            f"'{self.claim}' is neither true nor false before it is checked",
            remedy="join conditions with & | ~, judge them with check(…)",
        )

    def hint(self, *texts: str) -> Condition:
        """Return it with hints, the gentlest first: `check` shows one more each time it fails."""
        return replace(self, hints=(*self.hints, *map(str, texts)))

    def claiming(self, claim: str) -> Condition:
        """Return it with a claim in other words, where those of its parts would be too many."""
        return replace(self, claim=str(claim))

    def tempting(self, other: Condition, text: str) -> Condition:
        """Return it with a wrong answer that suggests itself.

        Where this does not hold, but ``other`` does, ``text`` is the difference.
        """
        return replace(self, temptations=(*self.temptations, (condition(other), str(text))))

    def line(self, seen: Snapshot) -> Line:
        """Return what comes of it, given a snapshot, with all hints for what does not hold."""
        difference, hints = self._different(seen)
        if difference is None:
            return Line(self.claim, holds=True)
        tempted = (text for other, text in self.temptations if other.line(seen).holds)
        return Line(self.claim, False, next(tempted, difference), self.hints + hints)

    def _different(self, seen: Snapshot) -> tuple[Difference, tuple[str, ...]]:
        """Return the difference, and the hints of the parts that do not hold."""
        if self.parts:
            return self._apart(seen)
        one = self if self.denies is None else self.denies
        try:
            found = one.look(seen) if one.look else "nobody can tell"
        except Exception as error:  # A lab may be in any state, and an argument anything.
            return str(error) or type(error).__name__, ()
        if self.denies is None:
            return found, ()
        return None if found is not None else f"{one.claim}, though it should not be so", ()

    def _apart(self, seen: Snapshot) -> tuple[Difference, tuple[str, ...]]:
        told: list[Difference] = []
        hints: tuple[str, ...] = ()
        for part in self.parts:
            line = part.line(seen)
            if line.holds:
                if self.some:
                    return None, ()
                continue
            plain = part.look and line.difference not in dict(part.temptations).values()
            told.append(f"not yet: {part.claim} ({line.difference})" if plain else line.difference)
            hints += line.hints
        return "; ".join(map(str, dict.fromkeys(told))) if told else None, hints


def condition(found: object) -> Condition:
    """Return what is a condition. Raises ``ExerciseError`` for anything else."""
    if not isinstance(found, Condition):
        raise ExerciseError(f"{found!r} is no condition", remedy='try: check(exists("net1"))')
    return found


def _joined(joined: tuple[Condition, ...], *, some: bool) -> Condition:
    parts: tuple[Condition, ...] = ()
    for each in map(condition, joined):
        bare = each.parts and each.some == some and not (each.hints or each.temptations)
        parts += each.parts if bare else (each,)
    claims = [
        # What is joined itself, or denied, would run on to what follows.
        f"({it.claim})" if it.parts or (it.denies is not None and it is not parts[-1]) else it.claim
        for it in parts
    ]
    return Condition((" or " if some else " and ").join(claims), parts=parts, some=some)
