"""The kernelspec's command: it opens the ports outside, and refuses in one line."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from netviz.lab.choosing import OWN_KERNEL
from netviz.lab.launcher import CHANNELS, listen

LAUNCHER = [sys.executable, "-P", "-m", "netviz.lab.launcher"]


def connection(folder: Path, **fields: object) -> Path:
    """Write a connection file; by default, one that leaves the ports to the kernel."""
    ports = {f"{channel}_port": 0 for channel in CHANNELS}
    info = {"ip": "127.0.0.1", "transport": "tcp", "key": "k", **ports, **fields}
    (path := folder / "connection.json").write_text(json.dumps(info))
    return path


def test_installed_kernelspec_is_the_one_in_the_package() -> None:
    spec = KernelSpecManager().get_kernel_spec("netviz")
    assert spec.argv[1:] == ["-P", "-m", "netviz.lab.launcher", "-f", "{connection_file}"]
    assert (spec.display_name, spec.language) == ("netviz lab", "python")
    assert spec.metadata == {"debugger": True, "supported_encryption": ["curve"]}


def test_kernelspec_of_ones_own_kernel_differs_in_little() -> None:
    spec = KernelSpecManager().get_kernel_spec("netviz-own")
    assert spec.argv[1:5] == ["-P", "-m", "netviz.lab.launcher", "--own-kernel"]
    assert (spec.display_name, spec.interrupt_mode) == (OWN_KERNEL, "message")


def test_ports_that_are_left_open_are_chosen_and_written_back(tmp_path: Path) -> None:
    path = connection(tmp_path)
    listeners = listen(path)
    written = json.loads(path.read_text())
    for channel, listener in listeners.items():
        with listener, socket.create_connection(("127.0.0.1", written[f"{channel}_port"])):
            pass
    assert tuple(listeners) == CHANNELS


def test_ports_that_are_named_are_kept_and_the_file_as_it_was(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = connection(tmp_path, shell_port=port)
    listeners = listen(path)
    assert listeners["shell"].getsockname() == ("127.0.0.1", port)
    again = path.read_text()
    for listener in listeners.values():
        listener.close()
    for listener in listen(path).values():
        listener.close()
    assert path.read_text() == again


def test_sockets_in_the_file_system_are_left_to_the_kernel(tmp_path: Path) -> None:
    assert listen(connection(tmp_path, transport="ipc", ip=str(tmp_path / "k"))) == {}


def test_descriptors_are_not_inherited_by_commands(tmp_path: Path) -> None:
    for listener in listen(connection(tmp_path)).values():
        with listener:
            assert not os.get_inheritable(listener.fileno())


@pytest.mark.parametrize("argv", [[], ["-f"]])
def test_start_by_hand_is_told_what_lacks(argv: list[str]) -> None:
    ended = subprocess.run([*LAUNCHER, *argv], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == ("netviz: the kernel is started by Jupyter, with: -f CONNECTION_FILE\n")


def test_connection_file_that_is_missing_is_told(tmp_path: Path) -> None:
    command = [*LAUNCHER, "-f", str(tmp_path / "none.json")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stderr.startswith("netviz: cannot read connection file '")
    assert ended.stderr.count("\n") == 1


def test_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = connection(tmp_path, shell_port=taken.getsockname()[1])
        command = [*LAUNCHER, "-f", str(path)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("netviz: cannot listen on '127.0.0.1:")
    assert ended.stderr.count("\n") == 1


def test_only_the_standard_library_is_loaded_before_the_lab_is_entered() -> None:
    program = (
        "import sys, netviz.lab.launcher\n"
        "print([n for n in sys.modules if n.partition('.')[0] in ('zmq', 'IPython', 'numpy')])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout == "[]\n"


def test_refusal_of_a_lab_is_one_line_and_status_1(tmp_path: Path) -> None:
    no_user_namespaces = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    command = [*LAUNCHER, "-f", str(connection(tmp_path))]
    ended = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", no_user_namespaces, "-", *command],
        env=os.environ | {"NETVIZ_KERNEL": "sandbox"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("netviz: ")
    assert "max_user_namespaces" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_sockets_in_the_file_system_do_not_reach_another_kernel(tmp_path: Path) -> None:
    file = connection(tmp_path, transport="ipc", ip=str(tmp_path / "k"))
    command = [*LAUNCHER, "--own-kernel", "-f", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "a kernel of one's own is reached by tcp alone" in ended.stderr


def test_supervisor_ends_with_the_process_that_it_follows(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as followed:
        env = os.environ | {"JPY_PARENT_PID": str(followed.pid)}
        command = [*LAUNCHER, "-f", str(connection(tmp_path))]
        with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as launcher:
            ended = os.pidfd_open(launcher.pid)
            followed.kill()
            assert select.select([ended], [], [], 20)[0]
            os.close(ended)
