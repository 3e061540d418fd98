"""What this machine can do for the lessons, what it cannot, and what mends that.

Every probe runs in a lab of its own that is thrown away; inside a lab, in a network and a
/run/netns that are thrown away. Where no lab can start, nothing is tried on the machine itself,
but that programs are asked for their versions. What the machine's kernel lacks is tried again on
one of its own, where there is one.
"""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.text import Text

from netviz.errors import NetvizError, SandboxError
from netviz.lab import linux
from netviz.lab.choosing import BUILD, FETCH, OWN_KERNEL, offered, that_kernel, this_kernel
from netviz.lab.limits import limits
from netviz.lab.ownkernel import MEMORY
from netviz.lab.probes import OF_KERNEL, PROBES, USER_NAMESPACES, Finding, attempt
from netviz.lab.sandbox import inside
from netviz.lab.trials import tried
from netviz.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

    from netviz.model import JSON


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found; printed with ``rich``, it explains what is lacking and how to mend it.

    ``inside`` tells that it was made in a lab; ``refusal`` is why no lab can start here. ``kernel``
    is the one that was tried, and ``other`` what there is to say of another.
    """

    machine: str
    inside: bool
    refusal: SandboxError | None
    findings: tuple[Finding, ...]
    kernel: str = ""
    other: str = ""

    @property
    def ready(self) -> bool:
        """Tell whether the published lessons can run."""
        return not any(finding.hinders for finding in self.findings)

    def to_dict(self) -> JSON:
        """Return the report as plain values; new keys may come, none of these will go.

        ::

            {"ready": bool, "inside": bool, "machine": "Linux 6.1 …", "refusal": null | "cannot …",
             "kernel": "Linux 6.1 of this machine", "other": "Linux 6.1 of its own …",
             "findings": [{"group", "name", "command", "cost", "remedy", "needed", "works",
                           "detail", "own"}, …]}

        ``works`` is null where it could not be tried, and so is ``own``, which tells whether it
        works on a kernel of its own; ``needed``: a published lesson needs it; ``detail`` is an
        error, a version or a limit; the others are words for a reader.
        """
        return {
            "ready": self.ready,
            "inside": self.inside,
            "machine": self.machine,
            "refusal": str(self.refusal) if self.refusal else None,
            "kernel": self.kernel,
            "other": self.other,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield what a terminal shows: a line a group, then what is lacking in it."""
        marks = _MARKS if options.encoding.lower().startswith("utf") else _PLAIN_MARKS
        width = max(options.max_width - _INDENT, _NARROWEST)
        yield Text(self.machine, "dim")
        for line in textwrap.wrap(f"{self.kernel}. {self.other}", options.max_width):
            yield Text(line)
        if self.inside:
            yield Text("This is a lab. Remedies are for the machine, outside of it.", "dim")
        yield Text()
        for name in dict.fromkeys(finding.probe.group for finding in self.findings):
            group = [finding for finding in self.findings if finding.probe.group == name]
            yield from _rows(marks, _state(group), Text(name, "bold"), _folded(group), width)
            # Why no lab can start is told also where that need not stop anybody.
            told = name == USER_NAMESPACES.group
            lacks = [each for each in group if each.lacks or (told and each.works is False)]
            column = 2 + max((len(lack.probe.cost) for lack in lacks), default=0)
            for lack in lacks:
                label = Text(f"  {lack.probe.name}")
                said = _explained(lack, column, width)
                yield from _rows(marks, _state([lack]), label, said, width)
        yield Text("\n" + "\n".join(textwrap.wrap(self._verdict(marks), options.max_width)))

    def _verdict(self, marks: _Marks) -> str:
        hindering = [finding for finding in self.findings if finding.hinders]
        # What could not be tried is only the consequence of what failed.
        names = [each.probe.name for each in hindering if each.lacks]
        if self.refusal and not self.findings[0].own:
            return f"{marks[False]} No lesson can run here, because no lab can start."
        if hindering:
            verdict = f"{marks[False]} Not every lesson can run here: {', '.join(names)} lacking."
        else:
            where = ", on a kernel of its own" if self.refusal else ""
            verdict = f"{marks[True]} Every lesson can run here{where}."
        if any(_state([finding]) is None for finding in self.findings):
            verdict += f" {marks[None]} marks what can be had, or no lesson needs so far."
        return verdict


def examine() -> Report:
    """Try everything and return what was found."""
    measured = limits()  # A lab has limits of its own; these are the ones that bind.
    refusal = None
    try:
        found = [Finding(USER_NAMESPACES, True), *tried()]
    except SandboxError as error:
        refusal = error
        lack = replace(USER_NAMESPACES, remedy=error.remedy or "")
        found = [Finding(lack, False, error.what), *_without_a_lab()]
    found, other = _elsewhere(found)
    return Report(_machine(), inside(), refusal, (*found, *measured), _kernel(), other)


def _kernel() -> str:
    why = os.environ.get("NETVIZ_WHY")
    return f"{this_kernel()}: {printable(why)}" if why else this_kernel()


def _elsewhere(found: list[Finding]) -> tuple[list[Finding], str]:
    """Return the findings, with what another kernel has of what lacks, and words about that one.

    A kernel of its own is booted for that, on the machine itself alone.
    """
    lacks = [each for each in found if each.probe in OF_KERNEL.values() and not each.works]
    if linux.here():
        built = [replace(each, probe=replace(each.probe, remedy=_BUILT)) for each in lacks]
        there = dict(zip(lacks, built, strict=True))
        return [there.get(each, each) for each in found], f"This machine's: {_THIS_MACHINES}."
    try:
        kernel = offered()
        if kernel is None:
            return found, f"For one of its own, type: {FETCH}"
        other = f"{that_kernel(kernel)} can be had ({MEMORY} MB, one processor): {_ITS_OWN}."
        if not lacks or inside() or os.environ.get("NETVIZ_KERNEL") == "sandbox":
            return found, other
        there = dict(
            zip(lacks, tried([each.probe for each in lacks], own_kernel=True), strict=True)
        )
    except NetvizError as error:
        return found, f"One of its own cannot be had: {error}"
    if not found[0].works:
        there[found[0]] = Finding(USER_NAMESPACES, True)
    return [_joined(each, there[each]) if each in there else each for each in found], other


def _joined(here: Finding, there: Finding) -> Finding:
    """Return what was found of a probe here and on another kernel."""
    remedy = f"{here.probe.remedy}; or {_ITS_OWN if there.works else _BUILT}"
    detail = here.detail if here.works is False else there.detail
    return Finding(replace(here.probe, remedy=remedy), here.works, detail, there.works)


def _machine() -> str:
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = "an unnamed system"
    kernel = f"{platform.system()} {platform.release()} on {platform.machine()}"
    return f"{kernel}, {system}, Python {platform.python_version()}"


def _without_a_lab() -> list[Finding]:
    return [
        attempt(probe) if probe.group == "programs" else Finding(probe, None, "no lab can start")
        for probe in PROBES
    ]


_ITS_OWN = f"NETVIZ_KERNEL=own, or the kernel '{OWN_KERNEL}'"
_BUILT = f"a kernel built for it: {BUILD}"
_THIS_MACHINES = "NETVIZ_KERNEL=sandbox, or the kernel 'netviz lab'"

_Marks = dict[bool | None, str]
_MARKS: _Marks = {True: "✓", False: "✗", None: "\N{EN DASH}"}
_PLAIN_MARKS: _Marks = {True: "+", False: "x", None: "-"}
_STYLES = {True: "green", False: "red", None: "yellow"}
_LABEL = 17
_INDENT = _LABEL + 3
_NARROWEST = 20
_KEPT_SPACE = "\N{NO-BREAK SPACE}"


def _state(findings: list[Finding]) -> bool | None:
    """Return True where nothing lacks, False where a lesson needs what lacks, else None."""
    if all(finding.works for finding in findings):
        return True
    return False if any(finding.hinders for finding in findings) else None


def _rows(
    marks: _Marks, state: bool | None, label: Text, paragraphs: list[Text], width: int
) -> Iterator[Text]:
    """Yield a mark, a label, and beside them the paragraphs, wrapped."""
    begin = Text.assemble((marks[state], _STYLES[state]), " ", label)
    begin.pad_right(_INDENT - len(begin))
    for paragraph in paragraphs:
        for line in textwrap.wrap(
            paragraph.plain, width, break_long_words=False, break_on_hyphens=False
        ):
            yield begin + Text(line.replace(_KEPT_SPACE, " "), paragraph.style)
            begin = Text(" " * _INDENT)


def _folded(group: list[Finding]) -> list[Text]:
    """Say what works in one paragraph, what does elsewhere, and what could not be tried."""
    works = [f"{each.probe.name} {each.detail}".strip() for each in group if each.works]
    untried: dict[str, list[str]] = {}
    for each in group:
        if each.works is None and each.own is None:
            untried.setdefault(each.detail, []).append(each.probe.name)
    paragraphs = [", ".join(name.replace(" ", _KEPT_SPACE) for name in works)] if works else []
    if elsewhere := [each.probe.name for each in group if each.own]:
        paragraphs.append(f"on a kernel of its own: {', '.join(elsewhere)}")
    paragraphs += [f"not tried ({why}): {', '.join(names)}" for why, names in untried.items()]
    return [Text(paragraph) for paragraph in paragraphs or ["none of these:"]]


def _explained(lack: Finding, column: int, width: int) -> list[Text]:
    """Say what a lack costs, what mends it, and what was tried."""
    probe = lack.probe
    if column + len(probe.remedy) <= width:
        said = [Text(f"{probe.cost:{column}}{probe.remedy}".replace(" ", _KEPT_SPACE))]
    else:
        said = [Text(probe.cost), Text(probe.remedy)]
    if probe.group != "programs":
        said.append(Text(f"{probe.command}: {lack.detail}", "dim"))
    return said
