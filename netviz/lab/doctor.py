"""What this machine can do for the lessons, what it cannot, and what mends that.

Every probe runs in a lab of its own that is thrown away; inside a lab, in a network and a
/run/netns that are thrown away. Where no lab can start, nothing is tried on the machine itself,
but that programs are asked for their versions.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.text import Text

from netviz.errors import SandboxError
from netviz.lab.limits import limits
from netviz.lab.probes import PROBES, USER_NAMESPACES, Finding, attempt
from netviz.lab.sandbox import Supervision, enter, inside, loopback_up
from netviz.lab.syscalls import CLONE_NEWNET, CLONE_NEWNS, MS_PRIVATE, MS_REC, mount, unshare
from netviz.lab.trees import trees

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

    from netviz.model import JSON


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found; printed with ``rich``, it explains what is lacking and how to mend it.

    ``inside`` tells that it was made in a lab; ``refusal`` is why no lab can start here.
    """

    machine: str
    inside: bool
    refusal: SandboxError | None
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Tell whether the published lessons can run."""
        return not any(finding.hinders for finding in self.findings)

    def to_dict(self) -> JSON:
        """Return the report as plain values; new keys may come, none of these will go.

        ::

            {"ready": bool, "inside": bool, "machine": "Linux 6.1 …", "refusal": null | "cannot …",
             "findings": [{"group", "name", "command", "cost", "remedy", "needed", "works",
                           "detail"}, …]}

        ``works`` is null where it could not be tried; ``needed``: a published lesson needs it;
        ``detail`` is an error, a version or a limit; the others are words for a reader.
        """
        return {
            "ready": self.ready,
            "inside": self.inside,
            "machine": self.machine,
            "refusal": str(self.refusal) if self.refusal else None,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield what a terminal shows: a line a group, then what is lacking in it."""
        marks = _MARKS if options.encoding.lower().startswith("utf") else _PLAIN_MARKS
        width = max(options.max_width - _INDENT, _NARROWEST)
        yield Text(self.machine, "dim")
        if self.inside:
            yield Text("This is a lab. Remedies are for the machine, outside of it.", "dim")
        yield Text()
        for name in dict.fromkeys(finding.probe.group for finding in self.findings):
            group = [finding for finding in self.findings if finding.probe.group == name]
            yield from _rows(marks, _state(group), Text(name, "bold"), _folded(group), width)
            lacks = [finding for finding in group if finding.works is False]
            column = 2 + max((len(lack.probe.cost) for lack in lacks), default=0)
            for lack in lacks:
                label = Text(f"  {lack.probe.name}")
                said = _explained(lack, column, width)
                yield from _rows(marks, _state([lack]), label, said, width)
        yield Text("\n" + "\n".join(textwrap.wrap(self._verdict(marks), options.max_width)))

    def _verdict(self, marks: _Marks) -> str:
        hindering = [finding for finding in self.findings if finding.hinders]
        # What could not be tried is only the consequence of what failed.
        names = [finding.probe.name for finding in hindering if finding.works is False]
        if self.refusal:
            return f"{marks[False]} No lesson can run here, because no lab can start."
        if hindering:
            verdict = f"{marks[False]} Not every lesson can run here: {', '.join(names)} lacking."
        else:
            verdict = f"{marks[True]} Every lesson can run here."
        if any(_state([finding]) is None for finding in self.findings):
            verdict += f" {marks[None]} marks what can be fetched, or no lesson needs so far."
        return verdict


def examine() -> Report:
    """Try everything and return what was found."""
    measured = limits()  # A lab has limits of its own; these are the ones that bind.
    refusal = None
    try:
        found = [Finding(USER_NAMESPACES, True), *_in_throw_away_lab()]
    except SandboxError as error:
        refusal = error
        lack = replace(USER_NAMESPACES, remedy=error.remedy or "")
        found = [Finding(lack, False, error.what), *_without_a_lab()]
    return Report(_machine(), inside(), refusal, (*found, *measured))


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


def _in_throw_away_lab() -> list[Finding]:
    """Run the probes in a process of its own, for it enters a lab; return what it found."""
    probing = [sys.executable, "-P", "-m", __name__]
    told = subprocess.run(probing, stdout=subprocess.PIPE).stdout
    answer = json.loads(told or '{"what": "the lab ended before the probes did"}')
    if "what" in answer:
        raise SandboxError(**answer)
    return [Finding(probe, *found) for probe, found in zip(PROBES, answer, strict=True)]


def _probe_and_tell() -> None:
    """Be that process; outside of the lab it enters, all that is left to tell is a refusal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Whoever waits for it says that it was ended.
    try:
        if inside():
            _leave_this_network()
        else:
            enter(Supervision(tools=trees(), follow=os.getppid()))
        found = [attempt(probe) for probe in PROBES]
        answer = json.dumps([(each.works, each.detail) for each in found])
    except SandboxError as error:
        answer = json.dumps(vars(error))
    os.write(1, answer.encode())


def _leave_this_network() -> None:
    """Equivalent to: ``unshare --net --mount``, and an empty /run/netns."""
    unshare(CLONE_NEWNS | CLONE_NEWNET)
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", "/run/netns", "tmpfs", options="mode=755")
    loopback_up()


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
    """Say what works in one paragraph, and what could not be tried in one for each reason."""
    works = [f"{each.probe.name} {each.detail}".strip() for each in group if each.works]
    untried: dict[str, list[str]] = {}
    for each in group:
        if each.works is None:
            untried.setdefault(each.detail, []).append(each.probe.name)
    paragraphs = [", ".join(name.replace(" ", _KEPT_SPACE) for name in works)] if works else []
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


if __name__ == "__main__":
    _probe_and_tell()
