"""Clear the packet filters of the old kind, which nftables does not see.

A table of theirs comes into being when somebody asks for it, even if only for its name, and lasts
as long as its namespace. So first it is looked whether the old program was ever run here.
"""

from __future__ import annotations

import subprocess
from errno import EIO
from pathlib import Path

_LOCK = Path("/run/xtables.lock")
"""The old program leaves it behind; a lab's /run begins without."""

_CHAINS = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}


def flush() -> None:
    """Empty the tables of the thread's namespace, and let every chain accept.

    Equivalent to: ``iptables-legacy --flush``, ``--delete-chain``, ``--policy … ACCEPT`` for each
    table, and ``ip6tables-legacy``. Raises ``OSError`` where the program is missing or fails.
    """
    if not _LOCK.exists():
        return
    for program, listed in (("iptables", "ip_tables_names"), ("ip6tables", "ip6_tables_names")):
        known = _known(listed)
        for table in _CHAINS if known is None else known:
            command = [f"{program}-legacy-restore"]
            empty = _emptied(table).encode()
            done = subprocess.run(command, input=empty, capture_output=True, check=False)
            if done.returncode and known:
                raise OSError(EIO, done.stderr.decode(errors="replace").strip())
    _LOCK.unlink()


def _known(listed: str) -> list[str] | None:
    """Return the tables that there are; None where an ordinary user's lab is not told."""
    try:
        # Not /proc/net, which shows the main thread's namespace.
        return Path("/proc/thread-self/net", listed).read_text().split()
    except PermissionError:
        return None
    except OSError:
        return []


def _emptied(table: str) -> str:
    chains = "".join(f":{chain} ACCEPT\n" for chain in _CHAINS.get(table, ()))
    return f"*{table}\n{chains}COMMIT\n"
