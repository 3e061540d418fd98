"""The doctor tries everything for real, says what a lack costs, and leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from labs import component
from rich.console import Console

from netviz.errors import SandboxError
from netviz.lab import commands as cell
from netviz.lab import components, linux
from netviz.lab.choosing import that_kernel, this_kernel
from netviz.lab.doctor import Report
from netviz.lab.limits import limits
from netviz.lab.probes import OF_KERNEL, PROBES, USER_NAMESPACES, Finding
from netviz.lab.refusals import COMMAND

pytestmark = pytest.mark.outside

DIRECTLY = [sys.executable, "-P", "-c", "from netviz.cli import main; main()"]
# Else it boots another kernel, where there is one, for all that this one lacks.
NETVIZ = ["env", "NETVIZ_KERNEL=sandbox", *DIRECTLY]
IN_A_LAB = [*NETVIZ, "run", "--"]
AS_ROOT = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
GROUPS = ("link kinds", "tun and tap", "queues", "filters")
REFUSING = "echo 0 > /proc/sys/user/max_user_namespaces"
# No fetched programs: a lab would lay them over the machine's.
NOTHING_FETCHED = {**os.environ, "XDG_CACHE_HOME": "/nowhere"}


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options
    )


def report(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.stderr == ""
    return json.loads(done.stdout)


def on_a_machine(change: str, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run netviz where root of a user namespace has changed something first."""
    return run(*AS_ROOT, f'{change} && exec "$@"', "sh", *NETVIZ, *words, **options)


def finding(found: dict, group: str, name: str) -> dict:
    (wanted,) = [
        each for each in found["findings"] if (each["group"], each["name"]) == (group, name)
    ]
    return wanted


def shown(of: Report, width: int = 100, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, **options)
    console.print(of)
    return console.file.getvalue()


def all_well() -> Report:
    fine = [Finding(probe, True, "1.2.3") for probe in (USER_NAMESPACES, *PROBES)]
    measured = [replace(each, works=True) for each in limits()]
    return Report("Linux", False, None, (*fine, *measured))


def lacking(*names: str) -> Report:
    well = all_well()
    found = [
        replace(each, works=False, detail="Unknown device type")
        if each.probe.name in names
        else each
        for each in well.findings
    ]
    return replace(well, findings=tuple(found))


@pytest.fixture(scope="module")
def outside() -> dict:
    return report(run(*NETVIZ, "doctor", "--json"))


@pytest.fixture(scope="module")
def in_a_lab() -> dict:
    return report(run(*IN_A_LAB, *NETVIZ, "doctor", "--json"))


def test_keys_are_the_ones_that_are_documented(outside: dict) -> None:
    told = ["ready", "inside", "machine", "refusal", "kernel", "other", "findings"]
    assert list(outside) == told
    keys = {tuple(each) for each in outside["findings"]}
    assert keys == {
        ("group", "name", "command", "cost", "remedy", "needed", "works", "detail", "own"),
    }
    assert all(f'"{key}"' in Report.to_dict.__doc__ for key in (*outside, *keys.pop()))


def test_status_is_0_where_every_lesson_can_run(outside: dict) -> None:
    needed = [each["works"] for each in outside["findings"] if each["needed"]]
    assert outside["ready"] == all(needed)
    assert run(*NETVIZ, "doctor").returncode == (0 if outside["ready"] else 1)


def test_lab_starts_and_makes_what_the_lessons_make(outside: dict) -> None:
    names = ("user namespaces", "ip netns add")
    assert all(finding(outside, "lab", name)["works"] for name in names)
    assert all(finding(outside, "link kinds", kind)["works"] for kind in ("veth", "bridge"))


@pytest.mark.outside(only=True)
def test_in_a_lab_it_finds_the_same_and_says_where_it_is(outside: dict, in_a_lab: dict) -> None:
    assert (outside["inside"], in_a_lab["inside"]) == (False, True)
    worked = [
        [(each["name"], each["works"]) for each in found["findings"] if each["group"] in GROUPS]
        for found in (outside, in_a_lab)
    ]
    assert worked[0] == worked[1]


def test_command_typed_by_hand_ends_as_the_report_says(in_a_lab: dict) -> None:
    tried = [each for each in in_a_lab["findings"] if each["group"] in GROUPS]
    script = "".join(f"{each['command']} >&2; echo $?\n" for each in tried)
    statuses = run(*IN_A_LAB, "sh", "-c", script).stdout.split()
    assert [status == "0" for status in statuses] == [bool(each["works"]) for each in tried]


def test_refusal_of_the_kernel_is_told_as_it_was_said(in_a_lab: dict) -> None:
    lacks = [each for each in in_a_lab["findings"] if each["works"] is False]
    assert all(each["detail"] and each["cost"] and each["remedy"] for each in lacks)


def test_process_with_threads_may_ask_too() -> None:
    ask = "from netviz.lab.doctor import examine; print(examine().refusal)"
    idle = "import threading as t; t.Thread(target=t.Event().wait, daemon=True).start()"
    python = [*NETVIZ[:2], sys.executable, "-P", "-c"]
    assert run(*python, f"{idle}; {ask}").stdout == "None\n"


@pytest.mark.parametrize("place", [[], IN_A_LAB], ids=["on the machine", "in a lab"])
def test_networks_are_as_before(place: list[str]) -> None:
    look = "ip -o link; ip netns list; cat /proc/sys/net/ipv4/ip_forward"
    script = f'{look}; "$@" > /dev/null; echo; {look}'
    seen = run(*place, "sh", "-c", script, "sh", *NETVIZ, "doctor").stdout
    before, after = seen.split("\n\n")
    assert before.strip() == after.strip() != ""


def test_program_that_cannot_be_run_is_a_lack() -> None:
    hide = "mount --bind /dev/null $(command -v lsns)"
    done = on_a_machine(hide, "doctor", "--json", env=NOTHING_FETCHED)
    lack = finding(report(done), "programs", "lsns")
    assert (done.returncode, lack["works"]) == (1, False)
    assert lack["cost"] == "lesson 01, What does a namespace isolate?"
    assert lack["remedy"] == "sudo apt install util-linux"


def test_for_want_of_a_program_the_kernel_is_not_blamed() -> None:
    # To an ordinary user of Debian, what lies in sbin is not on the path.
    hide = "mount --bind /dev/null $(PATH=$PATH:/usr/sbin:/sbin command -v tc)"
    found = report(on_a_machine(hide, "doctor", "--json", env=NOTHING_FETCHED))
    tbf = finding(found, "queues", "tbf")
    assert (tbf["works"], tbf["detail"]) == (None, "'tc': Permission denied")


def test_device_that_is_no_tun_is_a_lack() -> None:
    if not Path("/dev/net/tun").exists():
        pytest.skip("this machine has no /dev/net/tun to hide")
    found = report(on_a_machine("mount --bind /dev/null /dev/net/tun", "doctor", "--json"))
    tap = finding(found, "tun and tap", "tap")
    assert tap["works"] is False
    assert "sudo modprobe tun" in tap["remedy"]


def test_setting_that_a_container_froze_is_a_lack() -> None:
    freeze = "mount --rbind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"
    sysctl = finding(report(on_a_machine(freeze, "doctor", "--json")), "lab", "sysctl")
    assert sysctl["works"] is False
    assert "Read-only file system" in sysctl["detail"]
    assert "systempaths=unconfined" in sysctl["remedy"]


@pytest.mark.outside(only=True)
def test_where_no_lab_can_start_the_words_are_those_of_the_error() -> None:
    done = on_a_machine(REFUSING, "doctor", "--json")
    found = report(done)
    assert (done.returncode, found["ready"]) == (1, False)
    assert f"netviz: {found['refusal']}\n" == on_a_machine(REFUSING, "run", "--", "true").stderr
    lack = finding(found, "lab", "user namespaces")
    assert found["refusal"] == f"{lack['detail']} (like: {COMMAND}); {lack['remedy']}"


@pytest.mark.outside(only=True)
def test_where_no_lab_can_start_the_rest_is_still_told() -> None:
    found = report(on_a_machine(REFUSING, "doctor", "--json"))
    assert finding(found, "programs", "ip")["works"]
    assert finding(found, "limits", "memory")["detail"].endswith("available")
    assert finding(found, "link kinds", "veth")["works"] is None


def test_piped_it_is_plain_and_fits_a_notebook() -> None:
    text = run(*NETVIZ, "doctor").stdout
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_in_a_cell_it_has_colours_and_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-color")
    cell.run(shlex.join([*IN_A_LAB, *NETVIZ, "doctor"]))
    text = capsys.readouterr().out
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert plain != text
    assert "✓ " in plain
    assert max(map(len, plain.splitlines())) <= 100


def test_where_all_is_well_it_is_short() -> None:
    lines = shown(all_well()).splitlines()
    assert len(lines) <= 45
    assert lines[-1] == "✓ Every lesson can run here."
    assert not re.search("[✗\N{EN DASH}]", "".join(lines))


def test_each_lack_is_explained_with_its_remedy() -> None:
    text = shown(lacking("vlan", "ping"))
    assert "tagged frames cannot be shown" in text
    assert "a kernel with CONFIG_VLAN_8021Q" in text
    assert "ip link add vlan1 link veth0 type vlan id 10: Unknown device type" in text
    assert "lesson 00, What is this lab, and is it safe?" in text
    assert "sudo apt install iputils-ping" in text


def test_what_no_lesson_needs_has_another_mark_and_hinders_nobody() -> None:
    optional, needed = lacking("vlan"), lacking("veth")
    assert (optional.ready, needed.ready) == (True, False)
    assert re.search("^\N{EN DASH}   vlan ", shown(optional), re.MULTILINE)
    assert re.search("^✗   veth ", shown(needed), re.MULTILINE)
    assert "✗ Not every lesson can run here: veth lacking." in shown(needed)


def test_remedy_for_the_machine_is_not_to_be_typed_in_a_lab() -> None:
    line = "This is a lab. Remedies are for the machine, outside of it."
    assert line in shown(replace(all_well(), inside=True))
    assert line not in shown(all_well())


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_columns_stay_columns_at_any_width(width: int) -> None:
    lines = shown(lacking("vlan", "ping", "geneve"), width).splitlines()
    label = re.compile(r"[✓✗\N{EN DASH}] [ \S]{17} \S")
    body = lines[lines.index("") + 1 : -1 - lines[::-1].index("")]
    assert all(label.match(line) or line.startswith(" " * 20) for line in body)


def test_what_another_kernel_has_is_told_in_a_line_and_hinders_nobody() -> None:
    found = tuple(
        replace(each, own=each.probe.name != "vlan") if each.works is False else each
        for each in lacking("vlan", "ipip", "bridge").findings
    )
    elsewhere = replace(all_well(), findings=found)
    assert elsewhere.ready
    text = shown(elsewhere)
    assert "on a kernel of its own: bridge, ipip\n" in text
    assert re.findall(r"^\S   (\w+)", text, re.MULTILINE) == ["vlan"]
    assert "✓ Every lesson can run here." in text


def test_where_no_lab_can_start_another_kernel_is_enough() -> None:
    error = SandboxError("cannot start a lab: it rains", remedy="run: sudo sysctl -w sun=1")
    first = Finding(replace(USER_NAMESPACES, remedy=error.remedy), False, error.what, True)
    rest = [Finding(each, None, "no lab can start", True) for each in OF_KERNEL.values()]
    elsewhere = replace(all_well(), refusal=error, findings=(first, *rest))
    assert elsewhere.ready
    text = " ".join(shown(elsewhere).split())
    assert "run: sudo sysctl -w sun=1" in text
    assert "not tried" not in text
    assert "✓ Every lesson can run here, on a kernel of its own." in text


@pytest.mark.long
@pytest.mark.outside(only=True)
def test_other_kernel_is_booted_to_see_what_it_has() -> None:
    component("own-kernel")
    command = [*AS_ROOT, f'{REFUSING} && exec "$@"', "sh", *DIRECTLY, "doctor", "--json"]
    found = report(run(*command))
    assert found["kernel"] == this_kernel()
    assert found["other"].startswith(that_kernel(linux.own()))
    names = ("user namespaces", "ip netns add", "own /proc")
    assert all(finding(found, "lab", name)["own"] for name in names)
    kinds = ("veth", "bridge", "vlan", "ipip", "ipvlan")
    assert all(finding(found, "link kinds", kind)["own"] for kind in kinds)
    needed = [each for each in found["findings"] if each["needed"]]
    assert found["ready"] == all(each["works"] or each["own"] for each in needed)


@pytest.mark.own_kernel
def test_on_a_kernel_of_its_own_no_remedy_is_for_the_machines(outside: dict) -> None:
    assert outside["kernel"].startswith(this_kernel())
    assert outside["kernel"].endswith(" of this lab's own, on User-Mode Linux")
    asked = [each for each in outside["findings"] if each["group"] in GROUPS]
    remedies = {each["remedy"] for each in asked if not each["works"]}
    assert remedies <= {"a kernel built for it: netviz components build own-kernel"}


def test_terminal_without_these_signs_gets_others() -> None:
    ascii_only = Console(file=io.TextIOWrapper(io.BytesIO(), "ascii"), width=100)
    ascii_only.print(lacking("vlan", "veth"))
    ascii_only.file.seek(0)
    marks = {line[0] for line in ascii_only.file.read().splitlines() if line[1:2] == " "}
    assert marks >= {"+", "x", "-"}


def test_refusal_is_shown_with_cause_and_remedy() -> None:
    error = SandboxError("cannot start a lab: it rains", remedy="run: sudo sysctl -w sun=1")
    lack = Finding(replace(USER_NAMESPACES, remedy=error.remedy), False, error.what)
    text = " ".join(shown(replace(all_well(), refusal=error, findings=(lack,))).split())
    assert "run: sudo sysctl -w sun=1" in text
    assert "cannot start a lab: it rains" in text
    assert "No lesson can run here, because no lab can start." in text


def test_every_program_that_is_installed_is_looked_for() -> None:
    remedies = {each.name: each.remedy for each in PROBES if each.group == "programs"}
    wanted = {program: f"sudo apt install {name}" for name, program in components.wanted().items()}
    assert remedies | wanted == remedies
