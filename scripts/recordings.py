"""Record what a lesson shows where a component cannot be had: ``python scripts/recordings.py``.

The lesson is run whole, on a kernel with all its components; between two of its cells its lab is
recorded. Kept are the moments at which something changed, or a program of the component spoke; not
what no picture shows.
"""

from dataclasses import replace
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from netviz import Recording
from netviz.model import Namespace
from netviz.picture.entries import MAIN

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
RECORDED = {"05-docker": ('nv.service("docker")', "net = nv.docker(2)", "docker")}


def main() -> None:
    """Write a recording beside the lessons for each that has one."""
    for name, (first, beyond, program) in RECORDED.items():
        lesson = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        file = NOTEBOOKS / "recordings" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        for part, code in (
            (first, "recording = nv.record()"),
            (beyond, f"recording.stop(); recording.save({str(file)!r})"),
        ):
            place = next(i for i, cell in enumerate(lesson.cells) if part in cell.source)
            lesson.cells.insert(place, new_code_cell(code))
        NotebookClient(lesson, timeout=120, kernel_name="netviz").execute()
        shortened(Recording.load(file), program).save(file)


def shortened(recording: Recording, program: str) -> Recording:
    """Return the moments that are worth showing, without what no picture shows."""
    kept = []
    for moment in recording.moments:
        typed = moment.command.text if moment.command else ""
        spoke = program in typed and not typed.startswith("guess")
        if moment.changes or spoke or not kept:
            spaces = tuple(map(_drawn, moment.network.namespaces))
            network = replace(moment.network, namespaces=spaces)
            kept.append(replace(moment, network=network))
    return Recording(kept, recording.duration)


def _drawn(space: Namespace) -> Namespace:
    return replace(
        space,
        routes=tuple(route for route in space.routes if route.table == MAIN),
        fdb=tuple(entry for entry in space.fdb if entry.state != "permanent"),
        sysctls={"ip_forward": space.sysctls.get("ip_forward")},
        interfaces=tuple(replace(it, statistics={}) for it in space.interfaces),
        **dict.fromkeys(("rules", "qdiscs"), ()),
    )


if __name__ == "__main__":
    main()
