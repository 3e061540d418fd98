"""Many streams over one line: each whole and in order, and none held up by another."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterable, Iterator

import pytest

from netviz.lab.multiplexer import WINDOW, Multiplexer

TURNS = 10_000


class Side:
    """One side of a line, and what it was told."""

    def __init__(self, line: socket.socket, *, serial: bool) -> None:
        self.told: list[dict] = []
        self.asked: list[tuple[int, str]] = []
        self.line = line
        self.streams = Multiplexer(
            line.fileno(), self.told.append, lambda *it: self.asked.append(it), serial=serial
        )

    def reader(self, number: int) -> int:
        """Carry a stream into a pipe, and return the end at which it comes out."""
        reads, writes = os.pipe()
        os.set_blocking(writes, False)
        os.set_blocking(reads, False)
        self.streams.carry(number, None, writes)
        return reads

    def writer(self, number: int) -> int:
        """Carry what is written into a pipe, and return the end to write to."""
        reads, writes = os.pipe()
        self.streams.carry(number, reads, None)
        os.set_blocking(writes, False)
        return writes


@pytest.fixture
def sides() -> Iterator[tuple[Side, Side]]:
    one, other = socket.socketpair()
    with one, other:
        yield Side(one, serial=False), Side(other, serial=True)


def turn_until(sides: Iterable[Side], done: Callable[[], object]) -> None:
    for _ in range(TURNS):
        if done():
            return
        for side in sides:
            side.streams.turn({}, 0.0)
    raise AssertionError("it never came")


def read(fd: int) -> bytes | None:
    """Return what is there; nothing at the end, ``None`` where nothing has come."""
    try:
        return os.read(fd, 1 << 20)
    except BlockingIOError:
        return None


def test_streams_come_out_whole_and_in_order(sides: tuple[Side, Side]) -> None:
    chance = random.Random(7)
    sent = {number: chance.randbytes(3 * WINDOW) for number in (1, 2, 9)}
    left = {number: memoryview(content) for number, content in sent.items()}
    pipes = {number: sides[number % 2].writer(number) for number in sent}
    ends = {number: sides[1 - number % 2].reader(number) for number in sent}
    got = dict.fromkeys(sent, b"")

    def move() -> bool:
        for number, rest in left.items():
            if rest:
                try:
                    taken = os.write(pipes[number], rest[: chance.randrange(1, 60_000)])
                except BlockingIOError:
                    continue
                left[number] = rest[taken:]
            got[number] += read(ends[number]) or b""
        return got == sent

    turn_until(sides, move)


def test_end_of_a_source_is_the_end_for_who_reads(sides: tuple[Side, Side]) -> None:
    end, pipe = sides[1].reader(1), sides[0].writer(1)
    os.write(pipe, b"last words")
    os.close(pipe)
    said = b""

    def over() -> bool:
        nonlocal said
        if (came := read(end)) is None:
            return False
        said += came
        return not came

    turn_until(sides, over)
    assert said == b"last words"
    assert not sides[0].streams.is_open(1)


def test_who_does_not_read_holds_up_nobody_else(sides: tuple[Side, Side]) -> None:
    slow, quick = sides[0].writer(1), sides[0].writer(2)
    sides[1].reader(1)
    end = sides[1].reader(2)
    refused = 0
    for _ in range(TURNS):
        try:
            os.write(slow, bytes(4096))
        except BlockingIOError:
            refused += 1
        for side in sides:
            side.streams.turn({}, 0.0)
        if refused > 10:
            break
    assert refused, "what is never read is taken without end"
    os.write(quick, b"here I am")
    turn_until(sides, lambda: read(end) == b"here I am")


def test_source_is_closed_when_nobody_reads_any_more(sides: tuple[Side, Side]) -> None:
    pipe, end = sides[0].writer(1), sides[1].reader(1)
    os.close(end)
    turn_until(sides, lambda: not sides[0].streams.is_open(1))
    with pytest.raises(BrokenPipeError):
        os.write(pipe, b"x")


def test_connection_is_opened_by_name_and_closed_half_by_half(sides: tuple[Side, Side]) -> None:
    (client, near), (far, server) = socket.socketpair(), socket.socketpair()
    with client, server:
        source = near.detach()
        sides[0].streams.open(17, "shell", source, os.dup(source))
        turn_until(sides, lambda: sides[1].asked == [(17, "shell")])
        source = far.detach()
        sides[1].streams.carry(17, source, os.dup(source))
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        for each in (client, server):
            each.setblocking(False)
        turn_until(sides, lambda: read(server.fileno()) == b"question")
        turn_until(sides, lambda: read(server.fileno()) == b"")
        server.sendall(b"answer")
        turn_until(sides, lambda: read(client.fileno()) == b"answer")


def test_what_cannot_be_had_is_closed_at_once(sides: tuple[Side, Side]) -> None:
    client, near = socket.socketpair()
    with client:
        source = near.detach()
        sides[0].streams.open(17, "shell", source, os.dup(source))
        turn_until(sides, lambda: sides[1].asked)
        sides[1].streams.refuse(17)
        client.setblocking(False)
        turn_until(sides, lambda: read(client.fileno()) == b"")
        assert not sides[0].streams.is_open(17)


def test_messages_arrive(sides: tuple[Side, Side]) -> None:
    sides[0].streams.tell({"signal": 15})
    turn_until(sides, lambda: sides[1].told == [{"signal": 15}])
    assert sides[0].streams.is_idle()


def test_line_that_is_cut_is_noticed(sides: tuple[Side, Side]) -> None:
    sides[0].line.close()
    sides[1].streams.turn({}, 1.0)
    assert sides[1].streams.lost


@pytest.mark.parametrize("size", [10, 20_000])
def test_what_the_other_side_said_last_is_written_though_it_is_gone(
    sides: tuple[Side, Side], size: int
) -> None:
    outside, guest = sides
    end = outside.reader(1)
    os.write(guest.writer(1), b"last words")
    guest.streams.tell({"status": 7})
    guest.streams.turn({}, 0.0)
    guest.streams.turn({}, 0.0)
    outside.streams.tell({"unsent": "x" * size})  # More than the other side's port takes at once.
    guest.line.close()
    turn_until((outside,), lambda: outside.streams.lost)
    turn_until((outside,), outside.streams.is_idle)
    assert outside.told == [{"status": 7}]
    assert read(end) == b"last words"


def test_no_more_is_sent_than_a_serial_port_keeps(sides: tuple[Side, Side]) -> None:
    outside, guest = sides
    os.write(outside.writer(1), bytes(20_000))
    for _ in range(20):
        outside.streams.turn({}, 0.0)
    waiting = guest.line.recv(1 << 20, socket.MSG_PEEK)
    assert 1000 < len(waiting) <= 4096 - 128
