"""The course's own command sequences, unchanged: as a script, as ``%%bash``, and as ``!`` lines.

``ping`` without ``-c`` never ends: it gets three seconds, and then Ctrl-C's signal.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from labs import NETVIZ, PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernels import Notebook

SEED = Path(__file__).parent.parent / "seed"
ONE, TWO, BRIDGE = (
    SEED / f"{name}.sh" for name in ("01-veth-one-namespace", "02-veth-two-namespaces", "03-bridge")
)
BOUNDED = "timeout --signal=INT 3 ping"
DRAWN = "import netviz; print(netviz.draw().alt)"


def sequence(path: Path) -> str:
    """Return the commands, the endless ping bounded."""
    return re.sub(r"\bping\b", BOUNDED, path.read_text())


def by_script(lab: Notebook, commands: str) -> str:
    """Run them as a person does in a shell: ``netviz run -- bash FILE``, and draw what is there."""
    script = f"{commands}\nbridge fdb show; ip link show p2; {PYTHON} -c '{DRAWN}'"
    run = [NETVIZ, "run", "--", "bash", "-c", script]
    return subprocess.run(run, capture_output=True, text=True, check=False, timeout=60).stdout


def by_bash_cell(lab: Notebook, commands: str) -> str:
    """Paste them into one cell."""
    return lab.run(f"%%bash\n{commands}").text + after(lab)


def by_lines(lab: Notebook, commands: str) -> str:
    """Paste them into a cell with an exclamation mark before each."""
    lines = [f"!{line}" for line in commands.splitlines() if line]
    return lab.run("\n".join(lines)).text + after(lab)


def after(lab: Notebook) -> str:
    return lab.run(f"!bridge fdb show\n!ip link show p2\n{DRAWN}").text


WAYS = [by_script, *(pytest.param(way, marks=pytest.mark.long) for way in (by_bash_cell, by_lines))]


@pytest.fixture(params=WAYS)
def said(request: pytest.FixtureRequest, own_lab: Notebook) -> Callable[[Path], str]:
    """Run a sequence in one of the ways, and return what was said."""
    return lambda path: request.param(own_lab, sequence(path))


def test_one_end_tells_the_index_of_the_other(said: Callable[[Path], str]) -> None:
    told = said(ONE)
    peer = re.search(r"peer_ifindex: (\d+)", told)[1]
    assert re.search(rf"^{peer}: p2@if", told, re.MULTILINE)
    assert "Namespace net1 has p1 (down), joined with root:p2" in told


def test_two_namespaces_answer_each_other(said: Callable[[Path], str]) -> None:
    told = said(TWO)
    assert "bytes from 10.1.1.2" in told
    assert "Namespace net1 has veth0 with 10.1.1.1/24, joined with net2:veth1" in told


def test_bridge_joins_and_learns(said: Callable[[Path], str]) -> None:
    told = said(BRIDGE)
    assert "bytes from 10.1.1.3" in told
    learned = re.findall(r"^\S+ dev (br1-veth\d) master br1 *$", told, re.MULTILINE)
    assert sorted(learned) == ["br1-veth0", "br1-veth1"]
    for port, far in (("br1-veth0", "net1:veth0"), ("br1-veth1", "net2:veth1")):
        assert f"{port}, port of br1, joined with {far}" in told


def test_picture_of_the_bridge_shows_both_ports_on_it(own_lab: Notebook) -> None:
    by_bash_cell(own_lab, sequence(BRIDGE))
    told = own_lab.run("""
from netviz import draw
plan = draw().plan
box = {box.title.split(" ")[0]: box for box in plan.boxes}
bridge = box["root:br1"]
[port.text for port in plan.ports if port.owner == bridge.gid], sorted(box)
""").value
    assert told == "(['br1-veth0', 'br1-veth1'], ['net1', 'net2', 'root', 'root:br1'])"
