"""A lesson that is killed in its middle, its daemons running, leaves nothing within a second."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from kernels import Notebook, notebook, processes_of
from labs import component
from lessons import lesson
from running import say

WITHIN = 1.0  # Seconds.
LISTENS = "0A"
# The component of a lesson, what runs in its middle, and what stands in the cells that start it.
LESSONS = {
    "03": ((), "python3", ("%%writefile", "ip link add br0", "vm.py tap0")),
    "05": (("docker",), "dockerd", ("nv.service(", "docker run")),
    "06": (("cni",), "python", ("mkdir", "%%writefile", "ip netns add", "nv.cni(", "server =")),
    "07": (("ovs",), "ovs-vswitchd", ("nv.service(", "ovs-vsctl add-br", "server =")),
}


def run_to_the_middle(lab: Notebook, number: str, parts: tuple[str, ...]) -> None:
    """Run those cells of a lesson's first half that leave something running."""
    sources = lesson(number).sources
    say(lab, "import netviz as nv")
    for source in sources[: len(sources) // 2]:
        if any(part in source for part in parts):
            say(lab, source)


def victim(lab: Notebook, who: str) -> int:
    """Return the number, out here, of one of the three processes that make a lab."""
    if who == "supervisor":
        return lab.pid
    (first,) = Path(f"/proc/{lab.pid}/task/{lab.pid}/children").read_text().split()
    if who == "first":
        return int(first)
    kernel, depth = lab.run("import os; os.getpid()").value, len(numbers(int(first)))
    # A container has process numbers of its own, below those of the lab.
    return next(pid for pid in processes_of(int(first)) if numbers(pid)[depth - 1 :] == [kernel])


def numbers(pid: int) -> list[str]:
    return status(pid)["NSpid"].split()


def status(pid: int) -> dict[str, str]:
    told = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in told)


def namespaces(pids: set[int]) -> set[int]:
    """Return the namespaces of processes that are not those of this one."""
    found = set()
    for pid in pids:
        with suppress(OSError):  # It may end meanwhile.
            found |= {each.stat().st_ino for each in Path(f"/proc/{pid}/ns").iterdir()}
    return found - {each.stat().st_ino for each in Path("/proc/self/ns").iterdir()}


def surroundings() -> tuple[str, set[str], set[str]]:
    """Return the mounts out here, the sockets with a name, and the ports that are listened on."""
    named = {line.split(" ", 7)[-1] for line in lines("unix") if line.count(" ") >= 7}
    ports = {fields[1] for line in lines("tcp") if (fields := line.split())[3] == LISTENS}
    return Path("/proc/self/mountinfo").read_text(), named, ports


def lines(table: str) -> list[str]:
    return Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]


@pytest.mark.long
@pytest.mark.parametrize("who", ["supervisor", "first", "kernel"])
@pytest.mark.parametrize("number", LESSONS)
def test_nothing_is_left(jupyter_home: Path, tmp_path: Path, number: str, who: str) -> None:
    needed, daemon, parts = LESSONS[number]
    component(*needed)
    before = surroundings()
    with notebook(tmp_path) as lab:
        run_to_the_middle(lab, number, parts)
        everyone = processes_of(lab.pid)
        assert daemon in {status(pid)["Name"].strip() for pid in everyone}
        spaces = namespaces(everyone)
        watched = [os.pidfd_open(pid) for pid in everyone]
        os.kill(victim(lab, who), signal.SIGKILL)
        deadline = time.monotonic() + WITHIN
        for fd in watched:
            left = max(0, deadline - time.monotonic())
            assert select.select([fd], [], [], left)[0], "a process is left"
            os.close(fd)
        alive = {int(each.name) for each in Path("/proc").glob("[0-9]*")}
        assert not spaces & namespaces(alive)
        assert surroundings() == before
