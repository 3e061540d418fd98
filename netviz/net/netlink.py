"""Ask the kernel for its tables, and to change them: the only talk with netlink sockets.

A netlink message is a header of 16 bytes, a fixed struct that depends on the message's type, and
attributes, each of them ``length, type, value``. A whole table is asked for with one request and
comes back as a stream of messages that ends with NLMSG_DONE: a dump. A change is one request, and
its answer says that it is made, or why not; many changes go out in one batch, of which only the
refused and the last are answered. A socket belongs for good to the network namespace in which its
thread stood when it was opened.

Requests are packed, and answers cut, by hand: a whole lab is dumped at every step of a lesson and
built in one go, and general libraries take 4 times as long to write a message, and 25 times as long
to read one. The tables of numbers and names that turn a message into a noun and back are in the
module of each noun: `netviz.net.links`, `netviz.net.addresses`, `netviz.net.routes` and others.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import EINTR, ENOBUFS, EOPNOTSUPP
from typing import Self

from netviz.net.messages import attribute, attributes

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_GETADDR, RTM_NEWROUTE, RTM_GETROUTE = 20, 22, 24, 26
RTM_NEWNEIGH, RTM_GETNEIGH, RTM_NEWRULE, RTM_GETRULE = 28, 30, 32, 34
RTM_NEWQDISC, RTM_GETQDISC = 36, 38
RTM_GETNETCONF, RTM_NEWNSID, RTM_GETNSID, RTM_GETNEXTHOP = 82, 88, 90, 106
RTM_NEWVLAN, RTM_GETVLAN = 112, 114

NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800

RTNLGRP_LINK = 1

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

_SOL_NETLINK, _ADD_MEMBERSHIP, _LISTEN_ALL_NSID, _CAP_ACK, _EXT_ACK = 270, 1, 8, 10, 11
_ACK_SIZE = 20
_MESSAGE_OF_REFUSAL = 1
MOST = 128
"""How many requests one batch may hold: the answers, if all are refused, must find room."""

_BUFFER = 1 << 16  # From 128 KB on, every receive would map and unmap memory.
_ATTEMPTS = 8

_header = struct.Struct("IHHII")
_read_header = _header.unpack_from
_read_number = struct.Struct("i").unpack_from


@dataclass(frozen=True, slots=True)
class Request:
    """One change to be asked for: a message's type, what follows its header, and flags."""

    kind: int
    body: bytes
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the kernel did not do it: an error number, and its own words where it has some."""

    errno: int
    detail: str = ""


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
        for option in (_EXT_ACK, _CAP_ACK):  # Refusals come with words, and without the request.
            self._socket.setsockopt(_SOL_NETLINK, option, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let it go; a namespace that only this socket held ends."""
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
        for refusal in self.batch([Request(kind, body, flags)]).values():
            raise OSError(refusal.errno, os.strerror(refusal.errno))

    def batch(self, requests: Sequence[Request]) -> dict[int, Refusal]:
        """Ask for at most `MOST` changes in one go; return the refused ones by their place.

        The kernel goes on after one that it refuses. Equivalent to: ``ip -force -batch``.
        """
        if not requests:
            return {}
        first = self._sequence + 1
        last = self._sequence = self._sequence + len(requests)
        data = bytearray()
        for number, each in enumerate(requests, first):
            flags = each.flags | (_ACKNOWLEDGE if number == last else 0)
            data += self._message(each.kind, flags, each.body, number)
        self._socket.send(data)
        refused = {}
        answered = False
        while not answered:
            for kind, _, sequence, body in _cut(self._socket.recv(_BUFFER)):
                if kind == _ERROR and first <= sequence <= last:
                    code = -_read_number(body)[0]
                    if code:
                        refused[sequence - first] = Refusal(code, _words(body))
                    answered = sequence == last
        return refused

    def commit(self, subsystem: int, kind: int, body: bytes) -> None:
        """Change something of netfilter's, which takes changes as a transaction only.

        Raises ``OSError`` where the kernel refuses.
        """
        around = struct.pack(">BBH", 0, 0, subsystem)
        self._sequence += 1
        self._socket.send(
            self._message(_BATCH_BEGIN, 0, around, self._sequence)
            + self._message(subsystem << 8 | kind, _ACKNOWLEDGE, body, self._sequence)
            + self._message(_BATCH_END, 0, around, self._sequence)
        )
        self._receive()

    def follow(self, *groups: int) -> None:
        """Hear from now on what changes in tables. Equivalent to: ``ip monitor``."""
        if self._socket.getsockname()[0] == 0:
            self._socket.bind((0, 0))  # One without an address is not told what changes elsewhere.
        for group in groups:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def follow_everywhere(self) -> None:
        """Hear it of each namespace that has a number here: ``ip monitor all-nsid``."""
        self._socket.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)

    def fileno(self) -> int:
        """Return the descriptor to poll for events."""
        return self._socket.fileno()

    def drain(self) -> bool:
        """Pass over what was heard; tell whether it was anything, lost events included."""
        heard = False
        while True:
            try:
                self._socket.recv(_BUFFER, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return heard
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise
            heard = True

    def heard(self, kind: int, timeout: float) -> bool:
        """Wait for an event of a kind; tell whether it came within ``timeout`` seconds."""
        self._socket.settimeout(timeout)
        try:
            while all(each[0] != kind for each in _cut(self._socket.recv(_BUFFER))):
                pass
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(None)
        return True

    def number(self, fd: int) -> None:
        """Let the socket's namespace call another one by a number: ``ip netns set NAME auto``."""
        numbers = attribute(_NETNSA_NSID, struct.pack("i", -1))
        numbers += attribute(_NETNSA_FD, struct.pack("I", fd))
        self.change(RTM_NEWNSID, bytes(4) + numbers)

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
        self._socket.send(self._message(kind, flags, body, self._sequence))

    def _message(self, kind: int, flags: int, body: bytes, sequence: int) -> bytes:
        size = _header.size + len(body)
        return _header.pack(size, kind, _REQUEST | flags, sequence, 0) + body + bytes(-size % 4)

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
            for kind, flags, sequence, body in _cut(data):
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


def _cut(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield type, flags, number and body of each message that was received at once."""
    offset = 0
    while offset < len(data):
        length, kind, flags, sequence, _ = _read_header(data, offset)
        yield kind, flags, sequence, data[offset + 16 : offset + length]
        offset += length + 3 & ~3


def _words(answer: bytes) -> str:
    """Return what a refusal says in words, nothing where it says none."""
    told = attributes(answer, _ACK_SIZE).get(_MESSAGE_OF_REFUSAL, b"")
    return told.rstrip(b"\0").decode(errors="replace")
