"""The kernel in the lab is an ipykernel in every respect, and its machine is the lab."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client import KernelManager
from kernels import DEADLINE, Notebook, all_end, notebook, processes_of

FOREVER = "print('on', flush=True)\nwhile True: pass"


def test_cell_runs_as_root_of_the_lab_with_its_loopback_only(lab: Notebook) -> None:
    assert lab.run("!id -un; hostname; ip -brief link | cut -d' ' -f1").text == "root\nlab\nlo\n"


def test_working_folder_is_the_notebook_s_own(own_lab: Notebook, tmp_path: Path) -> None:
    own_lab.run("open('mine', 'w').write('kept')")
    assert (tmp_path / "mine").read_text() == "kept"


def test_every_way_to_run_a_command_sees_the_same_network(lab: Notebook) -> None:
    lab.run("!ip netns add net1")
    assert lab.run("%%bash\nip netns list").text == "net1\n"
    assert lab.run("from pyroute2 import netns\nnetns.listnetns()").value == "['net1']"
    assert lab.run("names = !ip netns list\nnames").value == "['net1']"
    assert lab.run("!ip netns del net1").status == "ok"


def test_pyroute2_talks_to_the_lab_s_kernel(lab: Notebook) -> None:
    code = """from pyroute2 import AsyncIPRoute
async with AsyncIPRoute() as ip:
    names = [link.get('ifname') async for link in await ip.get_links()]
names"""
    assert lab.run(code).value == "['lo']"


def test_interrupt_stops_python(lab: Notebook) -> None:
    cell = lab.interrupted(FOREVER)
    assert cell.status == "error"
    assert "KeyboardInterrupt" in cell.error
    assert lab.run("1 + 1").value == "2"


def test_interrupt_message_stops_python(lab: Notebook) -> None:
    ask = lambda _: lab.ask_control("interrupt_request", {})  # noqa: E731
    assert "KeyboardInterrupt" in lab.run(FOREVER, on_output=ask).error


@pytest.mark.parametrize("now", [False, True])
def test_restart_gives_a_new_lab(own_lab: Notebook, now: bool) -> None:
    own_lab.run("!ip netns add net1\nkept = 1")
    with all_end(processes_of(own_lab.pid)):
        own_lab.manager.restart_kernel(now=now)
    own_lab.client.wait_for_ready(timeout=DEADLINE)
    assert own_lab.run("!ip netns list\n'kept' in globals()").value == "False"
    assert own_lab.run("!ip netns list").text == ""


def test_shutdown_leaves_no_process(own_lab: Notebook) -> None:
    own_lab.run("!setsid sleep 1000 &\n!sleep 1000 &")
    everyone = processes_of(own_lab.pid)
    assert len(everyone) >= 5
    with all_end(everyone):
        own_lab.client.shutdown()


@pytest.mark.parametrize(
    ("crash", "status"),
    [
        ("os._exit(3)", 3),
        ("os._exit(130)", 130),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.abort()", -signal.SIGABRT),
    ],
)
def test_crash_is_seen_at_once_as_what_it_was(own_lab: Notebook, crash: str, status: int) -> None:
    with all_end(processes_of(own_lab.pid)):
        own_lab.client.execute(f"import os; {crash}")
    assert own_lab.manager.provisioner.process.wait() == status
    assert not own_lab.manager.is_alive()


def test_kernel_dies_with_the_server_that_started_it(jupyter_home: Path) -> None:
    program = """from jupyter_client import KernelManager
manager = KernelManager(kernel_name="netviz")
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready()
print(manager.provisioner.process.pid, flush=True)
input()"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1) as server:
        everyone = processes_of(int(server.stdout.readline()))
        with all_end(everyone):
            server.kill()


def test_input_asks_the_notebook(lab: Notebook) -> None:
    assert lab.run("input('name? ')", answer="net1").value == "'net1'"


def test_widget_opens_its_comm(lab: Notebook) -> None:
    cell = lab.run("import ipywidgets\nipywidgets.IntSlider()")
    opened = [each["content"]["data"]["state"] for each in cell.of_type("comm_open")]
    assert "IntSliderModel" in [state["_model_name"] for state in opened]
    (shown,) = cell.of_type("display_data") or cell.of_type("execute_result")
    assert "application/vnd.jupyter.widget-view+json" in shown["content"]["data"]


def test_picture_is_shown(lab: Notebook) -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg"/>'
    cell = lab.run(f"from IPython.display import SVG\nSVG('{svg}')")
    (shown,) = cell.of_type("execute_result")
    assert shown["content"]["data"]["image/svg+xml"].startswith("<svg")


@pytest.mark.parametrize(
    "start", ["subprocess.Popen(['echo', 'child'])", "os.system('echo child')"]
)
def test_output_of_python_s_own_children_is_shown(lab: Notebook, start: str) -> None:
    sent = lab.client.execute(f"import os, subprocess\nchild = {start}")
    # It comes through a pipe, and may come after the cell has ended.
    while (heard := lab.client.get_iopub_msg(timeout=DEADLINE))["msg_type"] != "stream":
        pass
    assert heard["content"]["text"] == "child\n"
    lab.answer(sent, lab.client.get_shell_msg)


def test_thread_prints_into_its_cell(lab: Notebook) -> None:
    code = "import threading\nt = threading.Thread(target=print, args=['from a thread'])"
    assert lab.run(f"{code}\nt.start()\nt.join()").text == "from a thread\n"


def test_debugger_starts(lab: Notebook) -> None:
    wanted = {"type": "request", "seq": 1, "command": "initialize", "arguments": {"adapterID": ""}}
    assert lab.ask_control("debug_request", wanted)["success"]


def test_two_notebooks_do_not_see_each_other(lab: Notebook, own_lab: Notebook) -> None:
    own_lab.run("!ip netns add net1; ip link add br1 type bridge")
    assert lab.run("!ip netns list; ip -brief link | wc -l").text == "1\n"
    boot = "$(cat /proc/sys/kernel/random/boot_id)"  # Of two kernels the numbers may be the same.
    namespaces = f"%%bash\nstat -Lc {boot}-%i /proc/self/ns/{{net,mnt,pid,uts,ipc}}"
    assert not set(lab.run(namespaces).text.split()) & set(own_lab.run(namespaces).text.split())


def test_heartbeat_answers(lab: Notebook) -> None:
    assert lab.client.is_alive()
    assert lab.client.hb_channel.is_beating()


def test_sockets_in_the_file_system_work_as_well(jupyter_home: Path, tmp_path: Path) -> None:
    short = str(tmp_path / "k.json")  # The sockets' names are made from it, and must be short.
    with notebook(tmp_path, transport="ipc", connection_file=short) as other:
        assert other.run("!hostname").text == "lab\n"


@pytest.mark.skipif(
    not KernelManager.class_traits().get("transport_encryption"),
    reason="this jupyter_client cannot encrypt",
)
def test_encrypted_channels_work_as_well(jupyter_home: Path, tmp_path: Path) -> None:
    with notebook(tmp_path, transport_encryption="required") as other:
        assert other.run("!hostname").text == "lab\n"
        wanted = {"type": "request", "seq": 1, "command": "initialize", "arguments": {}}
        assert other.ask_control("debug_request", wanted)["success"]


def test_nbclient_executes_a_notebook(jupyter_home: Path, tmp_path: Path) -> None:
    lines = ("!ip netns add net1", "!ip netns list")
    cells = [nbformat.v4.new_code_cell(line) for line in lines]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path := tmp_path / "book.ipynb")
    execute = [str(Path(sys.executable).with_name("jupyter")), "execute", "--inplace"]
    subprocess.run([*execute, "--kernel_name=netviz", str(path)], check=True, capture_output=True)
    assert nbformat.read(path, as_version=4).cells[1].outputs[0].text == "net1\n"


def test_error_of_ours_is_told_in_two_lines(lab: Notebook) -> None:
    code = """from netviz.errors import NetvizError
def build():
    raise NetvizError("cannot add 'br1'", command="ip link add br1", remedy="delete it first")

build()"""
    cell = lab.run(code)
    assert cell.status == "error"
    assert cell.error == (
        "NetvizError: cannot add 'br1' (like: ip link add br1); delete it first\n"
        "Stopped at line 5 of the cell; %tb shows the whole way."
    )
    whole = lab.run("%tb")
    assert "build()" in whole.error
    assert "NetvizError" in whole.error


def test_any_other_error_is_told_as_ever(lab: Notebook) -> None:
    assert "----> 2" in lab.run("zero = 0\n1 / zero").error
