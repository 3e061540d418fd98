"""Fetching for real, into a cache of the test's own; apt may be slow, so one fetch serves many."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import netviz
from netviz.errors import ComponentError
from netviz.lab import components

pytestmark = pytest.mark.outside(only=True)  # A lab has no network to fetch from.

CHECKOUT = Path(netviz.__file__).parent.parent
RUN_IN_A_LAB = """
import sys
from pathlib import Path
from netviz.lab.sandbox import Supervision, run
run(sys.argv[2:], Supervision(tools=Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Let the whole file use one cache, so that the archive's lists are read once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "netviz"


@pytest.fixture(scope="module")
def unpacked(cache):
    """Return a tree with packages that show what installing would have done besides."""
    target = cache / "tools"
    try:
        components.unpack(["ethtool", "iptables", "toilet"], target)
    except ComponentError as error:
        pytest.skip(f"no packages can be fetched here: {error}")
    return target


@pytest.fixture
def listed(cache, tmp_path, monkeypatch):
    """Return a function that makes the list of packages say something else."""

    def use(text):
        (tmp_path / "apt.txt").write_text(text)
        monkeypatch.setattr(components, "apt_list", lambda: tmp_path / "apt.txt")

    return use


def in_a_lab(tree, *command):
    lab = [sys.executable, "-c", RUN_IN_A_LAB, str(tree), *command]
    return subprocess.run(lab, capture_output=True, text=True)


def test_every_line_of_the_list_names_a_package_and_a_program():
    for package, program in components.wanted().items():
        assert re.fullmatch(r"[a-z0-9.+-]+", package), package
        assert re.fullmatch(r"[a-z]+", program), package


def test_nothing_is_missing_where_every_program_is_there(listed):
    listed("# shells\n\nbash  # sh\n")
    assert components.missing() == []
    assert components.tree() is None
    assert components.fetch() is None


def test_program_that_is_nowhere_is_missing_and_has_no_tree_yet(listed):
    listed("bash  # bash\nnothing  # no-such-program\n")
    assert components.missing() == ["nothing"]
    assert components.tree() is None


def test_programs_run_in_a_lab_with_the_libraries_that_they_need(unpacked):
    shown = in_a_lab(unpacked, "toilet", "--gay", "--irc", "hello")
    assert (shown.returncode, shown.stderr) == (0, "")


def test_dependencies_come_along(unpacked):
    assert (unpacked / "usr/share/figlet/mono12.tlf").is_file()  # Of the package toilet-fonts.


def test_programs_of_sbin_are_found_in_usr(unpacked):
    assert os.access(unpacked / "usr/sbin/ethtool", os.X_OK)
    assert [folder.name for folder in unpacked.iterdir()] == ["usr"]


def test_alternatives_are_linked_though_nothing_was_installed(unpacked):
    assert (unpacked / "usr/sbin/iptables-restore").exists()
    assert "nf_tables" in in_a_lab(unpacked, "iptables", "--version").stdout


def test_no_program_carries_its_owners_rights_to_others(unpacked):
    files = (path for path in unpacked.rglob("*") if not path.is_symlink())
    assert [path for path in files if path.stat().st_mode & 0o6000] == []


def test_fetched_tree_is_found_again_without_starting_a_process(listed, unpacked, monkeypatch):
    listed("bash  # bash\nfiglet  # figlet-figlet\n")
    made = components.fetch()
    monkeypatch.setenv("PATH", "")
    assert made == components.tree() == components.fetch()
    assert (made / "usr/bin/figlet-figlet").exists()


def test_another_list_needs_another_tree(listed, unpacked):
    listed("figlet  # figlet-figlet\n")
    made = components.fetch()
    listed("figlet  # figlet-figlet\ntoilet  # no-such-program\n")
    assert components.tree() is None
    assert made.is_dir()


def test_failed_fetch_leaves_nothing_and_says_what_to_type(cache, unpacked):
    with pytest.raises(ComponentError) as caught:
        components.unpack(["figlet", "no-such-package"], cache / "new")
    assert "'figlet', 'no-such-package': Unable to locate package" in str(caught.value)
    assert str(caught.value).endswith(
        "run: sudo apt-get install -y --no-install-recommends figlet no-such-package"
    )
    assert not (cache / "new").exists()
    assert list(cache.glob("fetching-*")) == []


def test_failed_fetch_keeps_the_tree_that_was_there(unpacked):
    with pytest.raises(ComponentError):
        components.unpack(["no-such-package"], unpacked)
    assert (unpacked / "usr/sbin/ethtool").exists()


def test_what_a_killed_fetch_left_is_cleared_by_the_next(cache, unpacked):
    (cache / "fetching-killed" / "root").mkdir(parents=True)
    components.unpack(["figlet"], cache / "figlet")
    assert list(cache.glob("fetching-*")) == []


def test_two_fetches_at_once_do_not_disturb_each_other(cache, unpacked):
    code = "import sys; from pathlib import Path; from netviz.lab.components import unpack\n"
    code += "unpack(['figlet'], Path(sys.argv[1]))"
    both = [subprocess.Popen([sys.executable, "-c", code, str(cache / "same")]) for _ in range(2)]
    assert [each.wait() for each in both] == [0, 0]
    assert (cache / "same/usr/bin/figlet-figlet").exists()


def test_machine_without_apt_is_told_what_is_missing(listed, monkeypatch):
    listed("bash  # bash\nfiglet  # no-such-program\n")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ComponentError, match="'figlet': this machine has no 'apt-get'; install"):
        components.fetch()


def test_machine_without_a_network_says_so_in_one_line(unpacked, tmp_path):
    code = "import sys; from pathlib import Path; from netviz.lab.components import unpack\n"
    code += "unpack(['figlet'], Path(sys.argv[1]))"
    fetch = (f"XDG_CACHE_HOME={tmp_path}", sys.executable, "-c", code, str(tmp_path / "new"))
    last = in_a_lab(unpacked, "env", *fetch).stderr.splitlines()[-1]
    assert "ComponentError: cannot fetch 'figlet': Failed to fetch " in last
    assert last.endswith("run: sudo apt-get install -y --no-install-recommends figlet")


def test_only_the_standard_library_is_needed():
    code = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); import netviz.lab.components"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_machine_itself_is_not_touched(cache, unpacked):
    own = (Path("/var/lib/dpkg/status"), Path("/var/lib/dpkg/info"), Path("/var/lib/apt/lists"))
    before = [path.stat().st_mtime_ns for path in own]
    components.unpack(["figlet"], cache / "figlet")
    assert [path.stat().st_mtime_ns for path in own] == before
