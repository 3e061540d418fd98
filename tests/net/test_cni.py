"""The reference plugins of CNI, called by the specification; judged by what ``ip`` then says."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from oracle import sh

import netviz as nv
from netviz.net.cni import MEMORY, Network, call

IPAM = {"type": "host-local", "subnet": "10.9.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
BRIDGE = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": IPAM}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
PORT = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}


def network(*plugins: Mapping[str, object], name: str = "pods") -> Network:
    return nv.cni({"cniVersion": "1.0.0", "name": name, "plugins": list(plugins)})


@pytest.fixture(autouse=True)
def _pods() -> Iterator[None]:
    """Give the test two empty pods, and forget what it let be remembered."""
    sh("ip netns add pod1; ip netns add pod2")
    yield
    shutil.rmtree(MEMORY, ignore_errors=True)


def addresses(pod: str) -> list[str]:
    told = json.loads(sh(f"ip -n {pod} -j -4 address"))
    return [f"{each['local']}/{each['prefixlen']}" for link in told for each in link["addr_info"]]


def reserved(name: str = "pods") -> list[str]:
    return sorted(path.name for path in Path(MEMORY, "ipam", name).glob("10.*"))


def commands(net: Network) -> list[tuple[str, str]]:
    return [(each.env["CNI_COMMAND"], Path(each.plugin).name) for each in net.calls]


def test_pods_are_plugged_in_and_reach_each_other() -> None:
    net = network(BRIDGE)
    one, _ = net.add("pod1"), net.add("pod2")
    assert [ip["address"] for ip in one.ips] == addresses("pod1") == ["10.9.0.2/24"]
    assert [link["name"] for link in one.interfaces][::2] == ["cni0", "eth0"]
    assert (one.routes, one.dns) == (({"dst": "0.0.0.0/0"},), {})
    assert "ip: interface 2, address 10.9.0.2/24, gateway 10.9.0.1" in repr(one)
    assert "default via 10.9.0.1" in sh("ip -n pod1 route")
    assert "1 received" in sh("ip netns exec pod1 ping -c 1 10.9.0.3")


def test_call_can_be_typed_as_it_shows_itself() -> None:
    net = network(BRIDGE)
    net.add("pod1")
    net.delete("pod1")
    typed = repr(net.calls[0])
    answer = json.loads(sh(typed[: typed.index("\nEND\n") + 5]))
    assert answer["ips"][0]["address"] == "10.9.0.3/24"
    assert addresses("pod1") == ["10.9.0.3/24"]


def test_chain_hands_results_on_and_is_undone_backwards() -> None:
    net = network(BRIDGE, PORTMAP)
    got = net.add("pod1", portMappings=[PORT])
    first, second = net.calls
    assert second.config["prevResult"] == first.answer
    assert second.config["runtimeConfig"] == {"portMappings": [PORT]}
    assert "runtimeConfig" not in first.config
    assert "capabilities" not in second.config
    assert "10.9.0.2:80" in sh("nft list table ip nat")
    net.delete("pod1")
    assert commands(net)[2:] == [("DEL", "portmap"), ("DEL", "bridge")]
    assert all(each.config["prevResult"]["ips"] == list(got.ips) for each in net.calls[2:])
    assert "10.9.0.2:80" not in sh("nft list table ip nat")
    assert addresses("pod1") == reserved() == []


def test_rate_is_limited_by_a_plugin_that_can() -> None:
    net = network(BRIDGE, {"type": "bandwidth", "capabilities": {"bandwidth": True}})
    net.add("pod1", bandwidth={"ingressRate": 1_000_000, "ingressBurst": 80_000})
    assert "tbf" in sh("tc qdisc show")


@pytest.mark.parametrize("kind", ["ptp", "macvlan"])
def test_other_plugins_are_called_alike(kind: str) -> None:
    sh("ip link add cable type veth peer name far; ip link set cable up; ip link set far up")
    net = network({"type": kind, "master": "cable", "ipam": IPAM})
    net.add("pod1")
    net.check("pod1")
    assert addresses("pod1") == ["10.9.0.2/24"]
    net.delete("pod1")
    assert addresses("pod1") == []


def test_loopback_comes_up() -> None:
    nv.cni({"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}).add("pod1", ifname="lo")
    assert addresses("pod1") == ["127.0.0.1/8"]


def test_namespace_may_be_any_path_and_the_interface_have_any_name() -> None:
    with subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 60"], stdout=-1) as run:
        run.stdout.readline()
        path = f"/proc/{run.pid}/ns/net"
        network(BRIDGE).add("pause", netns=path, ifname="net1")
        assert "10.9.0.2/24" in sh(f"nsenter --net={path} ip -brief address show net1")
        run.kill()


def test_plugin_on_a_node_builds_there_and_remembers_there() -> None:
    sh("ip netns add node1; ip netns add node2")
    told = {"cniVersion": "1.0.0", "name": "pods", **BRIDGE}
    nets = [nv.cni(told, node=node) for node in ("node1", "node2")]
    for net, pod in zip(nets, ("pod1", "pod2"), strict=True):
        assert net.add(pod).ips[0]["address"] == "10.9.0.2/24"  # Neither knows of the other.
        assert pod in json.dumps(net.check(pod).interfaces)
    assert "cni0" in sh("ip -n node1 link") + sh("ip -n node2 link")
    assert "cni0" not in sh("ip link")
    assert repr(nets[0]) == "network pods on node1: bridge"
    assert repr(nets[0].calls[0]).startswith(
        "nsenter --net=/run/netns/node1 env CNI_COMMAND=ADD CNI_CONTAINERID=pod1 "
    )
    nets[0].delete("pod1")
    assert addresses("pod1") == []
    assert addresses("pod2") == ["10.9.0.2/24"]
    with pytest.raises(nv.TopologyError, match="node1' is no node"):
        nv.cni(told, node="../node1")
    sh("ip netns delete node2")
    with pytest.raises(nv.ComponentError, match="'bridge' answers ADD of 'pod1' with no code"):
        nv.cni(told, node="node2").add("pod1")


def test_arguments_reach_the_plugins() -> None:
    net = network(BRIDGE)
    net.add("pod1", args="IgnoreUnknown=1;IP=10.9.0.77")
    assert net.calls[0].env["CNI_ARGS"] == "IgnoreUnknown=1;IP=10.9.0.77"
    assert addresses("pod1") == ["10.9.0.77/24"]


def test_check_passes_and_then_tells_what_somebody_has_taken_away() -> None:
    net = network(BRIDGE)
    assert net.add("pod1") == net.check("pod1")
    sh("ip -n pod1 address flush dev eth0")
    with pytest.raises(nv.ComponentError, match=r"'bridge' answers CHECK .* code 999: .*10.9.0.2"):
        net.check("pod1")
    sh("ip -n pod1 link delete eth0")
    with pytest.raises(nv.ComponentError, match="Interface name eth0 not found"):
        net.check("pod1")
    net.delete("pod1")
    net.add("pod1")
    assert net.check("pod1").ips[0]["address"] == "10.9.0.3/24"


def test_network_may_ask_not_to_be_checked() -> None:
    net = nv.cni(network(BRIDGE).config | {"disableCheck": True})
    net.add("pod1")
    sh("ip -n pod1 link delete eth0")
    net.check("pod1")
    assert commands(net) == [("ADD", "bridge")]


def test_delete_comes_too_often_too_late_and_for_nobody() -> None:
    net = network(BRIDGE, PORTMAP)
    net.add("pod1", portMappings=[PORT])
    sh("ip netns delete pod1")
    for _ in range(2):
        net.delete("pod1")
    net.delete("nobody")
    assert reserved() == []
    assert "8080" not in sh("nft list table ip nat")


def test_another_process_remembers() -> None:
    network(BRIDGE).add("pod1")
    network(BRIDGE).check("pod1")
    with pytest.raises(nv.TopologyError, match=r"'pod1' is in network 'pods' already, by 'eth0'"):
        network(BRIDGE).add("pod1")
    network(BRIDGE).delete("pod1")
    assert reserved() == []


def test_reset_forgets() -> None:
    network(BRIDGE).add("pod1")
    nv.reset()
    assert not Path(MEMORY).exists()


def test_second_plugin_fails_and_the_first_is_undone() -> None:
    net = network(BRIDGE, PORTMAP)
    with pytest.raises(nv.ComponentError, match="Invalid host port number: 0"):
        net.add("pod1", portMappings=[PORT | {"hostPort": 0}])
    assert commands(net)[2:] == [("DEL", "portmap"), ("DEL", "bridge")]
    assert net.calls[1].answer["msg"] == "failed to parse config: Invalid host port number: 0"
    assert addresses("pod1") == reserved() == []


def test_missing_plugin_is_named_and_the_others_undone() -> None:
    with pytest.raises(nv.ComponentError, match=r"there is no CNI plugin 'none' .* fetch cni"):
        network(BRIDGE, {"type": "none"}).add("pod1")
    assert addresses("pod1") == reserved() == []
    with pytest.raises(nv.ComponentError, match='failed to find plugin "none"'):
        network(BRIDGE | {"ipam": {"type": "none"}}).add("pod1")


def test_pod_whose_result_could_not_be_kept_is_not_plugged_in() -> None:
    results = Path(MEMORY, "results")
    results.mkdir(parents=True)
    sh(f"mount -t tmpfs -o size=4k none {results}")
    (results / "other").write_bytes(bytes(4096))
    with pytest.raises(OSError, match="No space left on device"):
        network(BRIDGE).add("pod1")
    assert addresses("pod1") == reserved() == []
    (results / "other").unlink()
    network(BRIDGE).add("pod1")
    sh(f"umount {results}")


def test_exhausted_range_and_absent_namespace_are_told_in_the_plugins_words() -> None:
    net = network(BRIDGE | {"ipam": {"type": "host-local", "subnet": "10.9.0.0/30"}})
    net.add("pod1")
    with pytest.raises(nv.ComponentError, match="no IP addresses available in range set"):
        net.add("pod2")
    with pytest.raises(nv.ComponentError, match="failed to open netns"):
        net.add("pod3")
    # A namespace that ends without DEL keeps its address; DEL still gives it back.
    sh("ip netns delete pod1")
    assert reserved() == ["10.9.0.2"]
    net.delete("pod1")
    net.add("pod2")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no JSON; exit 3", "with no code: no JSON"),
        ("echo no JSON", "with no code: no JSON"),
        ("echo lost >&2; exit 3", "with no code: lost"),
        ('echo \'{"code": 7, "msg": "bad", "details": "d\x1b"}\'; exit 1', r"code 7: bad: d\\x1b"),
        ("echo '[1]'; exit 1", r"no code: \[1\]"),
    ],
)
def test_plugin_that_does_not_keep_to_the_rules(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "odd"
    plugin.write_text(f"#!/bin/sh\n{script}".replace("\x1b", "\\u001b"))
    plugin.chmod(0o755)
    monkeypatch.setenv("CNI_PATH", str(tmp_path))
    with pytest.raises(nv.ComponentError, match=said):
        network({"type": "odd"}).add("pod1")
    plugin.write_text("no program")
    with pytest.raises(nv.ComponentError, match="Exec format error"):
        network({"type": "odd"}).add("pod1")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"cniVersion": "1.0.0", "name": "pods"},
        {"cniVersion": "1.0.0", "name": "pods", "plugins": []},
        {"cniVersion": "1.0.0", "name": "pods", "plugins": 5},
        {"cniVersion": "1.0.0", "name": "../pods", "type": "bridge"},
        {"cniVersion": "1.0.0", "name": "pods", "type": "../bridge"},
        {"cniVersion": "1.0.0", "name": "pods", "type": "bridge", "ipam": []},
        {"cniVersion": "1.0.0", "name": "pods", "type": "bridge", "odd": object()},
        "/run/none.conflist",
        5,
    ],
)
def test_what_is_no_configuration_is_refused(config: object) -> None:
    with pytest.raises(nv.TopologyError, match=r"this|'/run/none.conflist'|'5'"):
        nv.cni(config)


def test_file_that_is_no_json_is_refused_by_us_and_by_the_plugin(tmp_path: Path) -> None:
    path = tmp_path / "net.conflist"
    path.write_text('{"cniVersion"')
    with pytest.raises(nv.TopologyError, match=r"net.conflist': Expecting"):
        nv.cni(path)
    path.write_text(json.dumps({"cniVersion": "9.9.9", "name": "new"} | BRIDGE))
    with pytest.raises(nv.ComponentError, match="code 1: incompatible CNI versions"):
        nv.cni(path).add("pod1")


def test_what_cannot_be_asked_for_is_refused_before_anything_is_called() -> None:
    net = network(BRIDGE, PORTMAP)
    with pytest.raises(nv.TopologyError, match="no plugin of network 'pods' can 'bandwidth'"):
        net.add("pod1", bandwidth={})
    with pytest.raises(nv.TopologyError, match="cannot be said in JSON"):
        net.add("pod1", portMappings=object())
    with pytest.raises(nv.TopologyError, match="'pod1' is not in network 'pods' by 'eth0'"):
        net.check("pod1")
    for pod, ifname in (("../pod1", "eth0"), ("pod1", "a/b"), ("pod1", "..")):
        with pytest.raises(nv.TopologyError, match="these are no names"):
            net.delete(pod, ifname=ifname)
    assert net.calls == []
    for odd in ({"args": {"IP": "10.9.0.7"}}, {"netns": "a\0b"}):
        with pytest.raises(nv.ComponentError, match=r"cannot run '/.*/bridge': "):
            net.add("pod1", **odd)


def test_version_is_asked_for_by_the_bare_call() -> None:
    told = call("bridge", {"CNI_COMMAND": "VERSION"}, {"cniVersion": "1.0.0"})
    assert "1.0.0" in told.answer["supportedVersions"]


def test_nothing_is_called_outside_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(BRIDGE)
    monkeypatch.setattr("netviz.lab.sandbox.inside", lambda: False)
    for act in (net.add, net.check, net.delete):
        with pytest.raises(nv.SandboxError, match="this is the machine itself"):
            act("pod1")
    with pytest.raises(nv.SandboxError, match="cannot call a plugin"):
        call("bridge", {"CNI_COMMAND": "VERSION"}, {})
    assert net.calls == []
