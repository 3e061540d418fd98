"""Why a machine refuses a lab, and what its owner can do about it.

Pure: the machine's settings come in as ``Facts``, so that each refusal is tested without having
to own a machine that makes it.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from netviz.errors import SandboxError

_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
_DEBIAN = "kernel.unprivileged_userns_clone"
_MAXIMUM = "user.max_user_namespaces"


@dataclass(frozen=True, slots=True)
class Facts:
    """The settings that decide whether user namespaces may be made; ``None``: no such setting."""

    seccomp: int | None = None
    apparmor: str | None = None
    debian: str | None = None
    maximum: str | None = None

    @classmethod
    def of_this_machine(cls) -> Facts:
        """Read them. Equivalent to: ``sysctl`` and ``grep Seccomp /proc/self/status``."""
        status = Path("/proc/self/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return cls(
            seccomp=int(fields.get("Seccomp", "0")),
            apparmor=_sysctl(_APPARMOR),
            debian=_sysctl(_DEBIAN),
            maximum=_sysctl(_MAXIMUM),
        )


def refusal(error: OSError, facts: Facts) -> SandboxError:
    """Return the error that names the cause of ``error`` and the remedy.

    ``error.filename`` is the step that failed: ``unshare``, ``uid_map`` or what was mounted.
    """
    step = error.filename or "unshare"
    cause, remedy = _cause(error, step, facts)
    return SandboxError(
        f"cannot start a lab: '{step}' was refused ({error.strerror}): {cause}",
        command="unshare --user --map-root-user --net --mount --pid --fork",
        remedy=remedy,
    )


def _cause(error: OSError, step: str, facts: Facts) -> tuple[str, str]:
    if error.errno in (errno.ENOSPC, errno.EUSERS):
        return (
            f"the machine allows no more user namespaces ({_MAXIMUM} = {facts.maximum})",
            f"run: sudo sysctl -w {_MAXIMUM}=15000",
        )
    if error.errno == errno.EINVAL and step == "unshare":
        return (
            "this process has threads already, or the kernel was built without user namespaces",
            "start the lab from a fresh process: netviz run -- COMMAND",
        )
    if error.errno == errno.ENOSYS:
        return "the kernel is too old or lacks namespaces", "use Linux 5.12 or later"
    if facts.apparmor == "1" and step != "unshare":
        return (
            f"AppArmor restricts user namespaces ({_APPARMOR} = 1, the default of Ubuntu 24.04)",
            f"run: sudo sysctl -w {_APPARMOR}=0",
        )
    if facts.debian == "0":
        return f"user namespaces are switched off ({_DEBIAN} = 0)", f"run: sudo sysctl -w {_DEBIAN}=1"
    if facts.seccomp == 2:
        return (
            "a seccomp filter forbids it, as Docker's default one does",
            "start the container with: --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --security-opt systempaths=unconfined",
        )
    return "the machine does not say why", "run: netviz doctor"


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return None
