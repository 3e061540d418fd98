"""Many streams over one line: how a kernel of one's own and the machine talk.

The line carries bytes, in order, both ways: outside it is a socket, inside a serial port. Each of
the streams on it has a number, and both sides have the same of it: a source, from which this side
reads what the other is to write; a sink, into which it writes what the other has read; or both.

What goes over the line is cut into frames: a kind, a stream's number, a length, and so many bytes.

    DATA     bytes of a stream
    CREDIT   so many more bytes of it may be sent: one who reads slowly holds up nobody else
    END      its source has no more: close the sink
    BROKEN   its sink is gone: close the source, as a pipe's writer is told
    OPEN     begin a stream; what it is to be connected with is a name
    TELL     a message from one side to the other, which belongs to no stream
    TAKEN    so many bytes were taken from the line

The last is for the serial port: whatever waits in front of it must fit into its buffer, for once
that has overflowed, User-Mode Linux reads no more. So outside no more is sent than was taken.

It is one loop in one thread, on both sides the same. Only the standard library is imported.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

_HEAD = struct.Struct(">BII")
_DATA, _CREDIT, _END, _BROKEN, _OPEN, _TELL, _TAKEN = range(7)
_AMOUNT = struct.Struct(">I")

WINDOW = 1 << 18
"""So many bytes of a stream may be on their way, or wait to be written."""
_SERIAL = 3072  # Bytes that a serial port keeps for who has not read them yet; it has 4096.
_READ = 1 << 16
_FULL = 1 << 17  # More than this does not wait for the line: sources wait instead.
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL
_UNBLOCKED = 4096  # What a pipe takes without blocking, where it is said to be writable.

Message = dict[str, Any]


@dataclass(slots=True)
class _Stream:
    """One stream, as this side has it. A source or a sink that is closed is ``None``."""

    source: int | None
    sink: int | None
    allowed: int = WINDOW  # Bytes that the other side still takes.
    waiting: bytearray = field(default_factory=bytearray)  # Bytes for the sink.
    ended: bool = False  # There will be no more of them.
    written: int = 0  # Bytes that the other side has no credit for yet.


class Multiplexer:
    """One side of the line. ``heard`` gets each message, ``opened`` each stream that is begun.

    ``serial``: this side has the serial port.
    """

    def __init__(
        self,
        line: int,
        heard: Callable[[Message], object],
        opened: Callable[[int, str], object] = lambda *_: None,
        *,
        serial: bool = False,
    ) -> None:
        os.set_blocking(line, False)
        self._line = line
        self._heard = heard
        self._opened = opened
        self._streams: dict[int, _Stream] = {}
        self._serial = serial
        self._room = _SERIAL  # Bytes that the other side's port takes.
        self._out = bytearray()
        self._in = bytearray()
        self.lost = False
        """Whether the line is closed."""

    def carry(self, number: int, source: int | None = None, sink: int | None = None) -> None:
        """Carry a stream between these descriptors, which are closed at its ends."""
        self._streams[number] = _Stream(source, sink)

    def open(self, number: int, name: str, source: int, sink: int) -> None:
        """Begin a stream, which the other side connects with what the name means to it."""
        self.carry(number, source, sink)
        self._send(_OPEN, number, name.encode())

    def refuse(self, number: int) -> None:
        """Tell that what was to be opened cannot be had."""
        self._send(_END, number)
        self._send(_BROKEN, number)

    def tell(self, message: Message) -> None:
        """Send a message."""
        self._send(_TELL, 0, json.dumps(message).encode())

    def is_open(self, number: int) -> bool:
        """Tell whether a stream's source may still have something."""
        return number in self._streams and self._streams[number].source is not None

    def is_idle(self) -> bool:
        """Tell whether nothing waits to be written, or to be sent, while there is a line."""
        unsent = self._out and not self.lost
        return not unsent and not any(each.waiting for each in self._streams.values())

    def turn(self, others: Mapping[int, Callable[[], object]], patience: float = -1) -> None:
        """Wait until something can be read or written, and do so.

        ``others`` are called when something can be read from their descriptors. ``patience`` is in
        seconds; below 0, there is no end to it.
        """
        roles: dict[int, tuple[int, Callable[[int], object]]] = {
            fd: (select.POLLIN, partial(_call, call)) for fd, call in others.items()
        }
        if not self.lost:
            wanted = select.POLLIN | (select.POLLOUT if self._out and self._room else 0)
            roles[self._line] = (wanted, self._serve_the_line)
        for number, stream in self._streams.items():
            room = stream.allowed > 0 and len(self._out) < _FULL
            if stream.source is not None and room:
                roles[stream.source] = (select.POLLIN, partial(self._read, number))
            if stream.sink is not None:
                wanted = select.POLLOUT if stream.waiting else 0  # That it is gone is told anyhow.
                roles[stream.sink] = (wanted, partial(self._write, number))
        waiting = select.poll()
        for fd, (wanted, _) in roles.items():
            waiting.register(fd, wanted)
        for fd, seen in waiting.poll(max(-1, patience * 1000)):
            roles[fd][1](seen)

    def _send(self, kind: int, number: int, content: bytes = b"") -> None:
        self._out += _HEAD.pack(kind, number, len(content)) + content

    def _read(self, number: int, _: int) -> None:
        """Send what a source has, or that it has ended."""
        stream = self._streams.get(number)
        if stream is None or stream.source is None:
            return
        content = b""
        with suppress(OSError):  # A terminal says so that nobody holds it any more.
            try:
                content = os.read(stream.source, min(_READ, stream.allowed))
            except BlockingIOError:
                return
        if content:
            stream.allowed -= len(content)
            self._send(_DATA, number, content)
        else:
            self._close_source(number, stream)
            self._send(_END, number)

    def _write(self, number: int, seen: int) -> None:
        """Give a sink what waits for it, as much as it takes now."""
        stream = self._streams.get(number)
        if stream is None or stream.sink is None:
            return
        most = _UNBLOCKED if os.get_blocking(stream.sink) else WINDOW
        try:
            taken = os.write(stream.sink, stream.waiting[:most])
        except BlockingIOError:
            return
        except OSError:
            taken = 0
        if not taken and seen & _GONE:
            self._close_sink(number, stream)
            self._send(_BROKEN, number)
            return
        del stream.waiting[:taken]
        stream.written += taken
        if stream.written >= WINDOW // 4:
            self._send(_CREDIT, number, _AMOUNT.pack(stream.written))
            stream.written = 0
        if stream.ended and not stream.waiting:
            self._close_sink(number, stream)

    def _serve_the_line(self, _: int) -> None:
        with suppress(BlockingIOError, BrokenPipeError):  # What it said last may still be read.
            if self._out and self._room:
                taken = os.write(self._line, self._out[: _READ if self._serial else self._room])
                del self._out[:taken]
                self._room -= 0 if self._serial else taken
        try:
            content = os.read(self._line, _READ)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        self.lost = not content
        self._in += content
        if self._serial and content:
            self._send(_TAKEN, 0, _AMOUNT.pack(len(content)))
        while len(self._in) >= _HEAD.size:
            kind, number, length = _HEAD.unpack_from(self._in)
            if len(self._in) < _HEAD.size + length:
                break
            frame = bytes(self._in[_HEAD.size : _HEAD.size + length])
            del self._in[: _HEAD.size + length]
            self._take(kind, number, frame)

    def _take(self, kind: int, number: int, content: bytes) -> None:
        if kind == _TELL:
            self._heard(json.loads(content))
        elif kind == _TAKEN:
            self._room += _AMOUNT.unpack(content)[0]
        elif kind == _OPEN:
            self._opened(number, content.decode())
        elif stream := self._streams.get(number):  # Else it was closed here meanwhile.
            if kind == _CREDIT:
                stream.allowed += _AMOUNT.unpack(content)[0]
            elif kind == _BROKEN:
                self._close_source(number, stream)
            elif stream.sink is not None:
                stream.waiting += content
                stream.ended = kind == _END
                if stream.ended and not stream.waiting:
                    self._close_sink(number, stream)

    def _close_source(self, number: int, stream: _Stream) -> None:
        if stream.source is not None:
            os.close(stream.source)
        stream.source = None
        self._forget(number, stream)

    def _close_sink(self, number: int, stream: _Stream) -> None:
        if stream.sink is not None:
            _end_writing(stream.sink)
        stream.sink = None
        stream.waiting.clear()
        self._forget(number, stream)

    def _forget(self, number: int, stream: _Stream) -> None:
        if stream.source is None and stream.sink is None:
            self._streams.pop(number, None)


def _call(call: Callable[[], object], _: int) -> None:
    call()


def _end_writing(fd: int) -> None:
    """Close a descriptor; of a connection, tell the other end that nothing more will come."""
    try:
        half = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        return
    with half, suppress(OSError):
        half.shutdown(socket.SHUT_WR)
