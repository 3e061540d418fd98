"""How the virtual machine is started: on what, and when from a saved state."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "binder/vm"))
import run
from machine import Machine, accelerator, boots

pytestmark = [pytest.mark.vm, pytest.mark.outside(only=True)]


def test_accelerator_is_one_on_which_a_machine_has_booted() -> None:
    assert boots("tcg")
    assert not boots("no-such")
    assert boots(accelerator())


def test_where_code_is_translated_there_is_one_processor() -> None:
    words = Machine(Path("netviz.qcow2"), "tcg").arguments()
    assert words[words.index("-smp") + 1] == "1"


def test_saved_state_is_gone_on_from_only_by_the_same_machine(tmp_path: Path) -> None:
    image, state = tmp_path / "netviz.qcow2", tmp_path / "netviz.state"
    image.write_bytes(b"disk")
    machine = Machine(image, "tcg")
    told = {"token": "then", "of": run._likeness(machine)}
    state.with_suffix(".json").write_text(json.dumps(told))
    assert run._saved(machine) == (None, "")  # What was told is there, no state.
    state.touch()
    assert run._saved(machine) == (state, "then")
    assert run._saved(replace(machine, memory=2048)) == (None, "")
    image.write_bytes(b"another disk")
    assert run._saved(machine) == (None, "")
