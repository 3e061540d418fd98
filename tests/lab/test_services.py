"""A daemon of the lab: started, waited for, found again by others, stopped, and never left over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from labs import PYTHON, Someone, component

import netviz
from netviz.errors import ComponentError, SandboxError
from netviz.lab.processes import running
from netviz.lab.sandbox import inside
from netviz.lab.services import Service

WEB = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "80"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo stubborn; while :; do sleep 0.01; done"]
LEFT = """
import sys
from netviz.lab.services import Service
print(Service("sleeper", ["sleep", sys.argv[1]], ready=lambda: True).start().running)
"""


def answers() -> bool:
    with socket.create_connection(("127.0.0.1", 80), timeout=1):
        return True


def web(**options: object) -> Service:
    return Service("web", WEB, ready=answers, **options)


def sleeper(name: str = "sleeper", **options: object) -> Service:
    return Service(name, ["sleep", "1000"], ready=lambda: True, **options)


def command_of(pid: int) -> str:
    with suppress(OSError):  # It may end meanwhile.
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def halt(session: int) -> None:
    os.killpg(session, signal.SIGSTOP)
    states = ["ps", "-o", "state=", "-s", str(session)]
    # What ended just before stays a zombie: who would bury it is halted.
    while {*subprocess.check_output(states, text=True).split()} - {"Z"} != {"T"}:
        time.sleep(0.01)


def error_of(service: Service) -> str:
    with pytest.raises(ComponentError) as caught:
        service.start()
    assert not service.running
    return str(caught.value)


def test_it_is_ready_when_it_has_started_and_gone_when_it_is_stopped() -> None:
    with web() as service:
        assert answers()
        assert service.running
        assert repr(service) == f"web: running, pid {service.pid} (log: {service.log_path})"
    assert not service.running
    assert repr(service).startswith("web: not running (log: /run/netviz/services/web.log")
    assert "Serving HTTP" in service.log


def test_one_that_runs_is_not_started_again_by_another_process_either() -> None:
    with web() as service:
        pid = service.pid
        assert service.start().pid == web().start().pid == pid
        again = "from netviz.lab.services import Service\nprint(Service('web', (), ready=bool).pid)"
        assert subprocess.check_output([PYTHON, "-c", again], text=True) == f"{pid}\n"
        web().stop()
        assert not service.running


def test_two_that_start_it_at_once_start_one() -> None:
    with ThreadPoolExecutor(4) as pool:
        pids = {each.pid for each in pool.map(lambda _: sleeper().start(), range(4))}
    assert len(pids) == 1
    assert [it.pid for it in running().values() if it.name == "sleep"] == [*pids]
    sleeper().stop()


def test_what_it_leaves_behind_is_ended_too() -> None:
    left = ["sh", "-c", "trap exit TERM; sleep 1000 & echo $!; wait"]
    service = Service("leaving", left, ready=lambda: "\n" in service.log)
    with service:
        child = int(service.log)
        assert child in running()
    while child in running():  # It is killed, and not waited for.
        time.sleep(0.01)


def test_what_one_that_ends_at_once_leaves_behind_is_ended_too() -> None:
    forks = Service("forks", ["sh", "-c", "sleep 1000 & echo $!"], ready=lambda: False)
    assert "it ended, and said: " in error_of(forks)
    while int(forks.log) in running():  # It is killed, and not waited for.
        time.sleep(0.01)


def test_one_that_ran_before_is_not_ended_by_who_waits_in_vain() -> None:
    first = sleeper("first")
    with sleeper("second", after=[first]) as second:
        vain = Service("second", (), ready=lambda: False, after=[first], patience=0)
        with pytest.raises(ComponentError, match="it was not ready within 0 s"):
            vain.start()
        assert first.running
        assert second.running


@pytest.mark.parametrize("name", [pytest.param("docker", marks=pytest.mark.long), "ovs"])
def test_daemon_that_is_halted_is_not_ready(name: str) -> None:
    component(name)
    with netviz.service(name) as service:
        for each in (service, *service.after):
            each.patience = 0
            halt(each.pid)
            with pytest.raises(ComponentError, match="it was not ready within 0 s"):
                service.start()
            os.killpg(each.pid, signal.SIGCONT)
            each.patience = 30
        assert service.start().running


def test_one_that_was_killed_is_started_again() -> None:
    with sleeper() as service:
        os.kill(service.pid, signal.SIGKILL)
        os.waitpid(service.pid, 0)
        assert not service.running
        assert service.start().running


def test_number_that_another_process_has_by_now_is_not_believed() -> None:
    with sleeper() as service:
        noted = service.log_path.with_suffix(".pid")
        pid, began = noted.read_text().split()
        noted.write_text(f"{pid} {int(began) - 1}")
        assert not service.running
        noted.write_text(f"{pid} {began}")


def test_number_that_a_child_of_the_callers_has_by_now_is_not_waited_for() -> None:
    child = subprocess.Popen(["false"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    sleeper().log_path.with_suffix(".pid").write_text(f"{child.pid} 1")
    assert not sleeper().running
    assert child.wait() == 1


def test_in_a_namespace_it_has_that_network_and_the_labs_files() -> None:
    subprocess.run(["ip", "netns", "add", "host1"], check=True)
    there = ["sh", "-c", "echo there; exec sleep 1000"]
    service = Service("sleeper", there, ready=lambda: "there" in service.log, namespace="host1")
    with service:
        proc = Path(f"/proc/{service.pid}/ns")
        assert (proc / "net").stat().st_ino == Path("/run/netns/host1").stat().st_ino
        assert (proc / "mnt").stat().st_ino == Path("/proc/self/ns/mnt").stat().st_ino
        assert repr(service).startswith("sleeper in host1: running")
        assert not sleeper().running


@pytest.mark.parametrize("name", ["nowhere", "../netns", ".."])
def test_namespace_that_is_none_is_named(name: str) -> None:
    said = error_of(sleeper(namespace=name))
    assert f"there is no namespace '{name}' (like: sleep 1000); create it first: ip netns" in said


def test_what_it_comes_after_is_started_before_and_stopped_after_it() -> None:
    order: list[str] = []

    def heard(name: str) -> Callable[[], bool]:
        return lambda: order.append(name) or True

    first = Service("first", ["sleep", "1000"], ready=heard("first"))
    second = Service("second", ["sleep", "1000"], ready=heard("second"), after=[first])
    with second:
        assert order == ["first", "second"]
        assert first.running
    assert not first.running


def test_one_that_ends_tells_its_last_words() -> None:
    first = sleeper("first")
    broken = ["sh", "-c", "echo begun; echo 'no such \x1b[31moption' >&2; exit 3"]
    said = error_of(Service("broken", broken, ready=lambda: False, after=[first]))
    assert "cannot start 'broken': it ended, and said: no such \\x1b[31moption" in said
    assert said.endswith("; read its log: /run/netviz/services/broken.log")
    assert not first.running


def test_words_of_an_earlier_run_are_not_its_last() -> None:
    once = ["sh", "-c", "echo earlier; exec sleep 1000"]
    service = Service("broken", once, ready=lambda: "earlier" in service.log)
    with service:
        pass
    said = error_of(Service("broken", ["false"], ready=lambda: False))
    assert "it ended, and said: nothing" in said


def test_one_that_is_not_ready_in_time_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netviz.lab.services._GRACE", 0.1)  # It will not end when it is asked.
    slow = Service("slow", STUBBORN, ready=lambda: False, patience=0.2)
    assert "it was not ready within 0.2 s, and said: stubborn" in error_of(slow)
    assert "stubborn" not in "".join(map(command_of, running()))


def test_program_that_is_not_there_is_named_with_what_fetches_it() -> None:
    said = error_of(Service("none", ["no-such-daemon"], ready=bool))
    assert "'no-such-daemon': No such file or directory (like: no-such-daemon)" in said
    assert said.endswith("run: netviz components fetch none")


def test_interrupt_of_a_cell_is_not_heard_by_it_and_variables_are() -> None:
    shell = ["sh", "-c", "echo $COLOUR; exec sleep 1000"]
    own = Service("own", shell, ready=lambda: "blue" in own.log, env={"COLOUR": "blue"})
    with own:
        assert os.getsid(own.pid) == own.pid != os.getsid(0)


def test_reset_ends_it() -> None:
    service = sleeper().start()
    netviz.reset()
    assert not service.running


def test_daemon_that_nobody_knows_is_named() -> None:
    with pytest.raises(ComponentError, match="no daemon is called 'cron'; choose one: docker, ovs"):
        netviz.service("cron")


@pytest.mark.outside
def test_none_is_started_on_the_machine_itself() -> None:
    if not inside():
        with pytest.raises(SandboxError, match="cannot start 'docker': this is the machine itself"):
            netviz.service("docker")
        with pytest.raises(SandboxError):
            sleeper().start()


@pytest.mark.outside
def test_none_outlives_the_lab(someone: Someone) -> None:
    own = f"1000.{os.getpid()}"
    assert someone.python(LEFT, own) == "True\n"
    assert [pid for pid in running() if own in command_of(pid)] == []
