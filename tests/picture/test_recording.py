"""One timeline: what was typed, and what the kernel changed because of it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kernels import DEADLINE

from netviz.changes import Changes
from netviz.errors import NetvizError
from netviz.lab import journal
from netviz.lab.journal import Command
from netviz.model import Caution, Endpoint, Interface, Namespace, Snapshot
from netviz.net.discovery import snapshot
from netviz.picture.recording import Moment, Recording, record

if TYPE_CHECKING:
    from kernels import Notebook

    from netviz.picture.recorder import Recorder

pytestmark = pytest.mark.long

TELL = """import json
print(json.dumps([
    [m.command and m.command.kind, m.command and m.command.text, list(map(str, m.changes))]
    for m in rec.moments]))"""


def sh(command: str) -> None:
    subprocess.run(["bash", "-ec", command], check=True, timeout=DEADLINE)


def threads() -> list[str]:
    return [it.name for it in threading.enumerate() if it.name == "netviz-recorder"]


@pytest.fixture
def rec() -> Iterator[Recording]:
    """Record in the test's own network."""
    with record() as recording:
        yield recording
    assert threads() == []


def moments(lab: Notebook, *cells: str) -> list[list]:
    """Return the kind, text and changes of each moment that cells make; not how it began."""
    lab.run("import netviz as nv\nrec = nv.record()")
    for cell in cells:
        lab.run(cell)
    told = json.loads(lab.run(TELL).text)
    assert told[0] == [None, None, []]
    lab.run("rec.stop()")
    return told[1:]


def test_each_command_of_a_cell_has_its_own_changes(own_lab: Notebook) -> None:
    assert moments(own_lab, "!ip netns add net1\n!ip netns add net2\n!ip netns del net1") == [
        ["!", "ip netns add net1", ["+ namespace net1"]],
        ["!", "ip netns add net2", ["+ namespace net2"]],
        ["!", "ip netns del net1", ["- namespace net1"]],
    ]


def test_commands_without_a_pause_have_their_own_changes(own_lab: Notebook) -> None:
    loop = "for n in range(12):\n    !ip link add br{n} type bridge"
    *added, whole = moments(own_lab, loop)
    assert added == [
        ["!", f"ip link add br{n} type bridge", [f"+ root: interface br{n}"]] for n in range(12)
    ]
    assert whole == ["cell", loop, []]


def test_mixed_cell_has_what_its_python_changed(own_lab: Notebook) -> None:
    python = "import subprocess\nsubprocess.run(['ip', 'netns', 'add', '{}'])\n"
    cell = f"{python.format('one')}!ip netns add two\n{python.format('three')}"
    assert moments(own_lab, cell) == [
        ["cell", cell.strip(), ["+ namespace one"]],
        ["!", "ip netns add two", ["+ namespace two"]],
        ["cell", cell.strip(), ["+ namespace three"]],
    ]


def test_every_cell_has_its_moment_whatever_it_is(own_lab: Notebook) -> None:
    build, script = "net = nv.bridge(2)\nnet.up()", "%%bash\nip netns del red"
    cells = ("x = 1", "!ip netns add red; false", "!nft add table inet t", script, build)
    nothing, red, filtered, gone, built = moments(own_lab, *cells)
    assert nothing == ["cell", "x = 1", []]
    assert red == ["!", "ip netns add red; false", ["+ namespace red"]]
    assert filtered == ["!", "nft add table inet t", ["+ root: nft ruleset"]]
    assert gone == ["%%bash", script, ["- namespace red"]]
    assert built[:2] == ["cell", build]
    assert {"+ namespace net1", "+ namespace net2"} <= set(built[2])


def test_failing_cell_keeps_what_it_had_changed(own_lab: Notebook) -> None:
    cell = "!ip netns add red\n1 / 0"
    assert moments(own_lab, cell) == [
        ["!", "ip netns add red", ["+ namespace red"]],
        ["cell", cell, []],
    ]


def test_interrupted_command_keeps_what_it_had_changed(own_lab: Notebook) -> None:
    command = "ip netns add red; echo on; sleep 1000"
    own_lab.run("import netviz as nv\nrec = nv.record()")
    own_lab.interrupted(f"!{command}")
    assert json.loads(own_lab.run(TELL).text)[1] == ["!", command, ["+ namespace red"]]


def test_long_command_has_several_moments(own_lab: Notebook) -> None:
    script = "%%bash\nip netns add one\nsleep 2\nip netns add two\nip netns add three"
    assert moments(own_lab, script) == [
        ["%%bash", script, ["+ namespace one"]],
        ["%%bash", script, ["+ namespace three", "+ namespace two"]],
    ]


def test_cell_with_a_recording_in_it_is_told_if_it_changed_something(own_lab: Notebook) -> None:
    cell = "import netviz as nv\nwith nv.record() as rec:\n    !ip netns add red\n"
    own_lab.run(f"{cell}    nv.bridge(1).up()")
    _, red, built = json.loads(own_lab.run(TELL).text)
    assert red == ["!", "ip netns add red", ["+ namespace red"]]
    assert built[0] == "cell"
    assert "+ namespace net1" in built[2]


def test_two_recordings_tell_the_same(own_lab: Notebook) -> None:
    own_lab.run("import netviz as nv\none = nv.record()\ntwo = nv.record()")
    own_lab.run("!ip netns add red\n!ip netns add blue")
    same = "[(m.command, m.changes) for m in one.moments[1:3]] == "
    same += "[(m.command, m.changes) for m in two.moments[1:3]], len(one)"
    assert own_lab.run(same).value == "(True, 3)"
    assert own_lab.run("one.stop(); two.stop(); two.stop(); one.diff(0, 99)").value == (
        "+ namespace blue\n+ namespace red"
    )


def test_script_without_a_shell_has_what_changed() -> None:
    script = """import netviz as nv, subprocess, threading
with nv.record() as rec:
    subprocess.run(["ip", "netns", "add", "net1"])
    print(len(rec), rec.moments[1].command, rec.moments[1].changes)
    subprocess.run(["ip", "netns", "add", "net2"])
print(len(rec), rec.at(99).diff(rec.at(0)), threading.active_count())"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE)
    assert done.stdout == "2 None + namespace net1\n3 - namespace net1\n- namespace net2 1\n"


def test_change_that_nobody_typed_is_noted_by_itself(rec: Recording) -> None:
    sh("ip netns add net1; ip -n net1 link add br1 type bridge")
    deadline = time.monotonic() + DEADLINE
    while len(rec._recorder._moments) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    last = rec._recorder._moments[-1]
    assert (last.command, str(last.changes[0])) == (None, "+ namespace net1")


def test_counters_alone_are_no_change_and_namespaces_are_shared(rec: Recording) -> None:
    sh("ip netns add net1; ip -n net1 link set lo up; ip netns add net2")
    first = rec.moments[-1].network
    sh("ip netns exec net1 ping -c1 127.0.0.1 > /dev/null; ip netns add net3")
    second = rec.moments[-1].network
    kept = {it.name: it for it in first.namespaces}
    shared = [it.name for it in second.namespaces if kept.get(it.name) is it]
    assert {"net1", "net2"} <= set(shared)


def test_whoever_runs_commands_may_tell(rec: Recording) -> None:
    recorder: Recorder = rec._recorder
    for name in ("net1", "net2"):
        command = Command(f"make {name}", "cell", time.time())
        recorder.begins(command)
        sh(f"ip netns add {name}")
        recorder.ends(Command(command.text, "cell", command.began, time.time()))
    told = [(it.command.text, str(it.changes)) for it in rec.moments[1:]]
    assert told == [("make net1", "+ namespace net1"), ("make net2", "+ namespace net2")]


@pytest.fixture
def typed_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(journal, "TYPED", tmp_path / "typed")
    return tmp_path / "typed"


def in_terminal(file: Path, command: str) -> None:
    began = time.time()
    sh(command)
    with file.open("ab") as opened:
        opened.write(f"{began:.6f}\t{time.time():.6f}\t{command}\0".encode())


def test_what_is_typed_in_a_terminal_is_told(typed_file: Path, rec: Recording) -> None:
    for command in ("ip netns add net1", "true", "ip netns add net2; sleep 0.5; ip netns add net3"):
        in_terminal(typed_file, command)
        assert rec.moments[-1].command.text == command
    told = {it.command.text: it.command.kind for it in rec.moments[1:]}
    assert list(told.values()) == ["terminal"] * 3
    last = [
        str(change)
        for it in rec.moments
        if it.command and it.command.text == command
        for change in it.changes
    ]
    assert last == ["+ namespace net2", "+ namespace net3"]


def test_times_and_states(rec: Recording) -> None:
    sh("ip netns add net1")
    assert len(rec) == 2
    sh("ip netns add net2")
    start, first, second = rec.moments
    assert rec.at(-1) is rec.at(0) is start.network
    assert rec.at(first.at) is first.network
    assert rec.at(second.at - 1e-6) is first.network
    assert rec.at(1e9) is second.network
    assert rec.diff(0, second.at) == start.network.diff(second.network)
    assert 0 < first.at < second.at < rec.duration
    assert len(rec) == 3


def test_each_change_leads_from_one_moment_to_the_next(rec: Recording) -> None:
    for command in (
        "ip netns add a",
        "ip link add v type veth peer name w netns a",
        "ip link del v",
    ):
        sh(command)
        rec.moments  # noqa: B018 (to look is to have it noted)
    for before, after in zip(rec.moments, rec.moments[1:], strict=False):
        assert after.changes == before.network.diff(after.network)
    assert rec.moments[-1].network.diff(snapshot()) == ()


def test_stopped_recording_stays_as_it_was(rec: Recording) -> None:
    rec.stop()
    told, lasted = rec.moments, rec.duration
    sh("ip netns add net1")
    assert (rec.moments, rec.duration) == (told, lasted)
    assert threads() == []


def test_table_shows_a_line_a_moment_and_misleads_nobody() -> None:
    command = Command("ip netns add \x1b[31mred\nmore", "!", 1.0, 2.0)
    recording = Recording([Moment(0.0, None, Snapshot()), Moment(1.25, command, Snapshot())])
    first, second = repr(recording).splitlines()
    assert first.split() == ["0.00", "s", "start"]
    assert second.split(maxsplit=2) == ["1.25", "s", r"!ip netns add \x1b[31mred"]


# Files


def test_recording_comes_back_as_it_was(rec: Recording, tmp_path: Path) -> None:
    sh("ip netns add net1; ip link add veth0 type veth peer name veth1 netns net1")
    rec.moments  # noqa: B018
    sh("ip netns del net1")
    rec.stop()
    rec.save(tmp_path / "rec.json")
    loaded = Recording.load(tmp_path / "rec.json")
    assert (loaded.moments, loaded.duration) == (rec.moments, rec.duration)
    loaded.stop()
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "rec.json").read_bytes()


def handmade() -> Recording:
    """Return a recording of two moments, with all that one may have."""
    veth = Interface(1, "veth0", "veth", None, 1500)
    one, other = Namespace(1, "root"), Namespace(2, "\udcff<b>", interfaces=(veth,))
    gone = Caution("its peer is gone", Endpoint(2, 1, other.name, "veth0"))
    later = Snapshot((one, other), (gone, Caution("hidden: 2")))
    start, command = Snapshot((one,)), Command("é\0", "!", 1.0, None)
    return Recording(
        [Moment(0.0, None, start), Moment(2.5, command, later, start.diff(later))], 3.0
    )


def test_warnings_running_commands_and_any_name_come_back(tmp_path: Path) -> None:
    handmade().save(tmp_path / "rec.json")
    loaded = Recording.load(tmp_path / "rec.json")
    assert (loaded.moments, loaded.duration) == (handmade().moments, 3.0)


def test_what_stays_the_same_is_written_once(tmp_path: Path) -> None:
    spaces = [Namespace(n, f"net{n}") for n in range(50)]
    same = [Moment(float(n), None, Snapshot(tuple(spaces))) for n in range(100)]
    Recording(same).save(tmp_path / "rec.json")
    assert len(json.loads((tmp_path / "rec.json").read_text())["namespaces"]) == 50


HOSTILE = [
    ("[]", "the file: [] is no object"),
    ("{}", "moments: missing"),
    ({"moments": {}}, "moments: {} is no list"),
    ({"moments": []}, "moments: there is none"),
    ({"duration": "x"}, "duration: 'x' is no time in seconds"),
    ({"duration": True}, "duration: True is no time"),
    ({"duration": float("nan")}, "duration: nan is no time"),
    ({"duration": 10**400}, "is no time in seconds"),
    ({"commands": [1]}, "commands[0]: 1 is no object"),
    ({"commands": [{"text": 1, "kind": "!", "began": 1}]}, "commands[0].text: 1 is no text"),
    ({"commands": [{"text": "", "kind": "!", "began": 1}]}, "commands[0].ended: missing"),
    ({"namespaces": [{"id": "x", "name": "n"}]}, "namespaces[0].id: 'x' is no number"),
    ({"moments": [1]}, "moments[0]: 1 is no object"),
    ({"moments": [{"at": -1}]}, "moments[0].at: -1 is no time"),
]
MOMENT = {"at": 1.0, "command": None, "namespaces": [], "warnings": []}
HOSTILE_MOMENTS = [
    ({"namespaces": [9]}, "moments[1].namespaces[0]: 9 is no number of one of 2"),
    ({"namespaces": [-1]}, "moments[1].namespaces[0]: -1 is no number"),
    ({"namespaces": [True]}, "moments[1].namespaces[0]: True is no number"),
    ({"command": 7}, "moments[1].command: 7 is no number of one of 1"),
    ({"command": "!"}, "moments[1].command: '!' is no number"),
    ({"at": 0.5}, "moments[1].at: 0.5 is before 1.0"),
    ({"warnings": [""]}, "moments[1].warnings[0]: '' is no object"),
    ({"warnings": [{"message": "", "where": 1}]}, "moments[1].warnings[0].where: 1 is no object"),
]
ODD = [
    ({"qdiscs": [{"dev": "lo", "kind": "tbf", "handle": "zz:"}]}, "invalid literal"),
    ({"sysctls": {"ipv4": {"all": 3}}}, "'int' object has no attribute"),
]
HOSTILE += [
    (
        {
            "namespaces": [{"id": 1, "name": "n"}, {"id": 1, "name": "n"} | it],
            "moments": [MOMENT | {"namespaces": [0]}, MOMENT | {"namespaces": [1]}],
        },
        why,
    )
    for it, why in ODD
]
HOSTILE += [({"moments": [MOMENT, MOMENT | it]}, why) for it, why in HOSTILE_MOMENTS]


@pytest.mark.parametrize(("told", "why"), HOSTILE)
def test_hostile_file_is_refused_with_its_place(
    tmp_path: Path, told: str | dict[str, object], why: str
) -> None:
    file = tmp_path / "rec.json"
    handmade().save(file)
    text = told if isinstance(told, str) else json.dumps(json.loads(file.read_text()) | told)
    file.write_text(text)
    with pytest.raises(NetvizError) as refused:
        Recording.load(file)
    assert why in str(refused.value)
    assert "give what recording.save wrote" in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b"{'a': 1}"])
def test_what_is_no_json_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "rec.json").write_bytes(data)
    with pytest.raises(NetvizError, match=r"is no JSON: .*recording\.save"):
        Recording.load(tmp_path / "rec.json")


def test_file_that_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(NetvizError, match="cannot read"):
        Recording.load(tmp_path / "nothing.json")
    with pytest.raises(NetvizError, match="cannot write"):
        handmade().save(tmp_path / "no" / "rec.json")


def test_difference_passes_over_what_is_shared() -> None:
    one, two, three = (Namespace(n, f"net{n}") for n in range(3))
    before, after = Snapshot((one, two)), Snapshot((one, three))
    assert before.diff(after) == Snapshot((two,)).diff(Snapshot((three,)))
    assert before.diff(before) == Changes()
