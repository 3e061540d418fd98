"""Open vSwitch: a daemon that is the switch, and one that keeps what it shall be.

On a server the packets themselves pass through a module of the kernel. A lab needs none: its
``ovs-vswitchd`` takes them from the ports and hands them on by itself, in user space, with the same
tables. Its bridges' own devices are taps; where /dev/net/tun is closed to the user it has the
dummy datapath of Open vSwitch's own tests instead, which does without such devices.

Each namespace may be a host with daemons of its own. The programs that ask them are wrapped, in
`netviz/lab/ovs`: one that is typed on a host finds that host's.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from netviz.errors import ComponentError
from netviz.lab.components import needs
from netviz.lab.filesystem import PRIVATE
from netviz.lab.services import Service

_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


def recipe(namespace: str | None = None) -> Service:
    """Return the switch of a host, not started: ``ovs-vswitchd``, after its ``ovsdb-server``.

    Where the database does not run yet, it begins empty. Equivalent to: ``ovs-ctl start``.
    Raises ``ComponentError`` where Open vSwitch is not at hand, ``SandboxError`` outside a lab.
    """
    needs("ovs")
    folder = Path(f"/run/openvswitch-{namespace}" if namespace else "/run/openvswitch")
    listening = folder / "db.sock"
    env = {"OVS_RUNDIR": str(folder), "OVS_LOGDIR": str(PRIVATE / "services")}
    database = Service(
        "ovsdb",
        ["ovsdb-server", str(folder / "conf.db"), f"--remote=punix:{listening}", "--pidfile"],
        ready=lambda: _answers(listening),
        namespace=namespace,
        env=env,
    )
    real = tun_is_open()
    switch = Service(
        "ovs",
        [
            "ovs-vswitchd",
            f"unix:{listening}",
            "--pidfile",
            *([] if real else ["--enable-dummy"]),
        ],
        ready=lambda: _answers(_control(folder)),
        namespace=namespace,
        env=env,
        after=[database],
    )
    # What is no namespace, the service refuses; until then, it must not lead out of /run.
    known = namespace is None or Path("/run/netns", namespace) in Path("/run/netns").iterdir()
    if known and not database.running:
        _prepare(folder, "netdev" if real else "dummy")
    return switch


def tun_is_open() -> bool:
    """Tell whether this user may make taps. Equivalent to: ``exec 3<>/dev/net/tun``."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _prepare(folder: Path, datapath: str) -> None:
    """Make a host's folder, with an empty database."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        subprocess.run(
            ["ovsdb-tool", "create", folder / "conf.db", _SCHEMA],
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", "") or str(error)
        raise ComponentError(
            f"cannot make the database of 'ovs': {why.strip()}",
            command=f"ovsdb-tool create {folder / 'conf.db'} {_SCHEMA}",
            remedy="see whether /run is full",
        ) from error
    # The wrapper reads it: which kind of switch a new bridge shall be.
    (folder / "datapath").write_text(f"{datapath}\n")


def _control(folder: Path) -> Path:
    pid = (folder / "ovs-vswitchd.pid").read_text().strip()
    return folder / f"ovs-vswitchd.{pid}.ctl"


def _answers(path: Path) -> bool:
    """Tell whether a daemon answers; for one that is stopped, the kernel takes the question."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1)
        asking.connect(str(path))
        asking.sendall(b'{"id": 0, "method": "echo", "params": []}')
        return bool(asking.recv(1))
