"""Ask the container engines, Docker and Podman, what they run and which networks they have made.

They listen at sockets under /run. They are asked, never told (GET only), and not waited for long:
one that hangs is left in peace for a while, and what it said last is believed meanwhile. An answer
may hold anything: what has not the shape that is expected is refused as a whole.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from netviz.lab.sandbox import inside
from netviz.model import Caution, Container, EngineNetwork, row
from netviz.text import in_order, printable

if TYPE_CHECKING:
    from http.client import HTTPConnection

PATIENCE = 0.3
PEACE = 5.0  # Seconds in which one that hung is not asked again.
_Noun = TypeVar("_Noun", Container, EngineNetwork)
_LONGEST = 1 << 23  # Bytes of an answer: some thousand containers.
_PODMAN = "podman"
_SOCKETS = ("podman/podman.sock", "docker.sock")  # The second may be a link to the first.
_ALIVE = "%22created%22,%22running%22,%22paused%22,%22restarting%22"
_QUESTIONS = {
    "docker": (f"/containers/json?filters={{%22status%22:[{_ALIVE}]}}", "/networks"),
    _PODMAN: ("/v4.0.0/libpod/containers/json?all=true", "/v4.0.0/libpod/networks/json"),
}
_SILENT = (errno.EACCES, errno.EPERM, errno.ECONNREFUSED, errno.ENOENT)
_POD = "io.kubernetes.pod.name"
_BRIDGE = "com.docker.network.bridge.name"
_MOST_PORTS = 8  # Of a range.


@dataclass(frozen=True, slots=True)
class Told:
    """What an engine says. It lives in the namespace ``home``, and so do those ``at_home``."""

    home: int
    containers: Mapping[str, Container]
    at_home: tuple[Container, ...]
    networks: tuple[EngineNetwork, ...]


@dataclass(slots=True)
class _Memory:
    """What an engine said last, and until when it is left in peace, because of which trouble."""

    told: Told | None = None
    until: float = 0.0
    trouble: str = ""


_remembered: dict[tuple[str, int], _Memory] = {}


def ask(root: int) -> tuple[list[Told], list[Caution], dict[str, str]]:
    """Return what the engines of this machine, or of the lab, say; ``root`` is its root namespace.

    And what went wrong, and which engines do not listen to us at all, with the reason. One that
    hangs costs 0.3 seconds, once in five.

    Equivalent to: ``docker ps; docker network ls``, and the same of ``podman``, for each socket.
    """
    told: list[Told] = []
    cautions: list[Caution] = []
    closed: dict[str, str] = {}
    for path, inode in _sockets():
        engine = _PODMAN if path.endswith(_SOCKETS[0]) else "docker"
        memory = _remembered.setdefault((path, inode), _Memory())
        if time.monotonic() >= memory.until:
            try:
                memory.told, memory.trouble = _asked(path, engine, root), ""
            except _RubbishError as error:
                memory.trouble = f"answers what is not understood: {error}"
            except OSError as error:
                if error.errno in _SILENT:
                    remedy = "; run it with sudo" if isinstance(error, PermissionError) else ""
                    closed[engine] = f"'{path}': {error.strerror}{remedy}"
                    continue
                memory.until = time.monotonic() + PEACE
                memory.trouble = f"does not answer in {PATIENCE:g} s"
        told += [memory.told] if memory.told else []
        if memory.trouble:
            cautions.append(Caution(f"{engine} at '{printable(path)}' {memory.trouble}"))
    return told, cautions, closed


def _sockets() -> list[tuple[str, int]]:
    """Return the path and the inode of each socket at which an engine may listen, once."""
    folders = ["/run", "/var/run", os.environ.get("XDG_RUNTIME_DIR", "")]
    paths = [f"{folder}/{name}" for folder in folders if folder for name in _SOCKETS]
    if inside():  # Each namespace may have an engine of its own.
        names = sorted(entry.name for entry in os.scandir("/run"))
        paths += [f"/run/{it}" for it in names if it[:7] == "docker-" and it[-5:] == ".sock"]
    found: dict[int, str] = {}
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 (every snapshot asks for six that are not there)
        except OSError:
            continue
        if stat.S_ISSOCK(status.st_mode):
            found.setdefault(status.st_ino, path)
    return [(path, inode) for inode, path in found.items()]


class _RubbishError(Exception):
    """An answer that is none."""


class _Wire(socket.socket):
    """A socket on which nothing is waited for beyond one moment, however slowly it drips."""

    end: float

    def recv_into(self, *arguments: Any) -> int:
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(*arguments)


def _asked(path: str, engine: str, root: int) -> Told:
    """Return what one engine says. Raises ``OSError`` for none, ``_RubbishError`` for nonsense."""
    from http.client import HTTPConnection, HTTPException  # It takes longer to import than to ask.

    connection = HTTPConnection("engine")
    connection.auto_open = 0  # One that hangs up is not looked for in the network.
    with _Wire(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as wire:
        wire.end = time.monotonic() + PATIENCE
        wire.settimeout(PATIENCE)
        wire.connect(path)
        connection.sock = wire
        peer = wire.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
        home = _network_of(struct.unpack("iII", peer)[0]) or root
        try:
            containers, networks = (_got(connection, it) for it in _QUESTIONS[engine])
            return understood(engine, containers, networks, home)
        except (ConnectionError, HTTPException, RecursionError) as error:
            raise _RubbishError(type(error).__name__) from error
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise _RubbishError(printable(f"{error!r:.80}")) from error


def _got(connection: HTTPConnection, question: str) -> Any:
    connection.request("GET", question)
    response = connection.getresponse()
    data = response.read(_LONGEST + 1)
    if response.status != 200 or len(data) > _LONGEST:
        raise ValueError(f"status {response.status}, {len(data)} bytes")
    return json.loads(data)


def understood(engine: str, containers: Any, networks: Any, home: int) -> Told:
    """Return what an engine's two lists say. Raises what Python does where they are no such lists.

    Podman's are those of its own interface: Docker's know nothing of pods and of devices.
    """
    container, network = _WAYS[engine]
    known = [(_sound(each), shares) for each, shares in (container(it, home) for it in containers)]
    made = [_sound(network(it)) for it in networks]
    return Told(
        home,
        {each.id: each for each, _ in known},
        tuple(sorted((each for each, shares in known if shares), key=lambda it: it.name)),
        tuple(sorted((it for it in made if it.device), key=lambda it: (it.name, it.device))),
    )


def _of_docker(told: Any, _: int) -> tuple[Container, bool]:
    # It has a further name, /other/alias, for each container that was linked to it.
    names = [name[1:] for name in told["Names"] if name.count("/") == 1] or [told["Id"][:12]]
    ports = {
        _port(it.get("IP"), it["PublicPort"], it["PrivatePort"], it["Type"])
        for it in told["Ports"] or ()
        if it.get("PublicPort")
    }
    container = Container(
        names[0],
        told["Id"],
        "docker",
        told["Image"],
        pod=(told.get("Labels") or {}).get(_POD, ""),
        networks=tuple(sorted(told["NetworkSettings"]["Networks"] or ())),
        ports=tuple(sorted(ports, key=in_order)),
    )
    return container, told["HostConfig"]["NetworkMode"] == "host"


def _of_podman(told: Any, home: int) -> tuple[Container, bool]:
    ports = {
        _port(it["host_ip"], it["host_port"] + n, it["container_port"] + n, way)
        for it in told["Ports"] or ()
        for n in range(min(it["range"], _MOST_PORTS))
        for way in it["protocol"].split(",")
    }
    container = Container(
        told["Names"][0],
        told["Id"],
        _PODMAN,
        told["Image"],
        pod=told["PodName"],
        networks=tuple(sorted(told["Networks"] or ())),
        ports=tuple(sorted(ports, key=in_order)),
        pid=int(told["Pid"]),
    )
    return container, bool(container.pid) and _network_of(container.pid) == home


def _network_of_docker(told: Any) -> EngineNetwork:
    options, driver = told["Options"] or {}, told["Driver"]
    device = options.get(_BRIDGE) or f"br-{told['Id'][:12]}" if driver == "bridge" else ""
    subnets = tuple(it["Subnet"] for it in told["IPAM"]["Config"] or () if it.get("Subnet"))
    where = device or options.get("parent", "")
    return EngineNetwork(told["Name"], driver, where, subnets, "docker")


def _network_of_podman(told: Any) -> EngineNetwork:
    subnets = tuple(it["subnet"] for it in told.get("subnets") or ())
    device = told.get("network_interface", "")
    return EngineNetwork(told["name"], told["driver"], device, subnets, _PODMAN)


_WAYS = {
    "docker": (_of_docker, _network_of_docker),
    _PODMAN: (_of_podman, _network_of_podman),
}


def _sound(noun: _Noun) -> _Noun:
    """Return a noun if its texts are such as a name can be. Raises ``ValueError`` if not."""
    for field, value in row(noun).items():
        for it in value if isinstance(value, list) else [value]:
            right = isinstance(it, int) if field == "pid" else isinstance(it, str)
            # No name has a zero byte, or what is not Unicode: to encode that is a ValueError, too.
            if not right or b"\0" in str(it).encode():
                raise ValueError(f"{field} is {it!r:.40}")
    if not noun.name:
        raise ValueError("it has no name")
    return noun


def _port(host: Any, port: int, inner: int, way: object) -> str:
    where = host or "0.0.0.0"
    return f"{f'[{where}]' if ':' in where else where}:{port:d}→{inner:d}/{way}"


def _network_of(pid: int) -> int:
    """Return the number of the network namespace that a process lives in, 0 if it is hidden."""
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:
        return 0
