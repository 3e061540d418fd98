"""A real Docker engine in a lab, as root and as an ordinary user: what it builds, and its end.

One lab tells all facts, once for each user: a program inside types the commands of the course as a
cell does, with ``!``, and those below.
"""

from __future__ import annotations

import json
import re
from ipaddress import ip_address
from pathlib import Path

import pytest
from kernels import all_end, processes_of
from labs import EACH_IN_ITS_RUN, NETVIZ, PYTHON, Someone

pytestmark = [pytest.mark.outside(only=True), EACH_IN_ITS_RUN]
long = pytest.mark.long

SEED = Path(__file__).parent.parent / "seed/04-docker-bridge.md"
DEMONSTRATION = [line.strip() for line in SEED.read_text().splitlines() if line.startswith("    ")]
BEGIN = """
import contextlib, io, json, signal, sys, time
from netviz.lab.commands import run
from netviz.lab.services import service

signal.signal(signal.SIGALRM, signal.default_int_handler)

def typed(command):
    "Return what it says; one that never ends is interrupted after three seconds."
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        signal.alarm(3 if command.endswith(" ping 172.17.0.3") else 0)
        run(command)
        signal.alarm(0)
    return shown.getvalue()

engine = service("docker")
"""
TELL = f"""{BEGIN}
told = {{}}
for command in json.loads(sys.argv[1]):
    told[command] = typed(command)
began = time.monotonic()
engine.stop()
told["stopped in"] = time.monotonic() - began
told["left"] = typed("ps -e -o comm=")
told["stopped"] = [engine.running, repr(engine)]
engine.start()
told["anew"] = typed("docker ps --all --quiet; docker images --format '{{{{.Repository}}}}'")
print(json.dumps(told))
"""
PINGS = "pgrep -x ping"
OUTSIDE = [
    "ip netns add outside",
    "ip link add uplink type veth peer name eth0 netns outside",
    "ip address add 203.0.113.1/24 dev uplink; ip link set uplink up",
    "ip -n outside address add 203.0.113.2/24 dev eth0; ip -n outside link set eth0 up",
]
PUBLISH = "docker run --publish 8080:80 --name web -td nginx"
ASK = (
    "ip netns exec outside python3 -c 'from urllib.request import urlopen as ask;"
    ' print(ask("http://203.0.113.1:8080", timeout=5).read().decode())\''
)
LOG = "docker logs web"
OUT = "docker exec c1 ping -c 1 -W 2 203.0.113.2"
NONE = "docker run --rm --network none busybox ip link"
HOST = "docker run --rm --network host busybox ip link show docker0"
SHARED = "docker run --rm --network container:c1 busybox ip address"
NAMELESS = "docker exec c1 ping -c 1 c2"
OWN = "docker network create mine"
NAMED = "docker run --rm --network mine busybox ping -c 1 u1"
RESOLVER = "docker exec u1 cat /etc/resolv.conf"
APART = "docker exec c1 ping -c 1 -W 1 172.18.0.2"


COMMANDS = [
    *DEMONSTRATION,
    PINGS,
    *(*OUTSIDE, PUBLISH, ASK, LOG, OUT),
    *(NONE, HOST, SHARED),
    *(NAMELESS, OWN, "docker run --network mine --name u1 -td nginx", NAMED, RESOLVER, APART),
    "docker version --format '{{.Client.Version}} {{.Server.Version}}'",
    "iptables -t nat -S; iptables -S",
    "ls -A /etc/docker; mount; ls /run",
]
_KNOWN: dict[int | None, dict] = {}


@pytest.fixture
def told(someone: Someone) -> dict:
    """Return what each command said, in a lab of this user's."""
    if someone.uid not in _KNOWN:
        done = someone.python(TELL, json.dumps(COMMANDS))
        _KNOWN[someone.uid] = json.loads(done.splitlines()[-1])
    return _KNOWN[someone.uid]


def inspected(told: dict, name: str) -> dict:
    return json.loads(told[f"docker inspect {name}"])[0]


def test_brctl_shows_the_bridge_and_two_ports(told: dict) -> None:
    _, first, second = told["brctl show"].splitlines()
    mac = re.search(r"ether (\S+)", told["ifconfig docker0"])[1]
    bridge, number, stp, port = first.split()
    assert (bridge, number, stp) == ("docker0", f"8000.{mac.replace(':', '')}", "no")
    ports = {port, *second.split()}
    assert len(ports) == 2
    assert all(re.fullmatch("veth[0-9a-f]{7}", each) for each in ports)


@pytest.mark.parametrize(("name", "address"), [("c1", "172.17.0.2"), ("c2", "172.17.0.3")])
def test_inspect_tells_address_gateway_and_numbers(told: dict, name: str, address: str) -> None:
    network = inspected(told, name)["NetworkSettings"]["Networks"]["bridge"]
    assert network["IPAddress"] == address
    assert network["IPPrefixLen"] == 16
    assert network["Gateway"] == "172.17.0.1"
    assert re.fullmatch("[0-9a-f]{64}", network["NetworkID"])
    assert re.fullmatch("[0-9a-f]{64}", network["EndpointID"])


@pytest.mark.parametrize("name", ["c1", "c2"])
def test_mac_is_made_of_the_address(told: dict, name: str) -> None:
    network = inspected(told, name)["NetworkSettings"]["Networks"]["bridge"]
    packed = ip_address(network["IPAddress"]).packed
    assert network["MacAddress"] == ":".join(["02", "42", *(f"{byte:02x}" for byte in packed)])


def test_both_are_on_one_network(told: dict) -> None:
    networks = [inspected(told, name)["NetworkSettings"]["Networks"] for name in ("c1", "c2")]
    assert len({each["bridge"]["NetworkID"] for each in networks}) == 1
    assert len({each["bridge"]["EndpointID"] for each in networks}) == 2


def test_ifconfig_tells_the_bridge_s_address(told: dict) -> None:
    shown = told["ifconfig docker0"]
    assert "inet 172.17.0.1  netmask 255.255.0.0  broadcast 172.17.255.255" in shown


def test_exec_on_a_terminal_reaches_the_other_container(told: dict) -> None:
    assert DEMONSTRATION[-1] == "docker exec -ti c1 ping 172.17.0.3"
    assert re.search(r"[234] packets received, 0% packet loss", told[DEMONSTRATION[-1]])
    assert told[PINGS] == "", "Ctrl-C ends it in the container"


def test_published_port_is_reached_from_outside_by_translation(told: dict) -> None:
    assert "Welcome to nginx!" in told[ASK]
    assert "[::ffff:203.0.113.2]" in told[LOG]  # The caller's own address: no proxy between.
    rule = (
        "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.4:80"
    )
    assert rule in told["iptables -t nat -S; iptables -S"].splitlines()


def test_way_out_is_masqueraded(told: dict) -> None:
    # The outside has no route back to 172.17.0.0/16.
    assert "1 packets received" in told[OUT]
    rules = told["iptables -t nat -S; iptables -S"].splitlines()
    assert "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE" in rules
    assert "-P FORWARD DROP" in rules


def test_container_without_a_network_has_a_loopback_only(told: dict) -> None:
    assert re.findall(r"^\d+: (\S+):", told[NONE], re.MULTILINE) == ["lo"]


def test_container_on_the_host_s_network_sees_the_bridge(told: dict) -> None:
    assert "docker0" in told[HOST]
    assert re.search(r"ether (\S+)", told[HOST])[1] in told["ifconfig docker0"]


def test_container_in_another_s_network_has_its_address(told: dict) -> None:
    assert "172.17.0.2/16" in told[SHARED]


def test_names_are_known_on_networks_that_were_made_only(told: dict) -> None:
    assert "bad address 'c2'" in told[NAMELESS]
    assert "1 packets received" in told[NAMED]
    assert "nameserver 127.0.0.11" in told[RESOLVER]


def test_networks_do_not_reach_each_other(told: dict) -> None:
    assert "100% packet loss" in told[APART]


def test_client_is_of_the_engine_s_version(told: dict) -> None:
    client, server = told[
        "docker version --format '{{.Client.Version}} {{.Server.Version}}'"
    ].split()
    assert client == server


def test_its_mounts_are_its_own_and_its_files_in_run(told: dict) -> None:
    shown = told["ls -A /etc/docker; mount; ls /run"]
    assert not re.search(r" on (/etc/docker|/run/docker|/run/netviz/docker/)\S* type", shown)
    assert {"docker", "docker.pid", "docker.sock"} <= {*shown.split()}
    assert "key.json" not in shown


def test_stopping_it_ends_all_containers_soon(told: dict) -> None:
    assert told["stopped in"] < 8
    assert not {"dockerd", "containerd", "containerd-shim", "httpd"} & {*told["left"].split()}
    assert told["stopped"][0] is False
    assert "not running" in told["stopped"][1]


def test_engine_begins_without_containers(told: dict) -> None:
    assert sorted(told["anew"].split()) == ["busybox", "nginx"]


@long
def test_each_namespace_has_an_engine_of_its_own(someone: Someone) -> None:
    told = someone.python(f"""{BEGIN}
typed("ip netns add host1; ip -n host1 link set lo up")
typed("mkdir -p /etc/netns/host1/docker")
with open("/etc/netns/host1/docker/daemon.json", "w") as file:
    json.dump({{"bip": "172.20.0.1/16"}}, file)
with service("docker", "host1") as other:
    typed("ip netns exec host1 docker run --name c1 -td nginx")
    print(typed("ip netns exec host1 docker ps --format '{{{{.Names}}}} there'"))
    print(typed("ip netns exec host1 brctl show; ip -n host1 address show docker0"), other)
print(typed("docker ps --format '{{{{.Names}}}} here'; brctl show"), other)
""")
    assert "c1 there" in told
    assert "c1 here" not in told
    assert len(re.findall("^docker0", told, re.MULTILINE)) == 2
    assert len(re.findall(r"\bveth[0-9a-f]{7}\b", told)) == 1
    assert "docker in host1: running" in told
    assert "inet 172.20.0.1/16 " in told
    assert "docker in host1: not running" in told


@long
def test_after_one_that_was_killed_the_next_begins_anew(someone: Someone) -> None:
    told = someone.python(f"""{BEGIN}
for killed in "dockerd", "dockerd-in-a-lab":
    typed("docker run --name c1 -td nginx")
    typed(f"kill -KILL $(pgrep -o -f '(^|/){{killed}}( |$)'); sleep 0.5")
    service("docker")
    print(typed("docker ps --all --quiet; docker run --name c1 -td nginx"))
    print(typed("docker exec c1 ping -c 1 172.17.0.1; docker rm --force c1"))
    print(typed("pgrep -x dockerd; pgrep httpd; brctl show | tail -n +2"))
""")
    assert told.count("1 packets received") == 2
    assert len(re.findall(r"^\d+$", told, re.MULTILINE)) == 2  # Two engines, no old web server.
    assert not re.search(r"\bveth[0-9a-f]{7}\b", told)


@long
def test_reset_ends_it_and_all_that_it_made(someone: Someone) -> None:
    told = someone.python(f"""{BEGIN}
import netviz
typed("docker run --name c1 -td nginx; docker network create mine")
netviz.reset()
print(engine, netviz.draw().alt)
print(typed("ps -e -o comm=; iptables -t nat -S"))
service("docker")
print(typed("docker run --name c1 -td nginx; docker exec c1 hostname -i"))
""")
    assert "docker: not running" in told
    assert "only a loopback" in told
    assert not {"dockerd", "containerd", "httpd"} & {*told.split()}
    assert "DOCKER" not in told
    assert "172.17.0.2" in told


def test_killed_lab_leaves_nothing_of_it(someone: Someone) -> None:
    code = f"""{BEGIN}
typed("docker run --name c1 -td nginx")
print("ready", flush=True)
time.sleep(60)
"""
    lab = someone.start(NETVIZ, "run", "--", PYTHON, "-c", code)
    try:
        assert lab.stdout.readline() == "ready\n", lab.stderr.read()
        family = processes_of(lab.pid)
        names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in family}
        assert {"dockerd", "containerd", "httpd"} <= names
        with all_end(family):
            lab.kill()
    finally:
        lab.kill()
        lab.communicate()


def test_machine_sees_none_of_it(told: dict) -> None:
    assert "docker0" in told["brctl show"]
    assert not Path("/sys/class/net/docker0").exists()
    assert not Path("/run/docker-host1.sock").exists()


def test_busybox_that_is_not_static_is_named(someone: Someone) -> None:
    told = someone.python("""
from pathlib import Path
from netviz.errors import ComponentError
from netviz.lab.services import service
busybox = Path("/run/netviz/bin/busybox")
busybox.write_text("#!/bin/sh\\n")
busybox.chmod(0o755)
try:
    service("docker")
except ComponentError as error:
    print(error)
""")
    assert "it ended, and said: /run/netviz/bin/busybox runs in no image" in told
