"""The peers that are no dependencies: fetched into the cache, and never installed.

Debian's packages are unpacked as the project unpacks the programs of its lessons, Python's go into
a folder of their own. What cannot be had is told in words.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from netviz.errors import ComponentError
from netviz.lab.packages import unpack

CACHE = Path.home() / ".cache/netviz/peers"
# NeST's own dependencies, but for matplotlib and numpy, which are here already.
NEST = ("nest==0.4.4", "aiocoap", "colorama", "packaging", "tqdm")
# NeST looks for netem's tables where Debian does not keep them any more.
TABLES = ("/usr/lib/tc", "/usr/lib/x86_64-linux-gnu/tc")


def debian(package: str) -> tuple[Path, str]:
    """Return the folder of a Debian package, and why it could not be fetched, if so."""
    folder = CACHE / package
    if not folder.exists():
        try:
            unpack([package], folder)
        except ComponentError as error:
            return folder, str(error)
    return folder, ""


def nest() -> tuple[Path, str]:
    """Return the folder of NeST, and why it could not be fetched, if so."""
    folder = CACHE / "nest"
    mended = folder / "nest/input_validator/metric.py"
    if not mended.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        done = subprocess.run([*command, str(folder), *NEST], capture_output=True, text=True)
        if done.returncode:
            return folder, (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        mended.write_text(mended.read_text().replace(*TABLES))
    return folder, ""
