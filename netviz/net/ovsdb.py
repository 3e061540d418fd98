"""Ask Open vSwitch's daemons: JSON-RPC 1.0 over a UNIX socket.

So speak both the database (RFC 7047) and, for what ``ovs-appctl`` asks, the switch itself. The
project's own Python library waits without an end for a daemon that hangs, and only in the main
thread: this is a client of a few lines that always comes back in time.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

_CHUNK = 1 << 16
_LONGEST = 1 << 26  # Bytes; a switch with a million flows tells more, and is no lab's.


class Daemon:
    """A connection to a daemon, which ends at ``until``, a time of the monotonic clock."""

    def __init__(self, path: str, until: float) -> None:
        self._until = until
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(self._left())
            self._socket.connect(path)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, method: str, *params: object) -> Any:
        """Return what a daemon answers. Equivalent to: ``ovs-appctl METHOD PARAMS``.

        Raises ``OSError`` where it does not answer in time, ``ValueError`` for an answer that is
        none, or that refuses.
        """
        asked = {"id": 0, "method": method, "params": params}
        self._socket.settimeout(self._left())
        self._socket.sendall(json.dumps(asked).encode())
        told = self._answer()
        if told.get("error"):
            raise ValueError(str(told["error"]).strip())
        return told.get("result")

    def select(self, database: str, tables: Mapping[str, Sequence[str]]) -> dict[str, list[Any]]:
        """Return all rows of some tables, with the columns that are named of each.

        Equivalent to: ``ovs-vsctl --columns=… list TABLE``. Raises as `ask` does.
        """
        wanted = [
            {"op": "select", "table": name, "where": [], "columns": ["_uuid", *columns]}
            for name, columns in tables.items()
        ]
        told = self.ask("transact", database, *wanted)
        return {
            name: [{key: plain(it) for key, it in row.items()} for row in answer["rows"]]
            for name, answer in zip(tables, told, strict=True)
        }

    def _answer(self) -> dict[str, Any]:
        data = b""
        while len(data) < _LONGEST:
            self._socket.settimeout(self._left())
            piece = self._socket.recv(_CHUNK)
            if not piece:
                break
            data += piece
            if piece.endswith(b"}"):  # Perhaps it is whole by now.
                self._left()
                try:
                    told = json.loads(data)
                except json.JSONDecodeError:
                    continue
                if isinstance(told, dict):
                    return told
        raise ValueError("what it answers is no JSON-RPC")

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def plain(value: Any) -> Any:
    """Return a value of the database as Python knows it: of a set a list, of a map a dict."""
    match value:
        case ["uuid", name]:
            return name
        case ["set", [*items]]:
            return [plain(each) for each in items]
        case ["map", [*pairs]]:
            return {key: plain(each) for key, each in pairs}
    return value
