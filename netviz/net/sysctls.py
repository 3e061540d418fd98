"""Read the switches that decide a packet's way and are in no table: forwarding, reverse path.

Where netlink tells them it is asked, once for all interfaces; /proc/sys has a file for each. Those
files are read, all of them, only to be put back: each thread sees there the namespace it stands in.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from errno import EACCES, ENOENT, EPERM
from functools import lru_cache
from pathlib import Path

from netviz.net.addresses import FAMILIES
from netviz.net.links import Names, name_of
from netviz.net.messages import attributes
from netviz.net.netlink import RTM_GETNETCONF, Socket

_INDEX = 1
_NAMES = {2: "forwarding", 3: "rp_filter", 4: "mc_forwarding", 5: "proxy_neigh"}
_WIDE = {-1: "all", -2: "default"}
_VERSIONS = {"inet": "ipv4", "inet6": "ipv6"}
_BRIDGE = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")

_ALL = "/proc/sys/net"
_ROUNDS = 3  # A switch may move others: net.ipv4.ip_forward moves thirty.

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


def everything() -> dict[str, bytes]:
    """Return every switch of the thread's namespace, by file. Equivalent to: ``sysctl net``."""
    found = {}
    for path in _paths(_ALL):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # Some can only be written.
        try:
            found[path] = os.read(fd, 1 << 16)
        except OSError:
            continue  # Not set, such as ipv6.conf.all.stable_secret.
        finally:
            os.close(fd)
    return found


def put_back(wanted: dict[str, bytes]) -> dict[str, OSError]:
    """Give the switches of the thread's namespace these values; return what was refused.

    Equivalent to: ``sysctl -w`` of each that differs. What nobody may write is no refusal: the
    kernel has moved it.
    """
    refused: dict[str, OSError] = {}
    for _ in range(_ROUNDS):
        now = everything()
        moved = [path for path in wanted if now.get(path, wanted[path]) != wanted[path]]
        if not moved:
            return {}
        refused = {}
        for path in moved:
            try:
                _write(path, wanted[path])
            except OSError as error:
                if error.errno not in (EACCES, EPERM):
                    refused[path] = error
    return refused


def _paths(folder: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _paths(entry.path)
        else:
            yield entry.path


def _write(path: str, value: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value)
    finally:
        os.close(fd)


@lru_cache  # Most interfaces have the same ones.
def _settings(message: bytes) -> tuple[int, dict[str, int]]:
    told = attributes(message, 4)
    settings = {name: _signed(told[number])[0] for number, name in _NAMES.items() if number in told}
    return _signed(told[_INDEX])[0], settings


def write(name: str, value: str) -> None:
    """Move one switch of the thread's namespace. Equivalent to: ``sysctl -w NAME=VALUE``.

    ``name`` is written with dots, or with slashes where an interface's name has dots in it. Raises
    ``OSError`` where there is none, or the kernel refuses.
    """
    _write(f"/proc/sys/{_path(name)}", value.encode())


def read(name: str) -> str:
    """Return a switch's value. Equivalent to: ``sysctl -n NAME``. Raises as `write` does."""
    return Path(f"/proc/sys/{_path(name)}").read_text().strip()


def _path(name: str) -> str:
    path = name if "/" in name else name.replace(".", "/")
    if not path.startswith("net/") or ".." in path.split("/"):
        raise FileNotFoundError(ENOENT, "it is no switch of a network")
    return path
