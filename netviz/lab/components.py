"""Real programs (ip, docker, ovs-vswitchd …): the machine's own where they fit, or fetched.

Each is a component, listed in ``components.toml``. The machine's own is used where it is whole and
not too old; else what was fetched is laid over a lab's /usr.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from netviz.errors import ComponentError
from netviz.lab import linux, trees
from netviz.lab.filesystem import laid, lay
from netviz.lab.packages import MEGABYTE
from netviz.lab.resources import apt_list, listed
from netviz.lab.sandbox import must_be_inside
from netviz.lab.trees import place
from netviz.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from netviz.model import JSON

PROGRAMS = "programs"
"""The component that the machine's package manager may as well install: no daemon is in it."""

_TOLD = ("name", "purpose", "needs", "packages", "programs")
_PATIENCE = 10.0  # Seconds for a program to tell its version.
_VERSION = re.compile(r"\d+(?:\.\d+)+")
# Where there is no apt: what one types there.
_MANAGERS = {"dnf": "install", "zypper": "install", "pacman": "-S", "apk": "add"}


@dataclass(frozen=True, slots=True)
class Component:
    """Programs that a lesson needs, as ``components.toml`` tells of them.

    Those that are not ``laid`` over a lab's /usr are used from outside of it. ``processor``: they
    are for this one alone.
    """

    name: str
    purpose: str
    without: str
    elsewhere: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    version: str = ""
    oldest: str = ""
    needs: tuple[str, ...] = ()
    laid: bool = True
    processor: str = ""

    @property
    def foreign(self) -> str:
        """Why a machine of this kind cannot have it, or nothing."""
        own = os.uname().machine
        if self.processor in ("", own):
            return ""
        return f"it is for {self.processor} alone, and this machine is {own}"

    @property
    def remedy(self) -> str:
        """What one types to have it."""
        return remedy([self])

    def fits(self, version: str) -> bool:
        """Tell whether a version is not too old."""
        return not self.oldest or _numbers(version) >= _numbers(self.oldest)


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a component here.

    ``origin`` is ``the machine``, ``fetched``, ``built``, or nothing where it cannot be had; then
    ``why`` tells. ``size`` is that of the ``tree``, in bytes.
    """

    component: Component
    origin: str = ""
    version: str = ""
    size: int = 0
    tree: Path | None = None
    why: str = ""

    def __str__(self) -> str:
        """Return one line: ``✓ docker 20.10.24: fetched``."""
        words = " ".join(filter(None, (self.component.name, self.version)))
        return printable(f"{'✓' if self.origin else '✗'} {words}: {self.told}")

    @property
    def told(self) -> str:
        """Where it is from, or what is wrong."""
        return self.origin or self.why or "not here"

    def to_dict(self) -> JSON:
        """Return it as plain values; new keys may come, none of these will go.

        ::

            {"name", "origin": "the machine" | "fetched" | "built" | "", "version", "size": bytes,
             "why", "purpose", "needs": […], "packages": […], "programs": […]}
        """
        told = {name: getattr(self.component, name) for name in _TOLD}
        return told | {name: getattr(self, name) for name in ("origin", "version", "size", "why")}


@dataclass(frozen=True, slots=True, repr=False)
class Provision:
    """Components that can be used in this lab; shown, it is a line for each."""

    standings: tuple[Standing, ...]

    def __repr__(self) -> str:
        """Return the lines."""
        return "\n".join(map(str, self.standings))

    def _repr_html_(self) -> str:
        """Return them as a list, which needs no style sheet."""
        items = "".join(f'<li class="nv-holds">{escape(str(each))}</li>' for each in self.standings)
        return f'<ul class="nv-check" style="list-style: none; padding: 0">{items}</ul>'


def wanted() -> dict[str, str]:
    """Return the Debian packages that the lessons use, each with the program to look for."""
    return {name: program for name, program in listed(apt_list()).items() if program}


def missing() -> list[str]:
    """Return those of the wanted packages whose program is not on this machine."""
    return [name for name, program in wanted().items() if not place(program)]


def known() -> dict[str, Component]:
    """Return every component, by its name."""
    told = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    told[PROGRAMS] |= {"packages": missing(), "programs": wanted().values()}
    lists = ("packages", "programs", "needs")
    return {
        name: Component(name, **entries | {each: tuple(entries.get(each, ())) for each in lists})
        for name, entries in told.items()
    }


def standing(component: Component) -> Standing:
    """Return how it stands with a component: on the machine, fetched, built, or why it is not."""
    if why := component.foreign:
        return Standing(component, why=why)
    if component.name == linux.OWN and (built := linux.built()):
        tree, note = built
        if why := linux.damage(tree, note):
            return Standing(component, why=why)
        return Standing(component, "built", note["version"], note["size"], tree)
    fetched = trees.fetched().get(component.name, [])
    if not (fetched and fetched[0][0].name in laid()) and all(map(place, component.programs)):
        version = version_of(component)
        if component.fits(version):
            return Standing(component, "the machine", version)
        why = f"this machine's, {version or 'of no version'}, is older than {component.oldest}"
    for tree, note in fetched:
        if lacks := lacking(component, tree):
            why = f"what was fetched lacks '{lacks[0]}'"
        elif component.fits(note["version"]):
            return Standing(component, "fetched", note["version"], note["size"], tree)
        else:
            why = f"what was fetched, {note['version']}, is older than {component.oldest}"
    return Standing(component, why=why)


def table(found: Iterable[Standing]) -> Table:
    """Return what ``rich`` prints as a table: what there is, whence, how large, and what for."""
    from rich.table import Table
    from rich.text import Text

    shown = Table("component", "version", "from", "size", "what for", "needs", box=None)
    for each in found:
        size = f"{max(1, round(each.size / MEGABYTE))} MB" if each.size else ""
        told = (
            each.version,
            each.told,
            size,
            each.component.purpose,
            " ".join(each.component.needs),
        )
        shown.add_row(each.component.name, *(Text(printable(text)) for text in told))
    return shown


def needs(*names: str) -> Provision:
    """Make components usable in this lab, and return what they are: ``nv.needs("docker", "cni")``.

    What was fetched since the lab started is laid over its /usr. Raises ``ComponentError`` where
    one is neither on the machine nor fetched, and ``SandboxError`` outside a lab.
    """
    must_be_inside("use components")
    standings = tuple(map(standing, with_needs(names)))
    if lacks := [each for each in standings if not each.origin]:
        raise _refusal(names, lacks)
    try:
        lay(each.tree for each in standings if each.tree and each.component.laid)
    except OSError as error:
        raise ComponentError(
            f"cannot lay what was fetched over /usr: {error.strerror}",
            command="mount -t overlay -o lowerdir=… overlay /usr",
            remedy="start the lab anew, or install what is needed",
        ) from error
    return Provision(standings)


def remedy(components: Iterable[Component], program: str = "netviz") -> str:
    """Return what one types to have components, where ``program`` is how netviz is called."""
    managers = [name for name in _MANAGERS if place(name)]
    if place("apt-get") or not managers:
        return f"run: {program} components fetch {' '.join(each.name for each in components)}"
    packages = " ".join(filter(None, (each.elsewhere for each in components)))
    if not packages:
        return "use a system that has apt"
    return f"run: sudo {managers[0]} {_MANAGERS[managers[0]]} {packages}"


def _refusal(names: Iterable[str], lacks: Iterable[Standing]) -> ComponentError:
    """Return what lacks of the components that were asked for, and how to have all of them."""
    reasons = {each.component.name: each.why for each in lacks}
    concerned = [
        asked
        for asked in map(known().__getitem__, names)
        if any(each.name in reasons for each in with_needs([asked.name]))
    ]
    what = "; ".join(
        f"there is no '{name}' to use: {why or 'it is neither on this machine nor fetched'}"
        for name, why in reasons.items()
    )
    # A terminal of the machine knows no virtual environment.
    own = Path(sys.executable).with_name("netviz")
    program = shlex.quote(str(own)) if own.exists() else own.name
    without = "; ".join(f"without {each.name}, {each.without}" for each in concerned)
    mend = f"in a terminal of the machine, {remedy(concerned, program)}, then run this again"
    return ComponentError(what, remedy=f"{mend}; {without}")


def with_needs(names: Iterable[str]) -> list[Component]:
    """Return components, those that they need before them, each once."""
    every = known()
    found: dict[str, Component] = {}
    for name in names:
        if name not in every:
            raise ComponentError(
                f"no component is called '{name}'", remedy=f"choose among: {', '.join(every)}"
            )
        found |= {each.name: each for each in with_needs(every[name].needs)}
        found[name] = every[name]
    return list(found.values())


def lacking(component: Component, tree: Path) -> list[str]:
    """Return the programs that are neither in a tree nor on the machine."""
    return [each for each in component.programs if not (place(each, tree) or place(each))]


def version_of(component: Component, tree: Path | None = None) -> str:
    """Return the version that its program tells, this machine's or a tree's; or nothing."""
    if not component.version:
        return ""
    folders = f"{tree}/usr/sbin:{tree}/usr/bin:" if tree else ""
    try:
        done = subprocess.run(
            shlex.split(component.version),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
            env={**os.environ, "PATH": folders + trees.path()},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return version_in(done.stdout.decode(errors="replace"))


def version_in(text: str) -> str:
    """Return the first version that a text names, or nothing."""
    found = _VERSION.search(text)
    return found[0] if found else ""


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".") if number]
