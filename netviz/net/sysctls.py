"""Read the switches that decide a packet's way and are in no table: forwarding, reverse path.

Where netlink tells them it is asked, once for all interfaces; /proc/sys has a file for each.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from pathlib import Path

from netviz.net.links import FAMILIES
from netviz.net.netlink import RTM_GETNETCONF, Socket, attributes
from netviz.net.tables import Names, name_of

_INDEX = 1
_NAMES = {2: "forwarding", 3: "rp_filter", 4: "mc_forwarding", 5: "proxy_neigh"}
_WIDE = {-1: "all", -2: "default"}
_VERSIONS = {"inet": "ipv4", "inet6": "ipv6"}
_BRIDGE = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")

_signed = struct.Struct("i").unpack


def sysctls(socket: Socket, names: Names, *, bridged: bool) -> dict[str, object]:
    """Return ``{"ip_forward": 0, "ipv4": {"all": {"rp_filter": 0, …}, …}, "ipv6": …}``.

    Equivalent to: ``ip -j netconf``, with the numbers of ``sysctl net.ipv4.conf``. If ``bridged``,
    also whether packet filters see bridged frames: ``sysctl net.bridge``. The thread must stand in
    the socket's namespace.
    """
    by_version: dict[str, dict[str, dict[str, int]]] = {"ipv4": {}, "ipv6": {}}
    for message in socket.dump(RTM_GETNETCONF, bytes(4)):
        if message[0] in FAMILIES:
            index, settings = _settings(message)
            name = _WIDE.get(index) or name_of(names, index)
            by_version[_VERSIONS[FAMILIES[message[0]]]][name] = dict(settings)
    found: dict[str, object] = {**by_version}
    found["ip_forward"] = by_version["ipv4"].get("all", {}).get("forwarding", 0)
    for name in _BRIDGE if bridged else ():
        path = Path("/proc/sys/net/bridge", name)  # Shows the namespace of the thread that opens.
        if path.exists():
            found[name] = int(path.read_text())
    return found


@lru_cache  # Most interfaces have the same ones.
def _settings(message: bytes) -> tuple[int, dict[str, int]]:
    told = attributes(message, 4)
    settings = {name: _signed(told[number])[0] for number, name in _NAMES.items() if number in told}
    return _signed(told[_INDEX])[0], settings
