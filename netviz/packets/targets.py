"""What targets of iptables' own do, as nftables says it: DNAT is ``dnat to 10.1.2.2:80``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PLAIN = {"REJECT": "reject", "MASQUERADE": "masquerade", "LOG": "log", "NFLOG": "log"}
_TRANSLATING = {"DNAT": "dnat", "SNAT": "snat", "REDIRECT": "redirect"}
_TO = re.compile(
    r"(?:--to-(?:destination|source) )?"
    r"(?:(?P<v4>[\d.]+)|\[(?P<bracketed>[\da-f:.]+)\]|(?P<v6>[\da-f]*:[\da-f]*:[\da-f:.]*))?"
    r"(?:(?::|--to-ports )(?P<port>\d+))?"
)


def statement(xt: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return it as ``nft -j`` would tell it; None for a match, and for what is not known here.

    Where it translates to is in ``said``, as ``iptables-save`` writes it. A range of addresses or
    ports is not known, nor is what is chosen at random.
    """
    if xt.get("type") != "target":
        return None
    name = str(xt.get("name"))
    if name in _PLAIN:
        return {_PLAIN[name]: None}
    found = _TO.fullmatch(xt.get("said", "?")) if name in _TRANSLATING else None
    if not found:
        return None
    address = found["v4"] or found["bracketed"] or found["v6"]
    told = {"addr": address, "port": found["port"] and int(found["port"])}
    return {_TRANSLATING[name]: {key: each for key, each in told.items() if each is not None}}
