"""Ask the kernel for its tables, and to change them: the only talk with netlink sockets.

A netlink message is a header of 16 bytes, a fixed struct that depends on the message's type, and
attributes, each of them ``length, type, value``. A whole table is asked for with one request and
comes back as a stream of messages that ends with NLMSG_DONE: a dump. A change is one request, and
its answer says that it is made, or why not. A socket belongs for good to
the network namespace in which its thread stood when it was opened.

Requests are packed, and answers cut, by hand: a whole lab is dumped at every step of a lesson, and
general decoders take 25 times as long. The tables of numbers and names that turn a message into a
noun are in `netviz.net.links`, `netviz.net.routes` and `netviz.net.neighbours`.
"""

from __future__ import annotations

import os
import socket
import struct
from errno import EINTR, ENOBUFS, EOPNOTSUPP
from typing import Self

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

RTM_DELLINK, RTM_GETLINK, RTM_SETLINK, RTM_GETADDR, RTM_GETROUTE = 17, 18, 19, 22, 26
RTM_GETNEIGH, RTM_GETRULE, RTM_GETQDISC, RTM_GETNETCONF, RTM_GETNSID = 30, 34, 38, 82, 90
RTM_GETNEXTHOP = 106

NLM_F_CREATE = 0x400

AF_BRIDGE = 7

_NETNSA_NSID = 1
_NETNSA_FD = 3

_BATCH_BEGIN = 16
_BATCH_END = 17

_REQUEST = 0x1
_ACKNOWLEDGE = 0x4
_ROOT_AND_MATCH = 0x300
_INTERRUPTED = 0x10
_ERROR = 2
_DONE = 3

_BUFFER = 1 << 16  # From 128 KB on, every receive would map and unmap memory.
_ATTEMPTS = 8

_header = struct.Struct("IHHII")
_read_header = _header.unpack_from
_read_attribute = struct.Struct("HH").unpack_from
_read_number = struct.Struct("i").unpack_from

Attributes = dict[int, bytes]


def attributes(data: bytes, offset: int = 0) -> Attributes:
    """Return the attributes that follow a message's fixed struct, by type."""
    found = {}
    end = len(data) - 3
    while offset < end:
        length, kind = _read_attribute(data, offset)
        if length < 4:
            break
        # The two highest bits say "nested" and "big-endian": the reader knows both already.
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += length + 3 & ~3
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute as bytes, padded to four."""
    return struct.pack("HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def numbered(text: str) -> dict[int, str]:
    """Return words by their numbers in the kernel's headers: ``{1: "up"}`` for ``"1 up"``."""
    words = text.split()
    return {int(number, 0): word for number, word in zip(words[::2], words[1::2], strict=True)}


class Socket:
    """A netlink socket in the network namespace of the thread that opens it.

    ``unsettled`` turns true when a table kept changing while it was read, time after time.
    """

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self.unsettled = False
        self._sequence = 0
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Return every message of a table, without headers, as it was at one moment.

        The kernel marks a dump during which the table changed (NLM_F_DUMP_INTR): it is read again.

        A table that this kernel was built without is empty.

        Raises ``OSError`` where the kernel refuses.
        """
        for _ in range(_ATTEMPTS):
            self._send(kind, _ROOT_AND_MATCH, body)
            try:
                messages, torn = self._receive()
            except OSError as error:
                if error.errno == EOPNOTSUPP:
                    return []
                raise
            if not torn:
                return messages
        self.unsettled = True
        return messages

    def ask(self, kind: int, body: bytes) -> bytes:
        """Return the one message that answers a question, without its header.

        Raises ``OSError`` where the kernel refuses.
        """
        self._send(kind, 0, body)
        return self._receive(one=True)[0][0]

    def change(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Change something, and return when it is done.

        Raises ``OSError`` where the kernel refuses.
        """
        self._send(kind, _ACKNOWLEDGE | flags, body)
        self._receive()

    def commit(self, subsystem: int, kind: int, body: bytes) -> None:
        """Change something of netfilter's, which takes changes as a transaction only.

        Raises ``OSError`` where the kernel refuses.
        """
        around = struct.pack(">BBH", 0, 0, subsystem)
        self._sequence += 1
        self._socket.send(
            self._message(_BATCH_BEGIN, 0, around)
            + self._message(subsystem << 8 | kind, _ACKNOWLEDGE, body)
            + self._message(_BATCH_END, 0, around)
        )
        self._receive()

    def nsid_of(self, fd: int) -> int | None:
        """Return the number by which the socket's namespace calls another one, None for none.

        It is an id that means something only there; the kernel gives one by itself when a cable
        crosses. Asking gives none. Equivalent to: ``ip netns list-id``, by file.
        """
        answer = self.ask(RTM_GETNSID, bytes(4) + attribute(_NETNSA_FD, struct.pack("I", fd)))
        number = _read_number(attributes(answer, 4)[_NETNSA_NSID])[0]
        return number if number >= 0 else None

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        self._socket.send(self._message(kind, flags, body))

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        size = _header.size + len(body)
        header = _header.pack(size, kind, _REQUEST | flags, self._sequence, 0)
        return header + body + bytes(-size % 4)

    def _receive(self, *, one: bool = False) -> tuple[list[bytes], bool]:
        """Return an answer's messages, and whether the table changed under way."""
        messages: list[bytes] = []
        torn = False
        while True:
            try:
                data = self._socket.recv(_BUFFER)
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise
                torn = True  # Some of it is lost, the end is still to come.
                continue
            offset = 0
            while offset < len(data):
                length, kind, flags, sequence, _ = _read_header(data, offset)
                body = data[offset + 16 : offset + length]
                offset += length + 3 & ~3
                if sequence != self._sequence:
                    continue
                torn = torn or bool(flags & _INTERRUPTED)
                if kind in (_ERROR, _DONE):
                    code = -_read_number(body)[0] if body else 0
                    if code > 0 and code != EINTR:
                        raise OSError(code, os.strerror(code))
                    return messages, torn or code == EINTR
                messages.append(body)
            if one:
                return messages, torn
