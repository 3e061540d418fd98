"""The lab's own scripts, which stand before the machine's programs: for sudo and Open vSwitch's."""

from pathlib import Path

_WRAPPED = ("ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovs-dpctl", "ovsdb-client", "ovs-without-tun")


def put(folder: Path) -> None:
    """Put them into a folder, if they are not there yet.

    Those of Open vSwitch only where it is at hand, but before its daemons run: a shell remembers
    where it has found a program.
    """
    wanted: dict[str, tuple[str, ...]] = {"sudo": ()}
    if Path("/usr/bin/ovs-vsctl").exists():
        wanted["ovs"] = _WRAPPED
    for name, programs in wanted.items():
        script = folder / name
        if not script.exists():
            script.write_bytes(Path(__file__).with_name(name).read_bytes())
            script.chmod(0o755)
            for program in programs:
                (folder / program).symlink_to(name)
