"""Build the virtual machine's disk, without root: ``image.py FOLDER``.

FOLDER/netviz.qcow2 boots by BIOS and by UEFI. It is one partition that firmware can read (FAT32),
with Debian's kernel, its initramfs, and the root of ``root.py`` as one compressed file, which
live-boot mounts, read-only below a memory that forgets. Beside it lies its SHA-256 checksum.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import root

from netviz.errors import NetvizError
from netviz.lab.sandbox import refused

_IMAGE = "netviz.qcow2"
_MEGABYTE = 1 << 20
_BOOT = "boot=live quiet console=ttyS0 console=tty0"
# Nothing is asked, so nothing is waited for.
_SYSLINUX = f"DEFAULT netviz\nLABEL netviz\nLINUX /vmlinuz\nINITRD /initrd\nAPPEND {_BOOT}\n"
_SYSTEMD_BOOT = f"title netviz\nlinux /vmlinuz\ninitrd /initrd\noptions {_BOOT}\n"
_UEFI = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
_BIOS = Path("/usr/lib/syslinux/mbr/gptmbr.bin")
_OWNED_BY_JOVYAN = ("home/jovyan", "srv/conda")


def build(folder: Path) -> Path:
    """Return the disk, made anew where what is in it is different.

    Raises ``subprocess.CalledProcessError`` where a step fails; it has said why.
    """
    files, told = root.build(folder), folder / "image.key"
    key = root.content([("root", (folder / "root.key").read_bytes()), ("image", _own())])
    image = folder / _IMAGE
    if not (image.exists() and told.exists() and told.read_text() == key):
        told.unlink(missing_ok=True)
        # Beside it, for it is large.
        with tempfile.TemporaryDirectory(dir=folder) as work:
            _convert(_disk(_partition(files, Path(work)), Path(work)), image)
        image.with_suffix(".qcow2.sha256").write_text(f"{_checksum(image)}  {_IMAGE}\n")
        told.write_text(key)
    return image


def _partition(files: Path, work: Path) -> Path:
    """Return a FAT32 file system with all that the firmware, and then the initramfs, reads."""
    tree = work / "tree"
    for name, text in (
        ("syslinux.cfg", _SYSLINUX),
        ("loader/loader.conf", "timeout 0\n"),
        ("loader/entries/netviz.conf", _SYSTEMD_BOOT),
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    for source, name in (
        (next(files.glob("boot/vmlinuz-*")), "vmlinuz"),
        (next(files.glob("boot/initrd.img-*")), "initrd"),
        (_UEFI, "EFI/BOOT/BOOTX64.EFI"),
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, tree / name)
    (tree / "live").mkdir()
    _compress(files, tree / "live/filesystem.squashfs")
    size = sum(path.stat().st_size for path in tree.rglob("*")) // _MEGABYTE + 8
    partition = work / "partition"
    _run("mkfs.fat", "-C", "-F", "32", "-n", "NETVIZ", str(partition), str(size * 1024))
    _run("mcopy", "-s", "-i", str(partition), *map(str, sorted(tree.iterdir())), "::")
    _run("syslinux", "--install", str(partition))
    return partition


def _compress(files: Path, packed: Path) -> None:
    """Pack the root; here it is told whose the files are."""
    mine = " || ".join(f"subpathname({name})" for name in _OWNED_BY_JOVYAN)
    actions = ("-action", "guid(0,0)@true", "-action", f"guid(1000,1000)@({mine})")
    # The kernel and its initramfs lie beside it.
    left_out = ("-wildcards", "-e", "boot/initrd.img-*", "boot/vmlinuz-*")
    level = ("-comp", "zstd", "-Xcompression-level", "15", "-no-xattrs")
    _run(
        "mksquashfs", str(files), str(packed), "-quiet", "-no-progress", *level, *actions, *left_out
    )


def _disk(partition: Path, work: Path) -> Path:
    """Return a whole disk: a partition table, and what a BIOS starts."""
    disk, size = work / "disk", partition.stat().st_size
    with disk.open("wb") as out:
        out.truncate(size + 2 * _MEGABYTE)
    table = f"label: gpt\nstart=1MiB, size={size // 512}, type=U, attrs=LegacyBIOSBootable\n"
    _run("sfdisk", "--quiet", str(disk), told=table)
    with disk.open("r+b") as out, partition.open("rb") as data:
        out.write(_BIOS.read_bytes())
        out.seek(_MEGABYTE)
        shutil.copyfileobj(data, out, _MEGABYTE)
    return disk


def _convert(disk: Path, image: Path) -> None:
    half = image.with_name(f"{image.name}.half")
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(disk), str(half))
    half.replace(image)


def _checksum(image: Path) -> str:
    with image.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _own() -> bytes:
    return Path(__file__).read_bytes()


def _run(*command: str, told: str | None = None) -> None:
    options = {"text": True, "stdout": subprocess.DEVNULL, "env": root.ENVIRONMENT}
    subprocess.run(command, check=True, input=told, **options)


def main() -> None:
    """Build it, or say in one line why it cannot be built."""
    try:
        if error := refused():
            raise error
        build(Path(sys.argv[1]).resolve())
    except (NetvizError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"netviz: cannot build the virtual machine: {_line(error)}")


def _line(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"'{error.cmd[0]}' failed with status {error.returncode}; what it said stands above"
    return str(error)


if __name__ == "__main__":
    main()
