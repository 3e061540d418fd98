"""Provide the system programs of the lessons: installed where we are root, else fetched.

What cannot be had is named in one line, and that is no failure: a lesson says what it lacks.
Further arguments are packages to install besides, each with a program of the same name, or with a
name or a file after a colon: ``fdisk:sfdisk``.
"""

import os
import shutil
import sys
from pathlib import Path

from netviz.errors import ComponentError
from netviz.lab import components, fetching, packages


def main(besides: list[str]) -> None:
    """Provide what is missing, and the packages named besides."""
    root = os.geteuid() == 0
    missing = components.missing()
    extra = [each.partition(":")[0] for each in besides if not there(each)]
    try:
        if root and missing + extra:
            say(f"Installing {', '.join(missing + extra)} ...")
            packages.install(missing + extra)
        elif missing:
            fetching.fetch(components.PROGRAMS, heard=told)
        if extra and not root:
            say(f"netviz: there is no '{extra[0]}'; {packages.remedy(extra)}")
    except ComponentError as error:
        say(f"netviz: {error}")


def there(package: str) -> bool:
    """Tell whether this machine has what shows that a package is there."""
    name, _, shows = package.partition(":")
    # Debian's users do not look where root's programs are, though they may call them.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return bool(shutil.which(shows or name, path=path)) or Path(shows or name).is_file()


def told(name: str, doing: str) -> None:
    """Tell the user how much is fetched, before it is."""
    if doing.endswith("to download"):
        say(f"Fetching {name}, without installing: {doing} ...")


def say(line: str) -> None:
    """Tell the user, on stderr."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
