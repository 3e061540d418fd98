"""Open vSwitch, real, in labs of whoever runs the tests and of an ordinary user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from labs import PYTHON

if TYPE_CHECKING:
    from labs import Someone

pytestmark = pytest.mark.outside

CLOSED = "mount -t tmpfs -o nodev none /dev/net\n"
"""A lab after it has no /dev/net/tun."""
STARTED = 'import sys, netviz as nv; nv.needs("ovs"); nv.service("ovs", *sys.argv[1:])'
START = f"\novs() {{ {PYTHON} -c '{STARTED}' $1; }}\n"
CABLES = """
for n in 0 1; do
  ip netns add net$((n + 1))
  ip link add ovs-veth$n type veth peer name veth$n netns net$((n + 1))
  ip link set ovs-veth$n up
  ip -n net$((n + 1)) link set veth$n up
done
ip -n net1 address add 10.1.1.2/24 dev veth0
ip -n net2 address add 10.1.1.5/24 dev veth1
"""
SEED = """
ovs-vsctl add-br ovs-br
ovs-vsctl add-port ovs-br ovs-veth0
ovs-vsctl add-port ovs-br ovs-veth1
ip netns exec net1 ping -c 1 10.1.1.5
"""
LISTEN = 'import socket; s = socket.create_server(("", 80)); s.accept()[0].send(b"x" * 100_000)'
TCP = f"""
ip netns exec net2 {PYTHON} -c '{LISTEN}' &
until ip netns exec net2 ss -tln | grep -q :80; do sleep 0.05; done
ip netns exec net1 timeout 3 bash -c 'wc -c < /dev/tcp/10.1.1.5/80'
"""


@pytest.mark.parametrize("tun", ["", CLOSED], ids=["tun open", "tun closed"])
def test_two_namespaces_on_a_switch_as_pasted(someone: Someone, tun: str) -> None:
    asked = """
ovs-vsctl show
ovs-ofctl dump-flows ovs-br
ovs-appctl fdb/show ovs-br
ovs-appctl ofproto/trace ovs-br in_port=ovs-veth0,icmp
"""
    told = someone.sh(f"set -e{START}{tun}ovs{CABLES}{SEED}{TCP}{asked}")
    assert "1 received" in told
    assert "100000\n" in told  # TCP, whose checksums nobody else would fill in.
    assert f"datapath_type: {'dummy' if tun else 'netdev'}" in told
    assert "Port ovs-veth1" in told
    assert "priority=0 actions=NORMAL" in told
    assert told.split("MAC                Age")[1].count("    0  ") == 2
    assert "no learned MAC for destination, flooding" in told


def test_mistake_is_answered_in_the_words_of_open_vswitch(someone: Someone) -> None:
    mistakes = """exec 2>&1
ovs-vsctl show
ovs
ovs-vsctl add-br
ovs-vsctl ad-br ovs-br
ovs-vsctl add-br ovs-br
ovs-vsctl add-br ovs-br
ovs-vsctl add-port ovs-br nosuch
ovs-vsctl add-br kernel -- set bridge kernel datapath_type=system
true"""
    told = someone.sh(f"{START}{mistakes}").split("ovs-vsctl: ")
    # The wrapper is there from the start: what a shell remembers is right when the daemons run.
    assert ["db.sock: database connection failed" in line for line in told][1]
    assert told[2] == "'add-br' command requires at least 1 arguments\n"
    assert told[3] == "unknown command 'ad-br'; use --help for help\n"
    assert told[4].endswith("because a bridge named ovs-br already exists\n")
    assert "'nosuch': could not open network device nosuch (No such device)" in told[5]
    assert told[6] == 'The default log directory is "/run/netviz/services".\n'
    assert "Error detected while setting up 'kernel'" in told[7]


def test_each_namespace_may_be_a_host_with_a_switch_of_its_own(someone: Someone) -> None:
    told = someone.sh(f"""set -e{START}
for name in node1 net1; do ip netns add $name; done
ovs; ovs node1; ovs node1
ovs-vsctl add-br br-root
ip netns exec node1 ovs-vsctl add-br br-node1 -- add-br br-more
for name in node1 net1; do ip netns exec $name ovs-vsctl list-br; done
ip -n node1 -brief link show br-more; pgrep -c ovs-vswitchd""")
    # Where no host is, the root's switch answers, as it would on a server.
    lines = [line.split()[0] for line in told.splitlines()]
    assert lines == ["br-more", "br-node1", "br-root", "br-more", "2"]


def test_nobody_but_a_namespace_is_a_host(someone: Someone) -> None:
    told = someone.sh(f"mkdir /run/x; {START} ovs ../x 2>&1 || ls -d /run/x")
    assert "there is no namespace '../x'" in told
    assert told.endswith("/run/x\n")


def test_switch_keeps_its_bridges_when_it_is_started_again_and_a_new_one_has_none(
    someone: Someone,
) -> None:
    told = someone.python("""
import subprocess
import netviz as nv
def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
nv.needs("ovs")
switch = nv.service("ovs")
said("ovs-vsctl", "add-br", "ovs-br")
switch.stop()
switch.start()
print(said("ovs-vsctl", "list-br"), "ovs-br" in str(said("ip", "link")))
nv.reset()
print(switch.running, "ovs-br" in str(said("ip", "link")))
nv.service("ovs")
print(said("ovs-vsctl", "list-br"))
""")
    assert told.splitlines() == ["['ovs-br'] True", "False False", "[]"]
