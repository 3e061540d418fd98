"""How much a machine gives to a lab: open files, namespaces, memory."""

from __future__ import annotations

import resource
from pathlib import Path

from netviz.lab.probes import Finding, Probe
from netviz.lab.refusals import sysctl

_GIGABYTE = 1 << 30
_ENDLESS = (1 << 31) - 1
# Enough for every lesson, for labs side by side, and for a network of a hundred namespaces.
_FILES, _USERS, _NETWORKS, _MEMORY = 4096, 20, 200, _GIGABYTE


def limits() -> list[Finding]:
    """Return the limits of this process and this machine, each with what lies below it."""
    labs, networks = "labs cannot run side by side", "a large network cannot be built"
    return [
        _open_files(),
        _namespaces("user", _USERS, labs),
        _namespaces("net", _NETWORKS, networks),
        _memory(),
    ]


def _open_files() -> Finding:
    probe = Probe(
        "limits",
        "open files",
        "ulimit -Hn",
        "a large network cannot be watched",
        "raise nofile in /etc/security/limits.conf",
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENDLESS if hard == resource.RLIM_INFINITY else hard
    return Finding(probe, most >= _FILES, _number(most))


def _namespaces(kind: str, enough: int, cost: str) -> Finding:
    name = f"user.max_{kind}_namespaces"
    probe = Probe(
        "limits",
        f"{kind} namespaces",
        f"sysctl {name}",
        cost,
        f"sudo sysctl -w {name}=15000",
    )
    most = int(sysctl(name) or 0)
    return Finding(probe, most >= enough, _number(most))


def _number(most: int) -> str:
    return "without limit" if most >= _ENDLESS else f"{most:,}"


def _memory() -> Finding:
    probe = Probe(
        "limits",
        "memory",
        "free --giga",
        "a notebook may end in the middle",
        "close other programs, or allow the container more",
    )
    free = _available()
    return Finding(probe, free >= _MEMORY, f"{free / _GIGABYTE:.1f} GB available")


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
