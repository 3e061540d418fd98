"""The learner's copies: never overwritten, found by number or name."""

from __future__ import annotations

from pathlib import Path

import pytest

from netviz.errors import NetvizError
from netviz.lab import lessons
from netviz.lab.resources import notebooks


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    (folder / "pictures").mkdir(parents=True)
    (folder / ".ipynb_checkpoints").mkdir()
    for name in ("00-start-here", "04-bridge", "11-two-words"):
        (folder / f"{name}.ipynb").write_text(f"published {name}")
    (folder / "glossary.md").write_text("## bridge")
    (folder / "pictures/one.svg").write_text("<svg/>")
    (folder / ".ipynb_checkpoints/old.ipynb").write_text("old")
    return folder


@pytest.mark.parametrize("name", ["4", "04", "bridge", "Bridge", "04-bridge", "x/04-bridge.ipynb"])
def test_lesson_is_found_by_number_and_by_name(source: Path, name: str) -> None:
    assert lessons.find(source, name) == source / "04-bridge.ipynb"


@pytest.mark.parametrize("name", ["5", "", "brid", "start"])
def test_what_is_no_lesson_is_refused_with_the_list(source: Path, name: str) -> None:
    with pytest.raises(NetvizError, match=r"cannot find lesson .*: 00-start-here, 04-bridge, 11-"):
        lessons.find(source, name)


def test_published_lessons_are_in_order() -> None:
    assert [lesson.name[:2] for lesson in lessons.published(notebooks())][:2] == ["00", "01"]


def test_all_is_copied_the_first_time(source: Path, tmp_path: Path) -> None:
    new = lessons.copy_missing(source, tmp_path / "mine")
    names = [str(path.relative_to(tmp_path / "mine")) for path in new]
    assert names == [
        "00-start-here.ipynb",
        "04-bridge.ipynb",
        "11-two-words.ipynb",
        "glossary.md",
        "pictures/one.svg",
    ]


def test_what_is_there_is_left_alone(source: Path, tmp_path: Path) -> None:
    (mine := tmp_path / "mine").mkdir()
    (mine / "04-bridge.ipynb").write_text("hers")
    (mine / "11-two-words.ipynb").symlink_to("/nowhere")
    lessons.copy_missing(source, mine)
    assert (mine / "04-bridge.ipynb").read_text() == "hers"
    assert (mine / "11-two-words.ipynb").is_symlink()
    assert lessons.copy_missing(source, mine) == []


def test_what_is_no_notebook_is_renewed(source: Path, tmp_path: Path) -> None:
    lessons.copy_missing(source, mine := tmp_path / "mine")
    for name in ("glossary.md", "pictures/one.svg"):
        (mine / name).write_text("of an older version")
    assert lessons.copy_missing(source, mine) == [mine / "glossary.md", mine / "pictures/one.svg"]
    assert (mine / "glossary.md").read_text() == "## bridge"


def test_copy_is_writable_though_the_package_is_not(source: Path, tmp_path: Path) -> None:
    (source / "04-bridge.ipynb").chmod(0o444)
    lessons.copy_missing(source, tmp_path / "mine")
    assert (tmp_path / "mine/04-bridge.ipynb").stat().st_mode & 0o200


def test_restored_lesson_leaves_hers_under_another_name(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    lessons.copy_missing(source, mine)
    for turn in (1, 2):
        (mine / "04-bridge.ipynb").write_text(f"hers {turn}")
        kept = lessons.restore(source / "04-bridge.ipynb", mine)
        assert kept == mine / f"04-bridge.mine-{turn}.ipynb"
        assert kept.read_text() == f"hers {turn}"
    assert (mine / "04-bridge.ipynb").read_text() == "published 04-bridge"


def test_restoring_what_was_not_changed_keeps_nothing(source: Path, tmp_path: Path) -> None:
    lessons.copy_missing(source, tmp_path / "mine")
    assert lessons.restore(source / "04-bridge.ipynb", tmp_path / "mine") is None
    assert len(list((tmp_path / "mine").iterdir())) == 5


def test_restoring_what_is_missing_copies_it(source: Path, tmp_path: Path) -> None:
    assert lessons.restore(source / "04-bridge.ipynb", tmp_path / "mine") is None
    assert (tmp_path / "mine/04-bridge.ipynb").exists()


def test_folder_that_cannot_be_written_is_an_error_with_a_remedy(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("a file")
    with pytest.raises(NetvizError, match=r"cannot write the lessons .*--folder"):
        lessons.copy_missing(source, tmp_path / "mine")


def test_half_a_copy_is_never_left(source: Path, tmp_path: Path) -> None:
    (mine := tmp_path / "mine").mkdir()
    (mine / "pictures").write_text("a file where a folder belongs")
    with pytest.raises(NetvizError):
        lessons.copy_missing(source, mine)
    assert not [path for path in mine.iterdir() if path.name.startswith(".")]
