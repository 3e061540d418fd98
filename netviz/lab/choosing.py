"""Which kernel a notebook gets, this machine's or one of its own, and why.

Of these the first that has something to say decides: the environment (``NETVIZ_KERNEL``; whoever
sets that to own may say why, in ``NETVIZ_KERNEL_WHY``), the learner who chose the kernel ``netviz
lab, own kernel``, what the notebook says that it needs, and whether this machine lets a sandbox
start at all. Needs are probes, by their names, in the notebook's metadata:
``{"netviz": {"needs": ["ipip"]}}``. They are tried here, in a lab that is thrown away.

Only what is small is imported: every kernel's start calls this, in a process with one thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netviz.errors import NetvizError, SandboxError
from netviz.lab import linux
from netviz.lab.sandbox import refused
from netviz.text import printable

OWN_KERNEL = "netviz lab, own kernel"
"""What the kernelspec of labs on a kernel of their own is called, as a learner sees it."""
FETCH = "netviz components fetch own-kernel"
"""What gets such a kernel: Debian's."""
BUILD = "netviz components build own-kernel"
"""What makes one that has more."""

_KINDS = ("own", "sandbox")
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether a notebook gets a kernel of its ``own``, and ``why``: what a learner is told."""

    own: bool
    why: str


def choose(environment: Mapping[str, str], asked: str = "") -> Choice:
    """Return which kernel a notebook gets; ``asked`` is ``own`` where the learner chose that.

    Raises ``NetvizError`` where what was chosen, or any at all, cannot be had.
    """
    named = environment.get("NETVIZ_KERNEL", "")
    if named not in ("", *_KINDS):
        raise NetvizError(
            f"cannot choose a kernel: NETVIZ_KERNEL is '{named}'",
            remedy=f"set it to {' or '.join(_KINDS)}, or not at all",
        )
    if named == "sandbox":
        return Choice(False, "NETVIZ_KERNEL is sandbox")
    if named == "own" or asked == "own":
        told = printable(environment.get("NETVIZ_KERNEL_WHY", "")) or "NETVIZ_KERNEL is own"
        return _own(told if named else f"the kernel '{OWN_KERNEL}' was chosen")
    if wanted := needs(Path(environment.get("JPY_SESSION_NAME", ""))):
        return _suiting(wanted)
    if error := refused():
        return _without_sandbox(error)
    return Choice(False, "nothing here needs another kernel")


def needs(notebook: Path) -> list[str]:
    """Return what a notebook says that it needs; nothing, where it cannot be read or is none."""
    try:
        told = json.loads(notebook.read_bytes() if notebook.is_file() else "")
        names = told["metadata"]["netviz"]["needs"]
        return [str(each) for each in names] if isinstance(names, list) else []
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []


def offered() -> linux.OwnKernel | None:
    """Return the kernel that a lab could have of its own; on such a one there is no other."""
    return None if linux.here() else linux.own()


def this_kernel() -> str:
    """Return which Linux this process runs on: ``Linux 6.18 of this machine``."""
    whose = "this lab's own, on User-Mode Linux" if linux.here() else "this machine"
    return f"Linux {_short(os.uname().release)} of {whose}"


def that_kernel(kernel: linux.OwnKernel) -> str:
    """Return what a kernel of one's own is called: ``Linux 6.1 of its own``."""
    return f"Linux {_short(kernel.version)} of its own"


def _suiting(wanted: list[str]) -> Choice:
    """Choose by what a notebook needs. A name that nobody can try keeps no lesson closed."""
    from netviz.lab.probes import OF_KERNEL
    from netviz.lab.trials import tried

    unknown = [printable(name)[:_LONGEST] for name in wanted if name not in OF_KERNEL]
    but = f"; of '{unknown[0]}', which it names too, nothing is known" if unknown else ""
    try:
        found = tried([OF_KERNEL[name] for name in wanted if name in OF_KERNEL])
    except SandboxError as error:
        return _without_sandbox(error)
    lacks = ", ".join(each.probe.name for each in found if each.works is False)
    if not lacks:
        return Choice(False, f"it has all that this lesson needs{but}")
    why = f"this lesson needs {lacks}, which {this_kernel()} lacks{but}"
    return Choice(True, why) if offered() else Choice(False, f"{why}; and there is no other kernel")


def _without_sandbox(error: SandboxError) -> Choice:
    if offered():
        return Choice(True, error.what.replace("start a lab", "start a sandbox here"))
    raise SandboxError(
        error.what,
        command=error.command,
        remedy=f"{error.remedy}; or get a kernel that needs no leave: {FETCH}",
    )


def _own(why: str) -> Choice:
    if linux.here() or offered():
        return Choice(not linux.here(), why)
    raise NetvizError(
        f"cannot start a kernel of its own, though {why}: there is none",
        remedy=f"run: {FETCH}; or use this machine's: NETVIZ_KERNEL=sandbox, kernel 'netviz lab'",
    )


def _short(release: str) -> str:
    return ".".join(release.split(".")[:2])
