"""``%%netns NAME``: a cell that runs inside a namespace, and is an ordinary cell there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kernels import Notebook


@pytest.fixture(autouse=True)
def _net1(lab: Notebook) -> Iterator[None]:
    lab.run("!ip netns add net1; ip -n net1 link set lo up; ip -n net1 link add br1 type bridge")
    yield
    lab.run("!ip -all netns del")


def links(lab: Notebook, code: str) -> list[str]:
    return [line.split()[0] for line in lab.run(code).text.splitlines()]


def test_cell_runs_inside_and_the_next_one_outside(lab: Notebook) -> None:
    assert links(lab, "%%netns net1\n!ip -brief link") == ["lo", "br1"]
    assert links(lab, "!ip -brief link") == ["lo"]


def test_last_value_is_shown(lab: Notebook) -> None:
    assert lab.run("%%netns net1\nimport socket\nlen(socket.if_nameindex())").value == "2"


def test_names_are_the_notebook_s_own(lab: Notebook) -> None:
    lab.run("%%netns net1\nimport socket\nserver = socket.create_server(('127.0.0.1', 8000))")
    assert lab.run("server.getsockname()[1]").value == "8000"
    assert lab.run("socket.create_server(('127.0.0.1', 8000)).close()").status == "ok"
    assert "in use" in lab.run("%%netns net1\nsocket.create_server(('127.0.0.1', 8000))").error
    lab.run("server.close()")


def test_script_runs_inside_and_the_next_one_outside(lab: Notebook) -> None:
    assert links(lab, "%%netns net1\n%%bash\nip -brief link") == ["lo", "br1"]
    assert links(lab, "%%bash\nip -brief link") == ["lo"]
    assert links(lab, "%%netns net1\n%%bash\nip -brief link") == ["lo", "br1"]


def test_first_script_of_a_notebook_may_run_inside(own_lab: Notebook) -> None:
    own_lab.run("!ip netns add net1; ip -n net1 link add br1 type bridge")
    assert links(own_lab, "%%netns net1\n%%bash\nip -brief link") == ["lo", "br1"]
    assert links(own_lab, "%%bash\nip -brief link") == ["lo"]


def test_value_of_a_command_comes_from_inside(lab: Notebook) -> None:
    code = "%%netns net1\nseen = !ls /sys/class/net; ip -o link\nlen(seen) >= 2, 'br1' in str(seen)"
    assert lab.run(code).value == "(True, True)"


def test_thread_started_inside_stays_inside(lab: Notebook) -> None:
    lab.run(
        "%%netns net1\nimport socket, threading\nseen, go = [], threading.Event()\n"
        "def look():\n    go.wait()\n    seen.append(len(socket.if_nameindex()))\n"
        "thread = threading.Thread(target=look)\nthread.start()"
    )
    assert lab.run("go.set(); thread.join()\nseen").value == "[2]"


def test_awaiting_cell_runs_inside(lab: Notebook) -> None:
    code = (
        "%%netns net1\nimport asyncio, socket\nawait asyncio.sleep(0)\nlen(socket.if_nameindex())"
    )
    assert lab.run(code).value == "2"
    assert lab.run("len(socket.if_nameindex())").value == "1"


def test_name_may_come_from_a_variable(lab: Notebook) -> None:
    lab.run("name = 'net1'")
    assert links(lab, "%%netns {name}\n!ip -brief link") == ["lo", "br1"]


def test_line_magic_takes_the_rest_of_the_cell(lab: Notebook) -> None:
    code = "!ip -brief link\n%netns net1\n!ip -brief link"
    assert links(lab, code) == ["lo", "lo", "br1"]


def test_two_steps_in_one_cell_lead_back_out(lab: Notebook) -> None:
    lab.run("!ip netns add net2\nhome = !stat -Lc %i /proc/thread-self/ns/net")
    lab.run("%%netns net1\n%netns net2")
    assert lab.run("now = !stat -Lc %i /proc/thread-self/ns/net\nnow == home").value == "True"


def test_error_names_the_right_line_and_leads_back_out(lab: Notebook) -> None:
    cell = lab.run("%%netns net1\nzero = 0\n\n1 / zero\n")
    assert "----> 4 1 / zero" in cell.error
    assert "magics.py" not in cell.error
    assert links(lab, "!ip -brief link") == ["lo"]


def test_syntax_error_names_the_right_line(lab: Notebook) -> None:
    cell = lab.run("%%netns net1\nx = 1\nx = = 2\n")
    assert "line 3" in cell.error
    assert "SyntaxError" in cell.error


def test_interrupt_leads_back_out(lab: Notebook) -> None:
    cell = lab.interrupted("%%netns net1\nprint('on', flush=True)\nwhile True: pass")
    assert "KeyboardInterrupt" in cell.error
    assert links(lab, "!ip -brief link") == ["lo"]


def test_unknown_namespace_is_refused_and_the_cell_does_not_run(lab: Notebook) -> None:
    cell = lab.run("%%netns net9\nran = True")
    assert cell.error.startswith("DiscoveryError: cannot find namespace 'net9'")
    assert "create it first: ip netns add net9" in cell.error
    assert lab.run("'ran' in globals()").value == "False"


@pytest.mark.parametrize("name", ["", "..", "../../proc/1/ns/net", "/proc/1/ns/net"])
def test_what_is_no_name_is_refused(lab: Notebook, name: str) -> None:
    assert lab.run(f"%%netns {name}\n1").error.startswith("DiscoveryError")


def test_deleted_namespace_is_not_kept_alive(lab: Notebook) -> None:
    lab.run("!ip link add veth0 type veth peer name veth1 netns net1")
    lab.run("%%netns net1\n%%bash\nip link")
    lab.run("%%netns net1\nx = 1")
    gone = "!ip netns del net1; while ip link show veth0 > /dev/null 2>&1; do :; done; echo gone"
    assert lab.run(gone).text == "gone\n"


def test_help_and_completion_know_it(lab: Notebook) -> None:
    reply = lab.answer(lab.client.complete("%%net", 5), lab.client.get_shell_msg)
    assert "%%netns" in reply["matches"]


def test_python_that_looks_like_it_is_left_alone(lab: Notebook) -> None:
    assert lab.run("'''\n%%netns net1\n'''").value == "'\\n%%netns net1\\n'"
