"""Conditions held against the real kernel: what holds, and what is said when it does not."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import threading
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from net.oracle import can

from netviz.errors import ExerciseError
from netviz.lab import linux
from netviz.lab.choosing import FETCH, this_kernel
from netviz.lab.probes import OF_KERNEL
from netviz.net.discovery import snapshot
from netviz.teach.checks import (
    Condition,
    check,
    exists,
    forwards,
    has_address,
    has_mtu,
    installed,
    is_port_of,
    kernel,
    listens,
    nat,
    peer_is,
    reaches,
    routes,
    up,
)


def sh(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), check=True, timeout=20)


def rules(text: str) -> None:
    if not can("nft add table ip nat"):
        pytest.skip("this kernel, or this user, cannot make a table of packet filters")
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True, timeout=20)


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


@pytest.fixture
def host(port):
    """Make the root a router: br1 is net1's gateway, a cable leads on to net2."""
    sh("ip netns add net2", "ip link add up0 type veth peer name eth0 netns net2")
    sh("ip link set br1 up", "ip link set br1-veth0 up", "ip link set up0 up")
    sh("ip -n net2 link set eth0 up", "ip -n net2 address add 10.2.2.2/24 dev eth0")
    sh("ip address add 10.1.1.254/24 dev br1", "ip address add 10.2.2.1/24 dev up0")
    sh("ip -n net1 address add 10.1.1.1/24 dev veth0")
    sh("ip -n net1 route add default via 10.1.1.254")


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
        routes("net1", "10.1.1.2"),
        forwards("net1"),
        nat("net1"),
        has_mtu("net1:veth0", 1500),
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


def test_endpoint_without_namespace_lies_in_the_root_and_a_bare_name_is_a_namespace(port):
    assert check(exists(":br1"), exists("root:br1"), peer_is("br1-veth0", "net1:veth0"))
    assert check(is_port_of("br1-veth0", "root:br1"), is_port_of("root:br1-veth0", "br1"))
    assert difference(exists("br1")) == "there is no namespace br1"


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
    sh("ip -n net1 address add fd00::1/64 dev veth0")
    assert check(has_address("net1:veth0", "fd00:0:0::1/64"))


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


def test_connected_socket_is_no_server_and_the_server_is_named():
    with (
        socket.create_server(("127.0.0.1", 8000)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        port = client.getsockname()[1]
        assert difference(listens("root", port)) == "only [8000] is taken"


def test_server_that_is_still_starting_is_waited_for():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 8000))
        starting = threading.Timer(0.2, server.listen)
        starting.start()
        assert check(listens("root", 8000))
        starting.join()


def test_reaches_tells_no_route_from_no_reply(cable):
    assert difference(reaches("net1", "10.9.9.9")).startswith(
        "Network is unreachable; net1 has no way to"
    )
    sh("ip -n net1 link set veth0 up")
    told = difference(reaches("net1", "10.1.1.2"))
    assert told.startswith("no reply within two seconds; ")
    assert told.endswith("net2:veth1 is down")


def test_reaches_speaks_ipv6():
    sh("ip netns add net1")
    assert difference(reaches("net1", "::1")) is not None
    sh("ip -n net1 link set lo up")
    assert check(reaches("net1", "::1"), reaches("net1", "127.0.0.1"))


def test_address_that_is_none_is_a_difference_too():
    assert difference(reaches("root", "not an address")) is not None


def test_reaches_by_tcp_needs_a_server_there():
    sh("ip link set lo up")
    with socket.create_server(("127.0.0.1", 8000)):
        assert check(reaches("root", "127.0.0.1", proto="tcp", port=8000))
    refused = difference(reaches("root", "127.0.0.1", proto="tcp", port=8000))
    assert refused.startswith("Connection refused")


def test_reaches_by_udp_needs_one_who_does_not_refuse():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 5353))
        assert check(listens("root", 5353, "udp"))
        answer = threading.Thread(target=lambda: server.sendto(b"?", server.recvfrom(9)[1]))
        answer.start()
        assert check(reaches("root", "127.0.0.1", proto="udp", port=5353))
        answer.join()
    refused = difference(reaches("root", "127.0.0.1", proto="udp", port=5353))
    assert refused.startswith("Connection refused")


@pytest.mark.parametrize(("proto", "port"), [("icmp", 80), ("tcp", None), ("sctp", 80)])
def test_what_cannot_be_asked_neither_holds_nor_does_not(proto, port):
    asked = reaches("root", "127.0.0.1", proto=proto, port=port)
    assert "one cannot ask by" in difference(asked)
    assert not check(~asked)


def test_reaches_explains_without_giving_the_solution_away(cable):
    told = difference(reaches("net1", "10.1.1.2"))
    assert "veth0 is down" in told
    assert "ip " not in told


def test_route_is_told_with_its_gateway_and_device(host):
    assert check(
        routes("net1", "10.2.2.2"),
        routes("net1", "10.2.2.2", via="10.1.1.254", dev="veth0"),
        routes("net1", "10.1.1.7", dev="veth0"),
        routes("net1", "10.1.1.1", dev="lo"),
    )
    wrong = routes("net1", "10.2.2.2", via="10.1.1.2")
    assert difference(wrong) == "the way leads by veth0 via 10.1.1.254"
    assert difference(routes("net1", "10.1.1.7", dev="lo")) == "the way leads by veth0"
    ours = routes("net1", "10.1.1.7", protocol="bird")
    assert ours.claim == "net1 routes 10.1.1.7 as bird says"
    assert difference(ours) == "the route there is of protocol kernel"
    assert difference(routes("net2", "10.1.1.1")) == "net2 has no way there: no route"


def test_namespace_forwards_where_its_devices_do(host):
    assert difference(forwards("root")) == "net.ipv4.ip_forward is 0"
    sh("sysctl -qw net.ipv4.ip_forward=1")
    assert check(forwards("root"), ~forwards("root", "inet6"))
    sh("sysctl -qw net.ipv4.conf.up0.forwarding=0")
    assert difference(forwards("root")) == "nothing that comes in by up0 is passed on"


def test_nat_is_judged_by_what_becomes_of_packets(host):
    sources = [nat("root", source="10.1.1.0/24"), nat("root", source="10.1.1.1"), nat("root")]
    told = "what comes from 10.1.1.1 leaves by up0 with its own source"
    assert difference(sources[0]) == told
    rules("""table ip nat { chain post { type nat hook postrouting priority 100;
        ip saddr 10.1.1.0/24 oifname != "br1" masquerade; }; }""")
    assert check(*sources)
    assert difference(nat("root", source="10.2.2.0/24")) is not None
    rules("""flush ruleset; table ip nat { chain post { type nat hook postrouting priority 100;
        ip saddr 10.1.1.0/24 oifname "br1" masquerade; }; }""")
    assert difference(sources[1]) == told


def test_port_that_is_led_on_is_told_with_where_it_leads(host):
    assert difference(nat("root", port=8080)) == "what comes to 10.2.2.1 stays here"
    rules("""table ip nat { chain pre { type nat hook prerouting priority -100;
        iifname "up0" tcp dport 8080 dnat to 10.1.1.1:80; tcp dport 81 dnat to 10.1.1.1; }; }""")
    there = nat("root", port=8080, to="10.1.1.1:80"), nat("root", port=81, to="10.1.1.1")
    assert check(*there, nat("root", port=8080), nat("root", port=81, to="10.1.1.1:81"))
    wrong = nat("root", port=8080, to="10.1.1.1")
    assert difference(wrong) == "what comes to 10.2.2.1 goes to 10.1.1.1:80"


def test_mtu_that_is_another_is_shown(cable):
    assert check(has_mtu("net1:veth0", 1500))
    assert difference(has_mtu("net1:veth0", 1400)) == "it is 1500"


def test_conditions_are_joined_on_the_real_kernel(cable):
    assert check(exists("net1") & exists("net2"), exists("net9") | exists("net1"), ~exists("net9"))
    assert difference(~exists("net2")) == "net2 exists, though it should not be so"
    wrong = has_address("net1:veth0", "10.1.1.9/24").tempting(
        has_address("net1:veth0", "10.1.1.1/24"), "that is the address of the example"
    )
    assert difference(wrong) == "that is the address of the example"


def test_each_check_that_fails_again_shows_one_more_hint():
    hinted = exists("net1").hint("think", "ip netns", "ip netns add net1")
    shown = [check(exists("net1").hint("think", "ip netns", "ip netns add net1"), task="hints")]
    shown += [check(hinted, task="hints") for _ in range(4)]
    assert [len(result.lines[0].hints) for result in shown] == [0, 1, 2, 3, 3]
    assert repr(shown[1]).split("\n")[1] == "  hint: think"
    assert check(hinted, task="another").lines[0].hints == ()
    sh("ip netns add net1")
    assert check(hinted, task="hints").lines[0].hints == ()
    sh("ip netns del net1")
    assert check(hinted, task="hints").lines[0].hints == ()


def test_all_conditions_of_a_check_look_at_one_snapshot():
    seen = []
    check(*[Condition(name, seen.append) for name in ("A", "B", "C")])
    assert len({id(each) for each in seen}) == 1


def test_result_of_a_task_is_noted_for_the_lesson_that_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "07-routing.ipynb"))
    check(exists("net1"))
    assert not [*tmp_path.iterdir()]
    check(exists("net1"), task="two namespaces")
    kept = json.loads((tmp_path / "progress.json").read_text())
    assert "two namespaces" in kept["lessons"]["07-routing"]["exercise"]


def test_result_in_a_notebook_is_a_list_of_marks_and_text():
    class Reader(HTMLParser):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.tags, self.text = [], []
            self.feed(text)

        def handle_starttag(self, tag: str, _: object) -> None:
            self.tags.append(tag)

        def handle_data(self, text: str) -> None:
            self.text.append(text)

    for _ in range(2):
        read = Reader(check(exists("root:lo"), exists("<b>\n&").hint("<i>"))._repr_html_())
    assert read.tags == ["ul", "li", "li"]
    told = "✗ <b>\\n& exists: there is no namespace <b>\\n&\n  hint: <i>"
    assert read.text == ["✓ root:lo exists", told]


def test_namespace_that_is_gone_meanwhile_is_a_line(cable):
    seen = snapshot()
    sh("ip netns del net1")
    for each in (reaches("net1", "10.1.1.2"), listens("net1", 80)):
        assert each.line(seen).difference == "namespace net1 is gone"
        assert not (~each).line(seen).holds


NAMES = st.sampled_from(
    ["net1", "net2", "root", "net9", "net1:veth0", "br1", "a\x1b[31m", "n\udcff", "", ":", None, 7]
)
PREDICATES = st.one_of(
    st.builds(exists, NAMES),
    st.builds(up, NAMES),
    st.builds(has_address, NAMES, st.sampled_from(["10.1.1.1/24", "nonsense", None])),
    st.builds(has_mtu, NAMES, st.sampled_from([1500, "1500"])),
    st.builds(is_port_of, NAMES, NAMES),
    st.builds(peer_is, NAMES, NAMES),
    st.builds(forwards, NAMES, st.sampled_from(["inet", "inet6", "x"])),
    st.builds(routes, NAMES, st.sampled_from(["10.1.1.2", "ff02::1", "nonsense", "", None])),
    st.builds(nat, NAMES, source=st.sampled_from(["10.1.1.0/24", "fd00::/64", "nonsense", None])),
    st.builds(nat, NAMES, port=st.sampled_from([80, "80"]), to=NAMES),
    st.builds(reaches, NAMES, st.sampled_from(["10.9.9.9", "nonsense", "", None])),
)


COMMANDS = [
    *("ip netns add net1", "ip netns add net2", "ip link add br1 type bridge"),
    *("ip link add veth0 netns net1 type veth peer name veth1", "touch /run/netns/net9"),
    *("ip -n net1 link set veth0 up", "ip link set veth1 up master br1", "ip link set br1 up"),
    *("ip -n net1 address add 10.1.1.1/24 dev veth0", "ip address add 10.1.1.254/24 dev br1"),
    *(
        "ip -n net1 rule flush",
        "ip -n net1 rule add table 7 prio 5",
        "ip -n net1 rule add prohibit",
    ),
    *("ip -n net1 route add default via 10.1.1.254", "ip route add blackhole 10.9.9.0/24"),
    *(
        """ip link add "$(printf 'a\\033[31m')" type bridge""",
        """ip netns add "$(printf 'n\\377')" """,
    ),
    *(
        "nft add table ip nat",
        "nft 'add chain ip nat post { type nat hook postrouting priority 0; }'",
    ),
    *(
        "nft add rule ip nat post masquerade",
        "nft add rule ip nat post meta cpu 0 snat to 10.1.1.9",
    ),
]


@settings(max_examples=30, deadline=None)
@given(some=st.lists(PREDICATES, min_size=1, max_size=4), joined=st.lists(st.sampled_from("&|~")))
def held(some, joined):
    whole = some[0]
    for other, by in zip(some[1:], joined, strict=False):
        whole = whole & other if by == "&" else whole | other if by == "|" else ~whole
    result = check(whole, ~whole, *some)
    assert not (result.lines[0].holds and result.lines[1].holds)
    assert all(line.isprintable() for line in repr(result).split("\n"))
    json.dumps(result.to_dict())
    result._repr_html_().encode()


@pytest.mark.parametrize("seed", range(6))
def test_any_condition_gives_a_line_in_any_lab(seed):
    chosen = set(random.Random(seed).sample(COMMANDS, 14))
    script = "\n".join(each for each in COMMANDS if each in chosen)  # Some of them fail: so be it.
    subprocess.run(["sh", "-c", script], capture_output=True, check=False, timeout=20)
    held()


def test_missing_program_is_named():
    assert check(installed("sh"))
    assert difference(installed("sh", "no-such")) == "there is no no-such; see `netviz doctor`"


def test_kernel_says_which_it_is_and_why(monkeypatch):
    monkeypatch.setenv("NETVIZ_WHY", "so it was \x1b wished")
    (line,) = check(kernel("veth", "ip netns add")).lines
    assert line.holds
    told = f"✓ a kernel with veth, ip netns add: {this_kernel()} (so it was \\x1b wished); "
    assert str(line).startswith(told)
    assert check(kernel())


def test_kernel_has_what_can_be_made_and_of_the_rest_the_reason_is_told():
    for name in ("bridge", "ipip", "dummy", "netem", "wireguard"):
        made = can(f"{OF_KERNEL['veth'].command}; {OF_KERNEL[name].command}")
        told = difference(kernel("veth", name))
        assert told is None if made else told.startswith(f"it has no {name} (")
    assert difference(kernel("carrots")).startswith("nobody can try 'carrots'; known are: ")


def test_other_kernel_is_named_or_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("NETVIZ_SHARED", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NETVIZ_OWN_KERNEL", "built")
    (line,) = check(kernel()).lines
    told = "the kernel 'netviz lab' would be this machine's own"
    assert line.claim.endswith(told if linux.here() else f"type in a terminal: {FETCH}")


def test_check_changes_nothing(cable):
    def state() -> str:
        shown = ["ip", "-all", "-d", "-j", "netns", "exec", "ip", "-j", "-d", "address"]
        return subprocess.run(shown, capture_output=True, text=True, check=True).stdout

    before = state()
    check(up("net1:veth0"), listens("net1", 80), has_address("net1:veth0", "1.1.1.1/8"))
    check(routes("net1", "10.1.1.2"), forwards("net1"), nat("net1"), ~has_mtu("net1:veth0", 1500))
    check(kernel("veth", "bridge", "sysctl"))
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
    told = {"holds": False, "task": None, "lines": [line | {"hints": []}]}
    assert json.loads(json.dumps(found)) == told


def test_hostile_device_name_is_escaped():
    sh("ip netns add net1")
    subprocess.run(["ip", "link", "add", "a\x1b[31m", "type", "bridge"], check=True)
    assert "\x1b" not in repr(check(exists("net1:a\x1b[31m")))


def test_what_is_no_condition_is_refused():
    with pytest.raises(ExerciseError, match="'net1' is no condition"):
        check("net1")
