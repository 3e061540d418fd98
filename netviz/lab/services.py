"""A daemon of the lab: dockerd, ovs-vswitchd. Started, waited for, stopped; what it says is kept.

It outlives the process that starts it, so what the next process of the lab needs to find it is in
a file: its number, and when it began, for numbers are used again. It never outlives the lab.
"""

from __future__ import annotations

import fcntl
import os
import select
import shlex
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import cast

from netviz.errors import ComponentError
from netviz.lab.filesystem import PRIVATE
from netviz.lab.processes import BEGAN, STATE, stat
from netviz.lab.sandbox import must_be_inside

_RECIPES = {"docker": "dockerd", "ovs": "openvswitch"}
_FOLDER = PRIVATE / "services"
_NAMESPACES = Path("/run/netns")
_MOMENT = 0.02  # Seconds between two questions whether it is ready.
_GRACE = 10.0  # Seconds from the request to end until it is killed.


class Service:
    """A daemon of the lab, which runs from `start` to `stop`, or to the end of a ``with`` block.

    Parameters
    ----------
    name
        What it is called: ``docker``.
    command
        The program and its arguments; it must stay in the foreground.
    ready
        Tells whether it does its work by now; an ``OSError`` counts as no.
    namespace
        The one whose network it has; by default the caller's.
    env
        Variables besides the caller's.
    after
        What must be ready before it starts, and is stopped after it.
    patience
        Seconds that it has to become ready.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: Callable[[], bool],
        namespace: str | None = None,
        env: Mapping[str, str] | None = None,
        after: Sequence[Service] = (),
        patience: float = 30.0,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.namespace = namespace
        self.env = dict(env or {})
        self.after = tuple(after)
        self.patience = patience
        self._ready = ready
        called = f"{name}-{namespace}" if namespace else name
        self.log_path = _FOLDER / f"{called}.log"
        self._noted = _FOLDER / f"{called}.pid"

    @property
    def pid(self) -> int | None:
        """Its process; None where it does not run.

        Equivalent to: ``pgrep``.
        """
        with suppress(OSError, ValueError):
            number, began = self._noted.read_text().split()
            return int(number) if _runs(int(number), began) else None
        return None

    @property
    def running(self) -> bool:
        """Whether it runs, whoever of the lab has started it."""
        return self.pid is not None

    @property
    def log(self) -> str:
        """What it has said since it was started last."""
        with suppress(FileNotFoundError):
            return self.log_path.read_text(errors="replace")
        return ""

    def start(self) -> Service:
        """Return it when it is ready; one that runs already is left as it is.

        Equivalent to: ``nsenter --net=/run/netns/NAMESPACE COMMAND &``. Raises ``ComponentError``
        where it ends or is not ready in time, and ``SandboxError`` outside a lab.
        """
        must_be_inside(f"start '{self.name}'")
        launched: list[tuple[Service, int]] = []
        try:
            self._start(launched)
        except BaseException:
            for each, group in reversed(launched):
                each._stop()
                with suppress(ProcessLookupError):  # One that ended may have left a child.
                    os.killpg(group, signal.SIGKILL)
            raise
        return self

    def stop(self) -> None:
        """Ask it to end, kill what is left of it, then stop what it came after.

        Equivalent to: ``kill PID``, and ten seconds later ``kill -KILL`` of its process group.
        """
        self._stop()
        for each in reversed(self.after):
            each.stop()

    def __enter__(self) -> Service:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        state = f"running, pid {self.pid}" if self.running else "not running"
        return f"{self.name}{where}: {state} (log: {self.log_path})"

    def _start(self, launched: list[tuple[Service, int]]) -> None:
        for each in self.after:
            each._start(launched)
        if not self.running:
            self._launch(launched)
        self._wait()

    def _stop(self) -> None:
        if pid := self.pid:
            _end(pid)
        self._noted.unlink(missing_ok=True)

    def _launch(self, launched: list[tuple[Service, int]]) -> None:
        command = self.command
        if self.namespace:
            if self.namespace not in {each.name for each in _NAMESPACES.iterdir()}:
                add = f"create it first: ip netns add {self.namespace}"
                raise self._error(f"there is no namespace '{self.namespace}'", add)
            # Not `ip netns exec`, which mounts another /sys.
            command = ["nsenter", f"--net={_NAMESPACES / self.namespace}", "--", *command]
        _FOLDER.mkdir(exist_ok=True)
        with self.log_path.open("a") as log:
            fcntl.flock(log, fcntl.LOCK_EX)  # Two that start it at once start one.
            if not self.running:
                launched.append((self, self._spawn(command)))

    def _spawn(self, command: list[str]) -> int:
        kept = os.O_WRONLY | os.O_TRUNC | os.O_APPEND
        try:
            pid = os.posix_spawnp(
                command[0],
                command,
                {**os.environ, **self.env},
                file_actions=(
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(self.log_path), kept, 0o644),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ),
                # An interrupt is for the cell that runs, not for what runs beside it.
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ),
            )
        except OSError as error:
            why = f"'{command[0]}': {error.strerror}"
            raise self._error(why, f"run: netviz components fetch {self.name}") from error
        self._noted.write_text(f"{pid} {stat(pid)[BEGAN]}")
        return pid

    def _wait(self) -> None:
        deadline = time.monotonic() + self.patience
        while True:
            if not self.running:
                raise self._error(f"it ended, and said: {self._last_line()}")
            with suppress(OSError):
                if self._ready():
                    return
            if time.monotonic() > deadline:
                late = f"it was not ready within {self.patience:g} s, and said: "
                raise self._error(late + self._last_line())
            time.sleep(_MOMENT)

    def _last_line(self) -> str:
        return (self.log.strip().splitlines() or ["nothing"])[-1]

    def _error(self, why: str, remedy: str = "") -> ComponentError:
        return ComponentError(
            f"cannot start '{self.name}': {why}",
            command=shlex.join(self.command),
            remedy=remedy or f"read its log: {self.log_path}",
        )


def service(name: str, namespace: str | None = None) -> Service:
    """Return a daemon of the lab when it is ready: ``docker``, or ``ovs``.

    ``namespace`` is the one whose network it has, a host of its own; by default the lab's root.
    Equivalent to: ``systemctl start docker``, on a server. Raises ``ComponentError`` where it
    cannot be had or does not start.
    """
    if name not in _RECIPES:
        raise ComponentError(
            f"no daemon is called '{name}'", remedy=f"choose one: {', '.join(_RECIPES)}"
        )
    must_be_inside(f"start '{name}'")
    recipe = import_module(f"netviz.lab.{_RECIPES[name]}").recipe
    return cast("Service", recipe(namespace)).start()


def _runs(pid: int, began: str) -> bool:
    """Tell whether a process runs that began then; the number may be another's by now."""
    told = stat(pid)
    if told[BEGAN] != began:
        return False
    if told[STATE] not in "ZX":
        return True
    _reap(pid)
    return False


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # Ours, and dead, it would stay a zombie.


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            _gone(process, _GRACE)
            os.killpg(pid, signal.SIGKILL)  # What it has left behind, too.
            _gone(process, _GRACE)
        finally:
            os.close(process)
    _reap(pid)


def _gone(process: int, patience: float) -> bool:
    waiting = select.poll()  # A lab of many namespaces has more descriptors than select(2) can.
    waiting.register(process, select.POLLIN)
    return bool(waiting.poll(patience * 1000))
