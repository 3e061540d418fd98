"""What a lab promises to the machine around it, seen from there.

Under plain pytest the machine is the session's own lab, which a broken promise may harm; with
``--no-sandbox`` it is the real one.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from labs import NETVIZ, PATIENCE, PYTHON, Someone

from netviz.lab.sandbox import inside

pytestmark = pytest.mark.outside

ROUNDS, AT_ONCE = 100, 10
WITHIN = 1.0
NOTHING: list[list[object]] = [[]] * AT_ONCE

# One switch is the whole kernel's, although every user namespace may throw it, and nobody can throw
# it back: nf_hooks_lwtunnel. It is left alone, or these tests would change the machine.
TORTURE = """
ip netns add a; ip netns add b; ip netns del a
ip link add x type veth peer y netns b; ip link set x up; ip address add 10.9.9.1/24 dev x
ip route add default via 10.9.9.2; ip route add blackhole 10.8.0.0/16 table 77
ip rule add from 10.9.9.0/24 table 77 priority 77; ip address flush dev lo; ip link set lo down
nft add table inet t; nft 'add chain inet t c { type filter hook input priority 0; policy drop; }'
nft flush ruleset; iptables -A INPUT -j DROP
for file in $(find /proc/sys/net -type f -perm -200 ! -name nf_hooks_lwtunnel); do
    cat $file > $file; echo 1 > $file
done
for way in rw ro rw,bind ro,bind; do mount -o remount,$way /; mount -o remount,$way /usr; done
umount -a -l -t noproc; umount -l /run /etc /sys /dev /proc /dev/null /tmp $HOME
mount -t tmpfs tmpfs /run/netns; mount --make-rshared /; mount --move /tmp /mnt
ip netns add c; mkdir -p /etc/netns/c; echo 1.1.1.1 z | tee -a /etc/hosts /etc/resolv.conf
for folder in / /usr /usr/bin /var /run /etc /boot /opt /srv; do touch $folder/netviz-was-here; done
hostname tortured; domainname tortured; chmod 0666 /dev/null; rm -f /dev/null /dev/zero
ip link del x; ip link del lo; ip -all netns del; ip link del docker0; ip link del eth0
mount --bind /tmp /etc; mount -t tmpfs tmpfs /var; mount -t tmpfs tmpfs /usr
echo reached; sleep 1000 & kill -9 1; kill -9 -1; kill -9 $$
"""

KNOCKS = """
import json, socket, sys
def knock(family, kind, address):
    try:
        with socket.socket(family, kind) as client:
            client.settimeout(5)
            client.connect(address)
            client.send(b"from inside")
            client.recv(1)
        return "answered"
    except OSError as error:
        return type(error).__name__
inet, inet6, unix = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX
tcp, udp, abstract = sys.argv[1:]
print(json.dumps([
    knock(inet, socket.SOCK_STREAM, ("127.0.0.1", int(tcp))),
    knock(inet, socket.SOCK_DGRAM, ("127.0.0.1", int(udp))),
    knock(inet6, socket.SOCK_STREAM, ("::1", int(tcp))),
    knock(unix, socket.SOCK_STREAM, "\\0" + abstract),
]))
"""

NEIGHBOUR = """
import json, os, socket, subprocess, sys
me, sh = sys.argv[1], lambda line: subprocess.check_output(["sh", "-c", line], text=True).split()
sh(f"ip netns add n{me}; ip link add d{me} type veth peer p{me}; hostname lab{me}")
tcp = socket.create_server(("127.0.0.1", 5000))
hidden = socket.socket(socket.AF_UNIX)
hidden.bind("\\0netviz" + me)
hidden.listen()
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps({
    "links": sorted(set(os.listdir("/sys/class/net")) - {"lo"}),
    "names": sh("ip netns"),
    "host": socket.gethostname(),
    "programs": len([p for p in os.listdir("/proc") if p.isdecimal()]),
    "sockets": [line.split("@")[1].strip() for line in open("/proc/net/unix") if "@netviz" in line],
}), flush=True)
sys.stdin.readline()
"""


def _answer(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def _network() -> dict[str, object]:
    """Return what ``ip`` and ``nft`` tell, but for what passes by itself."""
    asked = [
        "link",
        "address",
        "rule",
        "-6 rule",
        "route show table all",
        "-6 route show table all",
    ]
    told: dict[str, object] = {
        line: json.loads(_answer("ip", "-j", *line.split()) or "[]") for line in asked
    }
    for link in told["address"]:
        for address in link.get("addr_info", ()):
            address.pop("valid_life_time", None)
            address.pop("preferred_life_time", None)
    if shutil.which("nft") and (os.geteuid() == 0 or inside()):  # Others may not even look.
        told["nft"] = _answer("nft", "list", "ruleset")
    return told


def _settings() -> dict[str, str]:
    settings = {}
    for path in Path("/proc/sys/net").rglob("*"):
        if path.name != "nf_conntrack_count" and path.is_file() and os.access(path, os.R_OK):
            try:
                settings[str(path)] = path.read_text()
            except OSError as error:
                settings[str(path)] = str(error.errno)
    return settings


def _files() -> dict[str, object]:
    folders = [
        Path("/", name) for name in ("", "etc", "usr", "usr/bin", "var", "run", "dev", "opt")
    ]
    folders += [each for each in (Path("/run/netns"), Path("/boot")) if each.is_dir()]
    files: dict[str, object] = {str(each): sorted(each.iterdir()) for each in folders}
    for path in map(Path, ("/etc/hosts", "/etc/resolv.conf", "/proc/self/mountinfo")):
        files[f"contents of {path}"] = path.read_text() if path.exists() else None
    return files | {"mode of /dev/null": Path("/dev/null").stat().st_mode}


def fingerprint() -> dict[str, object]:
    """Return what a lab must not change."""
    host = {"host": socket.gethostname(), "nis": Path("/proc/sys/kernel/domainname").read_text()}
    return _network() | _settings() | _files() | host


@pytest.fixture
def _something_to_lose() -> None:
    """Where the machine is the session's own lab, give it a network that could be harmed."""
    if inside():
        _answer(
            "sh",
            "-ec",
            """ip netns add kept; ip link add eth0 type veth peer eth0 netns kept
            ip link set eth0 up; ip address add 10.7.7.1/24 dev eth0; ip rule add table 5 pref 5
            ip link add docker0 type bridge; echo 1 > /proc/sys/net/ipv4/ip_forward""",
        )


@pytest.mark.usefixtures("_something_to_lose")
def test_machine_is_the_same_after_torture(someone: Someone) -> None:
    before = fingerprint()
    done = someone.run("bash", "-c", TORTURE)
    assert "reached" in done.stdout, done.stderr
    assert done.returncode == -signal.SIGKILL
    after = fingerprint()
    assert {key: after.get(key) for key in before} == before
    assert after.keys() == before.keys()


@pytest.mark.usefixtures("_something_to_lose")
def test_nothing_inside_reaches_a_listener_of_the_machine(someone: Someone) -> None:
    name = f"netviz-{os.getpid()}-{someone.uid}"
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        udp.bind(("127.0.0.1", 0))
        abstract.bind(f"\0{name}")
        abstract.listen()
        for listener in (tcp, udp, abstract):
            listener.setblocking(False)
        ports = [str(each.getsockname()[1]) for each in (tcp, udp)]
        answers = json.loads(someone.python(KNOCKS, *ports, name))
        assert answers == ["ConnectionRefusedError"] * 4
        for heard in (tcp.accept, lambda: udp.recv(1), abstract.accept):
            with pytest.raises(BlockingIOError):
                heard()


def test_no_address_of_the_machine_can_be_reached(someone: Someone) -> None:
    assert someone.sh("ip route get 8.8.8.8 2>&1 || true; ip -6 route get 2000:: 2>&1 || true") == (
        "RTNETLINK answers: Network is unreachable\n" * 2
    )


def test_labs_side_by_side_do_not_see_each_other(someone: Someone) -> None:
    names = [str(number) for number in range(10)]
    labs = [someone.start(NETVIZ, "run", "--", PYTHON, "-c", NEIGHBOUR, name) for name in names]
    assert [lab.stdout.readline() for lab in labs] == ["ready\n"] * len(labs)
    for lab in labs:
        print(file=lab.stdin, flush=True)
    seen = [json.loads(lab.stdout.readline()) for lab in labs]
    for lab in labs:
        lab.communicate("\n", timeout=PATIENCE)
    assert seen == [
        {
            "links": [f"d{name}", f"p{name}"],
            "names": [f"n{name}"],
            "host": f"lab{name}",
            "programs": 2,
            "sockets": [f"netviz{name}"],
        }
        for name in names
    ]


# The number is in each command line, and so tells whose process it is.
VICTIM = """
for n in 1 2 3; do ip netns add net$n; done
ip link add veth1 netns net1 type veth peer veth2 netns net2
ip netns exec net1 sleep $0 &
ip netns exec net2 sh -c 'setsid sleep $0 & exec sleep $0' $0 &
(setsid sh -c 'sleep $0 & sleep $0 & exec sleep $0' $0 &)
mount -t tmpfs tmpfs /mnt
unshare -pf sleep $0 &
for space in /proc/self/ns/* /run/netns/*; do stat -Lc %i $space; done
echo ready
sleep $0
"""


def _processes() -> list[Path]:
    return list(Path("/proc").glob("[0-9]*"))


def _identity(folder: Path) -> tuple[int, str]:
    """Return what no two processes share: the number, and the time when it began."""
    return int(folder.name), _status(folder)[19]


def _living() -> set[tuple[int, str]]:
    living = set()
    for folder in _processes():
        with suppress(OSError):
            if _status(folder)[0] != "Z":  # It is gone, and its parent has not looked yet.
                living.add(_identity(folder))
    return living


def _number_within(pid: int) -> int:
    """Return a process's number in the innermost namespace of processes that it is in."""
    (row,) = re.findall(r"^NSpid:.*\s(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(row)


def _kill(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _status(folder: Path) -> list[str]:
    """Return a process's state, its parent, and so on: proc(5) counts them from 3."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


class Victim:
    """A lab to be killed, which has processes and namespaces of many kinds."""

    numbers = itertools.count(os.getpid() * 1000)

    def __init__(self, someone: Someone) -> None:
        self.number = f"1000.{next(self.numbers):012}"
        command = (NETVIZ, "run", "--", "bash", "-c", VICTIM, self.number)
        self.run = someone.start(*command, stderr=subprocess.DEVNULL, start_new_session=True)
        self.members: set[tuple[int, str]] = set()

    def wait_until_ready(self) -> None:
        spaces = {int(line) for line in iter(self.run.stdout.readline, "ready\n")}
        spaces -= {each.stat().st_ino for each in Path("/proc/self/ns").iterdir()}
        for folder in _processes():
            with suppress(OSError):
                if spaces & {each.stat().st_ino for each in (folder / "ns").iterdir()}:
                    self.members.add(_identity(folder))

    def processes(self) -> dict[int, int]:
        """Return the lab's processes, the supervisor among them, each with its parent."""
        found = {}
        for folder in _processes():
            with suppress(OSError):
                mine = self.number.encode() in (folder / "cmdline").read_bytes()
                state, parent, *_ = _status(folder)
                if mine and state != "Z":
                    found[int(folder.name)] = int(parent)
        return found

    def remains(self) -> list[object]:
        """Return what is left: processes of the lab, and who was in its namespaces by then."""
        return [*self.processes(), *(self.members & _living())]

    def offspring(self, parent: int) -> list[int]:
        return sorted(pid for pid, above in self.processes().items() if above == parent)


def _supervisor(victim: Victim, _: random.Random) -> list[int]:
    return [victim.run.pid]


def _first(victim: Victim, _: random.Random) -> list[int]:
    return victim.offspring(victim.run.pid)


def _program(victim: Victim, _: random.Random) -> list[int]:
    # Orphans are the first's children too, and the machine's numbers may have begun anew since.
    (first,) = _first(victim, _)
    return [min(victim.offspring(first), key=_number_within)]


def _any(victim: Victim, chance: random.Random) -> list[int]:
    # One of the sleepers may die alone: then the program ends with it, or is killed after it.
    return [chance.choice(sorted(victim.processes())), victim.run.pid]


def _group(victim: Victim, _: random.Random) -> list[int]:
    return [-victim.run.pid]


def _everything(victim: Victim, chance: random.Random) -> list[int]:
    return chance.sample(sorted(found := victim.processes()), len(found))


TARGETS: list[Callable[[Victim, random.Random], list[int]]] = [
    *(_supervisor, _first, _program, _any, _group, _everything),
]


def test_killed_labs_leave_nothing_behind(someone: Someone) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    mounts = Path("/proc/self/mountinfo").read_text()
    for _ in range(ROUNDS // AT_ONCE):
        hasty, *others = victims = [Victim(someone) for _ in range(AT_ONCE)]
        _kill(hasty.run.pid)  # Wherever it has come to by now.
        for victim in others:
            victim.wait_until_ready()
            _kill(*chance.choice(TARGETS)(victim, chance))
        deadline = time.monotonic() + WITHIN
        while (left := [victim.remains() for victim in victims]) != NOTHING:
            if time.monotonic() > deadline:
                break
        for victim in victims:
            _kill(*victim.processes())
            victim.run.communicate(timeout=PATIENCE)
        assert left == NOTHING, f"left behind with seed {seed}"
    assert Path("/proc/self/mountinfo").read_text() == mounts
