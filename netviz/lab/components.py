"""Real programs (ip, ping, tcpdump …): found on the machine, or fetched without installing them.

What is missing is downloaded by apt, which checks the archive's signatures and resolves
dependencies against what the machine has, but into an apt state of our own; the packages are then
unpacked into a tree that a lab lays over its /usr. Neither root nor a change of the machine is
needed, and no daemon starts, because no maintainer script runs.

Only the standard library is imported: ``make`` calls this before anything is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from netviz.errors import ComponentError
from netviz.lab.resources import apt_list

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A package may still ship /sbin/ethtool; on a machine of today /sbin is a link to /usr/sbin.
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What update-alternatives would have linked: iptables to iptables-nft, traceroute to traceroute.db.
_VARIANT = re.compile(r"-nft\b|\.(db|openbsd)$")


def wanted() -> dict[str, str]:
    """Return the Debian packages that the lessons use, each with the program to look for."""
    lines = (line.partition("#") for line in apt_list().read_text().splitlines())
    return {name.strip(): program.strip() for name, _, program in lines if name.strip()}


def missing() -> list[str]:
    """Return those of the wanted packages whose program is not on this machine."""
    path = f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"
    return [name for name, program in wanted().items() if not shutil.which(program, path=path)]


def tree() -> Path | None:
    """Return the tree of fetched programs; None where nothing is missing or none was fetched.

    Every lab asks this when it starts: it reads two small files and starts no process.
    """
    made = _programs()
    # Path's own is_dir fails in a home that is closed to this user.
    return made if os.path.isdir(made) and missing() else None  # noqa: PTH112


def fetch() -> Path | None:
    """Fetch what is missing, without installing, and return the tree; None if nothing is missing.

    Raises ``ComponentError`` where there is no apt, or no network.
    """
    packages = missing()
    if not packages:
        return None
    made = _programs()
    with _workshop() as work:
        if not _supplies(made, packages):
            _make(made, packages, work)
    return made


def unpack(packages: Iterable[str], target: Path) -> None:
    """Download packages and what they need, and make the folder ``target`` of them.

    ``target`` appears whole or not at all; an older one is replaced. Its ``usr`` is all that is
    kept. Equivalent to: ``apt-get install --download-only PACKAGES``, and ``dpkg -x`` of each.
    """
    with _workshop() as work:
        _make(target, list(packages), work)


def install(packages: Iterable[str]) -> None:
    """Install packages; needs root. Equivalent to: ``apt-get install -y PACKAGES``."""
    _apt(list(packages), ["-oDPkg::Lock::Timeout=60"])


def remedy(packages: Iterable[str]) -> str:
    """Return what a person types to install packages."""
    return f"run: sudo {' '.join(_install(packages))}"


def _install(packages: Iterable[str]) -> list[str]:
    return ["apt-get", "install", "-y", "--no-install-recommends", *packages]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "netviz"


def _programs() -> Path:
    """Return where the tree for this list and this release of the system is, or would be."""
    made_for = [*sorted(wanted()), os.uname().machine]
    with contextlib.suppress(FileNotFoundError):
        lines = Path("/etc/os-release").read_text().splitlines()
        made_for += [line for line in lines if line.startswith(("ID=", "VERSION_ID="))]
    return _cache() / f"programs-{zlib.crc32(' '.join(made_for).encode()):08x}"


def _supplies(made: Path, packages: list[str]) -> bool:
    path = f"{made}/usr/sbin:{made}/usr/bin"
    programs = wanted()
    return all(shutil.which(programs[name], path=path) for name in packages)


@contextlib.contextmanager
def _workshop() -> Iterator[Path]:
    """Give a folder beside the trees, to one process at a time, and clear it away."""
    cache = _cache()
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # What a killed fetch left, for nobody else is at work now.
        for left in cache.glob("fetching-*"):
            shutil.rmtree(left, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix="fetching-", dir=cache))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _make(target: Path, packages: list[str], work: Path) -> None:
    root, new = work / "root", work / "new"
    (root / "usr").mkdir(parents=True)
    for package in _download(packages, work):
        _run(packages, ["dpkg-deb", "--extract", str(package), str(root)])
    new.mkdir()
    _merge(root)
    (root / "usr").rename(new / "usr")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(work / "old")
    new.rename(target)


def _download(packages: list[str], work: Path) -> list[Path]:
    """Download packages and what they need, with an apt state of our own."""
    # The lists stay, so that a second fetch asks the archive only for what has changed.
    lists, archives, status = _cache() / "lists", work / "archives", work / "status"
    for folder in (lists, archives):
        (folder / "partial").mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile("/var/lib/dpkg/status", status)
    options = {
        "Dir::State": work,
        "Dir::State::lists": lists,
        "Dir::State::status": status,
        "Dir::Cache": work,
        "Dir::Cache::archives": archives,
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::GzipIndexes": "true",
        "Acquire::Languages": "none",
        "APT::Get::AllowUnauthenticated": "false",
        "APT::Get::Download-Only": "true",
        "APT::Get::ReInstall": "true",
        "APT::Get::Remove": "false",
        "APT::Sandbox::User": "root",
    }
    _apt(packages, [f"-o{name}={value}" for name, value in options.items()])
    return sorted(archives.glob("*.deb"))


def _apt(packages: list[str], options: list[str]) -> None:
    # One archive of several may be out of reach: whether that matters, the second command tells.
    updated = _run(packages, ["apt-get", "--quiet", *options, "update"], check=False)
    _run(packages, [*_install([]), "--quiet", *options, *packages], before=updated)


def _run(packages: list[str], command: list[str], *, before: str = "", check: bool = True) -> str:
    """Run a command and return its complaints. ``before`` are those of the commands before it."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        )
    except FileNotFoundError as error:
        raise ComponentError(
            f"cannot fetch {_quoted(packages)}: this machine has no '{command[0]}'",
            remedy="install what is like them with the system's own package manager",
        ) from error
    complaints = before + done.stderr
    if check and done.returncode:
        raise ComponentError(
            f"cannot fetch {_quoted(packages)}: {_reason(complaints)}", remedy=remedy(packages)
        )
    return complaints


def _reason(complaints: str) -> str:
    """Return the first thing that went wrong: a failed download tells more than what it led to."""
    lines = complaints.splitlines()
    telling = [line for line in lines if "Failed to fetch" in line or line.startswith("E: ")]
    return (telling or lines or ["apt-get said nothing"])[0].removeprefix("E: ").removeprefix("W: ")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _merge(root: Path) -> None:
    """Gather in ``usr`` what would be found there once installed."""
    usr = root / "usr"
    for name in _MERGED:
        if (root / name).is_dir():
            shutil.copytree(root / name, usr / name, symlinks=True, dirs_exist_ok=True)
    for folder in (usr / "bin", usr / "sbin"):
        for program in folder.glob("*"):
            plain = folder / _VARIANT.sub("", program.name)
            if not plain.exists():
                plain.symlink_to(program.name)
    for path in usr.rglob("*"):
        # Where such a program is ours and not root's, the bit only gives our rights to others.
        if not path.is_symlink() and path.stat().st_mode & 0o6000:
            path.chmod(path.stat().st_mode & 0o777)
