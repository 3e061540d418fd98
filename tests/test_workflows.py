"""The workflows for whoever forks the repository: what can be known of them without GitHub."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parent.parent
WORKFLOWS = sorted((CHECKOUT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))

each = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)


def read(workflow: Path) -> dict[str, Any]:
    return yaml.safe_load(workflow.read_text())


def jobs(workflow: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from read(workflow)["jobs"].items()


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for _, job in jobs(workflow):
        yield from job["steps"]


@each
def test_workflow_is_one_by_its_schema(workflow: Path) -> None:
    # The schema comes with the program, so no network is asked for it.
    command = ["check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(workflow)]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@each
def test_workflow_makes_only_what_the_makefile_has(workflow: Path) -> None:
    said = " ; ".join(step.get("run", "") for step in steps(workflow))
    made = re.findall(r"\bmake ([a-z-]+)", said)
    assert made
    assert set(made) <= TARGETS


@each
def test_workflow_may_only_read_and_only_who_publishes_may_more(workflow: Path) -> None:
    assert read(workflow)["permissions"] == {"contents": "read"}
    allowed = {name: job["permissions"] for name, job in jobs(workflow) if "permissions" in job}
    publishes = {"deploy": {"pages": "write", "id-token": "write"}}
    assert allowed == (publishes if workflow.stem == "html" else {})


@each
def test_no_job_runs_for_ever_or_on_a_system_that_changes_its_version(workflow: Path) -> None:
    for name, job in jobs(workflow):
        assert 0 < job["timeout-minutes"] <= 60, name
        assert "latest" not in str(job["runs-on"]), name
    assert read(workflow)["concurrency"]["group"]


@each
def test_action_is_github_s_own_in_a_named_version_and_keeps_no_token(workflow: Path) -> None:
    used = [step for step in steps(workflow) if "uses" in step]
    for step in used:
        assert re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", step["uses"])
    checkouts = [step for step in used if step["uses"].startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@each
def test_who_starts_labs_may_make_user_namespaces(workflow: Path) -> None:
    for name, job in jobs(workflow):
        ran = [step.get("run", "") for step in job["steps"]]
        if any(re.search(r"make (test|html)", line) for line in ran):
            assert any("apparmor_restrict_unprivileged_userns=0" in line for line in ran), name
