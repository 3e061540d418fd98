"""Build a Linux of one's own, from Debian's source, to a file that everybody gets alike.

apt fetches the source, and whatever is needed to compile it that this machine lacks; the commands
of ``RECIPE`` run in a lab in which that lies over /usr, so nothing is installed, and no network is
there. What comes out depends on source, configuration and compiler alone: no path, date, user or
host is in it.

Beside the kernel lie its configuration, its licence and, in a README, where its source is and how
it was built: whoever passes it on, passes these on.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from netviz.errors import ComponentError, SandboxError
from netviz.lab import linux, packages, trees
from netviz.lab.components import Standing, known, standing, version_in
from netviz.lab.sandbox import Supervision, enter, execute, refused
from netviz.lab.syscalls import die_with_parent
from netviz.lab.trees import place

CONFIGURATION = Path(__file__).with_name("own.config")
"""What is asked of the kernel, over what ``make ARCH=um defconfig`` chooses."""

RECIPE = """\
set -e
export LC_ALL=C
mkdir source made
tar --extract --file "$1" --directory source --strip-components 1
cd source
# The date in the kernel is the source's.
export SOURCE_DATE_EPOCH="$(stat --format %Y "$1")"
export KBUILD_BUILD_TIMESTAMP="$(date --utc --date "@$SOURCE_DATE_EPOCH")"
export KBUILD_BUILD_USER=netviz KBUILD_BUILD_HOST=netviz KBUILD_BUILD_VERSION=1
make ARCH=um defconfig
scripts/kconfig/merge_config.sh -m .config "$2"
make ARCH=um olddefconfig
make ARCH=um -j"$3" linux
mkdir -p ../made/usr/bin
strip -o ../made/usr/bin/linux.uml linux
cp .config ../made/config
cat COPYING LICENSES/preferred/GPL-2.0 LICENSES/exceptions/Linux-syscall-note >../made/COPYING
../made/usr/bin/linux.uml --version
"""
"""A shell script: ``$1`` is the source's archive, ``$2`` the configuration, ``$3`` a number."""

# The first that the system's archive has. Debian's two were tried; Ubuntu 24.04's, the last, is for
# Binder, which builds on that.
_SOURCES = ("linux-source-6.1?", "linux-source-6.12?", "linux-source-6.8.0?")
_TOOLS = {
    **{each: each for each in ("gcc", "make", "flex", "bison", "bc", "perl")},
    "strip": "binutils",
    "xz": "xz-utils",
    "/usr/include/stdio.h": "libc6-dev",
}
_FILES = 1260  # They are compiled, or about so many.
_MEMORY = 400_000  # Kilobytes, that one compiler may need.
_COMMAND = "netviz components build own-kernel"
# What tells why it failed, the surest sign first, and what mends it.
_REMEDIES = {
    "No space left": "make room, 2 GB, or name another folder in XDG_CACHE_HOME; ",
    "Killed|out of memory|memory exhausted": "close other programs, and, if there are several "
    f"processors, use one only: taskset -c 0 {_COMMAND}; ",
    r"\berror: |not found|\*\*\* .*(Error|Stop)": "",
    "": "",
}
_README = """\
The kernel usr/bin/linux.uml is Linux. Its licence, version 2 of the GNU General Public License, is
in the file COPYING; whoever passes the kernel on, passes on these files and its source as well.

Its source is this package of the system's archive, unchanged:

    apt-get download {source}

Where that has newer ones only, Debian's are kept: https://snapshot.debian.org/binary/{name}/

Its configuration is in the file config, which names the compiler too. These commands built it, with
the archive of the source as $1, the lines of {asked} as $2, and a number of processes as $3:

{recipe}
Its SHA-256 is {checksum}.
"""


def build(heard: packages.Heard = lambda _: None) -> Standing:
    """Build the kernel of one's own, unless that was done with this configuration and source.

    Takes ten minutes of one processor, 2 GB on the disk, and 140 MB of download. ``heard`` is told
    what is being done. Raises ``ComponentError`` where the source cannot be had, where there is no
    room or memory, or where it does not compile; an older kernel stays.
    """
    component = known()[linux.OWN]
    if component.foreign:
        raise ComponentError(f"cannot build '{component.name}': {component.foreign}")
    lacks = [package for tool, package in _TOOLS.items() if not _has(tool)]
    _must_be_usable(lacks)
    remedy = f"run: {_COMMAND}" if place("apt-get") else "use a system that has apt"
    with packages.archive([component.name], remedy, heard) as archive:
        asked = [*archive.known(_SOURCES)[:1], *lacks]
        if len(asked) == len(lacks):
            raise ComponentError(
                "cannot build 'own-kernel': this system's archive has no source of Linux that was "
                f"tried: {' '.join(_SOURCES).replace('?', '')}",
                remedy="use Debian 12 or newer",
            )
        needed = archive.needed(asked)
        versions = {each.name: each.version for each in needed}
        made_of = {"source": f"{asked[0]}={versions[asked[0]]}", "configuration": _fingerprint()}
        found = linux.kept()
        if not (found and made_of.items() <= found[1].items() and not linux.damage(*found)):
            archive.announce(needed)
            tree = archive.unpacked(asked, needed)
            made = _compiled(tree, asked[0], heard)
            _describe(made, made_of)
            archive.place(made, trees.cache() / trees.named(linux.BUILT))
    return standing(component)


def _has(tool: str) -> bool:
    return Path(tool).exists() if tool.startswith("/") else bool(place(tool))


def _must_be_usable(lacks: Sequence[str]) -> None:
    """Refuse where something lacks, and no lab can start: only there fetched programs are used."""
    if lacks and (why := refused()):
        raise ComponentError(
            f"cannot build 'own-kernel': this machine lacks {', '.join(lacks)}, and what is "
            f"fetched can be used in a lab only: {why.what}",
            remedy=f"{packages.remedy(lacks)}, then {_COMMAND}",
        )


def _fingerprint() -> str:
    """Return a number for what is asked of the kernel, and how it is built."""
    return hashlib.sha256("\n".join([*_asked(), RECIPE]).encode()).hexdigest()


def _asked() -> list[str]:
    """Return the lines of the configuration that ask for something."""
    lines = CONFIGURATION.read_text().splitlines()
    return [line for line in lines if line.startswith("CONFIG_")]


def _compiled(tree: Path, source: str, heard: packages.Heard) -> Path:
    """Return a new folder, beside a fetched tree, with the kernel that was built of its source."""
    folder = Path(tempfile.mkdtemp(dir=tree.parent))
    (archive,) = (tree / "usr/src").glob(f"{source}.tar.*")
    recipe = ["sh", "-c", RECIPE, "sh", str(archive), str(CONFIGURATION), str(_processes())]
    # Nothing of the caller's settings gets into the kernel; and a compiler's own files are large.
    kept = {"TMPDIR": str(folder), "PATH": trees.path(), "HOME": os.environ.get("HOME", "/")}
    lines: list[str] = []
    begun, compiled = time.monotonic(), 0
    with subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, str(tree), *recipe],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=folder,
        env=kept,
        process_group=0,
    ) as process:
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                compiled += line.startswith("  CC ")
                minutes, seconds = divmod(int(time.monotonic() - begun), 60)
                doing = f"{compiled} of about {_FILES} files compiled, {minutes}:{seconds:02}"
                heard(doing if compiled else f"preparing {source}, {minutes}:{seconds:02}")
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise _failure(lines)
    _must_have_what_was_asked(folder / "made/config")
    return folder / "made"


def _processes() -> int:
    """Return how many compilers may run at once: as processors and memory allow."""
    told = re.search(r"MemAvailable: *(\d+)", Path("/proc/meminfo").read_text())
    free = int(told[1]) if told else 0
    return max(1, min(len(os.sched_getaffinity(0)), free // _MEMORY))


def _failure(lines: Sequence[str]) -> ComponentError:
    """Return why it failed, and write all that was said to a file, which it names."""
    log = trees.cache() / "own-kernel.log"
    log.write_text("\n".join(lines) + "\n")
    said = [line for line in lines if line.strip()] or ["nothing was said"]
    line, mended = next(
        (line, mended)
        for sign, mended in _REMEDIES.items()
        for line in (said if sign else said[-1:])
        if re.search(sign, line)
    )
    return ComponentError(
        f"cannot build 'own-kernel': {line.strip()}",
        remedy=f"{mended}all that was said is in '{log}'; mended, run: {_COMMAND}",
    )


def _must_have_what_was_asked(made: Path) -> None:
    """Raise where the source knows not all of the configuration: a lesson would lack it."""
    has = set(made.read_text().splitlines())
    for line in _asked():
        name, _, value = line.partition("=")
        if has & {f"{name}=y", f"{name}=m"} if value == "n" else line not in has:
            raise ComponentError(
                f"cannot build 'own-kernel': this source does not take '{line}'",
                remedy=f"take that line out of '{CONFIGURATION}'",
            )


def _describe(made: Path, made_of: dict[str, str]) -> None:
    """Write beside a kernel what it was made of."""
    binary = made / linux.BINARY
    checksum, source = linux.checksum(binary), made_of["source"]
    readme = _README.format(
        source=source,
        name=source.partition("=")[0],
        asked=CONFIGURATION.name,
        recipe=re.sub("(?m)^", "    ", RECIPE.rstrip()) + "\n",
        checksum=checksum,
    )
    (made / "README").write_text(readme)
    (made / CONFIGURATION.name).write_bytes(CONFIGURATION.read_bytes())
    told = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
    trees.note(made, version_in(told), (), laid=False, sha256=checksum, **made_of)


def _follow_the_recipe(tree: str, *command: str) -> None:
    """Become a command, in a lab that has a tree; where none can start, on the machine."""
    try:
        enter(Supervision(tools=(Path(tree),), follow=os.getppid()))
    except SandboxError:
        die_with_parent(signal.SIGKILL)
    execute(list(command))


if __name__ == "__main__":
    _follow_the_recipe(*sys.argv[1:])
