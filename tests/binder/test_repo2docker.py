"""The image that Binder builds of this checkout: the steps that its own tool writes down."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
BINDER = CHECKOUT / "binder"
# As BinderHub calls it, but for the building: for that an engine would be needed.
RENDER = ("--no-build", "--debug", "--user-id", "1000", "--user-name", "jovyan", str(CHECKOUT))
CONTINUED = re.compile(r"\\\n(?:\s*#.*\n)*")


@dataclass(frozen=True)
class Step:
    """A line of the Dockerfile, and whose work it is."""

    user: str
    word: str
    text: str


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """Return what would be done, in order."""
    done = subprocess.run(
        [sys.executable, "-m", "repo2docker", *RENDER],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return list(_read((done.stdout + done.stderr).partition("\nFROM ")[2]))


def _read(dockerfile: str) -> Iterator[Step]:
    user = "root"
    for line in CONTINUED.sub(" ", f"FROM {dockerfile}").splitlines():
        word, _, text = line.strip().partition(" ")
        if word == "USER":
            user = text
        if word.isupper():
            yield Step(user, word, " ".join(text.split()))


def place(steps: list[Step], word: str, part: str) -> int:
    """Return where the one step is that has this part."""
    (found,) = [at for at, each in enumerate(steps) if each.word == word and part in each.text]
    return found


def lines(name: str) -> list[str]:
    return (BINDER / name).read_text().splitlines()


def test_steps_come_in_their_order_and_all_after_the_system_s_packages_are_the_user_s(
    steps: list[Step],
) -> None:
    expected = [
        ("root", "RUN", " iproute2 "),
        ("root", "COPY", "src/ ${REPO_DIR}/"),
        ("${NB_USER}", "RUN", 'pip install --no-cache-dir -r "binder/requirements.txt"'),
        ("${NB_USER}", "RUN", "./binder/postBuild"),
        ("${NB_USER}", "ENV", 'R2D_ENTRYPOINT="${REPO_DIR}/binder/start"'),
        ("${NB_USER}", "ENTRYPOINT", "repo2docker-entrypoint"),
    ]
    places = [place(steps, word, part) for _, word, part in expected]
    assert places == sorted(places)
    assert [steps[at].user for at in places] == [user for user, _, _ in expected]


def test_nothing_runs_as_root_once_the_checkout_is_there(steps: list[Step]) -> None:
    after = steps[place(steps, "COPY", "src/ ${REPO_DIR}/") :]
    assert {each.user for each in after if each.word == "RUN"} == {"${NB_USER}"}
    assert [each.text for each in steps if each.word == "USER"][-1] == "${NB_USER}"


def test_each_package_is_installed_once(steps: list[Step]) -> None:
    named = [name for line in lines("apt.txt") if (name := line.partition("#")[0].strip())]
    installing = [each.text for each in steps if each.word == "RUN" and " install " in each.text]
    words = " ".join(installing).split()
    assert {name: words.count(name) for name in named} == dict.fromkeys(named, 1)


def test_python_is_the_one_that_was_asked_for_and_frozen_by_the_tool(steps: list[Step]) -> None:
    (asked,) = lines("runtime.txt")
    version = asked.removeprefix("python-").replace(".", "-2e")
    frozen = steps[place(steps, "COPY", "/tmp/env/environment.lock")].text
    assert f"environment-2epy-2d{version}-2dlinux-2d64-2elock" in frozen


def test_requirements_are_read_where_all_that_they_name_is(steps: list[Step]) -> None:
    installing = place(steps, "RUN", "binder/requirements.txt")
    assert place(steps, "COPY", "src/ ${REPO_DIR}/") < installing
    assert place(steps, "WORKDIR", "${REPO_DIR}") < installing  # For `-e .`.
    constraints, package = lines("requirements.txt")
    assert (BINDER / constraints.removeprefix("-c ")).samefile(CHECKOUT / "constraints.txt")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extra = re.fullmatch(r"-e \.\[(\w+)\]", package)[1]
    assert extra in project["optional-dependencies"]
    # Only these would keep a file of the checkout from it.
    assert not [name for name in (".dockerignore", ".containerignore") if (BINDER / name).exists()]


def test_checkout_belongs_to_the_user(steps: list[Step]) -> None:
    copied = steps[place(steps, "COPY", "src/ ${REPO_DIR}/")].text
    assert copied.startswith("--chown=1000:1000 ")


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_scripts_are_programs(name: str) -> None:
    assert os.access(BINDER / name, os.X_OK)
    assert lines(name)[0] == "#!/usr/bin/env bash"


def test_start_becomes_the_command() -> None:
    assert lines("start")[-1] == 'exec "$@"'
