"""The faults that can be put into a lab: commands, and where these can be typed. Pure.

``faults.toml`` lists them. Whether one breaks anything at a place, echo requests tell
(`netviz.teach.breaking`).
"""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EINVAL
from functools import cache
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from netviz.packets.facts import typed
from netviz.teach import places

if TYPE_CHECKING:
    from netviz.model import Namespace
    from netviz.net.steps import Site
    from netviz.teach.places import Lab, Words


@dataclass(frozen=True, slots=True)
class Typed:
    """A command that is typed in a namespace, as a step."""

    space: Namespace
    line: str

    @property
    def namespace(self) -> str:
        """The namespace's name."""
        return self.space.name

    def command(self) -> str:
        """Return it as typed in the lab's root."""
        return typed(self.space, *self.line.split())

    def act(self, _: Site) -> None:
        """Do it. Raises ``OSError`` where there is no such program, or it fails."""
        done = subprocess.run(self.line.split(), capture_output=True, check=False)
        if done.returncode:
            raise OSError(EINVAL, done.stderr.decode(errors="replace").strip())


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fault can be put: what shows and breaks it, and mends it, if the fault says that."""

    look: Typed
    cause: str
    breaks: tuple[Typed, ...]
    mends: tuple[Typed, ...]
    then: tuple[Typed, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can be wrong, as ``faults.toml`` tells it; ``where`` finds its places."""

    name: str
    level: int
    look: str
    where: str
    cause: str
    breaks: Sequence[str]
    mends: Sequence[str] = ()
    then: str = ""

    def places(self, lab: Lab) -> Iterator[Place]:
        """Yield where it applies in a lab."""
        find: Callable[[Lab], Iterator[Words]] = getattr(places, self.where)
        spaces = {space.name: space for space in lab.spaces}
        for words in find(lab):
            here, know = spaces[words["ns"]], words.get("bare")
            with suppress(KeyError):  # A word that this place does not have.
                (look,), breaks, mends = (
                    tuple(Typed(here, line) for line in _written(lines, words))
                    for lines in ([self.look], self.breaks, self.mends)
                )
                learned = (it for it in lab.spaces if know in {n.to for n in it.neighbours})
                then = Template(self.then).substitute(words)
                forgets = tuple(Typed(each, then) for each in learned if then)
                yield Place(look, Template(self.cause).substitute(words), breaks, mends, forgets)


def _written(lines: Sequence[str], words: Words) -> Iterator[str]:
    """Yield the commands; a word may be several."""
    for line in lines:
        yield from Template(line).substitute(words).split("\n")


@cache
def faults() -> tuple[Fault, ...]:
    """Return all of them."""
    listed = tomllib.loads(Path(__file__).with_name("faults.toml").read_text())
    return tuple(Fault(**told) for told in listed["fault"])
