"""A namespace's packets, in memory that the kernel fills: an AF_PACKET socket and its ring.

One socket hears all interfaces of its namespace, also those that come later, or one of them; each
packet says at which it was seen.

A ring is cut into blocks. The kernel writes packets into one until it is full or 10 ms old, then
hands it over; whoever reads it copies it and gives it back (TPACKET_V3). So ten thousand packets
cost a few dozen system calls, and none of Python's time while they come.

Equivalent to: ``tcpdump -i any``, in the namespace of the thread that opens it.
"""

from __future__ import annotations

import errno
import mmap
import socket
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netviz.journeys import Packet
from netviz.lab.syscalls import bind
from netviz.model import Endpoint

Instruction = tuple[int, int, int, int]
"""One of a kernel filter: code, where to go on if true and if false, and a number."""
BLOCK = 1 << 14
_AGE = 10  # Milliseconds.
_ALL = socket.htons(0x0003)
_NOBODYS = socket.htons(0x0060)  # A protocol that nobody speaks.
_SOL_PACKET, _RX_RING, _STATISTICS, _VERSION, _V3 = 263, 5, 6, 10, 2
_ATTACH_FILTER = 26
_LOAD, _EQUAL, _JUMP, _RETURN = 0x20, 0x15, 0x05, 0x06
_HARDWARE = 0xFFFFF000 + 28  # SKF_AD_HATYPE
_OURS = 1
_VLAN = 1 << 4
_OUTGOING = 4
_ETHERNET, _LOOPBACK = 1, 772
_status = struct.Struct("I")
_block = struct.Struct("8xIIII")  # Whose it is, packets, where the first begins, length.
_packet = struct.Struct("IIIIIIHHIHH")
_address = struct.Struct("4xiHBB")
_bound = struct.Struct("HHi12x")


def keep_all(snap: int) -> list[Instruction]:
    """Return the filter that keeps the first ``snap`` bytes of every packet."""
    return [(_RETURN, 0, 0, snap)]


class Interfaces(dict[int, Endpoint]):
    """A namespace's interfaces by index, as far as they are known; of others only the index is."""

    def __init__(self, space: int, name: str) -> None:
        super().__init__()
        self.space = (space, name)

    def __missing__(self, index: int) -> Endpoint:
        """Return an interface that came and went before anybody asked for its name."""
        space, name = self.space
        return Endpoint(space, index, name, f"if{index}")


@dataclass(frozen=True, slots=True)
class Block:
    """Packets as the kernel wrote them, not looked at yet."""

    names: Interfaces
    data: bytes

    def packets(self) -> Iterator[Packet]:
        """Yield the packets, in the order in which they came by."""
        data, names = self.data, self.names
        _, count, at, _ = _block.unpack_from(data)
        for _ in range(count):
            following, sec, nsec, size, length, status, mac, net, _, tag, kind = (
                _packet.unpack_from(data, at)
            )
            index, hardware, direction, _ = _address.unpack_from(data, at + 48)
            ether = hardware in (_ETHERNET, _LOOPBACK)
            start, end = at + (mac if ether else net), at + mac + size
            frame = data[start:end]
            if status & _VLAN:  # The kernel has taken the tag off.
                frame = frame[:12] + struct.pack("!HH", kind or 0x8100, tag & 0xFFFF) + frame[12:]
                length += 4
            yield Packet(
                sec * 1_000_000_000 + nsec,
                names[index],
                "out" if direction == _OUTGOING else "in",
                frame,
                length if ether else length - (net - mac),
                "ether" if ether else "ip",
            )
            at += following


class Ring:
    """A tap in the namespace of the thread that opens it: on the interface of an index, 0 for all.

    It has some ``blocks`` of ``size`` bytes. One is handed over when it is full or ``age``
    milliseconds old; while all of them are with the reader, packets are lost.

    Raises ``OSError`` where the kernel refuses: no such interface, no right to listen.
    """

    def __init__(
        self,
        names: Interfaces,
        index: int,
        blocks: int,
        program: Sequence[Instruction],
        *,
        size: int = BLOCK,
        age: int = _AGE,
    ) -> None:
        self._names = names
        self._index = index
        self._blocks = blocks
        self._size = size
        self._age = age
        self._next = 0
        self._drops = 0
        self.passed = 0
        """How many packets passed until `drops` was asked, those that found no room among them."""
        # Of no protocol until it is bound: else it would hear every interface for a moment.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        try:
            self._open(program)
        except BaseException:
            self._socket.close()
            raise

    def listen(self, on: bool) -> None:
        """Hear what passes; or nothing for a while, and then it costs nothing to pass."""
        # By number: a name may be of bytes that are no text.
        protocol = _ALL if on else _NOBODYS
        bind(self._socket.fileno(), _bound.pack(socket.AF_PACKET, protocol, self._index))

    def _open(self, program: Sequence[Instruction]) -> None:
        code = array("B", b"".join(struct.pack("HBBI", *each) for each in program))
        pointer = struct.pack("HP", len(program), code.buffer_info()[0])
        self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, pointer)
        self._socket.setsockopt(_SOL_PACKET, _VERSION, _V3)
        frames = self._size * self._blocks // 2048
        request = struct.pack("7I", self._size, self._blocks, 2048, frames, self._age, 0, 0)
        self._socket.setsockopt(_SOL_PACKET, _RX_RING, request)
        self._memory = mmap.mmap(self._socket.fileno(), self._size * self._blocks)
        self.listen(True)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    def read(self) -> list[Block]:
        """Return what the kernel has handed over, and give the memory back to it."""
        # Who asks clears the error that an interface leaves behind as it goes down.
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        found = []
        for _ in range(self._blocks):
            start = self._next * self._size
            status, _, _, length = _block.unpack_from(self._memory, start)
            if not status & _OURS:
                break
            found.append(Block(self._names, self._memory[start : start + length]))
            _status.pack_into(self._memory, start + 8, 0)
            self._next = (self._next + 1) % self._blocks
        return found

    def drops(self) -> int:
        """Return how many packets found no room so far. Equivalent to: PACKET_STATISTICS."""
        told = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12)
        passed, drops, _ = struct.unpack("III", told)
        self.passed += passed
        self._drops += drops
        return self._drops

    def close(self) -> None:
        """Listen no longer."""
        self._memory.close()
        self._socket.close()


def keep(expression: str, snap: int) -> list[Instruction]:
    """Return the kernel filter of an expression such as ``icmp or arp``, whatever a device's link.

    Raises as `compiled` does.
    """
    ether, bare = (compiled(expression, snap, link) for link in ("EN10MB", "RAW"))
    # Whatever has no Ethernet header jumps over the first filter, into the second.
    kinds = [(_EQUAL, 2, 0, _ETHERNET), (_EQUAL, 1, 0, _LOOPBACK)]
    return [(_LOAD, 0, 0, _HARDWARE), *kinds, (_JUMP, 0, 0, len(ether)), *ether, *bare]


def compiled(expression: str, snap: int, link: str) -> list[Instruction]:
    """Return the kernel filter of an expression such as ``icmp or arp``, made by ``tcpdump -ddd``.

    ``link`` is ``EN10MB`` or ``RAW``. Raises ``OSError`` where there is no tcpdump, ``ValueError``
    with its words where it does not understand the expression.
    """
    import subprocess

    command = ["tcpdump", "-ddd", "-y", link, "-s", str(snap), "--", expression]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip().rpartition("tcpdump: ")[2])
    _, *lines = done.stdout.splitlines()
    program = [tuple(map(int, line.split())) for line in lines]
    if not all(len(each) == 4 for each in program):
        raise OSError(errno.EIO, "tcpdump -ddd told no filter")
    return [(code, true, false, number) for code, true, false, number in program]
