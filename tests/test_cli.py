"""The command line: what it draws, and how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from netviz.net.discovery import snapshot

NETWORK = "ip netns add net1; ip link add '<b>' type veth peer name eth0 netns net1"


def netviz(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from netviz.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def _network() -> None:
    subprocess.run(["sh", "-ec", NETWORK], check=True)


def test_json_is_the_snapshot() -> None:
    names = [
        space["name"] for space in json.loads(netviz("draw", "--format=json").stdout)["namespaces"]
    ]
    assert names == [space.name for space in snapshot().namespaces] == ["root", "net1"]


@pytest.mark.parametrize(
    ("fmt", "start"), [("json", "{"), ("dot", "graph netviz {"), ("mermaid", "flowchart TB")]
)
def test_text_formats_go_to_the_terminal_and_to_a_file(
    fmt: str, start: str, tmp_path: Path
) -> None:
    done = netviz("draw", "--format", fmt)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(start)
    assert netviz("draw", "-o", str(tmp_path / f"lab.{fmt}")).stdout == ""
    assert (tmp_path / f"lab.{fmt}").read_text().startswith(start)


def test_picture_is_drawn_into_a_file(tmp_path: Path) -> None:
    done = netviz("draw", "-o", str(tmp_path / "lab.svg"), "--title", "A <title>", "--dark")
    assert (done.returncode, done.stderr) == (0, "")
    assert "<svg" in (tmp_path / "lab.svg").read_text()


def test_file_that_names_no_format_is_a_wrong_use(tmp_path: Path) -> None:
    done = netviz("draw", "-o", str(tmp_path / "lab.xyz"))
    assert done.returncode == 2
    assert "names no format that is known; add --format" in done.stderr
    assert not list(tmp_path.iterdir())


def test_failure_is_one_line_and_status_2() -> None:
    done = netviz("draw", "--format=json", "-o", "/nowhere/lab.json")
    assert done.returncode == 2
    assert done.stderr == (
        "netviz: cannot write '/nowhere/lab.json': No such file or directory;"
        " name another file with -o\n"
    )
    assert done.stdout == ""


def test_unknown_lesson_is_one_line_that_names_the_lessons() -> None:
    done = netviz("lab", "no such lesson")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "00-start-here" in done.stderr


def test_no_failure_shows_a_traceback() -> None:
    program = "import netviz.net.discovery as d; from netviz.errors import DiscoveryError\n"
    program += "def fail(): raise DiscoveryError('a\\nb')\nd.snapshot = fail\n"
    program += "from netviz.cli import main; main(['draw', '--format', 'json'])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "netviz: a\\nb\n")


def test_help_lists_the_commands() -> None:
    done = netviz("--help")
    assert done.returncode == 0
    for command in ("lab", "run", "shell", "draw"):
        assert f"\n  {command} " in done.stdout


def test_explain_ends_as_what_it_foretells() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    works = netviz("explain", "root", "127.0.0.1")
    assert (works.returncode, works.stderr) == (0, "")
    assert works.stdout.endswith("✓ the answer reaches root\n")
    broken = netviz("explain", "--json", "net1", "10.1.1.1")
    assert broken.returncode == 1
    assert json.loads(broken.stdout)["works"] is False
    assert netviz("explain", "--proto", "tcp", "root", "127.0.0.1").returncode == 2
