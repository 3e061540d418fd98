"""How long it takes until JupyterLab is there: on this machine, and in the virtual machine.

That is booted, and goes on from a saved state, by turns; `make vm` has to have built it. Prints one
line of JSON, in seconds, and in bytes for the disk and the state.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.request import urlopen

HERE = Path(__file__).parent
IMAGE = HERE.parent / "dist/vm/netviz.qcow2"
RUN = (sys.executable, "-u", str(HERE.parent / "binder/vm/run.py"))
LAB = (str(Path(sys.executable).with_name("netviz")), "lab", "--no-browser")
TURNS = 3
MOMENT = 0.02


def main() -> None:
    """Measure, and print the figures."""
    if not IMAGE.exists():
        sys.exit("there is no virtual machine: make vm")
    with TemporaryDirectory() as folder:
        (image := Path(folder, IMAGE.name)).symlink_to(IMAGE)
        machine = (*RUN, str(image), "--port", "0", "--forget")
        until_it_is_there(*machine, "--save")
        ways = {
            "on the machine": (*LAB, "--folder", folder),
            "booted": (*machine, "--boot"),
            "gone on": machine,
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(TURNS):
            for way, command in ways.items():
                taken[way].append(until_it_is_there(*command))
        state = image.with_suffix(".state").stat().st_size
    figures: dict[str, float] = {f"vm, {way}": median(each) for way, each in taken.items()}
    figures |= {"bytes of the vm": IMAGE.stat().st_size, "bytes of the vm's state": state}
    sys.stdout.write(json.dumps(figures) + "\n")


def until_it_is_there(*command: str) -> float:
    """Return how long it takes until the JupyterLab of a command answers; then end it."""
    before = time.perf_counter()
    with subprocess.Popen(command, stdout=-1, stderr=subprocess.STDOUT, text=True) as process:
        told = next((line for line in process.stdout or () if "token=" in line), "")
        _wait_for_answer(process, told)
        taken = time.perf_counter() - before
        process.send_signal(signal.SIGTERM)
        process.communicate()
    if not told:
        sys.exit(f"{command[0]} has ended with status {process.returncode}")
    return taken


def _wait_for_answer(process: subprocess.Popen[str], told: str) -> None:
    # It tells its address before it listens, and who ends it in between waits for ever.
    [address] = re.findall(r"http://127\.0\.0\.1:\S+", told) or [""]
    while address and process.poll() is None:
        with suppress(OSError), urlopen(address):
            return
        time.sleep(MOMENT)


if __name__ == "__main__":
    main()
