"""Read packet filters: ask the kernel whether there are any, and only then let ``nft`` tell.

The rules' own format is nft's business. But a process a namespace is slow, and most namespaces
have no rules; whether there are tables is one netlink question.
"""

from __future__ import annotations

import os
import struct
from errno import EINVAL, EIO, EPROTONOSUPPORT
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from netviz.net.netlink import NETLINK_NETFILTER, Socket

if TYPE_CHECKING:
    from netviz.model import JSON

_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_GET_TABLE = 1
_DELETE_TABLE = 2
_ALL_FAMILIES = struct.pack("BBH", 0, 0, 0)
COMMAND = ("nft", "-j", "list", "ruleset")


def available() -> bool:
    """Tell whether this kernel filters at all; asking it for tables would load the module."""
    modules = Path("/proc/modules")
    return not modules.exists() or "nf_tables " in modules.read_text() or _built_in()


@cache
def _built_in() -> bool:
    listed = Path("/lib/modules", os.uname().release, "modules.builtin")
    return listed.exists() and "/nf_tables.ko" in listed.read_text()


def ruleset() -> list[JSON]:
    """Return the rules of the thread's namespace. Equivalent to: ``nft -j list ruleset``.

    Ask only where `available`. Raises ``OSError`` where the kernel refuses, or ``nft`` is missing
    or fails.
    """
    if not _tables():
        return []
    # They take time to load, and few labs have rules.
    import json
    import subprocess

    try:
        told = subprocess.run(COMMAND, capture_output=True, check=True).stdout
    except subprocess.CalledProcessError as error:
        raise OSError(EIO, error.stderr.decode(errors="replace").strip()) from error
    return [item for item in json.loads(told)["nftables"] if "metainfo" not in item]


def flush() -> None:
    """Delete every table of the thread's namespace. Equivalent to: ``nft flush ruleset``.

    What iptables-nft and ebtables-nft made is among them. Raises ``OSError`` as `ruleset` does.
    """
    if available() and _tables():
        with Socket(NETLINK_NETFILTER) as netfilter:
            netfilter.commit(_SUBSYSTEM, _DELETE_TABLE, _ALL_FAMILIES)


def _tables() -> list[bytes]:
    try:
        with Socket(NETLINK_NETFILTER) as netfilter:
            return netfilter.dump(_SUBSYSTEM << 8 | _GET_TABLE, _ALL_FAMILIES)
    except OSError as error:
        if error.errno in (EINVAL, EPROTONOSUPPORT):  # Built without.
            return []
        raise
