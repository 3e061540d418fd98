"""Publish the lessons: ``make html``.

What Sphinx reads is laid out anew in ``_build/source``: the pages of this folder, the notebooks as
they ran, a page for each command of the program, the start page with the map of the lessons.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from html import escape
from itertools import repeat
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import assets
import figures
import lessons
import nbformat
import terms
from runs import executed
from sphinx.cmd.build import main as sphinx

from netviz.cli import main as program
from netviz.lab.lessons import published, question
from netviz.lab.resources import notebooks

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parent
_AT_ONCE = 2  # Lessons that run beside each other: mostly they wait.
REPOSITORY = os.environ.get("NETVIZ_REPOSITORY")
_COMMAND = """
.. click:: netviz.cli:{name}
   :prog: netviz {name}
   :nested: full
"""


def publish(build: Path) -> int:
    """Lay the source out in ``build``, let Sphinx make ``build/html`` of it, return its status."""
    source = build / "source"
    for old in (source, build / "html"):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(DOCS / "static", source / "static")
    for page in (DOCS / "conf.py", *DOCS.glob("*.md")):
        shutil.copy(page, source)
    (source / "glossary.md").write_text(terms.page(_glossary()))
    lay_lessons(source, build / "executed")
    lay_start(source)
    lay_commands(source / "cli")
    assets.lay(source / "static")
    strict = ["-q", "-W", "--keep-going", "--fresh-env", "-d", str(build / "doctrees")]
    return sphinx([*strict, str(source), str(build / "html")])


def lay_lessons(source: Path, cache: Path) -> None:
    """Lay out each lesson and the gallery as they ran, and for downloading as they are."""
    for folder in ("lessons", "extra/notebooks"):
        (source / folder).mkdir(parents=True)
    glossary = terms.entries(_glossary())
    paths = [*published(notebooks()), DOCS / "gallery.ipynb"]
    with ThreadPoolExecutor(_AT_ONCE) as some:
        runs = [*some.map(executed, paths, repeat(cache))]
    for path, run in zip(paths, runs, strict=True):
        folder, up = (source, "") if path.parent == DOCS else (source / "lessons", "../")
        address = f"{up}notebooks/{path.name}"
        made = lessons.page(run, path, address, REPOSITORY)
        for cell in made.cells:
            if cell.cell_type == "markdown":
                cell.source = terms.linked(cell.source, glossary, f"{up}glossary.html")
        nbformat.write(made, folder / path.name)
        shutil.copy(path, source / "extra/notebooks")


def _glossary() -> str:
    return (notebooks() / "glossary.md").read_text(encoding="utf-8")


def lay_start(source: Path) -> None:
    """Lay out the start page: its list of the lessons that are there, its map of all."""
    links = [f"{_numbered(path)} <lessons/{path.stem}>" for path in published(notebooks())]
    page = source / "index.md"
    page.write_text(Template(page.read_text()).substitute(lessons="\n".join(links)))
    (source / "map.html").write_text(f'<ol class="nv-map">{"".join(_map())}</ol>\n')


def _numbered(path: Path) -> str:
    return f"{path.stem[:2]} · {question(path)}"


def _map() -> Iterator[str]:
    """Yield an entry for each lesson: its picture, its number and what it asks."""
    for path in published(notebooks()):
        picture = (path.parent / "pictures" / f"{path.stem}.svg").read_text(encoding="utf-8")
        name = f"<b>{path.stem[:2]}</b> {escape(question(path))}"
        told = f'<p><a href="lessons/{path.stem}.html">{name}</a></p>'
        yield f"<li><div>{figures.inline(picture, silent=True)}</div>{told}</li>"


def lay_commands(folder: Path) -> None:
    """Lay out a page for each command of the program, as the program tells of itself."""
    folder.mkdir()
    names = sorted(program.commands)
    for name in names:
        (folder / f"{name}.rst").write_text(_COMMAND.format(name=name))
    rows = [f"   {name}\n" for name in names]
    title = "The command line"
    head = f"{title}\n{'=' * len(title)}\n\n{program.help}\n\n.. toctree::\n   :maxdepth: 1\n\n"
    (folder / "index.rst").write_text(head + "".join(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, nargs="?", default=DOCS / "_build")
    sys.exit(publish(parser.parse_args().build.resolve()))
