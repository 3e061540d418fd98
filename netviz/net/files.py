"""Networks in files: a declared one in Python, or one that was seen, as JSON."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

from netviz.errors import NetvizError
from netviz.net.topology import Topology
from netviz.records import load

if TYPE_CHECKING:
    from netviz.model import Snapshot


def read(file: str | Path) -> Snapshot | Topology:
    """Return the network in a file: the `Topology` that a Python program makes, or a snapshot.

    The program is run. If it makes several topologies, the one that it calls ``net`` counts.

    Raises ``NetvizError`` where the file cannot be read, or holds no network.
    """
    path = Path(file)
    if path.suffix != ".py":
        return load(path)
    try:
        names = runpy.run_path(str(path))
    except NetvizError:
        raise
    except Exception as error:
        why = f"'{path}' failed: {type(error).__name__}: {error}"
        raise NetvizError(why, command=f"python {path}") from error
    made = {name: it for name, it in names.items() if isinstance(it, Topology)}
    if len(made) != 1 and "net" not in made:
        known = ", ".join(sorted(made)) or "none"
        remedy = "let it make one, and call it net"
        raise NetvizError(f"'{path}' makes no one topology but: {known}", remedy=remedy)
    return made.get("net") or next(iter(made.values()))
