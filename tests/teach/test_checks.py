"""Conditions held against the real kernel: what holds, and what is said when it does not."""

from __future__ import annotations

import json
import socket
import subprocess
import threading

import pytest

from netviz.errors import ExerciseError
from netviz.teach.checks import (
    check,
    exists,
    has_address,
    installed,
    is_port_of,
    listens,
    peer_is,
    reaches,
    up,
)


def sh(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), check=True, timeout=20)


def difference(condition) -> str | None:
    (line,) = check(condition).lines
    return line.difference


@pytest.fixture
def cable():
    """Two namespaces, a cable, addresses; both ends still down."""
    sh("ip netns add net1", "ip netns add net2")
    sh("ip link add veth0 netns net1 type veth peer name veth1 netns net2")
    sh("ip -n net1 address add 10.1.1.1/24 dev veth0")
    sh("ip -n net2 address add 10.1.1.2/24 dev veth1")


@pytest.fixture
def port():
    """Plug net1's veth0 into br1 as its port br1-veth0; only veth0 is up."""
    sh("ip netns add net1", "ip link add br1 type bridge")
    sh("ip link add br1-veth0 type veth peer name veth0 netns net1")
    sh("ip link set br1-veth0 master br1", "ip -n net1 link set veth0 up")


def test_every_condition_is_a_difference_in_an_empty_lab():
    result = check(
        exists("net1"),
        exists("net1:veth0"),
        up("net1:veth0"),
        has_address("net1:veth0", "10.1.1.1/24"),
        is_port_of("br1-veth0", "br1"),
        peer_is("net1:veth0", "net2:veth1"),
        listens("net1", 8000),
        reaches("net1", "10.1.1.2"),
    )
    assert not result
    assert not any(line.holds for line in result.lines)


def test_whole_cable_satisfies_every_condition(cable):
    sh("ip -n net1 link set veth0 up", "ip -n net2 link set veth1 up")
    assert check(
        exists("net1"),
        exists("net1:veth0"),
        up("net1:veth0"),
        has_address("net1:veth0", "10.1.1.1/24"),
        peer_is("net1:veth0", "net2:veth1"),
        peer_is("net2:veth1", "net1:veth0"),
        reaches("net1", "10.1.1.2"),
    )


def test_missing_namespace_and_device_are_told_apart(cable):
    assert difference(exists("net9")) == "there is no namespace net9"
    assert difference(exists("net9:veth0")) == "there is no namespace net9"
    assert difference(exists("net1:eth0")) == "net1 has no eth0"


def test_device_in_another_namespace_is_named(cable):
    assert difference(exists("net1:veth1")) == "net1 has no veth1; there is net2:veth1"


def test_endpoint_without_namespace_lies_in_the_root(port):
    assert check(exists("br1"), exists("root:br1"), peer_is("br1-veth0", "net1:veth0"))


def test_up_names_what_is_down_and_where(cable):
    assert difference(up("net1:veth0")) == "net1:veth0 is down"
    sh("ip -n net1 link set veth0 up")
    assert difference(up("net1:veth0")) == "net1:veth0 is up, but its far end net2:veth1 is not"


def test_up_names_a_port_that_is_down(port):
    assert difference(up("net1:veth0")) == "net1:veth0 is up, but its port br1-veth0 is not"


def test_bridge_without_ports_is_up_when_switched_on(port):
    assert difference(up("br1")) == "br1 is down"
    sh("ip link set br1 up")
    assert check(up("br1"))


def test_wrong_prefix_is_shown(cable):
    assert difference(has_address("net1:veth0", "10.1.1.1/16")) == "it has 10.1.1.1/24"
    assert difference(has_address("net1:lo", "127.0.0.1/8")) == "it has no address"


def test_wrong_bridge_is_named(port):
    assert check(is_port_of("br1-veth0", "br1"))
    assert difference(is_port_of("br1-veth0", "br2")) == "it is a port of br1"
    assert difference(is_port_of("br1", "br2")) == "it is a port of no bridge"


def test_wrong_far_end_is_named(cable):
    assert difference(peer_is("net1:veth0", "net2:veth0")) == "the other end is net2:veth1"
    assert difference(peer_is("net1:lo", "net2:veth1")) == "the other end is nowhere"


def test_server_is_found_in_its_own_namespace_only():
    sh("ip netns add net1")
    with (
        socket.create_server(("", 8000)),
        socket.create_server(("::1", 8001), family=socket.AF_INET6),
    ):
        assert check(listens("root", 8000), listens("root", 8001))
        assert difference(listens("net1", 8000)) == "no server listens there"


def test_server_at_another_port_is_named():
    with socket.create_server(("", 8000)):
        assert difference(listens("root", 8080)) == "only [8000] is taken"


def test_connected_socket_is_no_server():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert difference(listens("root", client.getsockname()[1])) is not None


def test_server_that_is_still_starting_is_waited_for():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 8000))
        starting = threading.Timer(0.2, server.listen)
        starting.start()
        assert check(listens("root", 8000))
        starting.join()


def test_reaches_tells_no_route_from_no_reply(cable):
    assert (
        difference(reaches("net1", "10.9.9.9")) == "no route leads there (Network is unreachable)"
    )
    sh("ip -n net1 link set veth0 up")
    assert difference(reaches("net1", "10.1.1.2")) == "no reply within two seconds"


def test_reaches_speaks_ipv6():
    sh("ip netns add net1")
    assert difference(reaches("net1", "::1")) is not None
    sh("ip -n net1 link set lo up")
    assert check(reaches("net1", "::1"), reaches("net1", "127.0.0.1"))


def test_address_that_is_none_is_a_difference_too():
    assert difference(reaches("root", "not an address")) is not None


def test_missing_program_is_named():
    assert check(installed("sh"))
    assert difference(installed("sh", "no-such")) == "there is no no-such; see `netviz doctor`"


def test_check_changes_nothing(cable):
    def state() -> str:
        shown = ["ip", "-all", "-d", "-j", "netns", "exec", "ip", "-j", "-d", "address"]
        return subprocess.run(shown, capture_output=True, text=True, check=True).stdout

    before = state()
    check(up("net1:veth0"), listens("net1", 80), has_address("net1:veth0", "1.1.1.1/8"))
    assert state() == before


def test_caller_stays_where_it_was(cable):
    here = subprocess.check_output(["readlink", "/proc/self/ns/net"])
    check(listens("net1", 80), reaches("net1", "10.1.1.2"))
    assert subprocess.check_output(["readlink", "/proc/self/ns/net"]) == here


def test_result_shows_one_line_a_condition():
    shown = repr(check(exists("root:lo"), exists("net1")))
    assert shown == "✓ root:lo exists\n✗ net1 exists: there is no namespace net1"


def test_result_is_machine_readable():
    found = check(exists("net1")).to_dict()
    line = {"claim": "net1 exists", "holds": False, "difference": "there is no namespace net1"}
    assert json.loads(json.dumps(found)) == {"holds": False, "lines": [line]}


def test_hostile_device_name_is_escaped():
    sh("ip netns add net1")
    subprocess.run(["ip", "link", "add", "a\x1b[31m", "type", "bridge"], check=True)
    assert "\x1b" not in repr(check(exists("net1:a\x1b[31m")))


def test_what_is_no_condition_is_refused():
    with pytest.raises(ExerciseError, match="'net1' is no condition"):
        check("net1")
