"""Run a lesson from top to bottom on a kernel of its own, and ask what its cells said.

What a cell said is asked for by a part of the cell's source.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lessons import EXERCISE, lesson

if TYPE_CHECKING:
    from kernels import Notebook

_REBUILD = Path(__file__).with_name("rebuilding_lab.py")
_HOP = re.compile(r"^ \d+ {2,}(\S+) {2,}(\S+)", re.MULTILINE)


class Said(list[tuple[str, str]]):
    """What each cell said, beside its source, in their order."""

    def by(self, part: str, *, turn: int = 0) -> str:
        """Return what was said by the cell with this in its source; by which, if there are more."""
        found = [told for source, told in self if part in source]
        assert found, f"no cell has {part!r}"
        assert turn or len(found) == 1, f"{len(found)} cells have {part!r}"
        return found[turn - 1 if turn > 0 else turn]

    @property
    def happened(self) -> list[str]:
        """Which option each prediction's answer was."""
        told = [told for source, told in self if source.startswith("guess.reveal(")]
        assert [each for each in told if "What happened: none of the options" in each] == []
        return [re.search(r"^What happened: (.*)$", each, re.MULTILINE)[1] for each in told]


def run(lab: Notebook, number: str, *, other: str = r"(?!)") -> Said:
    """Run a lesson, mend what it breaks, solve its exercise, and return what each cell said.

    The check must fail before the solution, which stands in the lesson, and hold after it. Of each
    network that a lesson empties its script must build the same one; but for what ``other``
    matches, of the differences' lines.
    """
    chosen, said = lesson(number), Said()
    for source in chosen.sources:
        if number >= "08" and source.startswith("nv.reset()"):
            different = [it for it in differences(lab) if not re.search(other, it)]
            assert different == [], f"before {source!r} its script builds another: {different}"
        said.append((source, say(lab, source)))
        if source == "nv.mended()":
            assert "✗" in said[-1][1]
            solution = re.findall("^    (.*)", say(lab, "broken.solution()"), re.MULTILINE)
            say(lab, "\n".join(["%%bash", "set -e", *solution]))
            assert_solved(say(lab, source))
        elif said[:-1] and said[-2][0] == EXERCISE:
            assert_unsolved(said[-1][1])
            say(lab, f"%%bash\n{chosen.solution}")
            assert_solved(say(lab, source))
    assert "only a loopback" in said[-1][1], "a lesson ends in an empty lab"
    return said


def say(lab: Notebook, source: str) -> str:
    done = lab.run(source)
    assert done.status == "ok", f"{source}\n{done.error}"
    return done.text + (done.value or "") + "".join(done.pictures)


def differences(lab: Notebook) -> list[str]:
    """Return in what this network is another than the one that its script builds elsewhere."""
    return say(lab, f"import sys\n!{{sys.executable}} {_REBUILD}").splitlines()


def assert_unsolved(told: str) -> None:
    assert "✗" in told
    assert "✓" not in told


def assert_solved(told: str) -> None:
    assert "✓" in told
    assert "✗" not in told, told


def packets(told: str, way: str) -> int:
    """Return how many packets ``ip -statistics link`` tells of, ``RX`` or ``TX``."""
    return int(re.search(rf"{way}:.*\n\s*\d+\s+(\d+)", told)[1])


def titles(told: str) -> list[str]:
    """Return what the journeys of a trace were of, without addresses."""
    ends = (" · delivered", " · handed to ")
    return [it.partition(":")[0] for it in told.splitlines() if any(end in it for end in ends)]


def echo_request(told: str) -> str:
    """Return the part of a trace that tells of the echo request."""
    return told.split("ICMP echo request")[1].split("ICMP echo reply")[0]


def hops(told: str, title: str) -> list[str]:
    """Return the hops of the first journey in a trace with that title: ``net1:veth0 out``."""
    journey = re.split(rf"^{re.escape(title)}\b.*$", told, maxsplit=1, flags=re.MULTILINE)[1]
    table = re.split(r"^\S", journey, maxsplit=1, flags=re.MULTILINE)[0]
    return [" ".join(hop) for hop in _HOP.findall(table)]
