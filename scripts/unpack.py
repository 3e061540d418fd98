"""Unpack a Debian package into a folder, without installing it: ``unpack.py PACKAGE FOLDER``."""

import sys
from pathlib import Path

# Before netviz is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from netviz.errors import ComponentError
from netviz.lab.packages import unpack

if __name__ == "__main__":
    try:
        unpack([sys.argv[1]], Path(sys.argv[2]))
    except ComponentError as error:
        sys.exit(f"netviz: {error}")
