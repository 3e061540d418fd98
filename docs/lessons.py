"""Make of a notebook that was run the page of a lesson.

A picture becomes part of its page. A living one becomes a player of what it showed: from its cell
until the lab is emptied, or until the next one; a recording becomes a player of itself, and so
does a packet's journey, whose tables stand there where nothing plays. A question has its options
as a list, and what happened in this run is folded, as is text of many lines. Other HTML that a cell
shows is left as it is.
"""

from __future__ import annotations

import re
from copy import deepcopy
from html import escape
from typing import TYPE_CHECKING

import figures
from lexer import LEXER

from netviz.picture.questions import listed

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode
    from runs import Executed

_WIDGET = "application/vnd.jupyter.widget-view+json"
_PICTURE = re.compile(r"^!\[[^\]]*\]\((pictures/[\w.-]+\.svg)\)$", re.MULTILINE)
_STATE = "application/vnd.jupyter.widget-state+json"
_SVG = re.compile("<svg.*</svg>", re.DOTALL)
_LIVING = re.compile(r"\blive\(")
_EMPTIES = re.compile(r"\breset\(\)")
_ASKS = re.compile(r"(\w+ = )?nv\.predict\(|\w+\.reveal\(")
_GUESS = re.compile('<p class="nv-guess">.*?</p>')
_HAPPENED = "<details><summary>What happened</summary>{}</details>"
_LONG = 60
_FOLDED = """<details><summary>All {} lines</summary><div class="nv-revealed"><pre>{}</pre></div>
</details>"""
_BINDER = "https://mybinder.org/v2/gh/{repository}/HEAD?urlpath=lab/tree/{name}"


def page(run: Executed, path: Path, notebook: str, repository: str | None) -> NotebookNode:
    """Return a lesson as the notebook of which its page is made.

    ``notebook`` is the address of the one to download, ``repository`` is owner/name.
    """
    made = deepcopy(run.notebook)
    made.metadata.pop("widgets", None)
    made.metadata.language_info["pygments_lexer"] = LEXER
    title, rest = made.cells[0].source.split("\n", 1)
    made.cells[
        0
    ].source = (
        f"{title}\n\n{_links(f'{path.parent.name}/{path.name}', notebook, repository)}\n{rest}"
    )
    for index, cell in enumerate(made.cells):
        if cell.cell_type == "markdown":
            cell.source = _PICTURE.sub(lambda it: _drawn(path.parent / it[1]), cell.source)
        elif cell.cell_type == "code":
            # What asks and what answers is told by its output alone.
            silent = ["remove-input"] if _ASKS.match(cell.source) else []
            cell.metadata["tags"] = [f"moment-{cell.metadata['moments'] - 1}", *silent]
            _show(cell, run, index)
    return made


def _links(name: str, notebook: str, repository: str | None) -> str:
    """Return where the lesson can be tried: on Binder if it is known of whom, and at home."""
    links = [f'<a href="{notebook}" download>Download the notebook</a>']
    if repository:
        href = _BINDER.format(repository=escape(repository), name=name)
        links.insert(0, f'<a href="{href}">Open in Binder</a>')
    return f'<p class="nv-links">{" ".join(links)}</p>\n'


def _drawn(file: Path) -> str:
    return figures.figure(file.read_text(encoding="utf-8"))


def _show(cell: NotebookNode, run: Executed, index: int) -> None:
    """Let a code cell's outputs be what a page can show."""
    for output in cell.outputs:
        data = output.get("data", {})
        widget = data.pop(_WIDGET, None)
        state = _kept(run, widget["model_id"]) if widget else {}
        if "options" in state:
            data["text/html"] = listed(state["text"], state["options"])
        elif widget and _lives(cell):
            first, end = _shown(run, index)
            data["text/html"] = figures.filmed(run.recording.moments[first:end], first)
        elif widget:
            shown = _SVG.search(data["text/html"])
            told = data["text/html"][shown.end() :].strip().removeprefix("</div>")
            data["text/html"] = figures.player(state["film"], shown[0], told=told)
        elif "nv-revealed" in data.get("text/html", ""):
            told = _GUESS.sub("", data["text/html"]).replace("What happened: ", "", 1)
            data["text/html"] = _HAPPENED.format(told)
        elif "text/html" in data and "image/svg+xml" in data:  # One of netviz, not another's.
            data["text/html"] = figures.figure(data.pop("image/svg+xml"))
        _fold(output)


def _fold(output: NotebookNode) -> None:
    """Let text of many lines that was printed be one line, behind which the others are."""
    count = output.get("text", "").count("\n")
    if count > _LONG:
        told = {"text/html": _FOLDED.format(count, escape(output.pop("text")))}
        output.pop("name")
        output.update(output_type="display_data", data=told, metadata={})


def _lives(cell: NotebookNode) -> bool:
    return bool(_LIVING.search(cell.source))


def _kept(run: Executed, model: str) -> NotebookNode:
    """Return what the notebook has kept of a widget; what is bytes in it, in base64."""
    kept = run.notebook.metadata["widgets"][_STATE]["state"][model]
    return kept.state | {each["path"][0]: each["data"] for each in kept.get("buffers", ())}


def _shown(run: Executed, index: int) -> tuple[int, int]:
    """Return of which moments a living picture is the picture: the first, and the one after."""
    cells = [cell for cell in run.notebook.cells[index:] if cell.cell_type == "code"]
    first = before = cells[0].metadata["moments"]
    for cell in cells[1:]:
        if _lives(cell) or _EMPTIES.search(cell.source):
            break
        before = cell.metadata["moments"]
    return first - 1, before
