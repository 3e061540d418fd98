"""A lab has a network, process numbers and a name of its own, and ends with what it belongs to."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from labs import NETVIZ, PATIENCE, PYTHON, Someone

from netviz.lab.sandbox import inside

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
FOLLOWS = """
import sys
from netviz.lab.sandbox import Supervision, run
run(["sh", "-c", "echo ready; exec sleep 1000"], Supervision(follow=int(sys.argv[1])))
"""
LEAVES = """
import os, sys
from netviz.lab.sandbox import Supervision, enter
enter(Supervision(forward_interrupt=False))
print("ready", flush=True)
sys.stdin.read()
print("done")
sys.exit(5)
"""
SUDO = [
    ("sudo id -u", "0"),
    ("sudo -E env X=1 printenv X", "1"),
    ("sudo X=1 printenv X", "1"),
    ("sudo X=1 Y=2 printenv Y", "2"),
    ("sudo -u root id -u", "0"),
    ("sudo -uroot id -u", "0"),
    ("sudo -Hu root -- id -u", "0"),
    ("sudo --user=root id -u", "0"),
    ("sudo --user root --preserve-env id -u", "0"),
    ("sudo -n -- echo -n -x", "-x"),
    ("sudo -i echo 'a  b'", "a  b"),
    ("echo 'echo typed' | sudo -i", "typed"),
    ("echo 'echo typed' | sudo -s", "typed"),
    ("echo 'echo typed' | sudo --login -u root", "typed"),
    ("sudo sudo sh -c 'exit 9' || echo $?", "9"),
    ("sudo -v && echo asked", "asked"),
    ("sudo ip netns add net1 && sudo ip netns", "net1"),
    ("echo 10.1.1.1 net1 | sudo tee -a /etc/hosts", "10.1.1.1 net1"),
]


pytestmark = pytest.mark.outside


def _namespaces() -> dict[str, str]:
    return {kind: str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in KINDS}


def test_lab_shares_no_namespace_but_the_cgroup(someone: Someone) -> None:
    seen = someone.sh(f"cd /proc/self/ns; for kind in {' '.join(KINDS)}; do readlink $kind; done")
    same = set(seen.split()) & set(_namespaces().values())
    assert {each.split(":")[0] for each in same} == {"cgroup"}


def test_network_is_one_loopback_that_is_up(someone: Someone) -> None:
    assert someone.sh("ip -br link | cut -d' ' -f1; ip route; ip netns") == "lo\n"
    assert "127.0.0.1/8" in someone.sh("ip -br address show up")


def test_caller_is_root_in_a_machine_called_lab(someone: Someone) -> None:
    assert someone.sh("id -u; hostname").split() == ["0", "lab"]
    assert someone.sh("hostname other; hostname") == "other\n"


def test_library_knows_where_it_is(someone: Someone) -> None:
    ask = "from netviz.lab.sandbox import *; print(inside(), root_namespace())"
    assert someone.python(ask) == "True /run/netviz/root\n"
    outside = someone.call(PYTHON, "-c", ask).stdout
    assert outside.startswith(str(inside()))


def test_root_namespace_is_named_from_everywhere(someone: Someone) -> None:
    script = """readlink /proc/self/ns/net; ip netns add net1
    ip netns exec net1 nsenter --net=/run/netviz/root readlink /proc/self/ns/net"""
    first, second = someone.sh(script).split()
    assert first == second


def test_named_namespaces_can_be_entered_one_from_another(someone: Someone) -> None:
    script = "ip netns add a; ip netns add b; ip netns exec a nsenter --net=/run/netns/b ip link"
    assert "lo" in someone.sh(script)


def test_two_programs_have_two_process_numbers(someone: Someone) -> None:
    # Programs name files in the shared /tmp after theirs.
    assert someone.sh("echo $$") != someone.sh("echo $$")


@pytest.mark.parametrize("link", ["root", "cwd", "exe", "fd/0", "ns/mnt", "ns/user"])
def test_first_process_is_no_way_out(someone: Someone, link: str) -> None:
    someone.sh(f"kill -9 1; kill -0 1 && ! readlink /proc/1/{link} && ! nsenter -t 1 -U true")


def test_lab_works_inside_a_lab(someone: Someone) -> None:
    script = f"ip netns add outer; {NETVIZ} run sh -c 'ip netns add inner; ip netns; id -u'"
    assert someone.sh(script).split() == ["inner", "0"]


def test_lab_ends_with_the_process_that_it_follows(someone: Someone) -> None:
    followed = someone.start("sleep", "1000")
    with followed, someone.start(PYTHON, "-c", FOLLOWS, str(followed.pid)) as run:
        assert run.stdout.readline() == "ready\n"
        followed.kill()
        assert run.wait(PATIENCE) == -signal.SIGKILL


def test_lab_that_follows_one_who_is_gone_ends(someone: Someone) -> None:
    gone = someone.start("true")
    gone.communicate()
    done = someone.call(PYTHON, "-c", FOLLOWS, str(gone.pid))
    assert done.returncode == -signal.SIGKILL
    assert done.stderr == ""


def test_python_goes_on_inside(someone: Someone) -> None:
    with someone.start(PYTHON, "-c", LEAVES) as run:
        assert run.stdout.readline() == "ready\n"
        run.send_signal(signal.SIGINT)  # Jupyter's goes to the whole group: it is not forwarded.
        assert run.communicate("", timeout=PATIENCE)[0] == "done\n"
    assert run.returncode == 5


def test_process_with_threads_is_refused(someone: Someone) -> None:
    code = """
import threading
from netviz.errors import SandboxError
from netviz.lab.sandbox import enter
threading.Thread(target=threading.Event().wait, daemon=True).start()
try:
    enter()
except SandboxError as error:
    print("threads" in str(error))
"""
    assert someone.call(PYTHON, "-c", code).stdout == "True\n"


def test_refusal_is_one_line_and_status_2(someone: Someone) -> None:
    limit = "echo 0 > /proc/sys/user/max_user_namespaces"
    done = someone.run("sh", "-c", f"{limit}; exec {NETVIZ} run true")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("netviz: cannot start a lab: 'unshare' was refused")
    assert "max_user_namespaces" in done.stderr
    assert done.stderr.count("\n") == 1


def test_refusal_of_the_second_namespace_is_told_too(someone: Someone) -> None:
    # One is left, for the builder; the program finds none.
    limit = "echo 1 > /proc/sys/user/max_user_namespaces"
    done = someone.run("sh", "-c", f"{limit}; exec {NETVIZ} run true")
    assert done.returncode == 2
    assert done.stderr.startswith("netviz: cannot start a lab: 'unshare' was refused")


@pytest.mark.parametrize(("command", "printed"), SUDO)
def test_sudo_runs_its_arguments(someone: Someone, command: str, printed: str) -> None:
    assert someone.sh(f"set -o pipefail; {command}").strip() == printed


@pytest.mark.parametrize(
    "name", ["DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "SSH_AUTH_SOCK", "CONTAINER_HOST"]
)
def test_variables_that_lead_outside_are_gone(someone: Someone, name: str) -> None:
    done = someone.run("printenv", name, "HERE", env={name: "unix:/x", "HERE": "stays"})
    assert done.stdout == "stays\n"


def test_system_programs_are_in_the_path(someone: Someone) -> None:
    script = "command -v ip && command -v sudo && dirname $(command -v python3)"
    _, sudo, python = someone.sh(script, env={"PATH": "/usr/bin"}).split()
    assert (sudo, python) == ("/run/netviz/bin/sudo", str(Path(PYTHON).parent))
