"""What every lesson has in common, by its text alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median

import pytest
from lessons import EXERCISE, LESSONS, MENDING, Lesson, each_lesson, lesson

from netviz.lab.choosing import needs
from netviz.lab.components import known, wanted
from netviz.lab.probes import OF_KERNEL

SEED = Path(__file__).parent.parent / "seed"
FENCE = re.compile(r"```.*?```|<[^>]*>|^\|.*$", re.DOTALL | re.MULTILINE)
# Of the base system, or a part of bash.
AT_HAND = {
    *("cat", "chmod", "do", "done", "echo", "env", "for", "grep", "id", "kill", "ls", "mkdir"),
    *("netviz", "python3", "readlink", "sh", "sleep", "timeout", "touch", "uname", "wait"),
    *("ipcmk", "ipcs", "lsns", "nsenter", "unshare"),  # util-linux
}

LAST_PARTS = ("Break and mend", "Exercise", "Where Docker and Kubernetes do this", "Recap")


def words(text: str) -> int:
    return len(FENCE.sub(" ", text).split())


def commands(lesson: Lesson) -> list[str]:
    """Return every line that a lesson gives to the shell."""
    sources = [source.splitlines() for source in lesson.sources]
    return [
        line.removeprefix("!")
        for first, *rest in sources
        for line in (rest if first == "%%bash" else [first, *rest])
        if first == "%%bash" or line.startswith("!")
    ]


def test_lessons_are_those_that_the_readme_names() -> None:
    readme = (LESSONS[0].parent.parent / "README.md").read_text()
    assert re.findall(r"\(notebooks/(.*?)\)", readme) == [path.name for path in LESSONS]


@pytest.mark.parametrize(
    ("number", "seed"),
    [("02", "01-veth-one-namespace"), ("02", "02-veth-two-namespaces"), ("04", "03-bridge")],
)
def test_demonstration_is_typed_line_by_line(number: str, seed: str) -> None:
    lines = (SEED / f"{seed}.sh").read_text().splitlines()
    # A lab is empty at first: a lesson need not clear it.
    demonstration = [line for line in lines if line and " delete " not in line]
    typed = iter([line.replace("ping -c 3", "ping") for line in commands(lesson(number))])
    assert [line for line in demonstration if line not in typed] == []


@each_lesson
def test_title_is_a_question_under_which_the_goal_is_drawn(lesson: Lesson) -> None:
    first = lesson.notebook.cells[0].source
    title = first.splitlines()[0]
    assert title.startswith("# ")
    assert title.endswith("?")
    assert re.search(r"\*\*(About )?\w+ minutes\.\*\* Afterwards you can\n\n- ", first)
    assert len(re.findall("^- ", first, re.MULTILINE)) == 3
    assert "**You need first:** " in first
    alt, picture = re.search(r"!\[(.+)\]\((.+)\)", first).groups()
    assert alt
    assert "<svg" in (lesson.path.parent / picture).read_text()


@each_lesson
def test_parts_that_every_lesson_has_in_their_order(lesson: Lesson) -> None:
    headings = re.findall(r"^## (.*)$", lesson.prose, re.MULTILINE)
    assert tuple(headings[-len(LAST_PARTS) :]) == LAST_PARTS
    checked = "!netviz doctor" if lesson.number == "00" else "kernel("
    asked = [checked, "nv.live()", "nv.break_something(", MENDING, "nv.mended()", EXERCISE]
    places = [next(i for i, it in enumerate(lesson.sources) if part in it) for part in asked]
    assert places == sorted(places)
    assert 'task="exercise"' in lesson.sources[places[-1] + 1]
    assert "ip " in lesson.solution
    assert lesson.sources[-1] == "nv.reset()\nnv.draw()"


@each_lesson
def test_learner_foresees_then_looks_then_reads_why(lesson: Lesson) -> None:
    cells = lesson.notebook.cells
    foreseen = [i for i, cell in enumerate(cells) if "guess = nv.predict(" in cell.source]
    revealed = [i for i, cell in enumerate(cells) if cell.source.startswith("guess.reveal(")]
    assert len(foreseen) == len(revealed) >= 2
    for before, after in zip(foreseen, revealed, strict=True):
        assert [cell.cell_type for cell in cells[before + 1 : after]].count("code") >= 1
        assert not [i for i in foreseen if before < i < after]
        assert cells[after + 1].source.startswith("<details><summary>Why</summary>")


@each_lesson
def test_from_the_second_lesson_on_a_packet_is_followed_and_its_way_explained(
    lesson: Lesson,
) -> None:
    if lesson.number >= "02":
        assert any("nv.trace(" in source for source in lesson.sources)
        assert any("nv.explain(" in source for source in lesson.sources)


@each_lesson
def test_cells_are_short(lesson: Lesson) -> None:
    assert median(cell.source.count("\n") + 1 for cell in lesson.cells("code")) <= 5
    counts = [words(cell.source) for cell in lesson.cells("markdown")]
    assert max(counts) <= 90
    assert 20 <= median(counts) <= 70


@each_lesson
def test_notebook_is_clean_and_runs_on_the_labs_kernel(lesson: Lesson) -> None:
    notebook = lesson.notebook
    assert notebook.metadata.kernelspec.name == "netviz"
    assert not any(cell.outputs or cell.execution_count for cell in lesson.cells("code"))
    numbers = [int(cell.id.rsplit("-", 1)[1]) for cell in notebook.cells]
    assert numbers == list(range(len(numbers)))


@each_lesson
def test_what_is_asked_of_the_kernel_is_what_the_launcher_reads(lesson: Lesson) -> None:
    wanted = needs(lesson.path)
    assert set(wanted) <= OF_KERNEL.keys()
    asked = f"kernel({', '.join(map(json.dumps, wanted))}), "
    told = [" ".join(source.split()) for source in lesson.sources if "kernel(" in source]
    assert [asked in each for each in told] == ([] if lesson.number == "00" else [True])


@each_lesson
def test_markup_survives_every_reader(lesson: Lesson) -> None:
    # A blank line ends a block of HTML for some, a line that is indented is code for others.
    for block in re.findall(r"<div.*?</div>", lesson.prose, re.DOTALL):
        assert "\n\n" not in block
        assert not re.search(r"^\s+<", block, re.MULTILINE)
    assert "://" not in lesson.prose  # A lesson works offline.


@each_lesson
def test_programs_are_at_hand_or_listed(lesson: Lesson) -> None:
    listed = set(wanted().values()) | {"bridge", "ss", "ifconfig", "hostname", "pgrep", "sysctl"}
    listed |= {Path(it).name for component in known().values() for it in component.programs}
    for line in commands(lesson):
        assert line.split()[0] in listed | AT_HAND, line
