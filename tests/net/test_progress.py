"""What takes longer than a second shows how far it is, where somebody looks."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from netviz.net.progress import Progress

if TYPE_CHECKING:
    from kernels import Notebook

CODE = """from netviz.net.progress import Progress
with Progress(10, patience={patience}) as bar: bar.show(3)"""


def test_in_a_file_a_bar_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(10, patience=0.0) as progress:
        progress.show(3)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("patience", "shown"), [(0.0, True), (60.0, False)])
def test_in_a_terminal_it_is_after_a_while(patience: float, shown: bool) -> None:
    ours, theirs = pty.openpty()
    code = CODE.format(patience=patience) + "\nprint('done')"
    env = {**os.environ, "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", code], stdout=theirs, stderr=theirs, env=env, check=True)
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    os.close(theirs)
    assert ("3/10" in said) == shown
    assert "done" in said


def test_in_a_notebook_it_is_an_output(lab: Notebook) -> None:
    cell = lab.run(CODE.format(patience=0.0))
    shown = [each["content"]["data"].get("text/html", "") for each in cell.of_type("display_data")]
    assert cell.status == "ok"
    assert any("3/10" in html for html in shown)
