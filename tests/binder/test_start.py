"""What Binder starts a session with: it tries what the pod permits, and says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from labs import NETVIZ, component

from netviz.lab.choosing import choose

pytestmark = pytest.mark.outside

START = str(Path(__file__).parents[2] / "binder/start")
REFUSING = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
REFUSED = ("unshare", "--user", "--map-root-user", "sh", "-c", REFUSING, "sh")
ENV = ("env", "-0")
WHY = "import os; from netviz.lab.choosing import choose; print(choose(os.environ).why)"


def environment(**more: str) -> dict[str, str]:
    """Return a session's, in which nobody has chosen a kernel."""
    usual = {name: it for name, it in os.environ.items() if not name.startswith("NETVIZ_KERNEL")}
    usual.pop("JPY_SESSION_NAME", None)
    return usual | {"PATH": f"{Path(NETVIZ).parent}:{os.environ['PATH']}"} | more


def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment(**more), capture_output=True, text=True)


def kernels(told: str) -> dict[str, str]:
    """Return what a session's environment says of kernels."""
    lines = (line.partition("=") for line in told.split("\0"))
    return {name: text for name, _, text in lines if name.startswith("NETVIZ_KERNEL")}


def test_where_a_sandbox_starts_each_lesson_chooses_for_itself() -> None:
    done = run(START, *ENV)
    assert (done.returncode, done.stderr, kernels(done.stdout)) == (0, "", {})


def test_where_it_is_refused_all_lessons_get_a_kernel_of_their_own_and_the_reason() -> None:
    component("own-kernel")
    done = run(*REFUSED, START, *ENV)
    told = kernels(done.stdout)
    why = told["NETVIZ_KERNEL_WHY"]
    assert told == {"NETVIZ_KERNEL": "own", "NETVIZ_KERNEL_WHY": why}
    assert why == run(*REFUSED, sys.executable, "-P", "-c", WHY).stdout.strip()
    assert why.endswith("(user.max_user_namespaces = 0)")
    assert done.stderr == f"netviz: lessons run on a kernel of their own: {why}\n"
    chosen = choose(told)
    assert (chosen.own, chosen.why) == (True, why)


def test_reason_is_told_so_that_it_misleads_nobody() -> None:
    component("own-kernel")
    assert choose({"NETVIZ_KERNEL": "own", "NETVIZ_KERNEL_WHY": "\x1b[1m"}).why == r"\x1b[1m"


@pytest.mark.parametrize("kernel", ["own", "sandbox"])
def test_kernel_that_somebody_chose_is_hers_and_nothing_is_tried(kernel: str) -> None:
    done = run(*REFUSED, START, *ENV, NETVIZ_KERNEL=kernel)
    assert (done.stderr, kernels(done.stdout)) == ("", {"NETVIZ_KERNEL": kernel})


def test_where_neither_can_be_had_it_says_so_beside_the_lessons_and_starts_all_the_same(
    tmp_path: Path,
) -> None:
    (tmp_path / "notebooks").mkdir()
    nothing = {"XDG_CACHE_HOME": str(tmp_path), "NETVIZ_SHARED": str(tmp_path)}
    done = run(*REFUSED, START, *ENV, **nothing, NETVIZ_OWN_KERNEL="built", REPO_DIR=str(tmp_path))
    assert (done.returncode, kernels(done.stdout)) == (0, {})
    title, sandbox, own = done.stderr.splitlines()
    assert title == "No lesson can run here."
    assert sandbox.startswith("netviz: cannot start a lab: 'unshare' was refused")
    assert own.startswith("netviz: there is no kernel of one's own")
    assert (tmp_path / "notebooks/no-lab-here.txt").read_text() == done.stderr


def test_command_takes_the_place_of_the_script_and_ends_as_it_ends() -> None:
    with subprocess.Popen(
        [START, "sh", "-c", "echo $$; exit 7"], env=environment(), stdout=-1, text=True
    ) as started:
        assert started.communicate()[0] == f"{started.pid}\n"
    assert started.returncode == 7
