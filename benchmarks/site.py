"""What the published lessons cost to make and to load: ``netviz run -- python benchmarks/site.py``.

The peer is nbconvert, which runs the same notebooks and makes a page of each: without players,
tooltips, search or fonts, but with a style sheet in each page. Prints one line of JSON, in seconds
and bytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from netviz.lab.lessons import published
from netviz.lab.resources import notebooks

PUBLISH = (sys.executable, str(notebooks().parent / "docs/publish.py"))
CONVERT = (sys.executable, "-m", "nbconvert", "--to", "html", "--execute", "--output-dir")


def main() -> None:
    """Measure, and print the figures."""
    lessons = [str(path) for path in published(notebooks())]
    with TemporaryDirectory() as folder:
        html, converted = Path(folder, "html"), Path(folder, "converted")
        figures = {
            "site, run": took(*PUBLISH, folder),
            "site, kept": took(*PUBLISH, folder),
            "nbconvert": took(*CONVERT, str(converted), *lessons),
            "bytes of the site": weight(html),
            "bytes of what pages share": weight(html / "_static"),
            "bytes of lessons": weight(html / "lessons"),
            "bytes of nbconvert": weight(converted),
        }
    sys.stdout.write(json.dumps(figures) + "\n")


def took(*command: str) -> float:
    """Return how many seconds a command takes. Raises ``RuntimeError`` where it fails."""
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return time.monotonic() - began


def weight(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
