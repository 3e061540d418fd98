"""What was measured, and what follows from it: medians and ratios."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

SHAPES = ("star", "chain", "two-level")
SIZES = (10, 100, 300, 1000)
PEERS = ("ip -batch", "ip", "pyroute2", "Mininet", "NeST")


class Key(NamedTuple):
    """Whose figures of which network."""

    who: str
    shape: str
    size: int


@dataclass
class Figures:
    """Seconds by key and by what took them; who could not take part, and why."""

    seconds: dict[Key, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    same: dict[tuple[str, int], dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    lacking: dict[str, str] = field(default_factory=dict)
    others: dict[str, object] = field(default_factory=dict)

    def note(self, key: Key, run: dict[str, object] | str) -> None:
        """Keep what one run has shown."""
        if isinstance(run, str):
            self.lacking[f"{key.who}, {key.shape}, N={key.size}"] = run
            return
        self.same[key.shape, key.size][key.who] = str(run["same as"])
        if run["left"]:
            self.lacking[f"{key.who}, {key.shape}, N={key.size}"] = "down left something behind"
        for what, seconds in run.items():
            if isinstance(seconds, float):
                self.seconds[key][what].append(seconds)

    def of(self, what: str, who: str, shape: str, size: int) -> float | None:
        """Return the median of what somebody needed for something, in seconds."""
        found = self.seconds.get(Key(who, shape, size), {}).get(what)
        return median(found) if found else None

    def ratio(self, what: str, who: str, to: str, shape: str, size: int) -> float | None:
        """Return how many times as long as somebody else somebody needed.

        It is the median of the ratios within each turn: what disturbs one disturbs the other too.
        """
        one, other = (self.seconds.get(Key(name, shape, size), {}).get(what) for name in (who, to))
        return median(a / b for a, b in zip(one, other, strict=False)) if one and other else None

    def best(self, what: str, who: str, to: str, shape: str, size: int) -> float | None:
        """Return the ratio of the best runs, which tells more where the machine is busy."""
        one, other = (self.seconds.get(Key(name, shape, size), {}).get(what) for name in (who, to))
        return min(one) / min(other) if one and other else None

    def growth(self, what: str, who: str, shape: str) -> float | None:
        """Return how many times as much a namespace costs among the most as among the fewest."""
        few, many = (self.of(what, who, shape, size) for size in (SIZES[0], SIZES[-1]))
        return many / SIZES[-1] / (few / SIZES[0]) if few and many else None

    def different(self) -> list[str]:
        """Return who has built another network than we, of those that can be told the same."""
        return [
            f"{who}, {shape}, N={size}"
            for (shape, size), built in self.same.items()
            for who, digest in built.items()
            if who not in ("Mininet", "NeST") and digest != built.get("ours")
        ]
