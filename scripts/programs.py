"""Provide the system programs of the lessons: installed where we are root, else fetched.

What cannot be had is named in one line, and that is no failure: a lesson says what it lacks.
Further arguments are packages to install besides, each with a program of the same name.
"""

import os
import shutil
import sys

from netviz.errors import ComponentError
from netviz.lab import components


def main(besides: list[str]) -> None:
    """Provide what is missing, and the packages named besides."""
    root = os.geteuid() == 0
    packages = components.missing()
    extra = [name for name in besides if not shutil.which(name)]
    try:
        if root and packages + extra:
            say(f"Installing {', '.join(packages + extra)} ...")
            components.install(packages + extra)
        elif packages:
            if not components.tree():
                say(f"Fetching {', '.join(packages)}, without installing ...")
            components.fetch()
        if extra and not root:
            say(f"netviz: there is no '{extra[0]}'; {components.remedy(extra)}")
    except ComponentError as error:
        say(f"netviz: {error}")


def say(line: str) -> None:
    """Tell the user, on stderr."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
