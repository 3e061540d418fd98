"""The live network explained: as text, as HTML, for programs, and held against a real packet."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from net.oracle import sh
from roads import BRIDGE, ROUTER

import netviz
from netviz.errors import TraceError
from netviz.explanations import Explanation, Step
from netviz.packets.explainer import explain

SERVER = (
    "import socket, time; s = socket.create_server(({!r}, 80)); print(flush=True); time.sleep(60)"
)


@contextmanager
def serving(where: str, address: str) -> Iterator[None]:
    command = ["ip", "netns", "exec", where, sys.executable, "-c", SERVER.format(address)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()
        yield
        server.kill()


def test_it_reads_as_a_list_of_steps_with_the_mend_below() -> None:
    sh(ROUTER + "ip netns exec router sysctl -qw net.ipv4.ip_forward=0")
    told = netviz.explain("net1", "10.1.2.2")
    lines = str(told).splitlines()
    assert lines[0] == "icmp from net1 to 10.1.2.2: breaks"
    assert lines[1] == "  ✓ net1: route default via 10.1.1.1 dev veth0, table main"
    assert lines[-3:] == [
        "  ✗ 10.1.2.2 is not router's own, and it does not forward: net.ipv4.ip_forward is 0",
        "see it:  ip netns exec router sysctl net.ipv4.ip_forward",
        "mend it: ip netns exec router sysctl -w net.ipv4.ip_forward=1",
    ]
    assert not told
    assert told.broken
    assert told.broken.where == "router:eth1"
    kept = json.loads(json.dumps(told.to_dict()))
    assert (kept["works"], kept["certain"], kept["mend"]) == (False, True, told.mend)
    assert kept["steps"][-1]["holds"] is False


def test_commands_that_show_a_step_can_be_typed() -> None:
    sh(BRIDGE)
    told = explain("net1", "10.1.1.2")
    shown = [subprocess.run(["sh", "-c", str(it.command)], check=False) for it in told.steps]
    assert {done.returncode for done in shown} == {0}


def test_a_real_packet_agrees() -> None:
    sh(BRIDGE)
    told = explain("net1", "10.1.1.2", verify=True)
    assert (told.works, told.verified, told.surprise) == (True, True, None)
    assert str(told).endswith("the kernel: a real packet was answered")
    broken = explain("net1", "10.1.1.9", verify=True)
    assert (broken.works, broken.verified, broken.surprise) == (False, False, None)


def test_where_the_kernel_differs_it_says_so() -> None:
    sh(BRIDGE)
    sh("ip -n net1 rule add ipproto tcp prohibit priority 7")  # A snapshot knows no protocols.
    told = explain("net1", "10.1.1.2", verify=True)
    assert not told.works
    assert told.verified
    assert "the tables say that it breaks, but a real packet was sent: it was answered" in str(told)


def test_whether_a_program_listens_is_looked_up_in_the_live_network() -> None:
    sh(BRIDGE + "ip -n net2 link set lo up")
    silent = explain("net1", "10.1.1.2", proto="tcp", port=80, verify=True)
    assert (silent.works, silent.verified, silent.certain) == (False, False, True)
    assert silent.broken
    assert silent.broken.text == "no program listens at tcp port 80 of net2"
    with serving("net2", "0.0.0.0"):
        told = explain("net1", "10.1.1.2", proto="tcp", port=80, verify=True)
        assert (told.works, told.verified, told.certain) == (True, True, True), told
    with serving("net2", "127.0.0.1"):
        assert not explain("net1", "10.1.1.2", proto="tcp", port=80)
    kept = explain("net1", "10.1.1.2", proto="tcp", port=80, network=netviz.snapshot())
    assert (kept.works, kept.certain) == (True, False)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"proto": "udp", "port": 53, "size": 1500}, "only a ping can have a size"),
        *(({"size": size}, f"cannot have {size!r} bytes") for size in (0, -1, True, 1.5, "1500")),
    ],
)
def test_size_is_a_number_and_of_a_ping(asked: dict[str, Any], why: str) -> None:
    sh(BRIDGE)
    with pytest.raises(TraceError, match=why):
        explain("net1", "10.1.1.2", **asked)


def test_udp_may_be_silent_and_so_nothing_verifies_it() -> None:
    sh(BRIDGE)
    told = explain("net1", "10.1.1.2", proto="udp", port=53, verify=True)
    assert (told.works, told.verified) == (False, None)


def test_names_from_the_kernel_are_escaped() -> None:
    step = Step("<b> \x1b[31m is down", False, "net1:<b>", "ip link", "ip link set '<b>' up")
    told = Explanation("icmp from <i> to 10.1.1.2", (step,))
    assert "\x1b" not in str(told)
    page = told._repr_html_()
    assert "<b> " not in page
    assert "<i>" not in page
    assert 'class="nv-explain-breaks" title="ip link"' in page
    assert "mend it: <code>ip link set &#x27;&lt;b&gt;&#x27; up</code>" in page


def test_what_is_open_is_not_certain() -> None:
    told = Explanation("icmp", (Step("who knows", None), Step("it arrives")), "who knows")
    assert told
    assert not told.certain
    assert str(told).splitlines() == [
        "icmp: works, as far as the tables tell",
        "  ? who knows",
        "  ✓ it arrives",
        "not certain: who knows",
    ]


def test_the_callers_thread_stays_where_it_is() -> None:
    sh(BRIDGE)
    explain("net1", "10.1.1.2", proto="tcp", port=80)
    assert [name for _, name in socket.if_nameindex() if name == "br0"]
