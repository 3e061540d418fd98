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
        if not (folder / name).exists():
            copy(Path(__file__).with_name(name), folder)
            for program in programs:
                (folder / program).symlink_to(name)


def copy(script: Path, folder: Path) -> None:
    """Put a script into a folder, to be run. Equivalent to: ``install SCRIPT FOLDER``."""
    here = folder / script.name
    here.write_bytes(script.read_bytes())
    here.chmod(0o755)
