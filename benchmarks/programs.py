"""Two who build a network with ``ip``: as many commands a process as can be, and one a process.

Both type the same commands. Batched, one process works in the root, and one in each namespace; the
other is what a shell script does.
"""

from __future__ import annotations

import shlex
import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from shapes import Network


class Competitor(Protocol):
    """Somebody who builds a network and takes it down."""

    def up(self) -> float | None:
        """Build it; return the seconds, if it has timed itself."""

    def down(self) -> float | None:
        """Take it down, in the same way."""


class Batched:
    """``ip -batch -`` in the root, ``ip -n NAME -batch -`` in every namespace."""

    def __init__(self, network: Network) -> None:
        self._building = building(network)
        self._removing = removing(network)

    def up(self) -> None:
        """Build it."""
        for namespace, lines in self._building.items():
            self._run(namespace, lines)

    def down(self) -> None:
        """Take it down."""
        self._run("", self._removing)

    def _run(self, namespace: str, lines: list[str]) -> None:
        command = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
        text = "\n".join(lines)
        subprocess.run(command, input=text, stdout=subprocess.DEVNULL, text=True, check=True)


class OneByOne(Batched):
    """One ``ip`` process a command."""

    def _run(self, namespace: str, lines: list[str]) -> None:
        there = ["-n", namespace] if namespace else []
        for line in lines:
            command = ["ip", *there, *shlex.split(line)]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def building(network: Network) -> dict[str, list[str]]:
    """Return the commands that build a network, by namespace; the root's come first."""
    lines: dict[str, list[str]] = defaultdict(list)
    lines[""] += [f"netns add {name}" for name in network.namespaces]
    for name in network.namespaces:
        lines[name].append("link set lo up")
    for namespace, name, address in network.bridges:
        lines[namespace] += [f"link add {name} type bridge", f"link set {name} up"]
        lines[namespace] += [f"address add {address} dev {name}"] if address else []
    for cable in network.cables:
        lines[""].append(f"link add {_end(cable.near)} type veth peer {_end(cable.far)}")
        for namespace, name, address, master in cable.ends:
            lines[namespace].append(f"link set {name} up")
            lines[namespace] += [f"link set {name} master {master}"] if master else []
            lines[namespace] += [f"address add {address} dev {name}"] if address else []
    for namespace, via in network.defaults:
        lines[namespace].append(f"route add default via {via}")
    for name in network.forwarding:
        lines[""].append(f"netns exec {name} sysctl -qw net.ipv4.ip_forward=1")
    return lines


def removing(network: Network) -> list[str]:
    """Return the commands that take a network down, all of them in the root."""
    bridges = [f"link delete {name}" for namespace, name, _ in network.bridges if not namespace]
    return [*bridges, *(f"netns delete {name}" for name in network.namespaces)]


def _end(end: tuple[str, str]) -> str:
    namespace, name = end
    return f"name {name} netns {namespace}" if namespace else f"name {name}"
