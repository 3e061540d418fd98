"""Tell in what a lab differs from the one that its script builds: ``python rebuilding_lab.py``.

It runs in the lab, as a program of its own: its second network is nobody else's.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

from net.rebuilding import chosen, look, rebuilt

if TYPE_CHECKING:
    from netviz.model import Snapshot


def bare(seen: Snapshot, *, but: frozenset[int] = frozenset()) -> Snapshot:
    """Return a network without what engines call it, and without some of its namespaces.

    The lab's processes are still there while another network is built beside theirs.
    """
    kept = [each for each in seen.namespaces if each.id not in but]
    return replace(
        seen, namespaces=tuple(replace(each, containers=(), networks=()) for each in kept)
    )


def main() -> None:
    """Write a line for each difference that somebody has chosen."""
    seen = look()
    again = bare(rebuilt(seen, exact=True), but=frozenset(each.id for each in seen.namespaces))
    for line in chosen(bare(seen).diff(again)):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
