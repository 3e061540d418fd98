"""``!command``: a terminal of its own, shown as it prints, ended as one expects."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from kernels import Notebook, all_end, processes_of


def test_exit_status_is_kept(lab: Notebook) -> None:
    assert lab.run("!exit 3\n_exit_code").value == "3"
    assert lab.run("!true\n_exit_code").value == "0"
    assert lab.run("!kill -TERM $$\n_exit_code").value == "-15"


def test_failed_command_does_not_end_the_cell(lab: Notebook) -> None:
    assert "not found" in lab.run("!no-such-command").text
    assert lab.run("_exit_code").value == "127"


def test_each_line_is_shown_when_it_is_printed(lab: Notebook, tmp_path: Path) -> None:
    os.mkfifo(go_on := tmp_path / "go on")
    ours = os.open(go_on, os.O_RDWR | os.O_CLOEXEC)  # Whoever has both ends waits for nobody.
    shown: list[str] = []

    def see(message: dict) -> None:
        shown.append(message["content"]["text"])
        if len(shown) < 3:
            os.write(ours, b"\n")

    # Each turn of the loop waits until its line was seen here.
    lab.run(f"!for i in 1 2 3; do echo $i; [ $i = 3 ] || read < '{go_on}'; done", on_output=see)
    os.close(ours)
    assert shown == ["1\n", "2\n", "3\n"]


def test_value_is_the_list_of_lines(lab: Notebook) -> None:
    assert lab.run("lines = !printf 'a\\nb\\n'\nlines").value == "['a', 'b']"


def test_variables_of_python_are_filled_in(lab: Notebook) -> None:
    lab.run("name, number = 'net1', 7")
    assert lab.run("!echo {name} $name {number + 1}").text == "net1 net1 8\n"
    assert lab.run("!echo $HOSTNAME").text == "lab\n"


def test_variables_of_a_function_are_filled_in(lab: Notebook) -> None:
    assert lab.run("def say(word):\n    !echo {word}\nsay('hello')").text == "hello\n"


def test_command_has_a_terminal_of_a_known_size(lab: Notebook) -> None:
    assert lab.run("!tty; stty size").text.splitlines() == ["/dev/pts/0", "40 100"]


def test_output_has_no_carriage_returns(lab: Notebook) -> None:
    assert lab.run("!echo one; echo two").text == "one\ntwo\n"


def test_letters_beyond_ascii_arrive_whole(lab: Notebook) -> None:
    assert lab.run("!echo 'Größe → 日本'").text == "Größe → 日本\n"
    assert lab.run("!printf '\\xff.'").text == "�."
    assert lab.run("!printf '\\xe2'; printf '\\x86\\x92'").text == "→"


def test_colours_reach_the_notebook(lab: Notebook) -> None:
    assert lab.run("!ip -color=always -brief link").text.startswith("\x1b[")


def test_long_output_arrives_whole(lab: Notebook) -> None:
    text = lab.run("!seq 200000").text
    assert text.count("\n") == 200000
    assert text.endswith("\n200000\n")


def test_errors_are_shown_in_their_place(lab: Notebook) -> None:
    assert lab.run("!echo one; echo two >&2; echo three").text == "one\ntwo\nthree\n"


def test_reader_of_the_terminal_gets_the_end_of_input(lab: Notebook) -> None:
    assert lab.run("!cat; read line; cat -; echo after").text == "after\n"


def test_interactive_program_ends_by_itself(lab: Notebook) -> None:
    assert "exit" in lab.run("!bash -i").text
    assert "Python" in lab.run("!python3").text


def test_background_command_runs_on_and_is_heard(lab: Notebook, tmp_path: Path) -> None:
    os.mkfifo(go_on := tmp_path / "go on")
    lab.run(f"!(read < '{go_on}'; echo late) &")
    go_on.write_text("\n")
    late = lab.client.get_iopub_msg(timeout=10)
    assert (late["msg_type"], late["content"]["text"]) == ("stream", "late\n")


def test_background_command_hears_no_interrupt(own_lab: Notebook) -> None:
    own_lab.run("!sleep 1000 &")
    own_lab.interrupted("!echo on; sleep 1000")
    assert own_lab.run("!pgrep -c sleep").text == "1\n"


def test_interrupt_ends_the_command_and_the_cell_goes_on(lab: Notebook) -> None:
    cell = lab.interrupted("!echo on; sleep 1000\n'and now', _exit_code")
    assert cell.value == "('and now', -2)"


def test_second_interrupt_kills_who_ignored_the_first(lab: Notebook) -> None:
    deaf = "!trap 'echo heard' INT; echo on; while :; do sleep 1000; done"
    assert lab.interrupted(deaf, times=2).text == "on\nheard\n"
    assert lab.run("_exit_code").value == "-9"


def test_command_s_children_end_with_the_kernel(own_lab: Notebook) -> None:
    own_lab.run("!sh -c 'trap \"\" HUP TERM INT; sleep 1000 & sleep 1000 & wait' &")
    with all_end(processes_of(own_lab.pid)):
        own_lab.manager.shutdown_kernel()


def test_no_descriptor_is_left_open(lab: Notebook) -> None:
    count = "import os\nlen(os.listdir('/proc/self/fd'))"
    before = int(lab.run(f"!true\n{count}").value)
    assert int(lab.run(f"for _ in range(20):\n    !true\n{count}").value) < before + 10


def test_more_open_files_than_select_can_watch(own_lab: Notebook) -> None:
    own_lab.run("import os, resource\nfiles = resource.RLIMIT_NOFILE")
    own_lab.run("resource.setrlimit(files, (resource.getrlimit(files)[1],) * 2)")
    own_lab.run("many = [os.open('/dev/null', os.O_RDONLY) for _ in range(1100)]")
    assert own_lab.run("!echo heard").text == "heard\n"


@pytest.mark.skipif(not shutil.which("ping"), reason="this machine has no ping")
def test_interrupted_ping_shows_its_statistics(lab: Notebook) -> None:
    cell = lab.interrupted("!ping -i 0.2 127.0.0.1", after="bytes from")
    assert "packets transmitted" in cell.text


def test_script_in_a_cell(lab: Notebook) -> None:
    assert lab.run("%%bash\nfor i in 1 2; do echo $i; done").text == "1\n2\n"
    assert "CalledProcessError" in lab.run("%%bash\nexit 3").error
    assert lab.run("%%bash --out said\necho kept").text == ""
    assert lab.run("said").value == "'kept\\n'"


def test_script_in_the_background(lab: Notebook) -> None:
    lab.run("%%bash --bg --proc script\nexit 4")
    # It ends in the loop of another thread: look until it has.
    wait = "import asyncio\nwhile script.returncode is None:\n    await asyncio.sleep(0.01)\n"
    assert lab.run(f"{wait}script.returncode").value == "4"
