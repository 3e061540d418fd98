"""``reset()`` makes the lab what it was when it began, whatever was done to it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from oracle import sh

from netviz.errors import NetvizError, SandboxError
from netviz.lab import sandbox
from netviz.lab.syscalls import CLONE_NEWNET, setns
from netviz.net.discovery import snapshot
from netviz.net.reset import reset
from tests.sandboxed import fresh_network

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

PAIR = "ip netns add net1; ip link add one type veth peer name two netns net1"
LINKS = {
    "veth across": PAIR,
    "veth in the root": "ip link add one type veth peer name two; ip link set one up",
    "veth between two others": """ip netns add net1; ip netns add net2
        ip -n net1 link add one type veth peer name two netns net2""",
    "bridge": "ip link add br0 type bridge; ip link add p type veth peer name q master br0",
    "bridge in a namespace": "ip netns add net1; ip -n net1 link add br0 type bridge",
    "vxlan": """ip link add br0 type bridge
        ip link add vx type vxlan id 5 dstport 4789 dev br0 remote 10.0.0.2""",
    "macvlan": """ip link add br0 type bridge
        ip netns add net1; ip link add mv link br0 netns net1 type macvlan mode bridge""",
    "group of its own": "ip link add br0 group 7 type bridge",
    "hostile name": "ip link add '<script>' type bridge; ip netns add 'new\nline'",
    "tap": "ip tuntap add dev tap0 mode tap",
    "ifb": "ip link add ifb9 type ifb",
    "dummy": "ip link add d0 type dummy",
    "vlan": "ip link add br0 type bridge; ip link add v0 link br0 type vlan id 3",
    "ipip": "ip link add t0 type ipip local 10.0.0.1 remote 10.0.0.2",
    "gre": "ip link add t0 type gre local 10.0.0.1 remote 10.0.0.2",
    "vrf": "ip link add vrf0 type vrf table 10",
    "bond": "ip link add bond7 type bond; ip link add one type veth peer name two master bond7",
}
REST = {
    "addresses of lo": """ip address add 10.5.0.1/32 dev lo; ip address delete 127.0.0.1/8 dev lo
        ip address add fd05::1/128 dev lo""",
    "lo that is down": "ip link set lo down",
    "lo that is another": "ip link set lo down; ip link set lo name lo9 mtu 1400 alias hello up",
    "lo that listens to all": "ip link set lo promisc on allmulticast on",
    "routes": """ip route add blackhole 10.9.0.0/16; ip -6 route add blackhole fd09::/64
        ip route add unreachable 10.8.0.0/16 table 100; ip route add 10.7.0.0/16 dev lo
        ip route add local 10.77.0.0/16 dev lo; ip route add throw default metric 7""",
    "routes that are missing": """ip route delete local 127.0.0.0/8 dev lo table local
        ip -6 route flush table local""",
    "next hops": """ip nexthop add id 7 blackhole; ip nexthop add id 8 group 7
        ip route add 10.55.0.0/16 nhid 7""",
    "rules": """ip rule add from 10.0.0.0/8 table 100 priority 10
        ip rule add to 1.2.3.0/24 table 100 priority 10; ip rule add table 100 priority 11
        ip -6 rule add blackhole from fd00::/64; ip rule add not fwmark 7 table main
        ip rule add table main suppress_prefixlength 0; ip rule add iif lo goto 32767""",
    "rules that are missing": "ip rule flush; ip -6 rule delete priority 32766",
    "neighbours": """ip neighbour add 10.3.3.3 lladdr 02:00:00:00:00:03 dev lo
        ip neighbour add proxy 10.4.4.4 dev lo""",
    "switches": """sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=2
        sysctl -qw net.ipv4.conf.lo.rp_filter=1 net.ipv6.conf.default.forwarding=1
        sysctl -qw net.ipv4.tcp_rmem='4096 8192 16384' net.ipv4.tcp_syncookies=0
        sysctl -qw net.ipv4.ip_local_reserved_ports=80,443""",
    "no IPv6": "sysctl -qw net.ipv6.conf.all.disable_ipv6=1",
    "broken name": """touch --date='2 seconds ago' /run/netns/broken
        mkdir -p /run/netns/folder/x; mkfifo /run/netns/fifo""",
    "name of another kind": "touch /run/netns/uts; mount --bind /proc/self/ns/uts /run/netns/uts",
    "name of the root": "ip netns attach base $$",
    "two names": PAIR + "; touch /run/netns/b; mount --bind /run/netns/net1 /run/netns/b",
    "name in another place": PAIR
    + """; mkdir -p '/run/my netns'; touch '/run/my netns/3f'
        mount --bind /run/netns/net1 '/run/my netns/3f'; ip netns delete net1""",
    "name over another": PAIR + "; ip netns add b; mount --bind /run/netns/net1 /run/netns/b",
    "link to a process": "ln -s /proc/self/ns/net /run/netns/box",
}
FILTERS = {
    "nft": "nft add table inet t; nft add chain inet t c; nft add table ip nat",
    "iptables": "iptables -A INPUT -p tcp -j DROP",
    "old iptables": "iptables-legacy -t nat -A POSTROUTING -j MASQUERADE; iptables-legacy -N x",
    "queue of lo": "tc qdisc add dev lo root tbf rate 1mbit burst 10k latency 10ms",
    "ingress of lo": "tc qdisc add dev lo ingress",
}
FILTERED = """tc qdisc; for look in 'nft list ruleset' 'iptables-legacy -S' 'ip6tables-legacy -S' \
    'iptables-legacy -t nat -S'; do $look 2>/dev/null || true; done"""
LOOK = f"""ip -d link; ip nexthop; ip neighbour show proxy; ls -A /run/netns; hostname
sysctl -a --pattern '^net' 2>/dev/null || true; {FILTERED}"""


def seen() -> dict:
    """Return all that a snapshot tells but for what moves by itself."""
    told = snapshot().to_dict()
    for namespace in told["namespaces"]:
        del namespace["pids"]
        for interface in namespace["interfaces"]:
            del interface["statistics"]
    return told


def possible(script: str) -> bool:
    """Tell whether the machine can do it, by doing it in a network that is then thrown away."""
    with fresh_network():
        return (
            subprocess.run(["sh", "-ec", script], capture_output=True, check=False).returncode == 0
        )


def running(pid: int) -> bool:
    """Tell whether a process is there, and not only the memory of how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def background(*command: str, **options: object) -> Iterator[int]:
    """Start a program that runs until it is ended, and give its number once it runs."""
    words = ["sh", "-c", 'echo; exec "$@"', "sh", *command]
    with subprocess.Popen(words, stdout=subprocess.PIPE, **options) as process:
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.mark.parametrize("what", LINKS | REST)
def test_lab_is_as_it_began_after(what: str) -> None:
    script = (LINKS | REST)[what]
    if what in LINKS and not possible(script):
        pytest.skip(f"this kernel, or this user, cannot make a {what}")
    before = seen()
    sh(script)
    assert seen() != before or what in ("next hops", "lo that listens to all")
    reset()
    assert seen() == before


@pytest.mark.parametrize("what", FILTERS)
def test_packets_pass_as_they_did_after(what: str) -> None:
    script = FILTERS[what]
    program = script.split()[0]
    if not shutil.which(program):
        pytest.skip(f"there is no {program}")
    if not possible(script):
        pytest.skip(f"this kernel, or this user, cannot make a {what}")
    untouched = sh(FILTERED) if "legacy" in script else sh("tc qdisc")
    sh(script)
    reset()
    assert untouched in sh(FILTERED)
    assert "table" not in sh("nft list ruleset 2>/dev/null || true")


def test_all_at_once_leaves_nothing() -> None:
    before, looked = seen(), sh(LOOK)
    for script in (LINKS["veth across"], *LINKS.values(), *REST.values(), *FILTERS.values()):
        subprocess.run(["sh", "-c", script], capture_output=True, check=False)
    sh("hostname other")
    reset()
    assert seen() == before
    assert sh(LOOK) == looked


def test_empty_lab_can_be_emptied_and_twice() -> None:
    before = seen()
    reset()
    sh(PAIR)
    assert reset() is None
    reset()
    assert seen() == before


def test_cables_are_gone_when_it_returns() -> None:
    names = [f"net{n}" for n in range(200)]
    script = [f"link add port{n} type veth peer name eth0 netns net{n}" for n in range(200)]
    script += [f"link set port{n} master br0 up" for n in range(200)]
    batch = "\n".join([*(f"netns add {name}" for name in names), "link add br0 type bridge"])
    subprocess.run(["ip", "-batch", "-"], input=f"{batch}\n".encode(), check=True)
    subprocess.run(["ip", "-batch", "-"], input="\n".join(script).encode(), check=True)
    reset()
    assert sh("ip -brief link").split()[0::4] == ["lo"]
    assert not os.listdir("/run/netns")  # noqa: PTH208 (names are enough)


def test_names_can_be_used_again_at_once() -> None:
    for _ in range(5):
        sh(PAIR + "; ip link set one up; ip -n net1 link set two up")
        reset()


def test_cable_goes_though_a_socket_holds_its_namespace() -> None:
    sh("ip netns add net1; ip netns add net2; ip -n net1 link add va type veth peer vb netns net2")
    first = socket_in("net1")
    second = socket_in("net2")
    reset()
    assert [n.name for n in snapshot().namespaces] == ["root"]
    assert socket.if_nameindex() == [(1, "lo")]
    with first, second:
        assert [links_seen_by(each) for each in (first, second)] == [["lo"], ["lo"]]


def socket_in(name: str) -> socket.socket:
    """Return a server of a namespace, as a cell under %%netns makes one."""
    made: list[socket.socket] = []

    def there() -> None:
        with Path("/run/netns", name).open() as namespace:
            setns(namespace.fileno(), CLONE_NEWNET)
        made.append(socket.create_server(("", 8000)))

    worker = threading.Thread(target=there)
    worker.start()
    worker.join()
    return made[0]


def links_seen_by(server: socket.socket) -> list[str]:
    """Return the interfaces in a socket's namespace, which nothing else leads to any more."""
    get_name_by_index = 0x8910
    found = []
    for index in range(1, 20):
        try:
            told = fcntl.ioctl(server, get_name_by_index, struct.pack("16si20x", b"", index))
        except OSError:
            continue
        found.append(told[:16].rstrip(b"\0").decode())
    return found


def test_own_server_goes_on_listening() -> None:
    with socket.create_server(("", 8000)) as server:
        reset()
        with socket.create_connection(("127.0.0.1", 8000)), server.accept()[0]:
            pass


def test_background_processes_end() -> None:
    sh("ip netns add net1")
    with (
        background("sleep", "60") as one,
        background("ip", "netns", "exec", "net1", "sleep", "60") as two,
        background("sleep", "60", start_new_session=True) as three,
        background("unshare", "-n", "sh", "-c", "trap '' TERM HUP; sleep 60") as four,
    ):
        reset()
        assert not any(running(pid) for pid in (one, two, three, four))
        assert [n.name for n in snapshot().namespaces] == ["root"]


def test_orphans_and_whole_trees_end() -> None:
    script = "setsid sh -c 'sleep 61 & echo $! $$; exec sleep 62' & wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
        parent.wait()
        reset()
        assert not any(running(pid) for pid in pids)


def test_lab_inside_the_lab_ends() -> None:
    program = "from netviz.cli import main; main()"
    command = [sys.executable, "-c", program, "run", "--", "sh", "-c", "echo; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as inner:
        inner.stdout.readline()
        reset()
        assert inner.wait(timeout=20) == -signal.SIGKILL
    assert "sleep 60" not in sh("ps -A -o args")


def test_status_of_an_ended_child_is_still_told() -> None:
    with subprocess.Popen(["sh", "-c", "echo; exec sleep 60"], stdout=-1) as child:
        child.stdout.readline()
        reset()
        assert child.wait() == -signal.SIGKILL


def test_helper_of_the_kernel_lives_on() -> None:
    script = "import sys; 'multiprocessing.resource_tracker'; print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe) as helper:
        helper.stdout.readline()
        reset()
        assert running(helper.pid)


def test_callers_parents_live_on() -> None:
    script = "from netviz.net.reset import reset; reset()"
    done = sh(
        f'sleep 60 & "{sys.executable}" -c "{script}"; echo still here; kill -0 $! || echo gone'
    )
    assert done.split("\n")[:2] == ["still here", "gone"]


def test_neighbouring_test_is_left_alone() -> None:
    sh(PAIR)
    with background("ip", "netns", "exec", "net1", "sleep", "60") as neighbour:
        before = seen()
        with fresh_network():
            sh(PAIR)
            reset()
            assert running(neighbour)
        assert seen() == before


def test_threads_and_descriptors_stay_as_they_were() -> None:
    sh(PAIR)
    reset()
    descriptors = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    where = Path("/proc/thread-self/ns/net").stat().st_ino
    reset()
    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == descriptors
    assert threading.active_count() == 1
    assert Path("/proc/thread-self/ns/net").stat().st_ino == where


def test_reset_works_inside_an_event_loop() -> None:
    async def cell() -> None:
        sh(PAIR)
        reset()

    asyncio.run(cell())
    assert socket.if_nameindex() == [(1, "lo")]


def test_what_will_not_go_is_named_with_the_command() -> None:
    sh("mkdir -p /run/netns/kept/x; mount -t tmpfs none /run/netns/kept/x")
    with pytest.raises(NetvizError, match="not empty: '/run/netns/kept'") as refused:
        reset()
    assert refused.value.command == "umount '/run/netns/kept'; rm -r '/run/netns/kept'"


def test_outside_a_lab_nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    sh(PAIR)
    before = seen()
    with background("sleep", "60") as bystander:
        with monkeypatch.context() as outside:
            outside.setattr(sandbox, "inside", lambda: False)
            with pytest.raises(SandboxError, match="netviz run"):
                reset()
        assert running(bystander)
    assert seen() == before
