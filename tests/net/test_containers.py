"""Containers are found by what their processes betray and by what their engine says of them.

The answers are those of a real Docker 20.10 and a real Podman 4.3. What stands in for an engine
here is one that no real engine can be: it hangs, drips, lies, or refuses.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from oracle import sh

import netviz
from netviz.model import Container, EngineNetwork, Namespace, Snapshot
from netviz.net import containers, engines, namespaces
from netviz.net.containers import Clue, in_cgroup, in_command
from netviz.net.discovery import snapshot
from netviz.packets.facts import typed
from netviz.records import snapshot_of

ANSWERS = Path(__file__).parent / "answers"
SOCKET = Path("/run/docker.sock")
A, B = "a1" * 32, "b2" * 32
POD = "2f1d8f6e-6b3f-4b52-9d0e-0d9a3c1b7e55"
HOME = 7
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an engine take its time where it is not its slowness that is tested."""
    monkeypatch.setattr(engines, "PATIENCE", 10)


def answer(name: str) -> Any:
    return json.loads((ANSWERS / f"{name}.json").read_text())


def told_by(engine: str) -> engines.Told:
    answers = (answer(f"{engine}-{what}") for what in ("containers", "networks"))
    return engines.understood(engine, *answers, HOME)


def called(told: engines.Told, name: str) -> Container:
    return next(each for each in told.containers.values() if each.name == name)


@pytest.mark.parametrize(
    ("line", "clue"),
    [
        (f"0::/system.slice/docker-{A}.scope", Clue(A, "docker")),
        (f"12:pids:/docker/{A}", Clue(A, "docker")),
        (f"12:pids:/docker/{B}/docker/{A}", Clue(A, "docker")),
        (f"0::/user.slice/user-1000.slice/user@1000.service/docker.slice/docker-{A}.scope/init",
         Clue(A, "docker")),
        (f"0::/machine.slice/libpod-{A}.scope/container", Clue(A, "podman")),
        (f"0::/libpod_parent/libpod-{A}", Clue(A, "podman")),
        (f"0::/machine.slice/libpod-conmon-{A}.scope", None),
        (f"0::/system.slice/nerdctl-{A}.scope", Clue(A, "containerd")),
        (f"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod"
         f"{POD.replace('-', '_')}.slice/cri-containerd-{A}.scope",
         Clue(A, "containerd", pod=POD)),
        (f"1:cpu:/system.slice/containerd.service/kubepods-burstable-pod{POD.replace('-', '_')}"
         f".slice:cri-containerd:{A}", Clue(A, "containerd", pod=POD)),
        (f"4:memory:/kubepods/burstable/pod{POD}/{A}", Clue(A, pod=POD)),
        (f"0::/kubepods.slice/kubepods-pod{B[:32]}.slice/crio-{A}.scope",
         Clue(A, "cri-o", pod=B[:32])),
        ("0::/", None),
        ("0::/user.slice/user-0.slice/session-3.scope", None),
        (f"0::/system.slice/docker-{A}0.scope", None),
        (f"9:name=systemd:/\n1:cpu:/docker/{A}\n0::/", Clue(A, "docker")),
    ],
)  # fmt: skip
def test_cgroup_betrays_the_innermost_container(line: str, clue: Clue | None) -> None:
    assert in_cgroup(line + "\n") == clue


@pytest.mark.parametrize(
    ("command", "clue"),
    [
        (f"/usr/bin/containerd-shim-runc-v2 -namespace moby -id {A} -address /run/c.sock",
         Clue(A, "docker")),
        (f"containerd-shim-runc-v2 -namespace k8s.io -id {A}", Clue(A, "containerd")),
        (f"/usr/bin/conmon --api-version 1 -c {A} -u {A} -r /usr/bin/crun -n web --exit-dir /run",
         Clue(A, "podman", "web")),
        ("containerd-shim-runc-v2 -id", None),
        (f"sleep -id {A}", None),
        ("", None),
    ],
)  # fmt: skip
def test_what_an_engine_leaves_behind_betrays_the_container(
    command: str, clue: Clue | None
) -> None:
    assert in_command(command.split(" ")) == clue


def test_answers_of_docker_are_understood() -> None:
    told = told_by("docker")
    first = called(told, "c1")
    assert (first.image, first.networks, len(first.id)) == ("nginx", ("bridge",), 64)
    assert first.ports == ("0.0.0.0:8080→80/tcp", "[::]:8080→80/tcp")
    second = called(told, "c2")
    assert (second.networks, second.ports) == (("bridge", "mynet"), ("127.0.0.1:5353→53/udp",))
    assert [each.name for each in told.at_home] == ["hosted"]
    assert [(each.name, each.driver, each.subnets) for each in told.networks] == [
        ("bridge", "bridge", ("172.17.0.0/16",)),
        ("mynet", "bridge", ("172.28.0.0/16",)),
    ]
    assert told.networks[0].device == "docker0"
    assert told.networks[1].device.startswith("br-")


def test_answers_of_podman_are_understood() -> None:
    told = told_by("podman")
    assert called(told, "app").pod == "mypod"
    assert called(told, "p1").ports == ("0.0.0.0:8081→80/tcp",)
    assert called(told, "p2").ports[::2] == ("127.0.0.1:5353→5353/udp", "127.0.0.1:5355→5355/udp")
    assert [(each.name, each.device, each.subnets) for each in told.networks] == [
        ("mynet", "podman1", ("10.99.0.0/24",)),
        ("podman", "podman0", ("10.88.0.0/16",)),
    ]


def test_macvlan_network_is_that_of_its_parent() -> None:
    network = answer("docker-networks")[0] | {"Driver": "macvlan", "Options": {"parent": "eth0"}}
    assert engines.understood("docker", [], [network], HOME).networks[0].device == "eth0"


def test_pod_of_kubernetes_is_known_by_its_label() -> None:
    labels = {"io.kubernetes.pod.name": "web-0"}
    told = engines.understood(
        "docker", [answer("docker-containers")[0] | {"Labels": labels}], [], 7
    )
    assert [each.pod for each in told.containers.values()] == ["web-0"]


@contextmanager
def engine(serve: Callable[[socket.socket], object]) -> Iterator[list[float]]:
    """Let something listen at Docker's socket that treats each connection in its own way."""
    asked: list[float] = []
    engines._remembered.clear()
    SOCKET.unlink(missing_ok=True)

    def run() -> None:
        with suppress(OSError):
            while True:
                with door.accept()[0] as wire:
                    asked.append(time.monotonic())
                    with suppress(OSError):
                        serve(wire)

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(SOCKET))
        door.listen()
        listener = threading.Thread(target=run, daemon=True)
        listener.start()
        try:
            yield asked
        finally:
            door.shutdown(socket.SHUT_RDWR)
            listener.join()
            SOCKET.unlink()
            engines._remembered.clear()


def says(*answers: object) -> Callable[[socket.socket], object]:
    """Answer one question after the other, as JSON or as it is."""

    def serve(wire: socket.socket) -> None:
        for each in answers:
            wire.recv(4096)
            data = each if isinstance(each, bytes) else json.dumps(each).encode()
            wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)

    return serve


def raw(data: bytes) -> Callable[[socket.socket], object]:
    return lambda wire: (wire.recv(4096), wire.sendall(data))


@contextmanager
def shim(
    id: str,
    run: str = "unshare -nu sleep 60",
    *,
    parent: str = "containerd-shim-runc-v2 -namespace moby -id",
    more: str = "",
) -> Iterator[int]:
    """Run a process in a namespace of its own below one that is called as an engine's is."""
    program, *words = parent.split()
    script = f'exec -a {program} sh -c "$RUN & echo; wait" {" ".join(words)} {id} {more}'
    began = {"env": os.environ | {"RUN": run}, "stdout": subprocess.PIPE, "start_new_session": True}
    with subprocess.Popen(["bash", "-c", script], **began) as running:
        try:
            running.stdout.readline()
            while not (own := sh(f"pgrep -P {running.pid}").strip()) or not elsewhere(own):
                time.sleep(0.01)
            yield int(own)
        finally:
            os.killpg(running.pid, signal.SIGKILL)


def elsewhere(pid: str, other: object = "self") -> bool:
    one, two = (Path(f"/proc/{it}/ns/net").stat().st_ino for it in (pid, other))
    return one != two


def container(name: str = "c1", **more: object) -> dict[str, object]:
    """Return what Docker says of a container whose id is all a and 1."""
    return answer("docker-containers")[-1] | {"Id": A, "Names": [f"/{name}"], **more}


def names(seen: Snapshot) -> list[str]:
    return [space.name for space in seen.namespaces]


def test_without_an_engine_a_container_is_called_by_its_id() -> None:
    with shim(A) as pid:
        seen = snapshot()
    assert names(seen) == ["root", A[:12]]
    assert seen.namespaces[1].containers == (Container(A[:12], A, "docker", pid=pid),)
    assert not seen.warnings


def test_conmon_knows_the_name() -> None:
    with shim(A, parent="conmon -c", more="-n web"):
        assert names(snapshot()) == ["root", "web"]


def test_name_that_is_no_text_can_still_be_written() -> None:
    with shim(A, parent="conmon -c", more="-n \udcffweb"):
        assert names(snapshot()) == ["root", "\ufffdweb"]


def test_namespace_of_a_container_is_entered_and_asked_for_by_any_name() -> None:
    with engine(says([container(Names=["/c1", "/other/alias"])], [])), shim(A) as pid:
        (_, found), _ = namespaces.find()
        sh(f"nsenter -t {pid} -n ip link set lo up")
        done = netviz.trace("c1", "ping -c1 127.0.0.1")
        assert found.known_as == ("c1", "c1")
    assert "1 received" in done.output


def test_name_that_somebody_chose_stays_and_the_container_is_in_it() -> None:
    with engine(says([container()], [])), shim(A) as pid:
        sh(f"touch /run/netns/mine; mount --bind /proc/{pid}/ns/net /run/netns/mine")
        space = snapshot().namespaces[1]
    assert (space.name, space.known_as) == ("mine", ("mine", "mine", "c1"))


def test_name_that_an_engine_drew_does_not() -> None:
    name = f"cni-{POD}"
    with engine(says([container()], [])), shim(A) as pid:
        sh(f"touch /run/netns/{name}; mount --bind /proc/{pid}/ns/net /run/netns/{name}")
        space = snapshot().namespaces[1]
    assert (space.name, space.held_by, space.names) == ("c1", "name", (name,))


def test_name_that_is_taken_is_told_apart() -> None:
    sh("ip netns add c1")
    with engine(says([container()], [])), shim(A):
        assert names(snapshot()) == ["root", "c1", "root/c1"]


def test_namespace_that_a_container_makes_inside_is_no_container() -> None:
    with shim(A, "unshare -nu sh -c 'unshare -nu sleep 60 & wait'") as pid:
        while not (inner := sh(f"pgrep -P {pid} || true").strip()) or not elsewhere(inner, pid):
            time.sleep(0.01)
        found = {space.pids[0]: space.containers for space in snapshot().namespaces}
    assert [each.pid for each in found[pid]] == [pid]
    assert found[int(inner)] == ()


def test_pod_of_kubernetes_is_called_by_its_hostname() -> None:
    with shim(A, "unshare -nu sh -c 'hostname web-0; exec sleep 60'") as pid:
        while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":
            time.sleep(0.01)
        assert containers._hostnames([pid, os.getpid(), 1 << 22]) == {pid: "web-0"}
    assert socket.gethostname() != "web-0"


def test_two_containers_in_one_namespace_are_named_by_the_first() -> None:
    answers = says([container(), container("c2", Id=B)], [])
    with engine(answers), shim(A) as pid:
        time.sleep(0.02)  # When a process began is told in hundredths of a second.
        with shim(B, f"nsenter -t {pid} -n unshare -u sleep 60") as second:
            while Path(f"/proc/{second}/comm").read_text() != "sleep\n":
                time.sleep(0.01)
            space = snapshot().namespaces[1]
    assert space.name == "c1"
    assert [each.name for each in space.containers] == ["c1", "c2"]


RUBBISH = {
    "nothing": raw(b""),
    "no HTTP": raw(b"\xff\x00\xfe" * 100 + b"\r\n\r\n"),
    "another protocol": raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "a refusal": raw(b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}"),
    "a redirection": raw(b"HTTP/1.1 301 Gone\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n"),
    "no JSON": says(b"<html>", b"<html>"),
    "no UTF-8": says(b'["\xff\xfe"]', b"[]"),
    "no list": says(None, 5),
    "a list of anything": says([1, None, "x"], []),
    "no text for a name": says([{"Id": A, "Names": [5]}], []),
    "no text for an image": says([container(Image={"a": 1})], []),
    "no number for a port": says(
        [container(Ports=[{"PublicPort": "x", "PrivatePort": 1, "Type": "tcp"}])], []
    ),
    "a zero byte in a name": says([container("a\0b")], []),
    "a name that is no Unicode": says([container("\ud800")], []),
    "a name that is none": says([container("")], []),
    "networks that are none": says([], [{"Name": "n", "Driver": "bridge"}]),
    "a deep nest": says(b"[" * 200_000, b"[]"),
    "one answer, where two are asked for": raw(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]"
    ),
    "half of it": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n[1,"),
    "too much": raw(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (9 << 20)),
}


@pytest.mark.parametrize("serve", RUBBISH.values(), ids=RUBBISH.keys())
def test_rubbish_is_a_warning(serve: Callable[[socket.socket], object]) -> None:
    with engine(serve):
        (warning,) = snapshot().warnings
    assert str(warning).startswith("docker at '/run/docker.sock' answers what is not understood: ")
    assert str(warning).isprintable()


def hang(wire: socket.socket) -> None:
    wire.recv(4096)
    time.sleep(0.5)


def drip(wire: socket.socket) -> None:
    wire.recv(4096)
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20:
        wire.sendall(bytes([byte]))
        time.sleep(0.02)


@pytest.mark.parametrize("serve", [hang, drip])
def test_engine_that_hangs_costs_a_moment_once(
    serve: Callable[[socket.socket], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "PATIENCE", 0.3)
    with engine(serve) as asked:
        began = time.monotonic()
        seen = [snapshot() for _ in range(3)]
        took = time.monotonic() - began
    assert {str(it.warnings[0]) for it in seen} == {
        "docker at '/run/docker.sock' does not answer in 0.3 s"
    }
    assert len(asked) == 1
    assert took < 3  # It is 0.3 s, on a machine with nothing else to do.


def test_socket_that_is_a_link_to_another_is_asked_once() -> None:
    Path("/run/podman").mkdir(exist_ok=True)
    with engine(raw(b"")):
        link = Path("/run/podman/podman.sock")
        link.symlink_to(SOCKET)
        (warning,) = snapshot().warnings
        link.unlink()
    assert str(warning).startswith("podman at '/run/podman/podman.sock'")


def test_what_an_engine_said_before_it_hung_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    serve = iter([says([container()], []), hang])
    with engine(lambda wire: next(serve)(wire)), shim(A):
        first = snapshot()
        monkeypatch.setattr(engines, "PATIENCE", 0.3)
        second = snapshot()
    assert names(first) == names(second) == ["root", "c1"]
    assert (len(first.warnings), len(second.warnings)) == (0, 1)


def test_socket_at_which_nobody_listens_matters_only_where_a_name_is_missing() -> None:
    SOCKET.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(SOCKET))
        assert not snapshot().warnings
        with shim(A):
            (warning,) = snapshot().warnings
    SOCKET.unlink()
    why = "'/run/docker.sock': Connection refused"
    assert str(warning) == f"names of containers are not known: {why}"


def test_socket_without_permission_is_left_alone(tmp_path: Path) -> None:
    code = "from netviz.net.engines import ask; print(ask(1))"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "docker.sock"))
        door.listen()
        (tmp_path / "docker.sock").chmod(0)
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", code]
        said = subprocess.run(
            command, env={"XDG_RUNTIME_DIR": str(tmp_path)}, capture_output=True, text=True,
            check=True,
        ).stdout  # fmt: skip
    assert said.startswith("([], [], {'docker': ")
    assert "Permission denied; run it with sudo" in said


def test_hostile_names_are_only_names() -> None:
    network = answer("docker-networks")[-1] | {"Name": HOSTILE}
    told = [container(HOSTILE.replace("/", ""), Image=HOSTILE)], [network]
    with engine(says(*told)), shim(A):
        sh("ip link add docker0 type bridge")
        seen = snapshot()
    assert seen.namespaces[1].name == HOSTILE.replace("/", "")
    picture = netviz.draw(seen)
    comments = [line for line in netviz.script(seen).splitlines() if line[0] == "#"]
    for shown in (picture.svg, picture.alt, *comments, str(seen.diff(Snapshot()))):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "<script>" not in picture.svg
    assert snapshot_of(json.loads(json.dumps(seen.to_dict()))).namespaces == seen.namespaces


NETWORK = EngineNetwork("mynet", "bridge", "br-1", ("172.18.0.0/16",), "docker")
C1 = Container("c1", A, "docker", "nginx", "", ("mynet",), ("0.0.0.0:8080→80/tcp",), 9)
ROOT = Namespace(1, "root", "root", networks=(NETWORK,))
SPACE = Namespace(2, "c1", "process", (), (9,), containers=(C1,))
SEEN = Snapshot((ROOT, SPACE))


def test_containers_come_back_from_a_file() -> None:
    assert snapshot_of(json.loads(json.dumps(SEEN.to_dict()))) == SEEN


def test_diff_tells_containers_and_networks_but_not_their_numbers() -> None:
    again = replace(SPACE, containers=(replace(C1, id=B, pid=10),))
    assert not SEEN.diff(Snapshot((ROOT, again)))
    bare = Snapshot((replace(ROOT, networks=()), replace(SPACE, containers=())))
    assert [*map(str, bare.diff(SEEN))] == ["+ root: network mynet", "+ c1: container c1"]


def test_script_builds_the_network_and_says_that_no_container_runs() -> None:
    lines = netviz.script(SEEN).splitlines()
    assert "# Not built: c1 is the network of the container c1, which is not started." in lines
    assert "ip netns add c1" in lines


def test_command_enters_by_a_file_that_is_there() -> None:
    assert typed(SPACE, "ip", "route") == "nsenter --net=/proc/9/ns/net ip route"
    drawn = replace(SPACE, held_by="name", names=("cni-1",))
    assert typed(drawn, "ip", "route") == "ip -n cni-1 route"
