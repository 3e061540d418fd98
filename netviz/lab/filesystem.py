"""What a lab sees of the machine's files, and where it may write.

Built in a mount namespace of the lab's own, in this order: the user's folders are bound onto
themselves, every other mount is made read-only, then /run, /etc, /dev, /proc and /sys are laid
over. What a container's host masks (/proc, /sys) cannot be mounted anew: the old one stays, and
the lab still works.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from netviz.lab.syscalls import (
    MS_BIND,
    MS_MOVE,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_SLAVE,
    mount,
    set_read_only,
)

PRIVATE = Path("/run/netviz")
"""The lab's own folder: its presence tells that one is inside."""

_REPLACED = ("/proc", "/sys", "/dev", "/run")
_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/usr")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun", "fuse")
_GUARDED = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi")
_SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC


def build(*, writable: Iterable[Path], tools: Path | None, next_pid: int) -> None:
    """Give the calling process, first of its pid namespace, the lab's view of the files.

    ``writable`` are the folders that stay the user's own; ``tools`` is a tree whose ``usr`` is
    laid over /usr; ``next_pid`` is the number that the next process gets.
    """
    mount("", "/", flags=MS_REC | MS_SLAVE)
    own = _own_folders(writable)
    for folder in own:
        mount(str(folder), str(folder), flags=MS_BIND | MS_REC)
    _protect_the_machine(own)
    if tools:
        mount("overlay", "/usr", "overlay", MS_RDONLY, f"userxattr,lowerdir={tools / 'usr'}:/usr")
    _run()
    _etc()
    _dev()
    _proc(next_pid)
    _sys()
    _bind_over("/proc/self/ns/net", PRIVATE / "root")


def _own_folders(folders: Iterable[Path]) -> list[Path]:
    """Return the folders that exist and are a user's to write, parents before children."""
    real = {Path(os.path.realpath(folder)) for folder in folders}
    return sorted(
        folder
        for folder in real
        if folder.is_dir()
        and folder != Path("/")
        and not any(folder.is_relative_to(system) for system in _SYSTEM)
    )


def _protect_the_machine(own: list[Path]) -> None:
    for point in mount_points():
        if any(point.is_relative_to(folder) for folder in (*own, *map(Path, _REPLACED))):
            continue
        try:
            set_read_only(str(point))
        except OSError as error:
            # Hidden under another mount, or in a folder that the user cannot enter: nobody
            # inside can reach it either.
            if error.errno not in (errno.EINVAL, errno.ENOENT, errno.EACCES):
                raise


def mount_points() -> Iterator[Path]:
    """Yield where something is mounted. Equivalent to: ``findmnt -lno TARGET``."""
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        escaped = line.split()[4]
        # The kernel writes space, tab, newline and backslash in octal.
        yield Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), escaped))


def _run() -> None:
    kept = {name: _open_path(f"/run/{name}") for name in ("systemd/resolve",)}
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for folder in ("netns", "lock", "user/0", "netviz/bin", "netviz/etc", "netviz/work"):
        Path("/run", folder).mkdir(parents=True)
    Path("/run/user/0").chmod(0o700)
    for name, source in kept.items():
        if source is not None:
            Path("/run", name).mkdir(parents=True)
            mount(f"/proc/self/fd/{source}", f"/run/{name}", flags=MS_BIND)
            os.close(source)
    sudo = PRIVATE / "bin/sudo"
    sudo.write_bytes((Path(__file__).parent / "sudo").read_bytes())
    sudo.chmod(0o755)


def _open_path(path: str) -> int | None:
    with contextlib.suppress(OSError):
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    return None


def _etc() -> None:
    upper = PRIVATE / "etc"
    # Copied up here: the kernel cannot give a copy of its own the owner that it does not know.
    for name in ("hosts", "resolv.conf"):
        source = Path("/etc", name)
        if source.is_file() and not source.is_symlink():
            (upper / name).write_bytes(source.read_bytes())
    options = f"userxattr,lowerdir=/etc,upperdir={upper},workdir={PRIVATE / 'work'}"
    mount("overlay", "/etc", "overlay", _SAFE, options)


def _dev() -> None:
    new = PRIVATE / "dev"
    new.mkdir()
    mount("tmpfs", str(new), "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755")
    for name in _DEVICES:
        device = Path("/dev", name)
        if device.exists() and stat.S_ISCHR(device.stat().st_mode):
            _bind_over(device, new / name)
    for name, fstype, options in (
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620"),
        ("shm", "tmpfs", "mode=1777"),
        ("mqueue", "mqueue", ""),
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
    if not _mount_unless_masked("proc"):
        return
    # Programs name temporary files after their pid, and /tmp is shared with the machine.
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(next_pid - 1))
    guarded = [f"/proc/{name}" for name in _GUARDED if Path("/proc", name).exists()]
    for path in (*guarded, "/proc/sys/net", "/proc/sys/user"):
        mount(path, path, flags=MS_BIND)
    for path in guarded:
        set_read_only(path)


def _sys() -> None:
    if _mount_unless_masked("sysfs"):
        # `echo 1 > /sys/class/net/br0/bridge/stp_state` is a link into this folder.
        devices = "/sys/devices/virtual/net"
        mount(devices, devices, flags=MS_BIND)
        set_read_only("/sys")


def _mount_unless_masked(fstype: str) -> bool:
    target = {"proc": "/proc", "sysfs": "/sys"}[fstype]
    try:
        mount(fstype, target, fstype, _SAFE)
    except PermissionError:
        return False
    return True


def _bind_over(source: str | Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()
    mount(str(source), str(target), flags=MS_BIND)
