"""Whose turn it is where a rule of a packet filter deals out (``numgen``). Pure."""

from __future__ import annotations


class Deals:
    """The turn at each rule that deals out, of those that a packet has met."""

    def __init__(self) -> None:
        self._turns: dict[int, tuple[int, int]] = {}

    def turn(self, rule: object, mod: int) -> int:
        """Return which of so many turns it is at a rule, which is the one object whenever asked."""
        return self._turns.setdefault(id(rule), (0, mod))[0]

    def another(self) -> bool:
        """Tell whether there are turns left, and go on to them: as one counts, the last first.

        What was met after the one that goes on is forgotten: in its new turn others may be met.
        """
        while self._turns:
            rule, (turn, mod) = self._turns.popitem()
            if turn + 1 < mod:
                self._turns[rule] = turn + 1, mod
                return True
        return False
