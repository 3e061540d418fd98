"""Inside, the machine's files can be read; only the user's own folders can be written."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from labs import NETVIZ, PYTHON, Someone

from netviz.lab.filesystem import mount_points
from netviz.lab.sandbox import inside
from netviz.lab.syscalls import mount

WRITES_OPEN = """
import os, stat, sys
for top in sys.argv[1:]:
    for folder, folders, files in os.walk(top):
        here = folder.split("/")
        if here[1] == "proc":
            folders[:] = [f for f in folders if not f.isdecimal() and not f.endswith("self")]
        for name in files:
            path = f"{folder}/{name}"
            try:
                # Root may open what has no way to be written, too.
                mode = os.lstat(path).st_mode
                if stat.S_ISREG(mode) and mode & 0o222:
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                    print(path)
            except OSError:
                pass
"""
LAB_OWN = ("/proc/sys/net/", "/proc/sys/user/", "/sys/devices/virtual/net/")
# These belong to the lab's process numbers and its queues, or to the descriptor that is open.
HARMLESS = (
    *("/proc/sys/kernel/ns_last_pid", "/proc/pressure/", "/proc/sys/fs/mqueue/"),
    *("/proc/sys/kernel/auto_msgmni", "/proc/sys/kernel/pid_max", "/proc/sys/kernel/shm"),
    *("/proc/sys/kernel/msg", "/proc/sys/kernel/sem"),
)

outside = pytest.mark.outside


@pytest.fixture
def elsewhere(someone: Someone) -> Iterator[Path]:
    """Give a folder of the user's that is neither home, nor working folder, nor in /tmp."""
    if inside():
        mount("tmpfs", "/mnt", "tmpfs")
    folder = Path(tempfile.mkdtemp(dir="/mnt" if inside() else "/var/tmp"))
    if someone.uid is not None:
        os.chown(folder, someone.uid, someone.uid)
    folder.chmod(0o777)  # Root's lab is another user's: let only the mount stand in its way.
    yield folder
    shutil.rmtree(folder)


@outside
@pytest.mark.parametrize("folder", ["/", "/usr", "/usr/bin", "/var", "/var/tmp", "/boot", "/root"])
def test_machines_folders_cannot_be_written(someone: Someone, folder: str) -> None:
    done = someone.run("touch", f"{folder}/netviz-was-here")
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr or "Permission denied" in done.stderr


@outside
def test_users_own_files_elsewhere_cannot_be_written(someone: Someone, elsewhere: Path) -> None:
    assert "Read-only file system" in someone.run("touch", f"{elsewhere}/x").stderr


@outside
@pytest.mark.parametrize(
    "command",
    [
        "mount -o remount,rw,bind /",
        "mount -o remount,rw /",
        "umount -l /run",
        "umount -l /etc",
        "umount -l /dev",
        "umount -l /proc",
        "umount -l /sys",
        "nsenter -t 1 -m -U true",
        "unshare -Um --map-root-user mount -o remount,rw,bind /",
    ],
)
def test_protection_cannot_be_taken_away(someone: Someone, elsewhere: Path, command: str) -> None:
    someone.sh(f"! {command}; ! touch {elsewhere}/x; test ! -e /run/user/1000; test -d /run/netviz")


@outside
def test_copy_of_a_mount_is_as_protected(someone: Someone, elsewhere: Path) -> None:
    script = f"""! mount --bind / /mnt && mount --rbind / /mnt && ! touch /mnt{elsewhere}/x
    ! mount -o remount,rw,bind /mnt; ! touch /mnt{elsewhere}/x"""
    someone.sh(script)


@outside
def test_home_working_folder_and_tmp_are_the_users_own(someone: Someone) -> None:
    with tempfile.TemporaryDirectory() as work:
        Path(work).chmod(0o777)
        someone.sh("touch here ~/there $(mktemp -p .) && rm $(mktemp -p /tmp)", cwd=work)
        assert Path(work, "here").exists()
    assert (someone.home / "there").exists()


@outside
@pytest.mark.parametrize("name", ["a b", "ein Ordner ☃", "tab\there", "new\nline", "back\\slash"])
def test_working_folder_may_have_any_name(someone: Someone, name: str) -> None:
    folder = someone.home / name
    folder.mkdir()
    folder.chmod(0o777)
    assert someone.sh("touch x; pwd", cwd=folder) == f"{folder}\n"
    assert (folder / "x").exists()


@outside
def test_home_may_be_a_link(someone: Someone) -> None:
    (someone.home / "link").symlink_to(someone.home)
    someone.sh("touch ~/x", cwd="/", env={"HOME": f"{someone.home}/link"})
    assert (someone.home / "x").exists()


@outside
@pytest.mark.parametrize("home", ["", "/nonexistent", "/", "relative"])
def test_home_may_be_missing(someone: Someone, home: str) -> None:
    assert someone.run("true", env={"HOME": home}).returncode == 0


@outside
def test_user_without_a_name_needs_no_home(someone: Someone) -> None:
    assert someone.call("env", "-u", "HOME", NETVIZ, "run", "true").returncode == 0


@outside
def test_working_folder_that_is_gone_becomes_the_root(someone: Someone) -> None:
    script = f"mkdir gone; cd gone; rmdir ../gone; exec {NETVIZ} run sh -c 'pwd -P'"
    assert someone.call("sh", "-c", script).stdout == "/\n"


@outside
def test_working_folder_that_the_lab_hides_becomes_the_root(someone: Someone) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as hidden:
        Path(hidden).chmod(0o755)
        Path(hidden, "secret").touch()
        assert someone.sh("pwd -P; find . -maxdepth 1 -name secret", cwd=hidden) == "/\n"


@outside
def test_working_folder_of_the_system_stays_read_only(someone: Someone) -> None:
    assert someone.run("touch", "netviz-was-here", cwd="/usr/share").returncode == 1


@outside
def test_folder_for_temporary_files_can_be_written(someone: Someone, elsewhere: Path) -> None:
    temporary = someone.sh("mktemp -u", env={"TMPDIR": str(elsewhere)})
    assert temporary.startswith("/tmp/")
    assert someone.sh("mktemp -u", env={"TMPDIR": str(someone.home)}).startswith(str(someone.home))


@outside
def test_hosts_and_resolver_can_be_changed_and_the_machines_stay(someone: Someone) -> None:
    before = [Path(name).read_bytes() for name in ("/etc/hosts", "/etc/resolv.conf")]
    added = "10.1.1.1 net1"
    script = f"for f in /etc/hosts /etc/resolv.conf; do echo '{added}' >> $f; tail -1 $f; done"
    assert someone.sh(f"{script}; mkdir -p /etc/netns/net1").split("\n")[:2] == [added, added]
    assert [Path(name).read_bytes() for name in ("/etc/hosts", "/etc/resolv.conf")] == before
    assert not Path("/etc/netns/net1").exists()


@outside
def test_callers_mask_closes_nothing_of_the_lab(someone: Someone) -> None:
    script = f"umask 077; exec {NETVIZ} run sh -c 'umask; stat -c %a /etc /run /run/netns'"
    assert someone.call("sh", "-c", script).stdout.split() == ["0077", "755", "755", "755"]


@outside
def test_devices_are_few(someone: Someone) -> None:
    known = "fd full fuse mqueue net null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert set(someone.sh("ls /dev").split()) <= set(known.split())
    assert someone.sh("find /dev -type b") == ""
    assert someone.run("mknod", "/tmp/netviz-disk", "b", "254", "0").returncode == 1


@outside
def test_devices_cannot_be_closed_to_others(someone: Someone) -> None:
    mode = stat.S_IMODE(Path("/dev/null").stat().st_mode)
    assert someone.run("chmod", oct(mode)[2:], "/dev/null").returncode == 1
    someone.sh("echo x > /dev/null; head -c 1 /dev/zero > /dev/full || true")


@outside
def test_runtime_folder_is_fresh_and_that_of_users_is_hidden(someone: Someone) -> None:
    script = "stat -c '%a %u' $XDG_RUNTIME_DIR; ls -A $XDG_RUNTIME_DIR; ls /run/user; ls /run"
    assert someone.sh(script).split() == ["700", "0", "0", "lock", "netns", "netviz", "user"]


@outside
@pytest.mark.parametrize("way", ["", "ip netns add net1; ip netns exec net1"])
def test_machines_settings_cannot_be_written(someone: Someone, way: str) -> None:
    script = f'{way} "$@"' if way else '"$@"'
    opened = someone.run("sh", "-c", script, "sh", PYTHON, "-c", WRITES_OPEN, "/proc", "/sys")
    lines = [each for each in opened.stdout.splitlines() if not each.startswith(LAB_OWN)]
    assert [each for each in lines if not each.startswith(HARMLESS)] == []
    assert opened.stderr == ""


@outside
def test_fresh_proc_and_sysfs_are_no_way_to_the_machines_settings(someone: Someone) -> None:
    script = """
    mount -t proc proc /mnt; unshare -pf mount -t proc proc /mnt; mount -t sysfs sysfs /mnt
    mount -t cgroup2 cgroup2 /mnt; unshare -C mount -t cgroup2 cgroup2 /mnt
    "$@" """
    done = someone.run("sh", "-c", script, "sh", PYTHON, "-c", WRITES_OPEN, "/mnt")
    own = tuple(f"/mnt/{path.split('/', 2)[2]}" for path in (*LAB_OWN, *HARMLESS))
    assert [line for line in done.stdout.splitlines() if not line.startswith(own)] == []


@outside
def test_settings_of_the_labs_network_can_be_written(someone: Someone) -> None:
    script = """echo 1 > /proc/sys/net/ipv4/ip_forward; ip link add br0 type bridge
    echo 1 > /sys/class/net/br0/bridge/stp_state
    cat /proc/sys/net/ipv4/ip_forward /sys/class/net/br0/bridge/stp_state"""
    assert someone.sh(script) == "1\n1\n"


@outside
def test_only_the_labs_processes_are_seen(someone: Someone) -> None:
    someone.sh('set -- /proc/[0-9]*; test "$*" = "/proc/1 /proc/$$"')


def test_mount_points_are_read_whatever_their_name(tmp_path: Path) -> None:
    odd = tmp_path / "a b\tc\\d\ne☃"
    odd.mkdir()
    mount("tmpfs", str(odd), "tmpfs")
    assert odd in mount_points()


@outside
def test_machines_own_usr_is_kept_apart_and_cannot_be_written(someone: Someone) -> None:
    kept = "/run/netviz/usr/machine"
    assert set(someone.sh(f"ls {kept}").split()) == {path.name for path in Path("/usr").iterdir()}
    assert "Read-only" in someone.run("touch", f"{kept}/x").stderr
    assert someone.run("mount", "-o", "remount,rw,bind", kept).returncode
