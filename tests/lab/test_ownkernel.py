"""A lab on a kernel of its own, seen from outside: it does as any lab, and leaves nothing."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kernels import all_end, processes_of
from labs import NETVIZ, Someone, component, fetched

from netviz.errors import NetvizError
from netviz.lab import ownkernel
from netviz.lab.attaching import matching, on_own_kernels
from netviz.lab.linux import own

pytestmark = pytest.mark.outside(only=True)
OWN = (NETVIZ, "run", "--own-kernel", "--")
MUCH = 700_000  # Bytes: more than may be on their way.


@pytest.fixture(autouse=True, scope="module")
def _kernel() -> None:
    component("own-kernel")


def test_program_runs_in_a_lab_on_another_kernel(someone: Someone) -> None:
    before = {path: set(path.iterdir()) for path in (Path("/dev/shm"), someone.home)}
    links = set(Path("/sys/class/net").iterdir())
    script = """
        uname -r; id -u; hostname; nproc; echo "$GREETING"; pwd
        ip link add name tun1 type ipip local 192.0.2.1 remote 192.0.2.2 && ip netns add net1
        ip -br link show; ip netns; awk '/MemTotal/ {print $2}' /proc/meminfo
        touch /usr/mine; echo mine > "$HOME/mine"; echo complaint >&2; exit 7
    """
    done = someone.call(*OWN, "bash", "-c", script, env={"GREETING": "hello"})
    assert done.returncode == 7
    said = done.stdout.split("\n")
    assert said[:6] == [own().version, "0", "lab", "1", "hello", str(someone.home)]
    assert [line.split()[0] for line in said[6:9]] == ["lo", "tun1@NONE", "net1"]
    assert int(said[9]) < ownkernel.MEMORY * 1024
    assert "cannot touch '/usr/mine': Read-only file system" in done.stderr
    assert done.stderr.endswith("complaint\n")
    mine = someone.home / "mine"
    owner = os.getuid() if someone.uid is None else someone.uid
    assert (mine.read_text(), mine.stat().st_uid) == ("mine\n", owner)
    mine.unlink()
    assert {path: set(path.iterdir()) for path in before} == before
    assert set(Path("/sys/class/net").iterdir()) == links


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_program_that_is_killed_is_told_as_such(number: int) -> None:
    done = subprocess.run([*OWN, "sh", "-c", f"kill -{number} $$"], check=False)
    assert done.returncode == -number


@pytest.mark.long
def test_signal_is_passed_on() -> None:
    script = "trap 'echo heard; exit 3' TERM; echo on; while :; do sleep 0.1; done"
    with subprocess.Popen([*OWN, "bash", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"on\n"
        process.terminate()
        assert process.stdout.read() == b"heard\n"
    assert process.returncode == 3


@pytest.mark.long
def test_much_goes_in_and_out_whole() -> None:
    content = os.urandom(MUCH)
    done = subprocess.run([*OWN, "cat"], input=content, stdout=subprocess.PIPE, check=True)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(content).digest()


@pytest.mark.long
def test_program_whose_output_nobody_reads_any_more_ends() -> None:
    done = subprocess.run(f"{' '.join(OWN)} yes | head -n 2", shell=True, capture_output=True)  # noqa: S602
    assert (done.stdout, done.stderr) == (b"y\ny\n", b"")


@pytest.mark.long
def test_terminal_has_size_jobs_and_interrupts(tmp_path: Path) -> None:
    terminal = Someone(None, tmp_path).terminal(*OWN, "bash", "--norc", "-i")
    terminal.wait_for("prompt> ")
    terminal.resize(33, 99)
    terminal.type("sleep 0.3; stty size\n")
    terminal.wait_for("33 99")
    terminal.type("sh -c 'echo o''n; exec sleep 100'\n")
    terminal.wait_for("\ron\r\n")
    terminal.type("\x03")
    terminal.wait_for("prompt> ")
    terminal.type("echo $?; exit 5\n")
    terminal.wait_for("130")
    assert terminal.end() == 5


@pytest.mark.long
def test_terminal_is_told_that_it_cannot_enter() -> None:
    command = [*OWN, "sh", "-c", "echo on; sleep 300"]
    environment = os.environ | {"JPY_SESSION_NAME": "/lessons/10-ipip.ipynb"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"on\n"
        assert "10-ipip" in on_own_kernels()
        with pytest.raises(NetvizError, match=r"no terminal can enter .*10-ipip"):
            matching([])
        process.kill()


@pytest.mark.parametrize("victim", ["caller", "keeper", "kernel", "program"])
def test_whoever_is_killed_nothing_is_left(victim: str, tmp_path: Path) -> None:
    before = set(Path("/dev/shm").iterdir())
    environment = os.environ | fetched() | {"HOME": str(tmp_path)}
    command = [*OWN, "sh", "-c", "sleep 300 & echo on; sleep 300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"on\n"
        every = processes_of(process.pid)
        keeper = next(iter(children(process.pid)))
        kernel = next(iter(children(keeper)))
        program = max(children(kernel))
        with all_end(every - {process.pid}):
            doomed = {"caller": process.pid, "keeper": keeper, "kernel": kernel}
            os.kill(doomed.get(victim, program), signal.SIGKILL)
            if victim == "program":  # The kernel may think that it has crashed, or go on.
                process.kill()
    assert set(Path("/dev/shm").iterdir()) == before
    assert list(tmp_path.iterdir()) == []


def test_whole_group_is_killed_and_nothing_is_left() -> None:
    command = [*OWN, "sh", "-c", "echo on; sleep 300"]
    options = {"stdout": subprocess.PIPE, "start_new_session": True}
    with subprocess.Popen(command, **options) as process:
        assert process.stdout.readline() == b"on\n"
        with all_end(processes_of(process.pid) - {process.pid}):
            os.killpg(process.pid, signal.SIGKILL)


def test_kernel_that_does_not_boot_says_why(tmp_path: Path) -> None:
    code = """
import sys
from netviz.lab import linux, ownkernel
kernel = linux.OwnKernel(ownkernel.Path(sys.argv[1]), "0", None, None, False)
ownkernel.own = lambda: kernel
ownkernel.run(ownkernel.Errand(command=["true"]))
"""
    broken = tmp_path / "linux"
    broken.write_text("#!/bin/sh\necho first; echo 'no ptrace here' >&2; exit 1\n")
    broken.chmod(0o755)
    for binary, why in ((broken, "first / no ptrace here"), (tmp_path / "none", "cannot be run")):
        command = [sys.executable, "-c", code, str(binary)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert f"SandboxError: cannot start a lab on a kernel of its own: '{binary}'" in done.stderr
        assert why in done.stderr


def test_without_room_for_its_memory_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownkernel, "MEMORY", 1 << 40)
    with pytest.raises(ownkernel.SandboxError, match=r"has .* MB of room and lets programs run"):
        ownkernel.run(ownkernel.Errand(command=["true"]))


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
