"""A locked pod: that it is one, and that it refuses a lab, but not a lab on a kernel of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pod
import pytest
from labs import component

from netviz.lab.linux import own

LOOK = r"""
cat /proc/self/status
echo processors $(nproc); echo links $(ls /sys/class/net)
echo shared $(findmnt --noheadings -o SIZE,OPTIONS /dev/shm | tail -n 1)
echo devices $(ls /dev); echo keys $(wc -c </proc/keys)
for folder in / /usr/local /etc /sys /proc/sys/net/ipv4 $HOME /tmp; do
    touch $folder/conf 2>/dev/null && echo may write in $folder
done
unshare --user --map-root-user true
"""


@pytest.fixture(autouse=True)
def _engine() -> Iterator[None]:
    with pod.engine():
        yield


def test_a_pod_has_no_privilege_and_nothing_that_docker_denies_by_default() -> None:
    done = pod.run("bash", "-c", LOOK)
    told = dict(re.findall(r"^(\w+):?\s+(.*)", done.output, re.MULTILINE))
    assert told["Uid"].split() == told["Gid"].split() == ["1000"] * 4
    assert {int(told[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2")
    assert "unshare failed: Operation not permitted" in done.errors
    assert (told["processors"], told["links"], told["keys"]) == ("1", "lo", "0")
    assert told["shared"].startswith("64M rw,nosuid,nodev,noexec,")
    assert not {"net", "fuse", "kvm"} & {*told["devices"].split()}
    assert re.findall("may write in (.*)", done.output) == [pod.HOME, "/tmp"]


def test_a_lab_is_refused_in_a_pod_and_the_error_names_the_filter() -> None:
    done = pod.run("netviz", "run", "--", "true")
    assert (done.status, done.output) == (2, "")
    assert "'unshare' was refused (Operation not permitted): a seccomp filter" in done.errors


def test_a_lab_on_a_kernel_of_its_own_is_not_and_the_pod_gets_what_its_own_denies() -> None:
    component("own-kernel")
    script = "uname -r; ip netns add net1 && ip link add dum1 type dummy && ip link show dum1"
    done = pod.run("netviz", "run", "--own-kernel", "--", "sh", "-c", script)
    assert (done.status, done.errors) == (0, "")
    assert done.output.splitlines()[0] == own().version
    assert "dum1: <BROADCAST,NOARP>" in done.output
    assert 0 < done.memory < pod.LIMIT
