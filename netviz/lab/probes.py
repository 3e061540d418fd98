"""What the lessons may ask of a machine, and how to find out whether it can: by doing it.

A probe is one command, as a learner would type it, run in a network that is thrown away: neither
a list of kernel modules nor a version number says as surely what works. They are listed in
``probes.toml``, in an order that counts.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netviz.lab.lessons import published, question
from netviz.lab.refusals import COMMAND
from netviz.lab.resources import notebooks
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import JSON

_PATIENCE = 5.0
# An ordinary user's PATH lacks them on a real machine.
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_SHELL_CANNOT_START = 127
_PROGRAMS = ("programs", "components")
_VERSION = re.compile(r"\d+(?:\.\d+)+|\d{6,}")


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to try: how, what cannot be done without it, and what mends its lack.

    ``lesson`` is the first published lesson that needs it; ``None``: no lesson does so far.
    """

    group: str
    name: str
    command: str
    cost: str
    remedy: str
    lesson: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """How a probe ended; ``works`` is None where it could not be tried.

    ``detail`` is what the machine said: an error, a version, a limit. ``own`` tells the same of
    a kernel of one's own; None where it was not tried there.
    """

    probe: Probe
    works: bool | None
    detail: str = ""
    own: bool | None = None

    @property
    def lacks(self) -> bool:
        """Tell whether this was tried, and works nowhere."""
        return not self.own and False in (self.works, self.own)

    @property
    def hinders(self) -> bool:
        """Tell whether a published lesson cannot run whole for want of this."""
        return not self.works and not self.own and self.probe.lesson is not None

    def to_dict(self) -> JSON:
        """Return the finding as plain values: as ``Report.to_dict`` documents them."""
        told = asdict(self.probe)
        needed = told.pop("lesson") is not None
        found = {"works": self.works, "detail": self.detail, "own": self.own}
        return {**told, "needed": needed, **found}


def attempt(probe: Probe) -> Finding:
    """Run a probe's command, here and now, and return how it ended."""
    command = shlex.split(probe.command)
    program = probe.group in _PROGRAMS
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_SBIN}", "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return Finding(probe, None, f"no answer within {_PATIENCE:.0f} seconds")
    except OSError as error:
        # For want of the program, nothing is known about the kernel.
        return Finding(probe, False if program else None, f"'{command[0]}': {error.strerror}")
    if program and done.returncode != _SHELL_CANNOT_START:
        version = _VERSION.search(done.stdout)
        return Finding(probe, True, version[0] if version else "")
    if done.returncode == 0:
        return Finding(probe, True)
    said = printable(done.stdout.strip().partition("\n")[0])
    said = said.removeprefix("RTNETLINK answers: ").removeprefix("Error: ").rstrip(".")
    return Finding(probe, False, said or f"exit status {done.returncode}")


def _read() -> Iterator[Probe]:
    questions = {int(path.name[:2]): question(path) for path in published(notebooks())}
    groups = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    for group, told in groups.items():
        for name, command, use, end in told["probes"]:
            needed = isinstance(use, int)
            cost = f"lesson {use:02}, {questions[use]}" if needed else f"{use} cannot be shown"
            remedy = told["remedy"] + end
            yield Probe(group, name, command, cost, remedy, use if needed else None)


USER_NAMESPACES = Probe("lab", "user namespaces", COMMAND, "no lesson can run on it", "", 0)
"""The first of all, tried by starting a lab; its remedy is the refusal's."""

PROBES = tuple(_read())
"""All others, in the order in which they must run."""

OF_KERNEL = {each.name: each for each in PROBES if each.group not in _PROGRAMS}
"""Those that ask for the kernel, and no program, by their names."""
