"""Every error netviz raises.

::

    NetvizError
    ├── SandboxError      a lab cannot start here, or one is needed
    ├── KernelError       the kernel refused a request; carries errno
    ├── TopologyError     a network was declared that cannot be
    ├── DiscoveryError    the machine's namespaces could not be read
    ├── ComponentError    a program that a lesson needs cannot be had, or fails
    ├── TraceError        packets cannot be followed
    └── ExerciseError     an exercise was asked something it cannot judge

A message is one line: what failed with the values quoted, the command a person would have typed,
and the remedy.
"""

from __future__ import annotations

import os

from netviz.text import printable


class NetvizError(Exception):
    """What failed, and what to do about it.

    Parameters
    ----------
    what
        What failed, with the values quoted: ``cannot find namespace 'net9'``.
    command
        The equivalent command, for a reader who wants to see it fail by hand.
    remedy
        What mends it, in the imperative: ``create it first``.
    """

    def __init__(self, what: str, *, command: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.command = command
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the whole message as one line, whatever the names in it are made of."""
        line = self.what
        if self.command:
            line += f" (like: {self.command})"
        if self.remedy:
            line += f"; {self.remedy}"
        return printable(line)


class SandboxError(NetvizError):
    """A lab cannot start here, or a change was asked for outside of one."""


class KernelError(NetvizError):
    """The kernel refused a request."""

    def __init__(
        self, errno: int, what: str, *, command: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(f"{what}: {os.strerror(errno)}", command=command, remedy=remedy)
        self.errno = errno


class TopologyError(NetvizError):
    """A network was declared that cannot be."""


class DiscoveryError(NetvizError):
    """The machine's namespaces could not be read."""


class ComponentError(NetvizError):
    """A program that a lesson needs cannot be had, or fails."""


class TraceError(NetvizError):
    """Packets cannot be followed."""


class ExerciseError(NetvizError):
    """An exercise was asked something it cannot judge."""
