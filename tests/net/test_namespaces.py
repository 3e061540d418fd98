"""Every holder of a namespace is found, and what is none is said."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from oracle import sh

from netviz.net.discovery import snapshot
from netviz.net.namespaces import MOST_PIDS, find


def test_file_that_is_no_namespace_is_a_warning() -> None:
    sh("ip netns add net1; touch --date='2 seconds ago' /run/netns/broken")
    found, cautions = find()
    assert [space.name for space in found] == ["root", "net1"]
    assert [str(caution) for caution in cautions] == [
        "'/run/netns/broken' is not a namespace; remove it with ip netns del"
    ]


def test_file_that_is_just_being_made_a_namespace_is_none() -> None:
    sh("touch /run/netns/net1")
    assert find()[1] == []


def test_namespace_of_another_kind_is_a_warning() -> None:
    sh("touch /run/netns/uts; mount --bind /proc/self/ns/uts /run/netns/uts")
    seen = snapshot()
    assert [space.name for space in seen.namespaces] == ["root"]
    assert [str(w) for w in seen.warnings] == ["'uts' is a namespace, but not one of networks"]


def test_link_to_a_process_is_a_name() -> None:
    with subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 60"], stdout=-1) as run:
        run.stdout.readline()
        Path("/run/netns/box").symlink_to(f"/proc/{run.pid}/ns/net")
        found, _ = find()
        run.kill()
    assert [(space.name, space.held_by, run.pid in space.pids) for space in found[1:]] == [
        ("box", "name", True)
    ]


def test_mount_elsewhere_is_found_by_its_file() -> None:
    sh("""ip netns add tmp; mkdir -p "/run/docker netns"; touch "/run/docker netns/3f2a"
    mount --bind /run/netns/tmp "/run/docker netns/3f2a"; ip netns del tmp""")
    found, _ = find()
    assert [(space.name, space.held_by) for space in found[1:]] == [("3f2a", "mount")]
    assert found[1].paths == ["/run/docker netns/3f2a"]
    assert snapshot().namespaces[1].interfaces[0].name == "lo"


def test_namespace_with_two_names_is_one() -> None:
    sh("ip netns add net1; touch /run/netns/alias; mount --bind /run/netns/net1 /run/netns/alias")
    found, _ = find()
    assert [space.names for space in found[1:]] == [["alias", "net1"]]


def test_id_is_what_stat_shows() -> None:
    sh("ip netns add net1")
    (_, found), _ = find()
    assert found.id == Path("/run/netns/net1").stat().st_ino


def test_namespace_named_root_is_not_taken_for_the_root() -> None:
    sh("ip netns add root")
    assert [space.name for space in find()[0]] == ["root", "/run/netns/root"]


def test_root_lists_its_processes_but_not_all() -> None:
    crowd = [subprocess.Popen(["sleep", "60"]) for _ in range(MOST_PIDS + 5)]
    try:
        root = find()[0][0]
        assert os.getpid() in root.pids
        assert len(root.pids) == MOST_PIDS
    finally:
        for one in crowd:
            one.kill()
            one.wait()


def test_lab_around_a_test_is_left_out() -> None:
    assert [space.name for space in find()[0]] == ["root"]
