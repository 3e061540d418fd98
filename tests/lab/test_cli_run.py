"""``netviz run`` and ``netviz shell`` stand for the program inside: streams, signals and end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from labs import NETVIZ, PATIENCE, PYTHON, Someone

pytestmark = pytest.mark.outside

SENT = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1)
TELLS_SIGNALS = """
import os, signal, sys
heard = signal.SIGINT, signal.SIGUSR1, signal.SIGCONT
signal.pthread_sigmask(signal.SIG_BLOCK, heard)
number = os.write(1, b"ready")
while number != int(sys.argv[1]):
    number = signal.sigwait(heard)
    os.write(1, f"[{number}]".encode())
"""


@pytest.mark.parametrize(
    "status", [0, 1, 2, 3, 64, 126, 127, 128, 129, 130, 137, 139, 143, 192, 255]
)
def test_exit_status_is_the_programs(someone: Someone, status: int) -> None:
    assert someone.run("sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "INT", "HUP", "PIPE", "RTMIN"])
def test_program_killed_by_a_signal_ends_netviz_by_the_same(someone: Someone, name: str) -> None:
    assert someone.run("bash", "-c", f"kill -{name} $$").returncode == -getattr(
        signal, f"SIG{name}"
    )


@pytest.mark.parametrize("number", SENT)
def test_signal_sent_to_netviz_arrives_in_the_program(someone: Someone, number: int) -> None:
    script = f"trap 'echo heard; exit 7' {number}; echo ready; sleep {PATIENCE} & wait"
    with someone.start(NETVIZ, "run", "--", "sh", "-c", script) as run:
        assert run.stdout.readline() == "ready\n"
        run.send_signal(number)
        assert (run.stdout.read(), run.wait()) == ("heard\n", 7)


def test_signal_sent_while_the_lab_is_built_is_not_lost(someone: Someone) -> None:
    runs = [someone.start(NETVIZ, "run", "--", "sleep", str(PATIENCE)) for _ in range(8)]
    for run in runs:
        with run:
            while not Path(f"/proc/{run.pid}/ns/user").exists():
                pass
            run.terminate()
    assert [run.returncode for run in runs] == [-signal.SIGTERM] * len(runs)


@pytest.mark.parametrize("ignored", ["", "HUP", "INT QUIT", "CHLD", "PIPE TERM"])
def test_program_inherits_what_the_caller_ignores(someone: Someone, ignored: str) -> None:
    ask = ("grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status")
    script = f"trap '' {ignored}; " if ignored else ""
    outside = someone.call("sh", "-c", f'{script}exec "$@"', "sh", *ask)
    inside = someone.call("sh", "-c", f'{script}exec "$@"', "sh", NETVIZ, "run", *ask)
    # Python itself ignores SIGPIPE, and cannot tell whether its caller did.
    assert _without(signal.SIGPIPE, inside.stdout) == _without(signal.SIGPIPE, outside.stdout)


def _without(number: int, status: str) -> list[int]:
    masks = [int(line.split()[1], 16) for line in status.splitlines()]
    assert len(masks) == 3
    return [mask & ~(1 << number - 1) for mask in masks]


def test_end_of_a_pipe_is_not_an_error(someone: Someone) -> None:
    done = someone.run("sh", "-c", "yes | head -1")
    assert (done.stdout, done.stderr) == ("y\n", "")


def test_interrupt_from_the_keyboard_arrives_once(someone: Someone) -> None:
    last = str(int(signal.SIGUSR1))
    terminal = someone.terminal(NETVIZ, "run", "--", PYTHON, "-c", TELLS_SIGNALS, last)
    terminal.wait_for("ready")
    terminal.type("\x03")
    terminal.wait_for("[2]")
    # Signals are forwarded in order: had there been another, it would come before this one.
    os.kill(terminal.pid, signal.SIGUSR1)
    assert (terminal.end(), terminal.seen) == (0, f"[{last}]")


def test_interrupt_sent_to_netviz_on_a_terminal_arrives(someone: Someone) -> None:
    terminal = someone.terminal(NETVIZ, "run", "--", PYTHON, "-c", TELLS_SIGNALS, "2")
    terminal.wait_for("ready")
    os.kill(terminal.pid, signal.SIGINT)
    assert (terminal.end(), terminal.seen) == (0, "[2]")


def test_interrupt_ends_a_program_as_without_a_lab(someone: Someone) -> None:
    terminal = someone.terminal(NETVIZ, "run", "--", "sh", "-c", f"echo go; exec sleep {PATIENCE}")
    terminal.wait_for("go")
    terminal.type("\x03")
    assert terminal.end() == -signal.SIGINT


def test_shell_has_a_prompt_jobs_and_an_exit_status(someone: Someone) -> None:
    terminal = someone.terminal(NETVIZ, "shell")
    terminal.type("PS1='>''> '\r")
    terminal.wait_for(">> ")
    terminal.type("sh -c 'echo sl\"\"eeps; exec sleep 1000'\r")
    terminal.wait_for("sleeps")
    terminal.type("\x1a")
    terminal.wait_for("Stopped")
    terminal.type("kill -KILL %1; echo $(hostname)-prompt\r")
    terminal.wait_for("lab-prompt")
    terminal.type("exec sh -c 'exit 3'\r")
    assert terminal.end() == 3


def test_stopped_run_goes_on_in_the_foreground(someone: Someone) -> None:
    (someone.home / "tell.py").write_text(TELLS_SIGNALS)
    terminal = someone.terminal("bash", "--norc", "-i")
    terminal.type(f"{NETVIZ} run -- {PYTHON} tell.py 2\r")
    terminal.wait_for("ready")
    terminal.type("\x1a")
    terminal.wait_for("Stopped")
    terminal.type("fg\r")
    terminal.wait_for(f"[{int(signal.SIGCONT)}]")
    terminal.type("\x03")
    terminal.wait_for("[2]")
    terminal.type("exit\r")
    assert terminal.end() == 0


def test_terminal_goes_back_to_the_caller_of_a_shell(someone: Someone) -> None:
    terminal = someone.terminal("sh", "-c", f"{NETVIZ} shell; read answer; exit $answer")
    terminal.type("PS1='>''> '\r")
    terminal.wait_for(">> ")
    terminal.type("echo by''e; exec true\r")
    terminal.wait_for("bye")
    terminal.type("9\r")
    assert terminal.end() == 9


def test_run_in_the_background_of_a_terminal_ends_well(someone: Someone) -> None:
    script = f"set -m; {NETVIZ} run -- sh -c 'exit 5' & wait $!; exit $?"
    assert someone.terminal("bash", "-c", script).end() == 5


def test_streams_pass_unchanged(someone: Someone) -> None:
    data = os.urandom(300_000)
    copy = "import sys; d = sys.stdin.buffer.read(); [sys.__dict__[s].buffer.write(d) for s in S]"
    code = f"S = 'stdout', 'stderr'; {copy}"
    with someone.start(NETVIZ, "run", "--", PYTHON, "-c", code, text=False) as run:
        assert run.communicate(data, timeout=PATIENCE) == (data, data)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(someone: Someone, closed: str) -> None:
    script = f"exec {NETVIZ} run -- sh -c 'echo x; echo y >&2; read z; exit 4' {closed}"
    assert someone.call("sh", "-c", script).returncode == 4
    assert someone.call("sh", "-c", f"exec {NETVIZ} run nonsense {closed}").returncode == 127


@pytest.mark.parametrize(
    ("program", "status", "why"),
    [
        ("no-such-program", 127, "No such file"),
        ("./no-such-file", 127, "No such file"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/etc", 126, "Permission denied"),
    ],
)
def test_program_that_cannot_be_run_is_named(
    someone: Someone, program: str, status: int, why: str
) -> None:
    done = someone.run(program)
    assert done.returncode == status
    assert done.stderr.startswith(f"netviz: cannot run '{program}': {why}")
    assert done.stderr.count("\n") == 1


def test_closed_folder_in_path_hides_no_missing_program(someone: Someone) -> None:
    closed = someone.home / "closed"
    closed.mkdir(mode=0)
    path = f"{closed}:{os.environ['PATH']}"
    assert someone.run("no-such-program", env={"PATH": path}).returncode == 127


def test_arguments_pass_as_they_are(someone: Someone) -> None:
    arguments = ["--help", "-x", "", "a b", "☃", "\udcff", "--", "*"]
    printed = someone.python("import sys; print(sys.argv[1:])", *arguments)
    assert printed.strip() == repr(arguments)


def test_many_arguments_pass(someone: Someone) -> None:
    assert someone.run("sh", "-c", "echo $#", "sh", *["x" * 100] * 9000).stdout == "9000\n"


def test_orphans_are_buried(someone: Someone) -> None:
    someone.sh("""for n in $(seq 20); do (true & true &) & done; wait
    while grep -l 'State:.Z' /proc/[0-9]*/status; do :; done""")


def test_end_of_the_program_ends_what_it_left_behind(someone: Someone) -> None:
    done = someone.run("sh", "-c", "setsid sleep 1000 & sleep 1000 & echo done")
    assert done.stdout == "done\n"  # The sleepers held the pipe open till they were gone.


def test_few_descriptors_are_enough(someone: Someone) -> None:
    limit = f"ulimit -n 24; exec {NETVIZ} run -- sh -c 'ulimit -n'"
    assert someone.call("sh", "-c", limit).stdout == "24\n"


def test_no_descriptor_is_left_open(someone: Someone) -> None:
    assert someone.run("sh", "-c", "ls /proc/self/fd").stdout.split() == ["0", "1", "2", "3"]


def test_user_who_may_start_no_more_processes_is_told(someone: Someone) -> None:
    done = someone.call("bash", "-c", f"ulimit -u 1; exec {NETVIZ} run true")
    assert done.returncode in (0, 2)  # The limit does not bind root.
    assert "Traceback" not in done.stderr
    assert bool(done.returncode) == ("Resource temporarily unavailable" in done.stderr)
