"""The virtual machine, as `make vm-run` starts it: a lesson by its API, and by a browser."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import pytest
from browser.conftest import browsing, run_cell
from remote import Server, lesson, lesson_holds, opened
from running import run

from netviz.lab.lessons import published
from netviz.lab.resources import notebooks

pytestmark = [pytest.mark.vm, pytest.mark.outside(only=True)]
RUN = Path(__file__).parents[2] / "binder/vm/run.py"
PATIENCE = 180
"""Seconds to boot, on one busy processor without KVM; it only bounds a failing test."""
CLOCK = 20  # Seconds; the state is older, and its clock stood still.
UEFI = Path("/usr/share/ovmf/OVMF.fd")


@dataclass
class Started:
    """A virtual machine that runs: what was told until it was ready, and its JupyterLab."""

    told: str
    url: str

    @property
    def server(self) -> Server:
        place = urlsplit(self.url)
        return Server(f"http://{place.netloc}", parse_qs(place.query)["token"][0])


def command(image: Path, *options: str) -> list[str]:
    words = [sys.executable, "-u", str(RUN), str(image), "--port", "0", *options]
    return [*words, "--patience", str(PATIENCE)]


@contextmanager
def started(image: Path, *options: str) -> Iterator[Started]:
    """Start it, and end it as a user does, with Ctrl-C."""
    words = command(image, *options)
    with subprocess.Popen(words, stdout=-1, stderr=subprocess.STDOUT, text=True) as process:
        told = ""
        try:
            while not (url := re.search(r"http://127\.0\.0\.1:\d+\S+", told)):
                line = process.stdout.readline()
                assert line, f"it has ended: {told}"
                told += line
            yield Started(told, url[0])
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=PATIENCE)[0]
        assert (process.returncode, rest) == (0, "")


@pytest.fixture(scope="module")
def image(built_vm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the disk, in a folder in which no state and no disk of one's own is yet."""
    linked = tmp_path_factory.mktemp("vm") / "netviz.qcow2"
    linked.symlink_to(built_vm / linked.name)
    return linked


@pytest.fixture(scope="module")
def first(image: Path) -> Iterator[Started]:
    with started(image, "--save") as running:
        yield running


def test_checksum_is_that_of_the_disk(built_vm: Path) -> None:
    told, name = (built_vm / "netviz.qcow2.sha256").read_text().split()
    with (built_vm / name).open("rb") as disk:
        assert hashlib.file_digest(disk, "sha256").hexdigest() == told


def test_its_kernel_has_all_that_a_lesson_needs(first: Started) -> None:
    with opened(first.server, "01-namespaces.ipynb") as notebook:
        told = notebook.run("!netviz doctor").text
    assert "✓" in told
    assert "✗" not in told, told


def test_lesson_holds_in_it_and_is_in_a_sandbox(first: Started) -> None:
    assert "Booting" in first.told
    assert "of this machine (it has all that this lesson needs)" in lesson_holds(first.server, "02")


def test_browser_opens_its_page_and_the_kernel_answers(first: Started) -> None:
    with browsing() as visit:
        visit.page.set_default_timeout(PATIENCE * 1000)
        visit.page.goto(first.url)  # It leads to lesson 00.
        visit.page.get_by_role("button", name="netviz lab | Idle").wait_for()
        shown = run_cell(visit.page.locator(".jp-CodeCell", has_text="!hostname").first)
        visit.shoot("lesson-in-the-vm")
    assert [line.split()[0] for line in shown.splitlines()] == ["root", "lab", "lo"]
    assert visit.errors == []


def test_who_has_no_token_is_let_in_nowhere(first: Started) -> None:
    with pytest.raises(HTTPError, match="403"):
        Server(first.server.root, "guessed").ask("/api/contents/")


def test_token_is_in_no_command_line(first: Started) -> None:
    token = parse_qs(urlsplit(first.url).query)["token"][0]
    lines = subprocess.check_output(["ps", "-eo", "args="], text=True).splitlines()
    assert any("qemu" in line for line in lines)
    assert not any(token in line for line in lines)


@pytest.fixture
def saved(image: Path, first: Started, tmp_path: Path) -> Path:
    """Return the disk in another folder, with its saved state and no disk of one's own."""
    assert "Saved its state" in first.told
    for name in ("netviz.qcow2", "netviz.state", "netviz.json"):
        (tmp_path / name).symlink_to(image.with_name(name))
    return tmp_path / image.name


def test_it_goes_on_from_its_saved_state_and_keeps_what_was_written(saved: Path) -> None:
    note = {"type": "file", "format": "text", "content": "mine"}
    with started(saved) as second:
        assert "Going on from the saved state" in second.told
        names = {each["name"] for each in second.server.ask("/api/contents/")["content"]}
        assert {path.name for path in notebooks().glob("*.ipynb")} <= names
        second.server.ask("/api/contents/note.txt", note, method="PUT")
    with started(saved) as third:
        assert third.server.ask("/api/contents/note.txt")["content"] == "mine"
        with opened(third.server, "02-veth.ipynb") as lesson:
            told = lesson.run("import time; print(time.time())").text
    assert abs(float(told) - time.time()) < CLOCK


def test_disk_with_anything_on_it_is_left_alone(saved: Path) -> None:
    disk, raw = saved.with_name("netviz-own.qcow2"), saved.with_name("raw")
    with raw.open("wb") as out:
        out.truncate(64 << 20)
        out.seek(32 << 20)
        out.write(written := b"of somebody's own" * 100)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, disk], check=True)
    done = subprocess.run(command(saved), capture_output=True, text=True)
    assert done.returncode == 1
    assert "is neither blank nor labelled netviz, and stays as it is" in done.stderr
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
    assert raw.read_bytes().strip(b"\0") == written


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_nothing_is_left_of_a_start_that_is_interrupted(saved: Path, number: int) -> None:
    with subprocess.Popen(command(saved, "--boot"), stdout=-1, text=True) as process:
        assert "Booting" in process.stdout.readline()
        time.sleep(1)
        process.send_signal(number)
    lines = subprocess.check_output(["ps", "-eo", "args="], text=True)
    assert str(saved) not in lines


@pytest.mark.long
def test_it_boots_by_uefi(image: Path) -> None:
    if not UEFI.exists():
        pytest.skip("this machine has no UEFI for virtual machines")
    with started(image, "--uefi", str(UEFI), "--forget", "--boot") as running:
        assert running.server.wait_until_it_answers()["kernels"] == 0


# Where another processor may run what one rewrites, as under TCG, this has stopped both.
PATCHES = r"""
import subprocess, time
subprocess.run("ip link add dummy0 type dummy; ip link set lo up", shell=True)
flood = subprocess.Popen("ping -q -f -w 60 127.0.0.1 >/dev/null", shell=True)
while flood.poll() is None:
    lines = "qdisc add dev dummy0 ingress\nqdisc del dev dummy0 ingress\n" * 50
    subprocess.run(["/sbin/tc", "-batch", "-"], input=lines, text=True, check=True)
print("stands")
"""


@pytest.mark.long
def test_it_stands_while_its_kernel_rewrites_itself(first: Started) -> None:
    with opened(first.server, "01-namespaces.ipynb") as notebook:
        assert notebook.run(PATCHES).text == "stands\n"


@pytest.mark.long
@pytest.mark.parametrize("number", [path.stem[:2] for path in published(notebooks())])
def test_every_lesson_runs_in_it(number: str, first: Started) -> None:
    with opened(first.server, lesson(number).path.name) as notebook:
        run(notebook, number, other="")  # What its script builds is asked elsewhere.
