"""Every fault, in every network where it applies: it breaks, is explained, and is mended."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from labs import NETVIZ, PYTHON
from teach.proving import NETWORKS

from netviz.teach import places
from netviz.teach.faults import faults

pytestmark = pytest.mark.long
Told = list[dict[str, Any]]
_LONGEST = 120

NOBODY = r"\.254: nobody here has it"

# What a step that is told as broken has to speak of.
SPOKEN_OF = {
    "address gone": "nobody here has it|no route",
    "wrong prefix length": r"is not in \S+/3[01] of|broadcast address",
    "address of another subnet": r"is not in [\d.]+\.10\d\.|nobody here has it",
    "FDB entry to a wrong port": "FDB: .* is behind",
    "wrong neighbour": "02:00:00:00:00:99",
    "duplicate address": "nobody here has it",
    "VXLAN to a wrong remote": f"{NOBODY}|FDB has .*, but it is behind",
    **dict.fromkeys(("wrong gateway", "detour"), NOBODY),
    "wrong source NAT": f"back: .*{NOBODY}",
    **dict.fromkeys(("interface down", "port down", "bridge down", "loopback down"), "is down"),
    "ARP off": "ARP",
    "macvlan alone": "macvlan in mode private",
    "port unplugged": "no port|nobody on",
    "VXLAN with a wrong VNI": "VNI|nobody on",
    "source NAT gone": "no route",
    "port disabled": "disabled",
    "wrong tag": "is in VLAN 21, and .* in VLAN 10",
    "own network's route gone": "no route",
    "route gone": "no route",
    "blackhole": "blackhole",
    "unreachable": "unreachable",
    "rule that prohibits": "prohibit",
    "rule to another table": "unreachable",
    "forwarding off": "forward",
    "strict filter": "rp_filter",
    "short life": "net.ipv4.ip_default_ttl",
    "isolated ports": "isolated",
    **{fault.name: "packet filter" for fault in faults() if fault.name.startswith("filter")},
}
# Where no one command is known to whoever explains.
NO_MEND = {"duplicate address"}
# Of kinds that not every kernel has: tests/own/ proves them. What only calls tell: test_breaking.
ELSEWHERE = {"tunnel to a wrong remote"} | {
    fault.name for fault in faults() if fault.look.startswith("nft list chain")
}


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Told]]:
    """Prove all networks side by side, each in a lab of its own; give what came of one."""
    folder = tmp_path_factory.mktemp("proofs")
    script = str(Path(__file__).with_name("proving.py"))
    running = {}
    for name in NETWORKS:
        command = [NETVIZ, "run", "--", PYTHON, script, name]
        with (folder / name).open("w") as out, (folder / f"{name}.err").open("w") as err:
            running[name] = subprocess.Popen(command, stdout=out, stderr=err, cwd="/tmp")

    def of(name: str) -> Told:
        running[name].wait(_LONGEST)
        assert (folder / f"{name}.err").read_text() == ""
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    yield of
    for process in running.values():
        process.kill()
        process.wait()


def broken(explained: dict[str, Any]) -> dict[str, Any] | None:
    return next((step for step in explained["steps"] if step["holds"] is False), None)


def certain(explained: dict[str, Any]) -> bool:
    unsure = any(step["holds"] is None for step in explained["steps"])
    return not (explained["doubt"] or unsure)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_fault_that_applies_is_explained(name: str, proofs: Callable[[str], Told]) -> None:
    for told in proofs(name):
        known = told["explained"].items()
        wrong = [pair for pair, it in known if certain(it) and not broken(it)]
        assert not wrong, f"{told['cause']}: of {wrong} it is said that it works"
        assert [it for _, it in known if certain(it) and broken(it)], told["cause"]
        found = [step["text"] for _, it in known if (step := broken(it))]
        assert re.search(SPOKEN_OF[told["fault"]], "\n".join(found)), f"{told['cause']}: {found}"


@pytest.mark.parametrize("name", NETWORKS)
def test_reference_mend_mends_and_leaves_nothing(name: str, proofs: Callable[[str], Told]) -> None:
    for told in proofs(name):
        assert told["mended"]["holds"], (told["cause"], told["back"], told["mended"])
        assert told["left"] == [], (told["cause"], told["back"])


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_mended_before_the_mend(name: str, proofs: Callable[[str], Told]) -> None:
    assert [told["cause"] for told in proofs(name) if told["too early"]] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_mend_that_is_explained_makes_progress(name: str, proofs: Callable[[str], Told]) -> None:
    for told in proofs(name):
        assert not told["progress"] or told["fault"] in NO_MEND, (told["cause"], told["progress"])


def test_every_fault_breaks_one_of_the_networks(proofs: Callable[[str], Told]) -> None:
    proved = {told["fault"] for name in NETWORKS for told in proofs(name)}
    assert proved | ELSEWHERE == {fault.name for fault in faults()}
    assert len(proved) >= 20


def test_every_fault_has_what_it_needs() -> None:
    assert {fault.level for fault in faults()} == {1, 2, 3}
    assert len({fault.name for fault in faults()}) == len(faults())
    for fault in faults():
        assert callable(getattr(places, fault.where)), fault.name
