"""Debian's packages: downloaded, verified and unpacked, and none of them installed.

apt does the work, with the sources and keys that the machine trusts, but with a state of its own:
it checks the archive's signature and the hash of each package, and resolves dependencies against
what the machine has. The packages are unpacked into a tree that a lab lays over its /usr. Neither
root nor a change of the machine is needed, and no daemon starts: no maintainer script runs.

Only the standard library is imported: ``make`` calls this before anything is installed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from netviz.errors import ComponentError
from netviz.lab.trees import cache

MEGABYTE = 1_000_000
Heard = Callable[[str], object]
"""Told, again and again, what is being done."""

# A package may still ship /sbin/ethtool; on a machine of today /sbin is a link to /usr/sbin.
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What update-alternatives would have linked. Most scripts name it: /usr/sbin/ovs-vswitchd to
# /usr/lib/openvswitch-switch/ovs-vswitchd. Some have variables there: traceroute6.db.
_ALTERNATIVE = re.compile(r"--(?:install|slave)\s+/(usr/s?bin/[\w.-]+)\s+\S+\s+(/usr/[\w./-]+)")
_VARIANT = re.compile(r"\.(db|openbsd)$")
_INSTALL = ("apt-get", "install", "-y", "--no-install-recommends")
_URI = re.compile(r"'(?:file:(.*)|.*)' (([^_]+)_([^_]+)_\S+) (\d+)")
_TELLING = ("No space left on device", "Failed to fetch", "E: ")
_UNREACHED = re.compile("resolv|connect")  # In apt's words.
_HARDLY_ANY = 1_000_000  # Bytes.
_STATUS = re.compile(r"dlstatus:\d+:(\d+)[^:]*:(.*)")
_PRIVATE = (
    "Acquire::AllowInsecureRepositories=false",
    "Acquire::GzipIndexes=true",
    "Acquire::Languages=none",
    "APT::Get::AllowUnauthenticated=false",
    "APT::Get::Download-Only=true",
    "APT::Get::ReInstall=true",
    "APT::Sandbox::User=root",
)


@dataclass(frozen=True, slots=True)
class Package:
    """A package that is to be downloaded; ``size`` is in bytes, ``file`` where it will be."""

    name: str
    version: str
    size: int
    file: Path


class Archive:
    """The system's archive of packages, read once; `archive` gives it."""

    def __init__(self, lists: Path, work: Path, heard: Heard) -> None:
        self._work, self._heard = work, heard
        self._archives, status = work / "archives", work / "status"
        # The lists stay, so that a second fetch asks the archive only for what has changed.
        for folder in (lists, self._archives):
            (folder / "partial").mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            shutil.copyfile("/var/lib/dpkg/status", status)
        folders = {
            "Dir::State": work,
            "Dir::State::lists": lists,
            "Dir::State::status": status,
            "Dir::Cache": work,
            "Dir::Cache::archives": self._archives,
        }
        self._options = [f"-o{name}={folder}" for name, folder in folders.items()]
        self._options += [f"-o{option}" for option in _PRIVATE]
        # One archive of several may be out of reach: whether that matters, later commands tell.
        update = ["apt-get", "--quiet", "update", *self._options]
        self._complaints = _run(update, heard=heard, check=False)[1]

    def needed(self, packages: Sequence[str]) -> list[Package]:
        """Return what must be downloaded for packages, and those that they need, among it.

        Equivalent to: ``apt-get install --print-uris PACKAGES``.
        """
        told = self._apt([*_INSTALL, "-qq", "--print-uris", *packages])
        found = []
        for local, file, name, version, size in _URI.findall(told):
            # apt checks what is on this machine already, and leaves it where it is.
            there = Path(unquote(local)) if local else self._archives / file
            found.append(Package(name, unquote(version), int(size), there))
        return found

    def announce(self, needed: Sequence[Package]) -> None:
        """Tell how much is to be downloaded."""
        megabytes = max(1, round(sum(each.size for each in needed) / MEGABYTE))
        plural = "s" * (len(needed) > 1)
        self._heard(f"{len(needed)} package{plural}, {megabytes} MB to download")

    def known(self, packages: Sequence[str]) -> list[str]:
        """Return the packages but for those that end in ``?`` and that the archive has not."""
        names = self._apt(["apt-cache", "pkgnames"]).split()
        return [each.rstrip("?") for each in packages if each[-1] != "?" or each[:-1] in names]

    def unpacked(self, packages: Sequence[str], needed: Iterable[Package]) -> Path:
        """Return a new folder whose ``usr`` has packages and what is needed, to be placed.

        Equivalent to: ``apt-get install --download-only PACKAGES``, and ``dpkg -x`` of each.
        """
        new = Path(tempfile.mkdtemp(dir=self._work))
        root = new / "root"
        (root / "usr").mkdir(parents=True)
        self._apt([*_INSTALL, *packages])
        links: dict[str, str] = {}
        for package in needed:
            self._heard(f"unpacking {package.name}")
            _run(["dpkg-deb", "--extract", str(package.file), str(root)])
            script = _run(["dpkg-deb", "--info", str(package.file), "postinst"], check=False)[0]
            links |= _ALTERNATIVE.findall(script.replace("\\\n", " "))
        _merge(root, links)
        (root / "usr").rename(new / "usr")
        shutil.rmtree(root)
        new.chmod(0o755)
        return new

    def place(self, new: Path, target: Path) -> None:
        """Let a folder appear as ``target``, whole; one that was there goes."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(Path(tempfile.mkdtemp(dir=self._work)) / "old")
        new.rename(target)

    def _apt(self, command: Sequence[str]) -> str:
        return _run([*command, *self._options], before=self._complaints, heard=self._heard)[0]


@contextmanager
def archive(wanted: Sequence[str], remedy: str, heard: Heard = lambda _: None) -> Iterator[Archive]:
    """Give the archive, to one process at a time, and clear away what fetching leaves in the cache.

    Raises ``ComponentError``, which says that what is ``wanted`` cannot be fetched and why: no apt,
    no network, no room. ``remedy`` is what to type when that is mended.
    """
    names, kept = ", ".join(f"'{name}'" for name in wanted), cache()
    usual = os.umask(0o022)  # Others may use what root has fetched.
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with (kept / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                heard("waiting for another fetch")
                fcntl.flock(lock, fcntl.LOCK_EX)
            # Killed, we leave apt at work: it has the lock until it ends.
            os.set_inheritable(lock.fileno(), True)
            # What a killed fetch left, for nobody else is at work now.
            for left in kept.glob("fetching-*"):
                shutil.rmtree(left, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix="fetching-", dir=kept))
            try:
                yield Archive(kept / "lists", work, heard)
            except _RefusedError as error:
                if shutil.disk_usage(work).free < _HARDLY_ANY:  # tar does not always say so.
                    raise OSError(ENOSPC, os.strerror(ENOSPC), str(kept)) from error
                raise
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except (OSError, _RefusedError) as error:
        why = str(error)
        if isinstance(error, OSError):
            why = f"'{error.filename or kept}': {error.strerror}"
        first = "make room, or name another folder in XDG_CACHE_HOME; " if " space" in why else ""
        first = first or ("with a network, " if _UNREACHED.search(why) else "")
        raise ComponentError(f"cannot fetch {names}: {why}", remedy=first + remedy) from error
    finally:
        os.umask(usual)


def unpack(packages: Sequence[str], target: Path) -> None:
    """Download packages and what they need, and make the folder ``target`` of them.

    ``target`` appears whole or not at all; an older one is replaced. Its ``usr`` is all that is
    kept. Raises ``ComponentError`` as `archive` does.
    """
    with archive(packages, remedy(packages)) as opened:
        opened.place(opened.unpacked(packages, opened.needed(packages)), target)


def install(packages: Sequence[str]) -> None:
    """Install packages; needs root. Equivalent to: ``apt-get install -y PACKAGES``."""
    quiet = ["--quiet", "-oDPkg::Lock::Timeout=60"]
    try:
        updated = _run(["apt-get", "update", *quiet], check=False)[1]
        _run([*_INSTALL, *packages, *quiet], before=updated)
    except _RefusedError as error:
        names = ", ".join(f"'{name}'" for name in packages)
        raise ComponentError(f"cannot install {names}: {error}", remedy=remedy(packages)) from error


def remedy(packages: Sequence[str]) -> str:
    """Return what a person types to install packages."""
    return f"run: sudo {' '.join([*_INSTALL, *packages])}"


class _RefusedError(Exception):
    """What a command of apt or dpkg complained of."""


def _run(
    command: Sequence[str], *, before: str = "", heard: Heard | None = None, check: bool = True
) -> tuple[str, str]:
    """Return what a command said, and its complaints; ``before`` are those of another."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    options = [f"-oAPT::Status-Fd={write}"] if heard else []
    with (
        open(read, errors="replace") as status,  # noqa: PTH123 (it is a descriptor)
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as complained,
    ):
        try:
            process = subprocess.Popen(
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
                close_fds=False,
                env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            )
        except FileNotFoundError as error:
            raise _RefusedError(f"this machine has no '{command[0]}'") from error
        finally:
            os.close(write)
        with process:
            try:
                for told in filter(None, map(_STATUS.match, status)):
                    (heard or str)(f"{told[1]} % {told[2]}")
            except BaseException:
                process.kill()
                raise
        output, complaints = (_contents(file) for file in (said, complained))
    if check and process.returncode:
        raise _RefusedError(_reason(before + complaints, command[0]))
    return output, before + complaints


def _contents(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _reason(complaints: str, program: str) -> str:
    """Return what went wrong first, and not what it led to."""
    lines = complaints.splitlines() or [f"{program} said nothing"]
    telling = (line for sign in _TELLING for line in lines if sign in line)
    first = next(telling, lines[0])
    return first.removeprefix("E: ").removeprefix("W: ")


def _merge(root: Path, links: dict[str, str]) -> None:
    """Gather in ``usr`` what would be found there once installed."""
    usr = root / "usr"
    for name in _MERGED:
        if (root / name).is_dir():
            # A link may be there under the same name.
            _run(["cp", "-aT", "--remove-destination", str(root / name), str(usr / name)])
    for folder in (usr / "bin", usr / "sbin"):
        for program in folder.glob("*"):
            plain = program.relative_to(root).with_name(_VARIANT.sub("", program.name))
            links.setdefault(str(plain), str(program.relative_to(root)))
    for link, target in links.items():
        path = root / link
        there = root / target.lstrip("/")
        if there.exists() and not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.symlink_to(os.path.relpath(there, path.parent))
    for path in usr.rglob("*"):
        # Where such a program is ours and not root's, the bit only gives our rights to others; and
        # others may use what root has fetched.
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode & 0o777 | (0o555 if mode & 0o111 else 0o444))
