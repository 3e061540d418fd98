"""``netviz attach``: a terminal outside enters a lab that is running."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from kernels import Notebook, all_end, processes_of
from labs import NETVIZ, NOBODY, PATIENCE, PYTHON, Someone, Terminal

from netviz.errors import NetvizError
from netviz.lab import filesystem, journal
from netviz.lab.attaching import Lab, choose, matching
from netviz.lab.identity import is_root_of_machine
from netviz.lab.sandbox import inside

outside = pytest.mark.outside
NAMESPACES = "cd /proc/self/ns && readlink ipc mnt net pid user uts"
LABS = [
    Lab(2041, 2043, "04-bridge", 3.0),
    Lab(2002, 2004, "02-veth", 2.0),
    Lab(4, 6, "shell", 1.0),
]


@contextmanager
def lab(
    someone: Someone, script: str = "echo ready; exec sleep 1000", **env: str
) -> Iterator[object]:
    """Yield a lab whose program has said that it is ready."""
    with someone.start(NETVIZ, "run", "--", "sh", "-c", script, env=env) as running:
        try:
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


def attach(someone: Someone, which: object, command: str) -> object:
    """Run a command in a lab, and wait for it."""
    return someone.call(NETVIZ, "attach", str(which), "-c", command)


@outside
def test_it_shares_every_namespace_with_the_program(someone: Someone) -> None:
    with lab(someone, f"echo ready; {NAMESPACES}; exec sleep 1000") as running:
        theirs = [running.stdout.readline() for _ in range(6)]
        assert attach(someone, running.pid, NAMESPACES).stdout.splitlines(True) == theirs


@outside
def test_it_is_root_of_the_lab_with_the_program_s_folders(someone: Someone) -> None:
    tell = 'id -u; hostname; grep Seccomp: /proc/self/status; echo "$HOME"; pwd; echo "$PATH"'
    with lab(someone, f"echo ready; {tell}; exec sleep 1000") as running:
        theirs = [running.stdout.readline() for _ in range(6)]
        assert attach(someone, running.pid, tell).stdout.splitlines(True) == theirs
    assert theirs[:2] == ["0\n", "lab\n"]
    assert theirs[5].startswith("/run/netviz/bin:")


@outside
def test_what_is_done_there_is_seen_in_the_lab(someone: Someone) -> None:
    with lab(someone, "echo ready; read _; ip netns; cat /run/note; ls $HOME") as running:
        done = attach(someone, running.pid, "ip netns add net1; echo hi >/run/note; echo >$HOME/f")
        assert (done.returncode, done.stderr) == (0, "")
        assert running.communicate("\n", timeout=PATIENCE)[0] == "net1\nhi\nf\n"
    assert (someone.home / "f").stat().st_uid == (os.getuid() if someone.uid is None else NOBODY)


@outside
@pytest.mark.parametrize("status", [0, 1, 2, 126, 127, 255])
def test_exit_status_is_the_command_s(someone: Someone, status: int) -> None:
    with lab(someone) as running:
        assert attach(someone, running.pid, f"exit {status}").returncode == status


@outside
@pytest.mark.parametrize("name", ["TERM", "KILL", "INT", "HUP", "SEGV"])
def test_command_killed_by_a_signal_ends_netviz_by_the_same(someone: Someone, name: str) -> None:
    with lab(someone) as running:
        done = attach(someone, running.pid, f"kill -{name} $$")
        assert done.returncode == -getattr(signal, f"SIG{name}")


@outside
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_signal_is_passed_on(someone: Someone, number: int) -> None:
    # A shell that waits for a command in the foreground may send itself a SIGINT for ever.
    trap = f"trap 'echo heard; exit 9' {int(number)}"
    wait = f"sleep {PATIENCE} >/dev/null 2>&1 & {trap}; echo ready; wait"
    with lab(someone) as running:
        entered = someone.start(NETVIZ, "attach", str(running.pid), "-c", wait)
        with entered:
            assert entered.stdout.readline() == "ready\n"
            entered.send_signal(number)
            assert entered.communicate(timeout=PATIENCE)[0] == "heard\n"
        assert entered.returncode == 9


@outside
def test_it_ends_with_the_lab(someone: Someone) -> None:
    with lab(someone) as running:
        it = someone.start(NETVIZ, "attach", str(running.pid), "-c", "echo in; sleep 1000")
        assert it.stdout.readline() == "in\n"
        with all_end(processes_of(it.pid) | processes_of(running.pid)):
            running.kill()
        it.communicate(timeout=PATIENCE)
        assert it.returncode == -signal.SIGKILL


@outside
def test_lab_does_not_end_with_it(someone: Someone) -> None:
    with lab(someone, "echo ready; read word; echo $word") as running:
        attach(someone, running.pid, "kill -9 $$")
        assert running.communicate("on\n", timeout=PATIENCE)[0] == "on\n"


@outside
def test_killed_outside_it_leaves_no_shell_and_no_job(someone: Someone) -> None:
    with lab(someone) as running:
        shell = entered(someone, running.pid)
        shell.type("sleep 1000\r")
        wait_until(lambda: waits_for(shell.pid, "sleep"))
        with all_end(processes_of(shell.pid)):
            os.kill(shell.pid, signal.SIGKILL)
            assert shell.end() == -signal.SIGKILL


@outside
def test_killed_outside_where_it_leads_no_terminal(someone: Someone) -> None:
    with lab(someone) as running:
        around = someone.terminal("sh", "-c", f"{NETVIZ} attach {running.pid}; echo left")
        around.wait_for("root@lab")
        around.type("sleep 1000\r")
        wait_until(lambda: waits_for(around.pid, "sleep"))
        family = processes_of(around.pid) - {around.pid}
        with all_end(family):
            os.kill(min(family), signal.SIGKILL)
        around.wait_for("left")
        around.end()


@outside
def test_closed_terminal_takes_the_shell_along(someone: Someone) -> None:
    with lab(someone) as running:
        shell = entered(someone, running.pid)
        with all_end(processes_of(shell.pid)):
            os.close(shell.fd)
        os.waitpid(shell.pid, 0)


@outside
def test_terminal_is_given_back(someone: Someone) -> None:
    with lab(someone) as running:
        line = f"{NETVIZ} attach {running.pid}; echo status $?; read word; echo got $word"
        around = someone.terminal("bash", "-c", line)
        around.wait_for("root@lab")
        around.type("exit 5\r")
        around.wait_for("status 5")
        around.type("it\r")
        around.wait_for("got it")
        assert around.end() == 0


@outside
def test_shell_shows_where_it_is_and_reads_the_user_s_settings(someone: Someone) -> None:
    (someone.home / ".bashrc").write_text("PS1='mine '; alias greet='echo hello from bashrc'\n")
    with lab(someone) as running:
        shell = entered(someone, running.pid)
        shell.type("greet\r")
        shell.wait_for("hello from bashrc")
        shell.type("exit 3\r")
        assert shell.end() == 3
        assert "mine " not in shell.seen


@outside
def test_other_shell_runs_as_it_is(someone: Someone) -> None:
    with lab(someone) as running:
        command = (NETVIZ, "attach", str(running.pid))
        done = someone.start(*command, env={"SHELL": "/bin/sh"})
        assert done.communicate("echo $0 $(hostname)\n", timeout=PATIENCE)[0] == "/bin/sh lab\n"
        done = someone.start(*command, env={"SHELL": "/usr/sbin/nologin"})
        assert done.communicate("echo $0\n", timeout=PATIENCE)[0] == "/bin/bash\n"


@outside
@pytest.mark.parametrize("language", ["C.UTF-8", "de_DE.UTF-8"])
def test_what_is_typed_is_logged(someone: Someone, language: str) -> None:
    before = time.time()
    (someone.home / ".bashrc").write_text(
        f"HISTCONTROL=ignoreboth; PROMPT_COMMAND='echo own prompt'; LC_ALL={language} 2>/dev/null\n"
    )
    with lab(someone) as running:
        shell = entered(someone, running.pid)
        lines = ("echo one", "", "", "echo one", " echo hidden", "for i in 1 2", "do echo $i; done")
        for line in (*lines, "cat <<X", "two lines", "X", "syntax (", "sleep 0.2", "false"):
            shell.type(f"{line}\r")
        shell.type("echo status $?\r")
        shell.wait_for("status 1")
        shell.wait_for("own prompt")
        told = attach(someone, running.pid, f"cat {filesystem.PRIVATE}/typed").stdout
        shell.type("exit\r")
        shell.end()
    records = [record.split("\t", 2) for record in told.split("\0")[:-1]]
    assert [text for _, _, text in records] == [
        "echo one",
        "echo one",
        "for i in 1 2; do echo $i; done",
        "cat <<X\ntwo lines\nX",
        "sleep 0.2",
        "false",
        "echo status $?",
    ]
    assert all(re.fullmatch(r"\d{10}\.\d{6}", each) for record in records for each in record[:2])
    times = [float(each) for record in records for each in record[:2]]
    assert times == sorted(times)
    assert before < times[0] < times[-1] < time.time()
    assert float(records[4][1]) - float(records[4][0]) >= 0.2
    assert f"{filesystem.PRIVATE}/typed" == str(journal.TYPED)


@outside
def test_log_that_cannot_be_written_is_no_matter(someone: Someone) -> None:
    with lab(someone) as running:
        attach(someone, running.pid, f"mkdir {journal.TYPED}")
        shell = entered(someone, running.pid)
        shell.type("echo o'n'e\r")
        shell.wait_for("one\r\n")
        shell.type("exit\r")
        shell.end()
        assert "typed" not in shell.seen


@pytest.mark.outside(only=True)
def test_page_on_the_machine_shows_the_lab(someone: Someone) -> None:
    with lab(someone, "ip netns add inside-it; echo ready; exec sleep 1000") as running:
        draw = (NETVIZ, "draw", "--watch", "--lab", str(running.pid))
        with someone.start(*draw) as watching:
            try:
                url = watching.stdout.readline().split()[-1]
                with urlopen(url, timeout=PATIENCE) as answer:
                    page = answer.read().decode()
                assert "inside-it" in page
                assert "Namespace inside-it has" in page
                watching.send_signal(signal.SIGINT)
                assert watching.wait(PATIENCE) == 0
            finally:
                watching.kill()


@outside
def test_labs_are_listed_with_number_name_and_age(someone: Someone) -> None:
    name = f"notebooks/\x1b[31m{os.getpid()}-x.ipynb"
    with lab(someone, JPY_SESSION_NAME=name) as running, lab(someone) as other:
        told = someone.call(NETVIZ, "attach", "--list").stdout.splitlines()
        own = [line for line in told if line.split()[0] in (str(running.pid), str(other.pid))]
    assert re.fullmatch(rf"{other.pid}  (sh|sleep)  \d+ s", own[0])
    assert re.fullmatch(rf"{running.pid}  \\x1b\[31m{os.getpid()}-x  \d+ s", own[1])


@outside
def test_shell_s_lab_is_called_shell(someone: Someone) -> None:
    shell = someone.terminal(NETVIZ, "shell")
    shell.type("echo in-$((1+1))\r")
    shell.wait_for("in-2")
    told = someone.call(NETVIZ, "attach", "--list").stdout
    shell.type("exit\r")
    shell.end()
    assert f"{shell.pid}  shell  " in told


@outside
def test_lab_inside_a_lab_is_that_one_s_own(someone: Someone) -> None:
    nested = f"{NETVIZ} run sh -c 'echo ready; exec sleep 1000'"
    with lab(someone, nested) as running:
        told = someone.call(NETVIZ, "attach", "--list").stdout
        assert told.count(f"{running.pid}  ") == 1
        deeper = attach(someone, running.pid, f"{NETVIZ} attach --list; {NETVIZ} attach -c 'id -u'")
        assert re.fullmatch(r"\d+  (sh|sleep)  \d+ s\n0\n", deeper.stdout)


@outside
def test_of_several_one_is_asked_for(someone: Someone) -> None:
    name = f"several-{os.getpid()}"
    first = "echo ready; hostname first; exec sleep 1000"
    with (
        lab(someone, first, JPY_SESSION_NAME=f"{name}.ipynb") as older,
        lab(someone, JPY_SESSION_NAME=f"{name}.ipynb") as newer,
    ):
        refused = attach(someone, name, "true")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert refused.stderr.startswith(f"netviz: '{name}' means several; name one by its number:")
        asked = someone.terminal(NETVIZ, "attach", name, "-c", "hostname")
        asked.wait_for(f"1: {newer.pid}  {name}")
        asked.wait_for(f"2: {older.pid}  {name}")
        asked.wait_for("[1]: ")
        asked.type("2\r")
        asked.wait_for("first")
        assert asked.end() == 0


@outside
def test_number_of_no_lab_is_one_line_and_status_2(someone: Someone) -> None:
    with lab(someone) as running:
        done = attach(someone, 10**9, "true")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("netviz: cannot find lab '1000000000'; running are: ")
    assert f"{running.pid} (" in done.stderr


@outside
def test_in_a_lab_it_is_refused(someone: Someone) -> None:
    done = someone.run(NETVIZ, "attach")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("netviz: cannot attach: this is in a lab already; ")


@pytest.mark.outside(only=True)
def test_where_none_runs_it_says_how_to_start_one(someone: Someone) -> None:
    done = someone.call(*NO_LABS, NETVIZ, "attach")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("netviz: no lab is running; ")
    assert "netviz lab" in done.stderr
    assert "netviz shell" in done.stderr
    assert someone.call(*NO_LABS, NETVIZ, "attach", "--list").stdout == ""


@outside
def test_it_waits_until_one_runs(someone: Someone) -> None:
    named = "until hostname | grep first; do sleep 0.05; done"  # It may be there before the name.
    script = f"""{NETVIZ} attach --wait -c '{named}' & sleep 0.6
        {NETVIZ} run sh -c 'hostname first; exec sleep 1000' & wait %1; kill %2"""
    told = someone.call(*NO_LABS, "bash", "-c", script).stdout
    assert told == "Open a lesson: this terminal enters its lab as soon as it runs.\nfirst\n"


@outside
def test_nobody_enters_somebody_else_s_lab(someone: Someone) -> None:
    if not is_root_of_machine():
        pytest.skip("only where the machine's root runs the tests")
    other = Someone((someone.uid or NOBODY) - 1, Path("/"))
    with lab(someone) as running:
        assert f"{running.pid}  " not in other.call(NETVIZ, "attach", "--list").stdout
        done = attach(other, running.pid, "true")
        assert done.returncode == 2
        # Nor where the list is passed by.
        told = other.call(PYTHON, "-c", FORCED, str(running.pid), str(running.pid + 1)).stdout
        assert told in ("Operation not permitted\n", "No such process\n")


@outside
def test_root_enters_an_ordinary_user_s_lab_as_that_user(someone: Someone) -> None:
    if not is_root_of_machine() or someone.uid is None:
        pytest.skip("only where the machine's root runs the tests")
    tell = "id -u; grep -i ^groups /proc/self/status; touch made; touch /etc/passwd- && echo wrote"
    with lab(someone) as running:
        told = attach(Someone(None, Path("/")), running.pid, tell).stdout.split()
    assert told == ["0", "Groups:"]
    assert (someone.home / "made").stat().st_uid == NOBODY


def test_reset_spares_the_attached_shell_and_ends_what_it_left(
    own_lab: Notebook, tmp_path: Path
) -> None:
    shell = entered(Someone(None, tmp_path), own_lab.pid)
    shell.type("ip netns add net1; ip netns exec net1 sleep 1000 & echo l'e'ft\r")
    shell.wait_for("left")
    wait_until(lambda: len(processes_of(shell.pid)) == 3)
    left = processes_of(shell.pid)
    with all_end({max(left)}):
        assert own_lab.run("import netviz as nv; nv.reset()").status == "ok"
    shell.type("ip netns list; ps -o comm= -C sleep; echo s't'ill\r")
    shell.wait_for("still")
    shell.type("exit 4\r")
    assert shell.end() == 4


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("4", "shell"),  # A number is first a supervisor's.
        ("04", "04-bridge"),
        ("2002", "02-veth"),
        ("2", "02-veth"),
        ("Bridge", "04-bridge"),
        ("notebooks/02-veth.ipynb", "02-veth"),
        ("she", "shell"),
    ],
)
def test_lab_is_meant_by_number_lesson_or_part_of_its_name(wanted: str, name: str) -> None:
    assert choose(LABS, wanted).name == name


def test_what_cannot_be_chosen_is_told_with_what_there_is() -> None:
    with pytest.raises(NetvizError, match=r"^cannot find lab '9'; running are: 2041 \(04-bridge\)"):
        choose(LABS, "9")
    with pytest.raises(NetvizError, match=r"^3 labs are running; name one by its number: 2041"):
        choose(LABS)
    with pytest.raises(NetvizError, match="this is in a lab already" if inside() else "netviz lab"):
        choose([])
    assert choose(LABS[:1]) is LABS[0]
    assert matching(LABS) == LABS


NO_LABS = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
"""A place with processes of its own, where no other lab is to be seen."""
FORCED = """
import sys
from netviz.lab import attaching
lab = attaching.Lab(int(sys.argv[1]), int(sys.argv[2]), "x", 0)
attaching.labs = lambda: [lab]
attaching._environment = lambda process: {}
attaching.Path.readlink = lambda path: attaching.Path("/")
try:
    attaching.enter(lab)
except attaching.NetvizError as error:
    print(error.__cause__.strerror)
"""


def entered(someone: Someone, which: int) -> Terminal:
    """Return a terminal in which a lab's shell has shown its prompt."""
    shell = someone.terminal(NETVIZ, "attach", str(which))
    shell.wait_for("root@lab")
    return shell


def waits_for(pid: int, job: str) -> bool:
    """Tell whether a bash below a process waits for a job; one just begun it may not hang up."""
    told = [Path(f"/proc/{each}/stat").read_text().split() for each in processes_of(pid)]
    states = {name: state for _, name, state, *_ in told}
    return f"({job})" in states and states.get("(bash)") == "S"


def wait_until(true: object) -> None:
    """Wait for what is about to be."""
    give_up = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.01)
