"""The runtime that Docker's engine calls for a pod: runc, over files that the lab has ready.

What else the engine asks for stays as it is: capabilities, system call filter, hidden files.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from netviz.lab.syscalls import CLONE_NEWUSER, die_with_parent, unshare

FILES = "/run/netviz/pod"
"""Where a pod's files are mounted: the lab's once more, or those of another root."""
WRITTEN = "/run/netviz/pod-written"
"""Where is kept what is written to such a root."""
USER = 1000


def user_namespace() -> str:
    """Return one in which the lab's only user is an ordinary one; it lasts until this process ends.

    runc makes none that has no root, but enters one.
    """
    ready, tell = os.pipe()
    if holder := os.fork():
        os.close(tell)
        assert os.read(ready, 1), "no user namespace for the pod"
        return f"/proc/{holder}/ns/user"
    die_with_parent(signal.SIGKILL)
    unshare(CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{USER} 0 1"),
        ("gid_map", f"{USER} 0 1"),
    ):
        Path("/proc/self", name).write_text(text)
    os.write(tell, b"!")
    while True:
        signal.pause()


def change(config: dict) -> dict:
    """Return a container's configuration for that user, and over the pod's files."""
    config["root"] = {"path": FILES, "readonly": True}
    # Of a namespace that it enters, runc asks for the map, and believes what it is told.
    mapping = [{"containerID": each, "hostID": 0, "size": 1} for each in (0, USER)]
    config["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
    namespaces = config["linux"]["namespaces"]
    namespaces.append({"type": "user", "path": user_namespace()})
    for mount in config["mounts"]:  # There is no group 5 that could own the terminals.
        mount["options"] = [each for each in mount.get("options", ()) if each != "gid=5"]
    if shared := [it for it in namespaces if it["type"] == "network" and "path" in it]:
        # The network is the lab's: one may stay in it, but not enter it, nor mount a /sys of it.
        namespaces.remove(*shared)
        options = ["rbind", "ro", "nosuid", "nodev", "noexec"]
        for mount in config["mounts"]:
            if mount["destination"] == "/sys":
                mount |= {"type": "bind", "source": "/sys", "options": options}
    return config


if __name__ == "__main__":
    if "--bundle" in sys.argv:
        path = Path(sys.argv[sys.argv.index("--bundle") + 1], "config.json")
        path.write_text(json.dumps(change(json.loads(path.read_text()))))
    os.execvp("runc", ["runc", *sys.argv[1:]])
