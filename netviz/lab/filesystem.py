"""What a lab sees of the machine's files, and where it may write.

Built in a mount namespace of the lab's own, in this order: the user's folders are bound onto
themselves, every other mount is made read-only, then /run, /etc, /dev, /proc and /sys are laid
over. What a container's host masks (/proc, /sys) cannot be mounted anew: the old one stays, and
the lab still works.

The program then gets a copy that belongs to a lesser user namespace. In such a copy the kernel
locks what it finds: root in the lab can mount more, but cannot make writable what is read-only
here, nor take a mount away to see the machine's own under it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from netviz.lab.scripts import put
from netviz.lab.syscalls import (
    MS_BIND,
    MS_MOVE,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_SLAVE,
    SAFE,
    mount,
    move_mount,
    open_tree,
    set_read_only,
)

PRIVATE = Path("/run/netviz")
"""The lab's own folder."""
ROOT = PRIVATE / "root"
"""The lab's root network namespace; its presence tells that one is inside."""
OUTER = PRIVATE / "outer"
"""Where a test has a network of its own, the one around it."""

_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/usr")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun", "fuse")
_COPIED = ("group", "hosts", "passwd", "resolv.conf")
# tcpdump leaves root behind for an account that only installing it would have made.
_ACCOUNT = {
    "group": b"tcpdump:x:65534:\n",
    "passwd": b"tcpdump:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
}
# Nobody inside can come by these either: hidden under another mount, in a folder that the user may
# not enter, or on a server or in a process that is gone.
_OUT_OF_REACH = (errno.EINVAL, errno.ENOENT, errno.EACCES, errno.ENOTCONN, errno.ESTALE)

LAYERS = PRIVATE / "usr"
"""The ``usr`` of each tree that lies over /usr, and the machine's own."""

_MACHINE = "machine"
_NEW = PRIVATE / "new"  # Where what is to be /usr is made ready.


def build(
    own: list[Path], trees: Mapping[Path, int], *, tools: Iterable[Path], next_pid: int
) -> None:
    """Give the calling process, first of its pid namespace, the lab's view of the files.

    ``own`` are the folders that stay the user's own, and ``trees`` what is to be mounted on some
    of them; ``tools`` are trees whose ``usr`` is laid over /usr; ``next_pid`` is the number that
    the next process gets.
    """
    mount("", "/", flags=MS_REC | MS_SLAVE)
    for folder in own:
        if folder in trees:
            move_mount(trees[folder], str(folder))
            os.close(trees[folder])
        else:
            mount(str(folder), str(folder), flags=MS_BIND | MS_REC)
    _protect_the_machine(own)
    copied = _contents("/etc", _COPIED)
    # A lab inside another has the machine's own /usr from there, and what lies over it.
    kept = LAYERS / _MACHINE
    machine = open_tree(str(kept if kept.exists() else "/usr"))
    layers = {each.name: each.readlink() for each in LAYERS.glob("*") if each != kept}
    _run()
    move_mount(machine, str(kept))
    os.close(machine)
    _name(layers)
    with contextlib.suppress(OSError):  # Who needs one asks again, and is told.
        lay(tools)
    put(PRIVATE / "bin")
    _etc(copied)
    _dev()
    _proc(next_pid)


def show_namespaces() -> None:
    """Mount what shows the namespaces that the calling process is in: the lab's, by now."""
    mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC)
    mount_sysfs("/sys")
    bind_over("/proc/self/ns/net", ROOT)


def lay(trees: Iterable[Path]) -> None:
    """Lay the ``usr`` of trees over /usr, unless they lie there already, as they are now.

    Equivalent to: ``mount -t overlay -o lowerdir=NEW:OLD:MACHINE overlay /usr``. The machine's own
    /usr is kept apart for that: the kernel stacks no more than two overlays, and in a container
    one is there already.
    """
    with (PRIVATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Of two at once, each would hide what the other lays.
        below = laid()
        every = {tree.name: tree / "usr" for tree in trees}
        new = {name: usr for name, usr in every.items() if _number(usr) != below.get(name)}
        if not new:
            return
        _name(new)
        named = [name for name in below if name not in new and (LAYERS / name).exists()]
        layers = [LAYERS / name for name in (*new, *named)]
        source = "".join(f":{layer.name}={_number(layer)}" for layer in layers)
        _compose(_NEW, [*layers, LAYERS / _MACHINE], list(mount_points()), f"netviz{source}")
        mount(str(_NEW), "/usr", flags=MS_MOVE)
        put(PRIVATE / "bin")


def laid() -> dict[str, int]:
    """Return the names of the trees that lie over /usr in this lab, the uppermost first.

    With each is the number of its ``usr``: a tree that was fetched anew has another.
    """
    names: dict[str, int] = {}
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split()
        if fields[4] == "/usr":  # The last is the one that is seen.
            names = {name: int(it) for name, it in re.findall(r":([\w.-]+)=(\d+)", fields[-2])}
    return names


def _number(folder: Path) -> int:
    return folder.stat().st_ino


def _compose(target: Path, folders: list[Path], mounts: list[Path], source: str) -> None:
    """Mount folders over one another on ``target``, the machine's last.

    The kernel lays nothing over a folder below which the machine has mounted something: it might
    show what that hides. There, what is in the folder is shown piece by piece.
    """
    if not any(folders[-1] in point.parents for point in mounts):
        lower = ":".join(map(str, folders))
        mount(source, str(target), "overlay", MS_RDONLY, f"userxattr,lowerdir={lower}")
        return
    mount(source, str(target), "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for name in {name for folder in folders for name in os.listdir(folder)}:  # noqa: PTH208
        here = target / name
        found = [folder / name for folder in folders if os.path.lexists(folder / name)]
        inner = [each for each in found if each.is_dir() and not each.is_symlink()]
        if found[0] not in inner:
            here.symlink_to(found[0])
            continue
        here.mkdir()
        if inner[1:]:
            _compose(here, inner, mounts, source)
        else:
            mount(str(inner[0]), str(here), flags=MS_BIND | MS_REC)
            set_read_only(str(here))
    set_read_only(str(target))


def _name(layers: Mapping[str, Path]) -> None:
    """Give layers short names: the options of a mount have to fit into a page."""
    for name, folder in layers.items():
        (LAYERS / name).unlink(missing_ok=True)
        (LAYERS / name).symlink_to(folder)


def own_folders(folders: Iterable[Path]) -> list[Path]:
    """Return the folders that exist and are a user's to write, parents before children."""
    real = {Path(os.path.realpath(folder)) for folder in folders}
    return sorted(
        folder
        for folder in real
        if os.path.isdir(folder)  # noqa: PTH112 (Path's fails where one may not look)
        and folder != Path("/")
        and not any(folder.is_relative_to(system) for system in _SYSTEM)
    )


def _protect_the_machine(own: list[Path]) -> None:
    # Last those that stay, where the host masks them: in a container, or in another lab.
    spared = (*own, Path("/proc/sys/net"), Path("/proc/sys/user"))
    for point in mount_points():
        if point == Path("/proc") or any(point.is_relative_to(folder) for folder in spared):
            continue
        try:
            set_read_only(str(point))
        except OSError as error:
            if error.errno not in _OUT_OF_REACH:
                raise


def mount_points() -> Iterator[Path]:
    """Yield where something is mounted. Equivalent to: ``findmnt -lno TARGET``."""
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        escaped = line.split()[4]
        # The kernel writes space, tab, newline and backslash in octal.
        yield Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), escaped))


def _contents(folder: str, names: Iterable[str]) -> dict[str, bytes]:
    """Read files, through links: where they lead may soon be out of sight."""
    contents = {}
    for name in names:
        with contextlib.suppress(OSError):
            contents[name] = Path(folder, name).read_bytes()
    return contents


def _run() -> None:
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    parts = ("bin", "etc", "new", "work", f"usr/{_MACHINE}")
    for folder in ("netns", "lock", "user/0", *(f"netviz/{part}" for part in parts)):
        Path("/run", folder).mkdir(parents=True)
    Path("/run/user/0").chmod(0o700)


def _etc(copied: dict[str, bytes]) -> None:
    upper = PRIVATE / "etc"
    # Copied up here: the kernel cannot give a copy of its own the owner that it does not know.
    for name, content in copied.items():
        known = b"\ntcpdump:" in content
        (upper / name).write_bytes(content if known else content + _ACCOUNT.get(name, b""))
    options = f"userxattr,lowerdir=/etc,upperdir={upper},workdir={PRIVATE / 'work'}"
    try:
        mount("overlay", "/etc", "overlay", SAFE, options)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # /etc is two overlays already, the most that the kernel stacks: a container's, or a lab's.
        for name in copied:
            with contextlib.suppress(OSError):
                bind_over(upper / name, Path("/etc", name))


def _dev() -> None:
    new = PRIVATE / "dev"
    new.mkdir()
    mount("tmpfs", str(new), "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755")
    for name in _DEVICES:
        device = Path("/dev", name)
        if device.exists() and stat.S_ISCHR(device.stat().st_mode):
            bind_over(device, new / name)
            set_read_only(str(new / name))  # It can still be written to, but not be given away.
    (new / "mqueue").mkdir()
    for name, fstype, options in (
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620"),
        ("shm", "tmpfs", "mode=1777"),
    ):
        (new / name).mkdir()
        mount(fstype, str(new / name), fstype, MS_NOSUID | MS_NOEXEC, options)
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd"}
    links |= {f"std{way}": f"/proc/self/fd/{n}" for n, way in enumerate(("in", "out", "err"))}
    for name, target in links.items():
        (new / name).symlink_to(target)
    mount(str(new), "/dev", flags=MS_MOVE)
    new.rmdir()


def _proc(next_pid: int) -> None:
    with contextlib.suppress(PermissionError):
        mount("proc", "/proc", "proc", SAFE)
    with contextlib.suppress(OSError):
        # Programs name temporary files after their pid, and /tmp is shared with the machine.
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(next_pid - 1))


def mount_sysfs(target: str) -> bool:
    """Mount it, read-only where no other is allowed; tell whether any is."""
    for flags in (SAFE, SAFE | MS_RDONLY):
        with contextlib.suppress(PermissionError):
            mount("sysfs", target, "sysfs", flags)
            return True
    return False


def bind_over(source: str | Path, target: Path) -> None:
    """Show one file in another's place. Equivalent to: ``mount --bind SOURCE TARGET``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.touch()
    mount(str(source), str(target), flags=MS_BIND)
