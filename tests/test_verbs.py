"""The commands about networks: build, compare, take back, write for others."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from labs import NETVIZ

from netviz.net.discovery import snapshot
from netviz.net.steps import split

FILE = """from netviz import Topology
net = Topology()
net.namespace("net1", "net2")
net.veth("net1:eth0", "net2:eth0", ip="10.0.0.1/24", peer_ip="10.0.0.2/24")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(FILE)
    return path


def netviz(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([NETVIZ, *map(str, arguments)], capture_output=True, text=True)


def sh(script: str) -> None:
    subprocess.run(["sh", "-ec", script], check=True, stdout=subprocess.DEVNULL)


def spaces() -> list[str]:
    return [space.name for space in snapshot().namespaces]


def test_file_goes_up_and_down(file: Path) -> None:
    assert netviz("up", file).returncode == 0
    sh("ip netns exec net1 ping -c 1 -W 1 10.0.0.2")
    assert netviz("down", file).returncode == 0
    assert spaces() == ["root"]


def test_exported_network_goes_up_elsewhere(file: Path, tmp_path: Path) -> None:
    netviz("up", file)
    seen = tmp_path / "seen.json"
    assert netviz("export", "-o", seen).returncode == 0
    netviz("down", file)
    assert netviz("up", seen).returncode == 0
    assert netviz("diff", seen).stdout.count("\n") <= 4  # What the kernel draws by lot.
    assert spaces() == ["root", "net1", "net2"]


def test_undo_restore_and_checkpoint_do_what_they_say(file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    netviz("up", file)
    assert netviz("checkpoint", "start", "-o", kept).returncode == 0
    sh("ip netns delete net2")
    assert "+ namespace net2" in netviz("undo").stdout
    sh("ip netns delete net1")
    assert "+ namespace net1" in netviz("restore", "start").stdout
    assert "'start' of " in netviz("restore").stdout
    sh("ip netns delete net1")
    assert "+ namespace net1" in netviz("restore", kept).stdout


def test_diff_tells_what_changed_and_says_so_by_its_status(file: Path, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    netviz("up", file)
    netviz("export", "-o", before)
    assert (netviz("diff", before).returncode, netviz("diff", before, before).stdout) == (0, "")
    sh("ip -n net1 link set eth0 mtu 1400")
    told = netviz("diff", before)
    assert (told.returncode, told.stdout) == (1, "~ net1: interface eth0 mtu: 1500 → 1400\n")
    change = json.loads(netviz("diff", before, "--json").stdout)[0]
    assert (change["field"], change["before"], change["after"]) == ("mtu", 1500, 1400)


def test_script_is_what_export_writes_first(file: Path) -> None:
    told = netviz("export", file).stdout
    assert told.startswith("#!/bin/sh\nset -e\nip netns add net1\n")
    sh(told)
    assert netviz("export").stdout.split("\n")[2:4] == ["ip netns add net1", "ip netns add net2"]


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("lab.sh", "#!/bin/sh"),
        ("lab.json", "{"),
        ("lab.clab.yml", "# "),
        ("lab.dot", "graph netviz"),
        ("lab.mmd", "flowchart"),
    ],
)
def test_format_is_told_by_the_name(name: str, start: str, file: Path, tmp_path: Path) -> None:
    assert netviz("export", file, "-o", tmp_path / name).returncode == 0
    assert (tmp_path / name).read_text().startswith(start)


def test_declared_network_is_drawn_as_a_plan(file: Path) -> None:
    assert 'data-netviz="plan"' in netviz("draw", file).stdout


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("net.py", "import nonsense", "failed: ModuleNotFoundError: No module named 'nonsense'"),
        ("net.py", "x = 1", "makes no one topology but: none; let it make one, and call it net"),
        ("net.py", FILE + "net.bridge('a' * 16)", "net.py line 5: an interface cannot be called"),
        ("net.json", "{", "is no JSON"),
        ("net.json", "{}", "namespaces: missing"),
        ("net.json", None, "cannot read"),
        ("net.py", None, "failed: FileNotFoundError"),
    ],
)
def test_file_that_holds_no_network_is_told_in_one_line(
    name: str, text: str | None, words: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    told = netviz("up", tmp_path / name)
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert words in told.stderr
    assert spaces() == ["root"]


def test_what_was_only_seen_cannot_be_taken_down(tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    netviz("export", "-o", seen)
    assert "declares no network; go back to an earlier state" in netviz("down", seen).stderr


@pytest.mark.outside(only=True)
@pytest.mark.parametrize("verb", [("up",), ("down",), ("undo",), ("restore", "x")])
def test_outside_a_lab_they_refuse(verb: tuple[str, ...], file: Path) -> None:
    told = netviz(*verb, *([file] if len(verb) == 1 and verb != ("undo",) else []))
    assert told.returncode == 2
    assert "this is the machine itself, not a lab; work in one" in told.stderr


@pytest.mark.parametrize(
    ("endpoint", "parts"),
    [("br1", ("root", "br1")), ("a:b", ("a", "b")), ("a:b:c", ("a:b", "c")), (":x", ("", "x"))],
)
def test_endpoint_is_split_at_its_last_colon(endpoint: str, parts: tuple[str, str]) -> None:
    assert split(endpoint) == parts
