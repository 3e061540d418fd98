"""What is typed in a lab, told as it happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netviz.lab import journal
from netviz.lab.journal import Typed

if TYPE_CHECKING:
    from kernels import Notebook

HEARING = """
import json
from netviz.lab.journal import journal
class Hearing:
    def __init__(self):
        self.told = []
    def begins(self, command):
        self.told.append(["begins", command.kind, command.text])
        assert command.ended is None
    def ends(self, command):
        self.told.append(["ends", command.kind, command.text])
        assert command.began <= command.ended
hearing = Hearing()
journal().listen(hearing)
"""
LAST = "json.dumps(hearing.told)"


def told(lab: Notebook, *cells: str) -> list[list[str]]:
    """Return what is told of cells: what, the kind of command, its text."""
    lab.run(HEARING)
    for cell in cells:
        lab.run(cell)
    heard = json.loads(lab.run(f"print({LAST})").text)
    lab.run("journal().leave(hearing)")
    assert heard[-1] == ["begins", "cell", f"print({LAST})"]
    # The first that it hears is the end of the cell in which it began to listen.
    return [each for each in heard[:-1] if HEARING.strip() not in each]


def both(kind: str, text: str) -> list[list[str]]:
    return [["begins", kind, text], ["ends", kind, text]]


def test_cell_of_python_is_one_command(lab: Notebook) -> None:
    assert told(lab, "x = 1\nx + 1\n") == both("cell", "x = 1\nx + 1")


def test_listener_hears_of_the_cell_in_which_it_begins_to_listen(lab: Notebook) -> None:
    lab.run(HEARING)
    assert lab.run("[what for what, *_ in hearing.told]").value == "['begins', 'ends', 'begins']"
    lab.run("journal().leave(hearing)")


@pytest.mark.parametrize(
    "cell",
    ["!true\n!echo two", "# first\n!true\n# and then\n\n!echo two\n", "!true\n!echo \\\ntwo"],
)
def test_cell_of_shell_commands_is_those_and_not_a_cell_as_well(lab: Notebook, cell: str) -> None:
    heard = told(lab, cell)
    assert [kind for _, kind, _ in heard] == ["!"] * 4
    assert [text.split() for _, _, text in heard[::2]] == [["true"], ["echo", "two"]]


def test_mixed_cell_is_its_shell_commands_and_itself(lab: Notebook) -> None:
    cell = "x = 1\n!echo {x}"
    begins, ends = both("cell", cell)
    assert told(lab, cell) == [begins, *both("!", "echo 1"), ends]


@pytest.mark.parametrize("cell", ["x = !echo 1", "!!echo 1", "'''\n!true\n'''"])
def test_what_only_looks_like_a_shell_command_is_a_cell(lab: Notebook, cell: str) -> None:
    assert told(lab, cell) == both("cell", cell)


@pytest.mark.parametrize("cell", ["%%bash\ntrue; true\n!true", "%%sh\ntrue", "%%time\n1"])
def test_cell_of_a_magic_is_one_command_of_its_kind(lab: Notebook, cell: str) -> None:
    assert told(lab, cell) == both(cell.split()[0], cell)


@pytest.mark.parametrize("magic", ["%%netns net1", "%%capture"])
def test_commands_under_a_magic_are_told_inside_it(lab: Notebook, magic: str) -> None:
    lab.run("!ip netns add net1")
    begins, ends = both(magic.split()[0], f"{magic}\n!true")
    assert told(lab, f"{magic}\n!true") == [begins, *both("!", "true"), ends]
    lab.run("!ip netns del net1")


@pytest.mark.parametrize("cell", ["1 / 0", "x = = 1", "%%netns nowhere", "raise SystemExit"])
def test_cell_that_fails_has_an_end_too(lab: Notebook, cell: str) -> None:
    heard = told(lab, cell, "1")
    assert [(what, text) for what, _, text in heard] == [
        *(("begins", cell), ("ends", cell)),
        *(("begins", "1"), ("ends", "1")),
    ]


@pytest.mark.parametrize("cell", ["", "   \n", "# only words"])
def test_cell_that_does_nothing_is_not_told(lab: Notebook, cell: str) -> None:
    assert told(lab, cell, "1") == both("cell", "1")


@pytest.mark.parametrize(
    "cell",
    [
        "!echo on; sleep 1000",
        "print('on', flush=True)\nwhile True: pass",
        "import asyncio\nprint('on', flush=True)\nwhile True: await asyncio.sleep(0.01)",
    ],
)
def test_interrupted_command_has_an_end_too(lab: Notebook, cell: str) -> None:
    lab.run(HEARING)
    lab.interrupted(cell)
    heard = json.loads(lab.run(f"print({LAST})").text)
    lab.run("journal().leave(hearing)")
    assert [what for what, *_ in heard] == ["begins", "ends", "begins", "ends", "begins"]
    assert heard[3][2] == cell.removeprefix("!")


def test_what_a_program_asks_in_silence_is_not_told(lab: Notebook) -> None:
    lab.run(HEARING)
    sent = lab.client.execute("quiet = 1", silent=True)
    lab.answer(sent, lab.client.get_shell_msg)
    assert "quiet = 1" not in lab.run(f"print({LAST})").text
    lab.run("journal().leave(hearing)")


def test_error_of_a_listener_breaks_no_cell(lab: Notebook) -> None:
    lab.run(HEARING)
    lab.run("class Broken:\n    pass\nbroken = Broken()\njournal().listen(hearing)")
    lab.run("journal()._listeners.insert(0, broken)")
    cell = lab.run("!echo still here\n1 + 1")
    assert (cell.text, cell.value, cell.error) == ("still here\n", "2", "")
    lab.run("journal().leave(broken); journal().leave(hearing); journal().leave(hearing)")


def test_script_has_no_journal_and_loads_no_shell() -> None:
    asked = "import sys; from netviz.lab.journal import journal; print(journal())"
    script = f"{asked}; print('IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"None\nFalse\n"


@pytest.fixture
def typed_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(journal, "TYPED", tmp_path / "typed")
    return tmp_path / "typed"


def append(file: Path, data: bytes) -> None:
    with file.open("ab") as opened:
        opened.write(data)


def test_terminal_s_commands_are_told_once_and_only_the_new_ones(typed_file: Path) -> None:
    append(typed_file, b"1.0\t2.0\told\0")
    typed = Typed()
    assert typed.new() == []
    append(typed_file, b"3.5\t4.25\tip netns add \\\n net1\0" + b"5\t6\techo a\tb\0")
    first, second = typed.new()
    assert (first.text, first.kind, first.began, first.ended) == (
        *("ip netns add \\\n net1", "terminal"),
        *(3.5, 4.25),
    )
    assert second.text == "echo a\tb"
    assert typed.new() == []


def test_missing_file_is_nothing_and_may_come_later(typed_file: Path) -> None:
    typed = Typed()
    assert typed.new() == []
    append(typed_file, b"1\t2\ttrue\0")
    assert [command.text for command in typed.new()] == ["true"]


def test_half_a_record_waits_for_its_rest(typed_file: Path) -> None:
    typed = Typed()
    for part in (b"1\t2\tec", "ho é".encode()[:-1]):
        append(typed_file, part)
        assert typed.new() == []
    append(typed_file, "é".encode()[-1:] + b"\0")
    assert [command.text for command in typed.new()] == ["echo é"]


@pytest.mark.parametrize(
    "record", [b"", b"x", b"1\t2", b"a\t2\tx", b"nan\t2\tx", b"1\tinf\tx", b"2\t1\tx"]
)
def test_record_that_is_none_is_passed_over(typed_file: Path, record: bytes) -> None:
    typed = Typed()
    append(typed_file, record + b"\0" + b"1\t2\ttrue \xff\0")
    assert [command.text for command in typed.new()] == ["true \N{REPLACEMENT CHARACTER}"]
