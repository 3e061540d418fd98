#!/usr/bin/env python3
"""Become one student's server on a JupyterHub: what ``netviz lab`` is on a machine of one's own.

Her copies of the lessons come first; what she wrote is never overwritten. Then the hub's own
program takes over, with the settings that every server of netviz has: no kernel but the lab's is
offered, and terminals only enter labs. Where it listens, the hub says.
"""

import os
import sys
from pathlib import Path

from netviz.lab import lessons
from netviz.lab.jupyter import Server, everywhere
from netviz.lab.resources import notebooks


def main() -> None:
    """Copy the lessons, and become the server."""
    folder = Path.home() / "netviz-lessons"
    lessons.copy_missing(notebooks(), folder)
    options = everywhere() | {"ServerApp.root_dir": folder}
    program = [sys.executable, "-P", "-m", "jupyterhub.singleuser"]
    program += [f"--{name}={value}" for name, value in options.items()]
    environment = Server(folder=folder, lesson="").environment(os.environ)
    os.execve(program[0], [*program, *sys.argv[1:]], environment)


if __name__ == "__main__":
    main()
