"""How much a machine gives to a lab: open files, namespaces, memory."""

from __future__ import annotations

import resource
from pathlib import Path

from netviz.lab import linux
from netviz.lab.probes import Finding, Probe
from netviz.lab.refusals import sysctl

_GIGABYTE = 1 << 30
_ENDLESS = (1 << 31) - 1
# Enough for every lesson, for labs side by side, and for a network of a hundred namespaces.
_FILES, _USERS, _NETWORKS, _MEMORY = 4096, 20, 200, _GIGABYTE


def limits() -> list[Finding]:
    """Return the limits of this process and this machine, each with what lies below it."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = _available()
    large, watched = "a large network cannot be built", "a large network cannot be watched"
    raise_files = "raise nofile in /etc/security/limits.conf"
    give_more = "close other programs, or allow the container more"
    enough = _MEMORY // 2 if linux.here() else _MEMORY  # Such a kernel is a single lab's.
    return [
        _most("open files", "ulimit -Hn", watched, raise_files, files, _FILES),
        _namespaces("user", "labs cannot run side by side", _USERS),
        _namespaces("net", large, _NETWORKS),
        Finding(
            Probe("limits", "memory", "free --giga", "a notebook may end in the middle", give_more),
            free >= enough,
            f"{free / _GIGABYTE:.1f} GB available",
        ),
    ]


def _namespaces(kind: str, cost: str, enough: int) -> Finding:
    name = f"user.max_{kind}_namespaces"
    remedy = f"sudo sysctl -w {name}=15000"
    most = int(sysctl(name) or 0)
    return _most(f"{kind} namespaces", f"sysctl {name}", cost, remedy, most, enough)


def _most(name: str, command: str, cost: str, remedy: str, most: int, enough: int) -> Finding:
    endless = most == resource.RLIM_INFINITY or most >= _ENDLESS
    said = "without limit" if endless else f"{most:,}"
    return Finding(Probe("limits", name, command, cost, remedy), endless or most >= enough, said)


def _available() -> int:
    """Return the bytes that may still be used, as the machine or the container's bound has it."""
    words = Path("/proc/meminfo").read_text().split()
    machine = int(words[words.index("MemAvailable:") + 1]) * 1024
    try:
        group = Path("/sys/fs/cgroup")
        bound = int((group / "memory.max").read_text())
        return min(machine, bound - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        return machine
