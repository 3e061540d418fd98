"""The floor: floor.c, compiled where there is a compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import IO, cast

SOURCE = Path(__file__).with_suffix(".c")


def compiled(folder: Path) -> Path | None:
    """Compile the floor into a folder and return the program; None without a compiler."""
    compiler = shutil.which("cc")
    if not compiler:
        return None
    program = folder / "floor"
    subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


class Floor:
    """A process that builds when it starts, takes down when told to, and times itself."""

    def __init__(self, program: Path, shape: str, count: int) -> None:
        self._command = [str(program), shape, str(count)]

    def up(self) -> float:
        """Build it, and return the seconds."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self._seconds()

    def down(self) -> float:
        """Take it down, and return the seconds."""
        told = cast("IO[str]", self._process.stdin)
        told.write("\n")
        told.flush()
        seconds = self._seconds()
        self._process.wait()
        return seconds

    def _seconds(self) -> float:
        return int(cast("IO[str]", self._process.stdout).readline()) / 1e9
