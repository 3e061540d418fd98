"""Ask which namespace reaches which address: echo requests and calls, all at once.

A thread steps into each namespace and opens raw sockets there; all sockets are then heard
together. So forty pairs that work take milliseconds, and one that does not, as long as one waits.
What is called at a TCP port has answered when it takes the connection.
"""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from errno import EINPROGRESS
from ipaddress import ip_address

from netviz.net import namespaces
from netviz.net.worker import aside

Pair = tuple[str, str]
"""A namespace, and what it may reach: an address, or to be called, ``10.96.0.10:80``."""

_AGAIN = 0.2
_LATE = 1.0  # A busy machine may let us look only after the time is over: answered it was.
_CALL = re.compile(r"(?:(?P<four>[\d.]+)|\[(?P<six>[^]]+)\]):(?P<port>\d+)")
_ECHO = struct.Struct("!BBHHH")  # Type, code, checksum, identifier, number.
_KINDS = {
    socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0),
    socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129),
}
"""The protocol, and the types of a request and of its reply."""
_PADDING = bytes(48)  # As much as ping has.


def answered(pairs: Iterable[Pair], patience: float) -> tuple[Pair, ...]:
    """Return the pairs that work, once all have answered or ``patience`` seconds are over.

    Equivalent to: ``ip netns exec NAME ping -c 1 ADDRESS`` of each, of a call ``nc -z ADDRESS
    PORT``, side by side and again and again. A namespace that is gone reaches nothing.
    """
    asked = tuple(pairs)
    return aside(lambda: _answered(asked, patience))


def _answered(asked: tuple[Pair, ...], patience: float) -> tuple[Pair, ...]:
    # Another identifier each time: to an old one the kernel would still do the NAT of then.
    own, waiting = os.urandom(2), dict(enumerate(asked))
    there = {name: each for each in namespaces.find()[0] for name in (each.name, *each.names)}
    with ExitStack() as opened:
        doors = _doors(asked, there, opened)
        end = time.monotonic() + patience  # Only now: on a busy machine doors open slowly.
        while waiting and (now := time.monotonic()) < end:
            for number, (where, to) in waiting.items():
                if not called(to) and (door := doors.get((where, _family(to)))):
                    with suppress(OSError):  # No route, or somebody who refuses and says so.
                        door.sendto(_echo(_family(to), own, number), (to, 0))
            with ExitStack() as begun:
                lines = _lines(waiting, there, begun)
                _hear([*doors.values()], lines, own, waiting, min(end, now + _AGAIN))
    return tuple(pair for number, pair in enumerate(asked) if number not in waiting)


def _hear(
    doors: list[socket.socket],
    lines: dict[int, tuple[socket.socket, int]],
    own: bytes,
    waiting: dict[int, Pair],
    end: float,
) -> None:
    """Take from who is waiting who is answered until then; what lies there already, even later."""
    heard, poll = {door.fileno(): door for door in doors}, select.poll()
    for fd in heard:
        poll.register(fd, select.POLLIN)
    for fd in lines:
        poll.register(fd, select.POLLOUT)
    ready = poll.poll(1000 * max(0, end - time.monotonic()))
    while waiting and ready and time.monotonic() < end + _LATE:
        for fd, _ in ready:
            if fd in heard:
                waiting.pop(_number(heard[fd], own), None)
                continue
            poll.unregister(fd)
            line, number = lines[fd]
            if not line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                waiting.pop(number)
        ready = poll.poll(1000 * max(0, end - time.monotonic()))


def _doors(
    asked: tuple[Pair, ...], there: Mapping[str, namespaces.Found], opened: ExitStack
) -> dict[tuple[str, socket.AddressFamily], socket.socket]:
    """Open a socket for each namespace and family; the thread is left elsewhere."""
    doors = {}
    echoes = ((where, to) for where, to in asked if where in there and not called(to))
    for where, family in sorted({(where, _family(to)) for where, to in echoes}):
        with suppress(OSError):  # It is gone meanwhile, or this kernel has no IPv6.
            there[where].enter()
            door = socket.socket(family, socket.SOCK_RAW, _KINDS[family][0])
            doors[where, family] = opened.enter_context(door)
            door.setblocking(False)
    return doors


def _lines(
    waiting: Mapping[int, Pair], there: Mapping[str, namespaces.Found], begun: ExitStack
) -> dict[int, tuple[socket.socket, int]]:
    """Begin each call; the thread is left elsewhere."""
    lines = {}
    for number, (where, to) in waiting.items():
        if (call := called(to)) and where in there:
            with suppress(OSError):
                there[where].enter()
                line = begun.enter_context(socket.socket(_family(call[0])))
                line.setblocking(False)
                # One without a way is not begun, and has no error that could be heard later.
                if line.connect_ex(call) in (0, EINPROGRESS):
                    lines[line.fileno()] = line, number
    return lines


def called(to: str) -> tuple[str, int] | None:
    """Return the address and the port of what is to be called, None for an address alone."""
    if found := _CALL.fullmatch(to):
        with suppress(ValueError):  # It only looks like an address, or like a number.
            address, port = found["four"] or found["six"], int(found["port"])
            return (address, port) if ip_address(address) and 0 < port < 65536 else None
    return None


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _echo(family: socket.AddressFamily, own: bytes, number: int) -> bytes:
    """Return a request, with the checksum that the kernel makes for IPv6 alone."""
    kind, identifier = _KINDS[family][1], int.from_bytes(own)
    checksum = ~(((kind << 8) + identifier + number) % 0xFFFF) & 0xFFFF
    return _ECHO.pack(kind, 0, checksum, identifier, number) + _PADDING


def _number(door: socket.socket, own: bytes) -> int:
    """Return the number in the reply that is to be read; -1 where it is no reply of ours."""
    with suppress(OSError):
        data = door.recv(2048)
        start = 4 * (data[0] & 15) if door.family == socket.AF_INET else 0
        kind, _, _, identifier, number = _ECHO.unpack_from(data, start)
        reply = _KINDS[socket.AddressFamily(door.family)][2]
        if (kind, identifier) == (reply, int.from_bytes(own)):
            return int(number)
    return -1
