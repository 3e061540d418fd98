"""Packets as a pcapng file, which Wireshark, tshark and tcpdump open."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pcapng import FileWriter, blocks
from pcapng.structs import EPBFlags

from netviz.packets.capture import SNAP
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.journeys import Packet
    from netviz.model import Key

_LINKS = {"ether": 1, "ip": 101}
# The library blames whoever uses it for the one option that it has not given a type.
_ITS_OWN = 'Field type should not be "None"'
_NANOSECONDS = bytes([9])
_DIRECTIONS = {"in": EPBFlags(1), "out": EPBFlags(2)}


def written(packets: Sequence[Packet], comment: str = "") -> bytes:
    """Return packets as a pcapng file: an interface a tap, named ``namespace:device``.

    Stamps are in nanoseconds; each packet says whether it came in or went out. Equivalent to:
    ``tcpdump -i any -w FILE``, for all namespaces at once.
    """
    warnings.filterwarnings("ignore", _ITS_OWN, DeprecationWarning)
    told = {"shb_userappl": "netviz"} | ({"opt_comment": comment} if comment else {})
    section = blocks.SectionHeader(options=told)
    taps: dict[tuple[Key, str], blocks.InterfaceDescription] = {}
    for packet in packets:
        tap = (packet.where.key, packet.link)
        if tap not in taps:
            options = {"if_name": printable(str(packet.where)), "if_tsresol": _NANOSECONDS}
            link = _LINKS[packet.link]
            taps[tap] = section.new_member(
                blocks.InterfaceDescription, link_type=link, snaplen=SNAP, options=options
            )
    file = io.BytesIO()
    writer = FileWriter(file, section)
    for packet in packets:
        block = section.new_member(blocks.EnhancedPacket, interface_id=0)
        block.interface_id = taps[packet.where.key, packet.link].interface_id
        block.timestamp_high, block.timestamp_low = divmod(packet.at, 1 << 32)
        block.packet_data, block.packet_len = packet.data, packet.length
        block.options["epb_flags"] = _DIRECTIONS[packet.direction]
        writer.write_block(block)
    return file.getvalue()
