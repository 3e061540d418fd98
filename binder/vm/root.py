"""Build the root of the virtual machine, by Binder's steps and without being root.

mmdebstrap makes it, in a user namespace that has one user: whoever calls this, who is called root
in it. Calls that change an owner answer "done" and do nothing, as in a lab, so all files are the
caller's own; whoever packs them says whose they are. Nothing has to be set up for that, neither
ranges of users nor a program that may become root.

It is made again when anything of the checkout that goes into it is different; what Debian has newer
is no reason.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from netviz.lab.resources import listed
from netviz.lab.seccomp import pretend_to_drop_privileges
from netviz.lab.syscalls import CLONE_NEWNS, CLONE_NEWUSER, unshare

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SUITE = "bookworm"
"""Debian's release that has the Python of binder/runtime.txt."""

# Debian's users do not look where root's programs are, though they may call them.
ENVIRONMENT = os.environ | {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}

_HERE = Path(__file__).resolve().parent
_HOOKS = Path("/usr/share/mmdebstrap/hooks/merged-usr")
_LEFT_OUT = (
    "tests",
    "benchmarks",
    "docs",
    "scripts",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "vm",
)
"""What nothing needs in a session: a change of it is no reason to build anew."""
_MADE = ("__pycache__", "node_modules", "_build", "dist", "*.egg-info", "progress*.json", ".*")
"""What is made in a checkout, and does not belong to it."""


def build(folder: Path) -> Path:
    """Return the root, made anew where it has to be.

    Raises ``subprocess.CalledProcessError`` where a step fails; it has said why.
    """
    root, told = folder / "root", folder / "root.key"
    with _checkout() as checkout:
        key = content(_files(checkout))
        if told.exists() and told.read_text() == key:
            return root
        told.unlink(missing_ok=True)
        alone("rm", "-rf", str(root))
        folder.mkdir(parents=True, exist_ok=True)
        alone(*_bootstrap(root, checkout))
    told.write_text(key)
    return root


def alone(*command: str) -> None:
    """Run a command as the only user, called root, of a user namespace.

    Equivalent to: ``unshare --map-root-user --mount COMMAND``.
    """
    options = {"check": True, "stdin": subprocess.DEVNULL, "env": ENVIRONMENT}
    subprocess.run(command, preexec_fn=_be_the_only_user, **options)


def content(files: Iterable[tuple[str, bytes]]) -> str:
    """Return a number that is another one when a file's name or content is."""
    total = hashlib.sha256()
    for name, data in files:
        total.update(f"{name}\0{len(data)}\0".encode() + data)
    return total.hexdigest()


def _bootstrap(root: Path, checkout: Path) -> list[str]:
    include = [*listed(checkout / "binder/apt.txt"), *listed(_HERE / "packages.txt")]
    return [
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--quiet"),
        *('--aptopt=APT::Sandbox::User "root"', "--dpkgopt=force-unsafe-io"),
        *("--skip=chroot/mount", f"--extract-hook={_HERE / 'devices'}"),
        *(f"--hook-dir={_HOOKS}", f"--include={','.join(include)}"),
        f'--customize-hook={_quoted(_HERE / "steps")} "$1" {_quoted(checkout)}',
        *(SUITE, str(root)),
    ]


@contextmanager
def _checkout() -> Iterator[Path]:
    """Give a copy of what belongs to the checkout."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "checkout")
        shutil.copytree(
            CHECKOUT, copy, ignore=shutil.ignore_patterns(*_MADE, *_LEFT_OUT), symlinks=True
        )
        yield copy


def _files(checkout: Path) -> Iterator[tuple[str, bytes]]:
    own = [_HERE / name for name in ("root.py", "steps", "devices", "packages.txt")]
    for folder, paths in (
        (_HERE, [*own, *_HERE.glob("files/**/*")]),
        (checkout, checkout.rglob("*")),
    ):
        for path in sorted(paths):
            name = str(path.relative_to(folder))
            if path.is_symlink():
                yield name, str(path.readlink()).encode()
            elif path.is_file():
                yield f"{name} {path.stat().st_mode:o}", path.read_bytes()


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _be_the_only_user() -> None:
    # Not as a lab does it: that would make root a stranger to his own folder.
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        Path("/proc/self", name).write_text(text)
    pretend_to_drop_privileges()
