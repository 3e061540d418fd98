"""What ``binder/hub`` asks of a JupyterHub, and what its labs promise to one another.

``hub-values.schema.json`` is the chart's published schema as far as it is used: it says where from.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
from pathlib import Path

import pod
import pytest
import yaml
from jsonschema import Draft7Validator
from labs import NETVIZ, PATIENCE, PYTHON, Someone
from traitlets.config import Config

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
HUB = CHECKOUT / "binder/hub"
SCHEMA = Draft7Validator(json.loads((HERE / "hub-values.schema.json").read_text()))
# What tljh/configurer.py reads (the-littlest-jupyterhub, commit 3eeb028), of what is used.
TLJH = {
    "users": {"admin", "allowed", "banned", "extra_user_groups"},
    "limits": {"memory", "cpu"},
    "cull": {"enabled", "timeout", "every", "concurrency", "users", "max_age"},
}
# What systemd does for a student's unit, as the recipe has it: ProtectProc and NoNewPrivileges.
UNIT = """mount -t proc -o hidepid=invisible proc /proc
exec setpriv --reuid=$0 --regid=$0 --clear-groups --no-new-privs "$@"
"""
LOOK = f"{NETVIZ} attach --list | wc -l; {NETVIZ} run -- ps -eo comm=; ps -eo uid="


def _values(name: str) -> dict:
    return yaml.safe_load((HUB / name).read_text())


@pytest.mark.parametrize("name", ["values.yaml", "sandbox.yaml"])
def test_values_are_those_that_the_chart_knows(name: str) -> None:
    assert [error.message for error in SCHEMA.iter_errors(_values(name))] == []


def test_what_is_misspelt_is_none_of_them() -> None:
    assert not SCHEMA.is_valid({"singleuser": {"defaulturl": "/lab"}})
    assert not SCHEMA.is_valid({"singleuser": {"memory": {"limit": [2]}}})
    assert not SCHEMA.is_valid({"cull": {"max_age": 1}})


def test_config_of_tljh_is_what_it_reads() -> None:
    config = _values("tljh/config.yaml")
    sections = config | config.pop("services")
    assert sections.keys() == TLJH.keys()
    assert all(sections[name].keys() <= known for name, known in TLJH.items())


def test_both_recipes_start_what_is_there() -> None:
    config = Config()
    runpy.run_path(str(HUB / "tljh/netviz.py"), {"get_config": lambda: config})
    chart = _values("values.yaml")["singleuser"]
    for command in (config.Spawner.cmd, chart["cmd"]):
        assert (CHECKOUT / command[-1].split("/", 3)[3]).samefile(HUB / "server.py")
    for url in (config.Spawner.default_url, chart["defaultUrl"]):
        assert (CHECKOUT / "notebooks" / url.removeprefix("/lab/tree/")).is_file()
    # The spawner calls format() on each: a list, or a brace, would be an error.
    properties = config.SystemdSpawner.unit_extra_properties
    assert all(value.format() == value for value in properties.values())


def test_server_has_her_lessons_and_the_settings_of_netviz_lab(tmp_path: Path) -> None:
    (stands_for_the_hubs := tmp_path / "jupyterhub/singleuser.py").parent.mkdir()
    stands_for_the_hubs.write_text(
        "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['JUPYTER_CONFIG_PATH']]))"
    )
    (mine := tmp_path / "netviz-lessons/02-veth.ipynb").parent.mkdir()
    mine.write_text("mine")
    environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    command = [PYTHON, "-P", HUB / "server.py", "--ServerApp.port=1"]
    options, path = json.loads(subprocess.check_output(command, env=environment))
    assert mine.read_text() == "mine"
    assert (mine.parent / "00-start-here.ipynb").is_file()
    assert f"--ServerApp.root_dir={mine.parent}" in options
    assert options[-1] == "--ServerApp.port=1"
    assert any("'attach', '--wait'" in each for each in options)
    settings = json.loads(Path(path.split(":")[0], "jupyter_server_config.json").read_text())
    assert settings["KernelSpecManager"]["allowed_kernelspecs"] == ["netviz", "netviz-own"]


def test_lab_writes_to_a_volume_that_is_the_lessons_folder(tmp_path: Path) -> None:
    (volume := tmp_path / "netviz-lessons").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", volume], check=True)
    command = [NETVIZ, "run", "--", "sh", "-c", "touch ~/netviz-lessons/hers"]
    subprocess.run(command, env=os.environ | {"HOME": str(tmp_path)}, check=True)
    assert list(volume.iterdir()) == [volume / "hers"]


def test_pod_that_sandbox_yaml_opens_runs_a_lab() -> None:
    opened = ("--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined")
    script = "ip netns add net1; ip netns; sysctl -w net.ipv4.ip_forward=1; ps -eo comm="
    with pod.engine():
        done = pod.run("netviz", "run", "--", "sh", "-c", script, opened=opened)
    assert done.output == "net1\nnet.ipv4.ip_forward = 1\nnetviz\nsh\nps\n"


def _unit(student: int, *command: str) -> subprocess.Popen[str]:
    words = ["unshare", "--mount", "sh", "-ec", UNIT, str(student), *command]
    environment = {"HOME": "/", "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(words, stdin=-1, stdout=-1, text=True, cwd="/", env=environment)


@pytest.mark.outside(only=True)
def test_two_students_on_one_server_do_not_see_each_other(someone: Someone) -> None:
    if someone.uid is None:
        pytest.skip("only where the machine's root runs the tests")
    anna, bert = someone.uid, someone.uid - 1
    with _unit(anna, NETVIZ, "run", "--", "sh", "-c", "echo; read end") as lab:
        lab.stdout.readline()
        looks = [_unit(each, "sh", "-c", LOOK) for each in (anna, bert)]
        hers, his = (each.communicate(timeout=PATIENCE)[0].split() for each in looks)
        lab.communicate("\n", timeout=PATIENCE)
    assert (hers[0], len(hers) > len(his)) == ("1", True)
    assert his == ["0", "netviz", "ps", str(bert), str(bert)]
