"""Who root in a lab is to the machine: an ordinary user, even where root started the lab."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from labs import NETVIZ, Someone

from netviz.lab.identity import is_root_of_machine

outside = pytest.mark.outside
if_root = pytest.mark.skipif(
    not is_root_of_machine(), reason="only where the machine's root runs the tests"
)


def user_seen_from_outside(someone: Someone) -> int:
    """Return as whom the machine knows a program in a lab."""
    lab = someone.start(NETVIZ, "run", "--", "sh", "-c", "echo; exec sleep 60")
    lab.stdout.readline()
    try:
        (first,) = children(lab.pid)
        (program,) = children(first)
        status = Path(f"/proc/{program}/status").read_text()
    finally:
        lab.kill()
        lab.communicate()
    return int(status.split("Uid:")[1].split()[0])


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@outside
def test_inside_everybody_is_root_and_nobody_else_exists(someone: Someone) -> None:
    assert someone.sh("id -u; id -g; cat /proc/self/uid_map").split() == [*"00", *"001"]


@outside
def test_machine_knows_no_root_in_a_lab(someone: Someone) -> None:
    known_as = user_seen_from_outside(someone)
    if is_root_of_machine():
        assert known_as != 0
    assert someone.uid in (None, known_as)


@outside
def test_files_made_in_a_lab_are_the_users_own(someone: Someone) -> None:
    someone.sh('touch "$HOME/made" here')
    owner = someone.home.stat().st_uid
    assert {(someone.home / name).stat().st_uid for name in ("made", "here")} == {owner}


@pytest.mark.outside(only=True)
@if_root
def test_files_made_in_anothers_folder_are_the_others(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12346)
    made = ["sh", "-c", "mkdir folder; touch folder/file; ls -ldn folder/file"]
    told = subprocess.run(
        [NETVIZ, "run", "--", *made], cwd=tmp_path, capture_output=True, text=True
    )
    assert told.stdout.split()[2:4] == ["0", "0"]
    seen = (tmp_path / "folder/file").stat()
    assert (seen.st_uid, seen.st_gid) == (12345, 12346)
    shutil.rmtree(tmp_path)  # No later session could, in a lab.


@pytest.mark.outside(only=True)
@if_root
def test_roots_own_private_files_can_be_read(someone: Someone) -> None:
    secret = someone.home / "private"
    secret.write_text("mine")
    os.chown(secret, *someone.home.stat()[4:6])
    secret.chmod(0o600)
    assert someone.sh('cat "$HOME/private"') == "mine"


@outside
def test_settings_of_the_machine_refuse(someone: Someone) -> None:
    for setting in ("kernel/panic", "vm/swappiness", "fs/file-max"):
        assert someone.run("sh", "-c", f"echo 1 > /proc/sys/{setting}").returncode != 0


@outside
def test_a_whole_proc_can_be_mounted_again(someone: Someone) -> None:
    told = someone.sh("unshare --pid --fork --mount-proc sh -c 'echo $$; ls -d /proc/[0-9]*'")
    assert told.split()[:2] == ["1", "/proc/1"]


@outside
def test_namespaces_can_be_entered_one_from_another(someone: Someone) -> None:
    someone.sh("ip netns add a; ip netns add b; ip netns exec a ip netns exec b ip link")
