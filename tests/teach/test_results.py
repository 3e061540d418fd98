"""A learner's results: kept beside her notebooks, whatever else is written there, and shown."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import netviz as nv
from netviz.lab.lessons import copy_missing
from netviz.teach import progress
from netviz.teach.progress import note
from netviz.teach.results import FILE

CELLS = [
    'nv.predict(\n  "One?", ["a", "b"])\nnv.predict("Two?", {})',
    'nv.check(up("lo"), task="exercise")',
    'nv.check(task="exercise")',
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let Jupyter have opened lesson 04 in a folder that has it, lesson 02 and copies."""
    code = [{"cell_type": "code", "source": cell} for cell in CELLS]
    prose = [{"cell_type": "markdown", "source": ["predict(1)"]}]
    (tmp_path / "04-bridge.ipynb").write_text(json.dumps({"cells": code + prose}))
    for copy in ("04-bridge.mine-1", "04-bridge-Copy1"):
        shutil.copy(tmp_path / "04-bridge.ipynb", tmp_path / f"{copy}.ipynb")
    (tmp_path / "02-veth.ipynb").write_text("half of a noteb")
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "04-bridge.ipynb"))
    progress._say.cache_clear()
    return tmp_path


def interrupt(_: object) -> None:
    raise KeyboardInterrupt


def kept(folder: Path) -> dict:
    return json.loads((folder / FILE).read_text())["lessons"]


def test_each_task_has_its_attempts_and_when_it_first_was_right(folder: Path) -> None:
    for right in (False, True, True):
        note("exercise", "mine", right)
    task = kept(folder)["04-bridge"]["exercise"]["mine"]
    assert (task["attempts"], task["right"]) == (3, 2)
    first = task["solved"]
    note("exercise", "mine", True)
    assert kept(folder)["04-bridge"]["exercise"]["mine"]["solved"] == first
    assert [path.name for path in folder.iterdir() if "progress" in path.name] == [FILE]


def test_table_tells_how_much_of_each_lesson_is_done(folder: Path) -> None:
    note("prediction", "One?", True)
    note("prediction", "Two?", False)
    note("prediction", "Two?", True)  # Whoever has seen the answer foresees nothing.
    note("exercise", "exercise", True)
    assert str(nv.progress()).splitlines() == [
        "Lesson     Predictions            Exercises        Mendings",
        "02-veth    none                   none             none",
        "04-bridge  1 of 2 right, 2 tried  ✓ 1 of 1 solved  none",
    ]
    told = nv.progress().to_dict()
    assert told["lessons"]["04-bridge"]["prediction"] == {"asked": 2, "tried": 2, "right": 1}
    assert "<td>1 of 2 right, 2 tried</td>" in nv.progress()._repr_html_()


def test_made_and_revealed_prediction_is_noted_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guess = nv.predict("One?", ["a", "b"], lambda: "a")
    guess.choose("a")
    with monkeypatch.context() as patch:
        patch.setattr(guess._answer, "find", interrupt)
        with pytest.raises(KeyboardInterrupt):
            guess.reveal()
    guess.reveal()
    guess.reveal()
    nv.predict("Two?", ["a", "b"], lambda: "a").reveal()  # Nothing was predicted,
    other = nv.predict("Two?", ["a", "b"], lambda: "c")
    other.choose("a")
    other.reveal()  # and this one nobody can judge.
    tasks = kept(folder)["04-bridge"]["prediction"]
    assert {name: task["attempts"] for name, task in tasks.items()} == {"One?": 1}


@pytest.mark.parametrize("name", ["", "console"])
def test_without_a_lesson_nothing_is_noted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", name)
    monkeypatch.chdir(folder)
    note("exercise", "mine", True)
    shown = nv.progress()
    assert "04-bridge" in shown.lessons  # The published one.
    assert "Nothing is noted in this run" in str(shown.reset())
    assert not (folder / FILE).exists()


def test_lessons_that_write_at_once_lose_nothing(folder: Path) -> None:
    code = (
        "from netviz.teach.progress import note\nfor n in range(40): note('mending', str(n), True)"
    )
    running = []
    for name in ("00-one.ipynb", "01-two.ipynb"):
        env = os.environ | {"JPY_SESSION_NAME": str(folder / name)}
        running.append(subprocess.Popen([sys.executable, "-c", code], env=env))
    assert [each.wait(20) for each in running] == [0, 0]
    assert {name: len(lesson["mending"]) for name, lesson in kept(folder).items()} == {
        "00-one": 40,
        "01-two": 40,
    }


@pytest.mark.parametrize(
    "found",
    [
        b"",
        b"\xff",
        b"[" * 5000,
        b"[]",
        b'{"netviz": "progress", "version": 2, "lessons": {}}',
        b'{"netviz": "progress", "version": 1, "lessons": {"04": {"mending": {"x": {}}}}}',
        b'{"a": "' + b"x" * (1 << 20) + b'"}',
    ],
    ids=["empty", "bytes", "deep", "list", "newer", "torn", "huge"],
)
def test_file_that_is_not_ours_is_kept_under_another_name(
    folder: Path, caplog: pytest.LogCaptureFixture, found: bytes
) -> None:
    (folder / FILE).write_bytes(found)
    assert "with the next result it gets another name" in str(nv.progress())
    assert (folder / FILE).read_bytes() == found
    note("exercise", "mine", True)
    assert (folder / "progress.broken-1.json").read_bytes() == found
    assert "It is now called 'progress.broken-1.json'" in caplog.text
    assert kept(folder)["04-bridge"]["exercise"]["mine"]["attempts"] == 1


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_kept_too(folder: Path, make) -> None:
    make(folder / FILE)
    note("exercise", "mine", True)
    assert (folder / "progress.broken-1.json").exists()
    assert kept(folder)


def test_read_only_folder_is_said_once_and_stops_nobody(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", folder], check=True)
    note("exercise", "mine", True)
    note("exercise", "mine", False)
    assert caplog.text.count("Your results cannot be kept in") == 1
    assert "Read-only file system" in str(nv.progress().reset())
    subprocess.run(["umount", folder], check=True)


def test_reset_forgets_all_and_says_so(folder: Path) -> None:
    note("exercise", "exercise", True)
    shown = nv.progress().reset()
    assert kept(folder) == {}
    assert str(shown).endswith("All results are forgotten.")
    assert shown.lessons["04-bridge"]["exercise"].tried == 0


def test_hostile_names_are_escaped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", f"{folder}/<b>\x1b[31m\udcff.ipynb")
    note("exercise", "<i>\ud800" + "x" * 1000, True)
    shown = nv.progress()
    assert "&lt;b&gt;\\x1b[31m" in shown._repr_html_()
    f"{shown}{shown._repr_html_()}".encode()
    assert "\x1b" not in str(shown)


def test_results_are_nobody_elses(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    note("exercise", "mine", True)
    copies = tmp_path_factory.mktemp("copies")
    copy_missing(folder, copies)
    assert {path.suffix for path in copies.iterdir()} == {".ipynb"}
