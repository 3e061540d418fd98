"""What a netlink message carries: attributes, packed into bytes and taken out again. Pure."""

from __future__ import annotations

import struct

_read_attribute = struct.Struct("HH").unpack_from

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
