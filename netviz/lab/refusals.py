"""Why a machine refuses a lab, and what its owner can do about it.

Pure: the machine's settings come in as ``Facts``, so that each refusal is tested without having
to own a machine that makes it.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from netviz.errors import SandboxError

COMMAND = "unshare --user --map-root-user --net --mount --pid --fork"
"""What a lab begins with, as a person would type it."""

_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
_DEBIAN = "kernel.unprivileged_userns_clone"
_MAXIMA = tuple(
    f"user.max_{kind}_namespaces" for kind in ("user", "pid", "net", "mnt", "uts", "ipc")
)
_FILTERED = 2
_CONTAINER = (
    "start the container with: --security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined --security-opt systempaths=unconfined"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """The settings that decide whether user namespaces may be made; ``None``: no such setting.

    ``maximum`` is the lowest of the limits on namespaces, with its name; ``profile`` the AppArmor
    profile that confines this process.
    """

    seccomp: int | None = None
    apparmor: str | None = None
    debian: str | None = None
    profile: str | None = None
    maximum: tuple[int, str] | None = None

    @classmethod
    def of_this_machine(cls) -> Facts:
        """Read them. Equivalent to: ``sysctl`` and ``grep Seccomp /proc/self/status``."""
        status = Path("/proc/self/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        profile = _read("/proc/self/attr/current") or ""
        limits = [(int(value), name) for name in _MAXIMA if (value := sysctl(name))]
        return cls(
            seccomp=int(fields.get("Seccomp", "0")),
            apparmor=sysctl(_APPARMOR),
            debian=sysctl(_DEBIAN),
            profile=profile.removesuffix(" (enforce)") if "(enforce)" in profile else None,
            maximum=min(limits, key=lambda limit: limit[0], default=None),
        )


def refusal(error: OSError, facts: Facts) -> SandboxError:
    """Return the error that names the cause of ``error`` and the remedy.

    ``error.filename`` is the step that failed: ``unshare``, ``uid_map`` or what was mounted.
    """
    step = error.filename or "unshare"
    cause, remedy = _cause(error, step, facts)
    return SandboxError(
        f"cannot start a lab: '{step}' was refused ({error.strerror}): {cause}",
        command=COMMAND,
        remedy=remedy,
    )


def _cause(error: OSError, step: str, facts: Facts) -> tuple[str, str]:
    if error.errno in (errno.ENOSPC, errno.EUSERS) and step == "unshare":
        value, name = facts.maximum or (0, _MAXIMA[0])
        return (
            f"the machine allows no more namespaces ({name} = {value})",
            f"run: sudo sysctl -w {name}=15000",
        )
    if error.errno == errno.EINVAL and step == "unshare":
        return (
            "this process has threads already, or the kernel was built without user namespaces",
            "start the lab from a fresh process: netviz run -- COMMAND",
        )
    if error.errno == errno.ENOSYS:
        return "the kernel is too old or lacks namespaces", "use Linux 5.12 or later"
    if error.errno in (errno.EPERM, errno.EACCES):
        return _forbidden(step, facts)
    return "the machine does not say why", "look for the reason in: sudo dmesg"


def _forbidden(step: str, facts: Facts) -> tuple[str, str]:
    if facts.apparmor == "1" and step != "unshare":
        return (
            f"AppArmor restricts user namespaces ({_APPARMOR} = 1, the default of Ubuntu 24.04)",
            f"run: sudo sysctl -w {_APPARMOR}=0",
        )
    if facts.debian == "0":
        return (
            f"user namespaces are switched off ({_DEBIAN} = 0)",
            f"run: sudo sysctl -w {_DEBIAN}=1",
        )
    if facts.profile and step != "unshare":
        return f"the AppArmor profile '{facts.profile}' forbids it", _CONTAINER
    if facts.seccomp == _FILTERED:
        return "a seccomp filter forbids it, as Docker's default one does", _CONTAINER
    return "the machine does not say why", "look for a denial in: sudo dmesg"


def sysctl(name: str) -> str | None:
    """Return a setting of the kernel, or None where it has none. Equivalent to: ``sysctl -n``."""
    return _read(f"/proc/sys/{name.replace('.', '/')}")


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
