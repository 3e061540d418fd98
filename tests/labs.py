"""Labs as somebody starts them who sits at the machine, with ``netviz run``."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from netviz.lab.components import Provision, needs, standing, with_needs
from netviz.lab.identity import is_root_of_machine
from netviz.lab.sandbox import inside
from netviz.lab.screen import resize

NETVIZ = str(Path(sys.executable).with_name("netviz"))
PYTHON = sys.executable
NOBODY = 65534
PATIENCE = 30

SOMEONES: dict[str, int | None] = {"ordinary user": None}
if is_root_of_machine():
    SOMEONES = {"root": None, "ordinary user": NOBODY}
# For what takes long, and is the same for whom root turns into as in an ordinary user's own run.
EACH_IN_ITS_RUN = pytest.mark.parametrize(
    "someone",
    [
        pytest.param(each, marks=[pytest.mark.long] if each[1] else [], id=each[0])
        for each in SOMEONES.items()
    ],
    indirect=True,
)


def component(*names: str) -> Provision:
    """Make components usable for the test; fail where `make test` could not fetch them.

    On the machine itself, and not in a lab, they are only looked for.
    """
    if inside():
        return needs(*names)
    found = tuple(map(standing, with_needs(names)))
    for each in found:
        assert each.origin, f"'{each.component.name}': {each.told}; {each.component.remedy}"
    return Provision(found)


def fetched() -> dict[str, str]:
    """Return what makes programs that were fetched for whoever runs the tests hers in any home."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return {"XDG_CACHE_HOME": folder}


@dataclass(frozen=True)
class Someone:
    """One who runs netviz: whoever runs the tests, or an ordinary user whom root turns into."""

    uid: int | None
    home: Path

    def run(self, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command in a lab of its own, and wait for it."""
        return self.call(NETVIZ, "run", "--", *command, **options)

    def sh(self, script: str, **options: object) -> str:
        """Run a shell script in a lab of its own, and return what it printed."""
        done = self.run("bash", "-c", script, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, code: str, *arguments: str, **options: object) -> str:
        """Run a Python program in a lab of its own, and return what it printed."""
        done = self.run(PYTHON, "-c", code, *arguments, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def call(self, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine, and wait for it."""
        process = self.start(*command, **{"stdin": subprocess.DEVNULL} | options)
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def start(self, *command: str, **options: object) -> subprocess.Popen[str]:
        """Start a command on the machine."""
        defaults = {"text": True, "stdout": -1, "stderr": -1, "stdin": -1, "cwd": self.home}
        environment = os.environ | self._folders() | options.pop("env", {})
        return subprocess.Popen(command, **defaults | self._identity() | options, env=environment)

    def _folders(self) -> dict[str, str]:
        return {"HOME": str(self.home)} | ({} if self.uid else fetched())

    def _identity(self) -> dict[str, object]:
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": []}

    def terminal(self, *command: str) -> Terminal:
        """Start a command on a terminal of its own."""
        pid, fd = pty.fork()
        if pid == 0:
            if self.uid is not None:
                os.setgroups([])
                os.setgid(self.uid)
                os.setuid(self.uid)
            os.chdir(self.home)
            environment = self._folders() | {"SHELL": "/bin/bash", "PS1": "prompt> "}
            environment["TERM"] = "xterm"  # One that is dumb shows no prompt longer than a line.
            os.execvpe(command[0], command, os.environ | environment)
        return Terminal(pid, fd)


class Terminal:
    """A terminal, from the side of the one who sits before it."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self.fd = fd
        self.seen = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.fd, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Equivalent to: ``stty rows ROWS columns COLUMNS``, or to pulling at a window's corner."""
        resize(self.fd, [rows, columns, 0, 0])

    def wait_for(self, text: str) -> None:
        """Read until ``text`` appears, and forget what was before it."""
        while text not in self.seen:
            if not self._read():
                raise AssertionError(f"no {text!r} in {self.seen!r}")
        self.seen = self.seen.split(text, 1)[1]

    def end(self) -> int:
        """Read to the end; return the exit status, negative for a signal."""
        while self._read():
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        if not select.select([self.fd], [], [], PATIENCE)[0]:
            os.kill(self.pid, signal.SIGKILL)
            raise AssertionError(f"nothing more comes after {self.seen!r}")
        try:
            self.seen += os.read(self.fd, 65536).decode()
        except OSError:
            return False  # The last process that held it is gone.
        return True
