"""The public names: each is there, and none costs anything before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import netviz

HEAVY = {"matplotlib", "ipywidgets", "anywidget", "networkx", "pyroute2", "numpy", "IPython"}
# Loaded here, because some start threads, and a test with its own network can have none.
FOUND = {name: getattr(netviz, name) for name in netviz.__all__}


def loaded_by(script: str) -> set[str]:
    """Return the modules that a fresh Python has loaded after a script, but for its own."""
    shown = f"import sys; before = set(sys.modules)\n{script}\nprint(*set(sys.modules) - before)"
    command = [sys.executable, "-c", shown]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("name", netviz.__all__)
def test_public_name_is_there_under_its_name(name: str) -> None:
    assert FOUND[name].__name__ == name
    assert getattr(netviz, name) is FOUND[name]


def test_every_name_is_listed_for_completion() -> None:
    assert dir(netviz) == netviz.__all__ == sorted(set(netviz.__all__))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'netviz' has no attribute 'nothing'"):
        netviz.nothing  # noqa: B018


def test_import_loads_next_to_nothing() -> None:
    loaded = loaded_by("import netviz")
    assert {name for name in loaded if name.startswith("netviz")} == {"netviz"}
    assert not {name.partition(".")[0] for name in loaded} & HEAVY


@pytest.mark.parametrize("name", ["snapshot", "reset", "check", "export", "NetvizError"])
def test_what_draws_nothing_loads_no_drawing(name: str) -> None:
    loaded = {module.partition(".")[0] for module in loaded_by(f"import netviz; netviz.{name}")}
    assert not loaded & HEAVY


def test_command_line_starts_light() -> None:
    loaded = {module.partition(".")[0] for module in loaded_by("import netviz.cli")}
    assert not loaded & HEAVY
