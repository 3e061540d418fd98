"""Carry steps out, near the kernel's own speed.

One thread walks from namespace to namespace. What is asked of a namespace in a row goes to the
kernel in one batch, and links are deleted together. The numbers of new interfaces are chosen here,
so that nobody has to wait for the kernel to tell them before it can be asked for the next thing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from errno import ENODEV
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Any

from netviz.errors import NetvizError
from netviz.lab.sandbox import root_namespace
from netviz.lab.syscalls import CLONE_NEWNET, setns
from netviz.net import links, names, namespaces
from netviz.net.netlink import MOST, Request, Socket
from netviz.net.steps import ROOT, AddNamespace, DeleteLink, DeleteNamespace, Step, split


class RefusedError(Exception):
    """A step that the kernel refused: why, and how many were done before."""

    def __init__(self, step: Step, errno: int, detail: str, done: int) -> None:
        super().__init__(step)
        self.step = step
        self.errno = errno
        self.detail = detail
        self.done = done


class Builder:
    """Carries steps out, in a thread that `netviz.net.worker.aside` began. It is their `Site`.

    ``done`` counts them. It ends before the next batch once ``stop`` is set; if ``force``, what
    the kernel refuses is passed over. ``back`` is what takes back the moved switches, in order.
    """

    def __init__(self, stop: Event | None = None, *, force: bool = False) -> None:
        self.done = 0
        self.back: list[Step] = []
        self._force = force
        self._stop = stop or Event()
        self._here = ""
        self._socket: Socket | None = None
        self._tables: dict[str, dict[str, int]] = {}
        self._fresh: dict[str, int] = {}  # What every new namespace has.
        self._unsure: set[str] = set()
        self._looked_into = False
        self._lent = ExitStack()
        self._ways: dict[str, Callable[[list[Any]], None]] = {
            "act": self._act,
            "forget": self._act,
            "ask": self._ask,
            "delete": self._delete,
        }

    def carry_out(self, steps: Sequence[Step]) -> None:
        """Do each step, in order; those that come after a refused one may have been asked for too.

        Raises ``RefusedError`` where the kernel refuses, ``NetvizError`` for what cannot be asked.
        """
        try:
            for (namespace, way), group in groupby(steps, key=_way):
                if namespace and self._force and not self._exists(namespace):
                    continue
                row = list(group)
                for start in range(0, len(row), MOST):
                    if self._stop.is_set():
                        return
                    if namespace:
                        self._enter(namespace)
                    self._ways[way](row[start : start + MOST])
                if way == "forget":
                    self._leave()
                    names.forgotten(looked_into=self._looked_into)
        finally:
            self._leave()
            self._lent.close()

    @property
    def indexes(self) -> dict[str, int]:
        """Return the interfaces of the namespace in which the thread stands, name → index."""
        return self._table(self._here)

    def descriptor(self, namespace: str) -> int:
        """Return an open descriptor of a namespace, until the batch is sent."""
        fd = self._open(namespace)
        self._lent.callback(os.close, fd)
        return fd

    def remember(self, step: Step) -> None:
        """Keep what would take back the step that is carried out."""
        self.back.insert(0, step)

    def number(self, namespace: str, device: str, *, chosen: bool = True) -> int:
        """Return the index that a new interface gets; 0 where the kernel chooses."""
        if not chosen:
            self._unsure |= {namespace, self._here}
            return 0
        table = self._table(namespace)
        # New ones are counted on, as the kernel does it.
        table[device] = max(table.values(), default=0) + 1
        return table[device]

    def _act(self, steps: list[Any]) -> None:
        for step in steps:
            try:
                if isinstance(step, AddNamespace) and not self._fresh:
                    names.ready()
                step.act(self)
            except OSError as error:
                if self._force:
                    continue
                raise self._impossible(step, error) from error
            if isinstance(step, AddNamespace):
                self._leave()
                self._here = step.name
                self._fresh = self._fresh or links.names(self._open_socket())
                self._tables[step.name] = dict(self._fresh)
            self._look_again()
            self.done += 1

    def _ask(self, steps: list[Any]) -> None:
        asked: list[Any] = []
        requests: list[Request] = []
        for step in steps:
            try:
                requests.append(step.request(self))
            except (KeyError, OSError) as error:
                if self._force:
                    continue
                self._send(asked, requests)
                raise self._impossible(step, error) from error
            asked.append(step)
            if self._unsure:
                self._send(asked, requests)
                asked, requests = [], []
                self._look_again()
        self._send(asked, requests)

    def _impossible(self, step: Step, error: KeyError | OSError) -> RefusedError:
        """Return what refuses a step that cannot even be asked for."""
        if isinstance(error, KeyError):
            detail = f"there is no interface {error} in {step.namespace}"
            return RefusedError(step, ENODEV, detail, self.done)
        return RefusedError(step, error.errno or 0, _reason(error), self.done)

    def _send(self, steps: list[Any], requests: list[Request]) -> None:
        refused = self._open_socket().batch(requests)
        self._lent.close()
        if refused and not self._force:
            first = min(refused)
            self.done += first
            raise RefusedError(steps[first], refused[first].errno, refused[first].detail, self.done)
        self.done += len(requests)

    def _delete(self, steps: list[Any]) -> None:
        table = self.indexes
        doomed = {table.get(split(each.at)[1], 0): each for each in steps}
        doomed.pop(0, None)  # Gone already, as with the other end of a cable.
        for index, error in links.delete(self._open_socket(), list(doomed)):
            raise RefusedError(doomed[index], error.errno or 0, "", self.done)
        self._tables.clear()  # The other ends of cables went along.
        self.done += len(steps)

    def _table(self, namespace: str) -> dict[str, int]:
        if namespace not in self._tables:
            back = self._here
            self._enter(namespace)
            self._tables[namespace] = links.names(self._open_socket())
            if back:
                self._enter(back)
        return self._tables[namespace]

    def _look_again(self) -> None:
        """Forget the tables to which the kernel has added what it chose."""
        for namespace in self._unsure:
            self._tables.pop(namespace, None)
        self._unsure.clear()

    def _enter(self, namespace: str) -> None:
        if namespace == self._here:
            return
        fd = self._open(namespace)
        try:
            setns(fd, CLONE_NEWNET)
        finally:
            os.close(fd)
        self._leave()
        self._here = namespace

    def _leave(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket, self._here = None, ""

    def _open_socket(self) -> Socket:
        self._looked_into |= self._here != ROOT
        self._socket = self._socket or Socket()
        return self._socket

    def _exists(self, namespace: str) -> bool:
        return namespace == ROOT or Path(names.FOLDER, namespace).exists()

    def _open(self, namespace: str) -> int:
        path = root_namespace() if namespace == ROOT else f"{names.FOLDER}/{namespace}"
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        for found in namespaces.find()[0]:
            if found.name == namespace:
                with found.opened() as fd:
                    return os.dup(fd)
        raise NetvizError(
            f"there is no namespace '{namespace}'", command="ip netns list", remedy="add it first"
        )


def _way(step: Step) -> tuple[str, str]:
    """Return in which namespace a step is carried out, if in one, and how."""
    if isinstance(step, AddNamespace):
        return "", "act"
    if isinstance(step, DeleteNamespace):
        return "", "forget"
    if isinstance(step, DeleteLink):
        return step.namespace, "delete"
    return step.namespace, "act" if hasattr(step, "act") else "ask"


def _reason(error: OSError) -> str:
    said = error.strerror or ""
    return "" if error.errno and said == os.strerror(error.errno) else said
