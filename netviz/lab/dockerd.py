"""A real Docker engine in a lab: dockerd with its containerd and runc, and two images.

What is particular about it stands in three short programs in ``engine/``: dockerd-in-a-lab starts
it, runc-in-a-lab is the runtime that it calls, and docker finds the engine of a namespace.
"""

from __future__ import annotations

import socket
from pathlib import Path

from netviz.lab.components import needs
from netviz.lab.filesystem import PRIVATE
from netviz.lab.scripts import copy
from netviz.lab.services import Service

_PROGRAMS = Path(__file__).parent / "engine"
_LAST_IMAGE = "busybox"


def recipe(namespace: str | None = None) -> Service:
    """Return a Docker engine for a namespace, by default the lab's root; not started.

    When it is ready, ``docker`` talks to it (in the namespace), and it has the images ``nginx``,
    which is the web server of busybox, and ``busybox``. All that it keeps is under /run. A host's
    ``/etc/docker/daemon.json`` is ``/etc/netns/NAMESPACE/docker/daemon.json``.

    Equivalent to: ``dockerd --rootless --data-root … --host unix:///run/docker.sock``. Raises
    ``ComponentError`` where there is no Docker.
    """
    needs("docker")
    for program in _PROGRAMS.iterdir():
        copy(program, PRIVATE / "bin")
    name = f"docker-{namespace}" if namespace else "docker"
    start = ["unshare", "--mount", "--cgroup", "--propagation", "slave", "dockerd-in-a-lab", name]
    return Service("docker", start, ready=lambda: _has_images(name), namespace=namespace)


def _has_images(name: str) -> bool:
    """Tell whether an engine has its last image. Equivalent to: ``docker image inspect busybox``.

    Raises ``OSError`` where none answers within a second.
    """
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(1)
        engine.connect(f"/run/{name}.sock")
        engine.sendall(f"GET /images/{_LAST_IMAGE}/json HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        return b" 200 " in engine.recv(64)
