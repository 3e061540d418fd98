"""An archive of Debian packages, made by a test: apt reads it, and no network is needed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

STUB = "#!/bin/sh\necho {version}\n"


class Archive:
    """A folder that apt takes for an archive; nobody has signed it.

    ``trusted`` tells that the machine's owner does not mind.
    """

    def __init__(self, folder: Path, *, trusted: bool = True) -> None:
        self.folder = folder / "archive"
        self.folder.mkdir()
        self._sources = folder / "sources.list"
        self._sources.write_text(
            f"deb {'[trusted=yes]' if trusted else ''} file:{self.folder} ./\n"
        )
        settings = f'Dir::Etc::sourcelist "{self._sources}"; Dir::Etc::sourceparts "-";'
        settings += 'Acquire::Retries "0";'
        (folder / "apt.conf").write_text(settings)
        self.environment = {"APT_CONFIG": str(folder / "apt.conf")}
        (self.folder / "Packages").touch()

    def add(
        self,
        name: str,
        version: str = "1.0",
        programs: Iterable[str] = (),
        *,
        links: dict[str, str] | None = None,
        files: dict[str, bytes] | None = None,
        depends: str = "",
        conflicts: str = "",
        script: str = "",
        size: int = 0,
    ) -> Path:
        """Add a package, and return its file; each program is a script that tells the version."""
        root = self.folder.parent / f"{name}-{version}"
        (root / "DEBIAN").mkdir(parents=True)
        told = {"Package": name, "Version": version, "Architecture": "all", "Depends": depends}
        told["Conflicts"] = conflicts
        told |= {"Maintainer": "Nobody <nobody@example.org>", "Description": "for a test"}
        control = "".join(f"{field}: {text}\n" for field, text in told.items() if text)
        (root / "DEBIAN/control").write_text(control)
        if script:
            (root / "DEBIAN/postinst").write_text(script)
            (root / "DEBIAN/postinst").chmod(0o755)
        for program in programs:
            (root / program).parent.mkdir(parents=True, exist_ok=True)
            (root / program).write_text(STUB.format(version=version))
            (root / program).chmod(0o4755)
        for file, data in (files or {}).items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(data)
            (root / file).chmod(0o755 if data.startswith(b"#!") else 0o644)
        for link, target in (links or {}).items():
            (root / link).parent.mkdir(parents=True, exist_ok=True)
            (root / link).symlink_to(target)
        (root / "usr/share").mkdir(parents=True, exist_ok=True)
        (root / f"usr/share/{name}").write_bytes(os.urandom(size))
        package = self.folder / f"{name}_{version}_all.deb"
        build = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(package)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        data = package.read_bytes()
        control += f"Filename: ./{package.name}\nSize: {len(data)}\n"
        control += f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        with (self.folder / "Packages").open("a") as index:
            index.write(control)
        return package


def is_sound(cache: Path, *kept: str) -> bool:
    """Tell whether a cache has these trees, nothing half done, and no lock that is held."""
    there = {path.name.rpartition("-")[0] or path.name for path in cache.iterdir()}
    with (cache / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return there - {"lists", "lock"} == set(kept)


def open_to_all(folder: Path) -> None:
    """Let an ordinary user enter a folder of pytest's, which may be root's."""
    for each in (folder, *folder.parents[:-1]):
        if each.stat().st_uid == os.getuid() and not each.stat().st_mode & 0o1000:
            each.chmod(0o755)
