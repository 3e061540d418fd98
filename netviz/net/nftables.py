"""Read packet filters: ask the kernel whether there are any, and only then let ``nft`` tell.

The rules' own format is nft's business. But a process a namespace is slow, and most namespaces
have no rules; whether there are tables is one netlink question. The tables named `TRACING` are
netviz's own (`netviz.packets.verdicts`): here they are as if they were not.

Of a match or target of iptables' own (``xt``) nft says the name only; ``iptables-save`` the rest.
"""

from __future__ import annotations

import os
import shlex
import struct
from collections import defaultdict
from contextlib import suppress
from errno import EINVAL, EIO, EPROTONOSUPPORT
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netviz.net.messages import attributes, numbered
from netviz.net.netlink import NETLINK_NETFILTER, Socket

if TYPE_CHECKING:
    from netviz.model import JSON

TRACING = "netviz-trace"
_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_GET_TABLE = 1
_DELETE_TABLE = 2
_ALL_FAMILIES = struct.pack("BBH", 0, 0, 0)
_FAMILIES = numbered("1 inet 2 ip 3 arp 5 netdev 7 bridge 10 ip6")
_NAME = 1  # NFTA_TABLE_NAME
COMMAND = ("nft", "-j", "list", "ruleset")
_SAVING = {"ip": "iptables-nft-save", "ip6": "ip6tables-nft-save"}


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

    An ``xt`` part has besides, as ``said``, what ``iptables-save`` writes after its name. Ask only
    where `available`. Raises ``OSError`` where the kernel refuses, or ``nft`` is missing or fails.
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
    found = [item for item in json.loads(told)["nftables"] if not _left_out(item)]
    for family, program in _SAVING.items():
        rules = [it["rule"] for it in found if "rule" in it and it["rule"]["family"] == family]
        if any(_parts(rule) for rule in rules):
            # Who has no such program is not told, nor who has a comment of more than one line.
            with suppress(OSError, ValueError):
                saved = subprocess.run([program], capture_output=True).stdout
                _tell(rules, saved.decode(errors="replace"))
    return found


def _parts(rule: Any) -> list[Any]:
    """Return what of a rule is ``xt``: matches, and a target."""
    return [it["xt"] for it in rule["expr"] if "xt" in it]


def _tell(rules: list[Any], saved: str) -> None:
    """Add to ``xt`` parts what they ask or do, by what ``iptables-save`` said of the same rules.

    Raises ``ValueError``, and adds nothing, where a quote does not end with its line.
    """
    lines: dict[tuple[str, str], list[list[str]]] = defaultdict(list)
    chains: dict[tuple[str, str], list[Any]] = defaultdict(list)
    table = ""
    for line in saved.split("\n"):
        table = line[1:] if line[:1] == "*" else table
        if line.startswith("-A "):
            typed = shlex.split(line)
            lines[table, typed[1]].append(typed)
    for rule in rules:
        chains[rule["table"], rule["chain"]].append(rule)
    for place, own in chains.items():
        if len(own) == len(lines[place]):  # Else somebody typed between the two questions.
            for rule, typed in zip(own, lines[place], strict=True):
                said = _asked(typed)
                for it in _parts(rule):
                    # Which of two is which, is not told.
                    if len(asked := said[it["type"], it["name"]]) == 1:
                        [it["said"]] = asked


def _asked(typed: list[str]) -> dict[tuple[str, str], list[str]]:
    """Return what the matches of a rule ask, and what its target does, by their type and name."""
    parts: list[list[str]] = [[]]
    for word in typed:
        if word in ("-m", "-j", "-g"):
            parts.append([])
        parts[-1].append(word)
    said = defaultdict(list)
    for option, name, *asked in (it for it in parts[1:] if len(it) > 1):
        said["match" if option == "-m" else "target", name].append(" ".join(asked))
    return said


def families() -> set[str]:
    """Return the families that have tables: ``inet``, ``ip``, ``bridge`` … ; none where none has.

    Ask only where `available`. Equivalent to: ``nft list tables``. Raises ``OSError`` as `ruleset`.
    """
    return {_FAMILIES.get(message[0], "") for message in _tables()}


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
            found = netfilter.dump(_SUBSYSTEM << 8 | _GET_TABLE, _ALL_FAMILIES)
    except OSError as error:
        if error.errno in (EINVAL, EPROTONOSUPPORT):  # Built without.
            return []
        raise
    ours = TRACING.encode() + b"\0"
    return [each for each in found if attributes(each, len(_ALL_FAMILIES)).get(_NAME) != ours]


def _left_out(item: JSON) -> bool:
    """Tell what is no rule set: who says it, and the tables that trace."""
    [(kind, told)] = item.items()
    of = told.get("name" if kind == "table" else "table") if isinstance(told, dict) else None
    return kind == "metainfo" or of == TRACING
