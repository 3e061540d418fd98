"""Components: the machine's own, or fetched by apt from an archive of the test's own."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import Archive, is_sound, open_to_all
from labs import NETVIZ, NOBODY, PYTHON, Someone, component

import netviz
from netviz.errors import ComponentError
from netviz.lab import components, fetching, packages, trees
from netviz.lab.filesystem import laid
from netviz.lab.sandbox import inside

alone = pytest.mark.outside(only=True)
outside = pytest.mark.outside
long = pytest.mark.long

CHECKOUT = Path(netviz.__file__).parent.parent
BIRD = ("usr/sbin/bird", "usr/sbin/birdc")
NEEDS = """
import sys, netviz as nv
print(nv.needs(*sys.argv[1:]))
"""
# As NVIDIA's programs and libraries are: each file on one of the machine's.
SHARED_WITH_A_CONTAINER = """
for file in /usr/bin/env /usr/lib/os-release; do mount --bind $file $file; done"""
FULL = f"""
mount -t tmpfs -o size=$1 none /mnt
export XDG_CACHE_HOME=/mnt
{NETVIZ} components fetch bird
find /mnt/netviz -name 'bird-*' -o -name 'fetching-*'
flock --nonblock /mnt/netviz/lock true && df --output=ipcent /mnt >/dev/null && echo sound
"""


def bird() -> components.Standing:
    return components.standing(components.known()["bird"])


def refused(*names: str) -> str:
    with pytest.raises(ComponentError) as caught:
        fetching.fetch(*(names or ("bird",)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_line_of_the_list_names_a_package_and_a_program() -> None:
    for package, program in components.wanted().items():
        assert re.fullmatch(r"[a-z0-9.+-]+", package), package
        assert re.fullmatch(r"[a-z]+", program), package


def test_every_component_tells_what_it_is_for_and_needs_others_that_are_known() -> None:
    known = components.known()
    for each in known.values():
        assert all((each.purpose, each.without, each.programs))
        assert set(each.needs) <= known.keys()
        assert bool(each.version) == bool(each.oldest)


def test_only_the_standard_library_is_needed() -> None:
    code = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n"
    code += "import netviz.lab.packages, netviz.lab.fetching, netviz.lab.trees"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


@alone
def test_fetched_component_is_a_tree_with_a_note(archive: Archive, cache: Path) -> None:
    archive.add("bird2", "1:2.0.12-7", BIRD)
    heard: list[str] = []
    (found,) = fetching.fetch("bird", heard=lambda name, doing: heard.append(f"{name}: {doing}"))
    assert (found.origin, found.version, found.tree) == ("fetched", "2.0.12", found.tree)
    assert {path.name for path in found.tree.iterdir()} == {"component.json", "usr"}
    assert trees.trees() == (found.tree,)
    assert [each for each in heard if "%" not in each] == [
        "bird: 1 package, 1 MB to download",
        "bird: unpacking bird2",
    ]
    assert is_sound(cache, "bird")


@alone
def test_what_is_there_is_not_fetched_again(archive: Archive) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    (first,) = fetching.fetch("bird")
    (archive.folder / "Packages").unlink()
    assert fetching.fetch("bird") == [first]


@alone
def test_unpacked_is_as_if_installed(archive: Archive, tmp_path: Path) -> None:
    first = archive.add("tools", "1.0", ("sbin/tool", "usr/bin/nc.openbsd"), depends="kmod-like")
    links = {"sbin/tool-link": "/bin/kmod-like", "usr/sbin/tool-link": "../bin/other"}
    script = "update-alternatives --install \\\n  /usr/sbin/switch switch /usr/lib/tools/switch 9\n"
    archive.add(
        "kmod-like", "1.0", ("usr/lib/tools/switch",), links=links, script=script + "exit 9"
    )
    packages.unpack(["tools"], tmp_path / "new")
    usr = tmp_path / "new/usr"
    assert [folder.name for folder in (tmp_path / "new").iterdir()] == ["usr"]
    assert subprocess.run([usr / "sbin/tool"], capture_output=True).stdout == b"1.0\n"
    assert (usr / "sbin/switch").resolve() == usr / "lib/tools/switch"
    assert (usr / "bin/nc").resolve().name == "nc.openbsd"
    assert (usr / "sbin/tool-link").is_symlink()
    files = [path for path in usr.rglob("*") if path.is_file()]
    assert [path for path in files if path.stat().st_mode & 0o6000] == []
    assert first.exists()


@alone
def test_machine_itself_is_not_touched(archive: Archive) -> None:
    own = (Path("/var/lib/dpkg/status"), Path("/var/lib/dpkg/info"), Path("/var/lib/apt/lists"))
    before = [path.stat().st_mtime_ns for path in own]
    archive.add("bird2", "2.0.12", BIRD, script="touch /netviz-was-here")
    fetching.fetch("bird")
    assert [path.stat().st_mtime_ns for path in own] == before
    assert not Path("/netviz-was-here").exists()


@alone
def test_what_would_replace_a_package_of_the_machine_is_fetched_and_replaces_none(
    archive: Archive, cache: Path
) -> None:
    query = ["dpkg-query", "--show", "--showformat", "${Essential} ${Priority} ${Package}\n"]
    installed = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    other = re.search(r"^no optional (\S+)$", installed, re.MULTILINE)[1]
    archive.add("bird2", "2.0.12", BIRD, conflicts=other)
    fetching.fetch("bird")
    assert is_sound(cache, "bird")
    subprocess.run(["dpkg-query", "--status", other], check=True, stdout=subprocess.DEVNULL)


@alone
def test_machines_own_is_used_where_it_fits(cache: Path, machine: Callable[..., None]) -> None:
    machine("2.1.7", "bird", "birdc")
    assert fetching.fetch("bird")[0].told == "the machine"
    assert bird().version == "2.1.7"
    assert not cache.exists()


@alone
def test_machines_own_that_is_too_old_is_replaced(
    archive: Archive, machine: Callable[..., None]
) -> None:
    machine("1.6.8", "bird", "birdc")
    assert bird().told == "this machine's, 1.6.8, is older than 2.0"
    archive.add("bird2", "2.0.12", BIRD)
    (found,) = fetching.fetch("bird")
    assert (found.origin, trees.trees()) == ("fetched", (found.tree,))
    machine("2.2.0", "bird", "birdc")  # Now somebody has brought it up to date.
    assert (bird().origin, trees.trees()) == ("the machine", ())


@alone
def test_component_of_which_the_machine_has_half_is_fetched(
    archive: Archive, machine: Callable[..., None]
) -> None:
    machine("2.2.0", "birdc")
    archive.add("bird2", "2.0.12", BIRD)
    assert fetching.fetch("bird")[0].origin == "fetched"
    assert len(trees.trees()) == 1


@alone
def test_programs_of_the_list_that_are_missing_are_a_component_too(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apt.txt").write_text("# shells\n\nbash  # bash\nno-such  # no-such-program\n")
    monkeypatch.setattr(components, "apt_list", lambda: tmp_path / "apt.txt")
    assert components.missing() == ["no-such"]
    archive.add("no-such", "1.0", ["usr/bin/no-such-program"])
    (found,) = fetching.fetch("programs")
    assert str(found) == "✓ programs: fetched"
    assert trees.trees() == (found.tree,)


@alone
def test_package_that_is_nowhere_is_named(archive: Archive, cache: Path) -> None:
    said = "cannot fetch 'bird': Unable to locate package bird2; run: netviz components fetch bird"
    assert refused() == said
    assert is_sound(cache)


@alone
def test_dependency_that_is_nowhere_is_told(archive: Archive, cache: Path) -> None:
    archive.add("bird2", "2.0.12", BIRD, depends="nothing-like-it")
    assert refused().startswith("cannot fetch 'bird': Unable to correct problems")
    assert is_sound(cache)


@alone
@long
@pytest.mark.parametrize("harm", [lambda data: data[:-9], lambda data: data[:-9] + b"tampered!"])
def test_broken_download_is_noticed_and_the_older_tree_stays(
    archive: Archive, cache: Path, harm: Callable[[bytes], bytes]
) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    (older,) = fetching.fetch("bird")
    (older.tree / "usr/sbin/birdc").unlink()  # So that it is fetched anew.
    package = archive.add("bird2", "2.0.13", BIRD)
    package.write_bytes(harm(package.read_bytes()))
    assert refused().startswith(f"cannot fetch 'bird': Failed to fetch file:{archive.folder}")
    assert is_sound(cache, "bird")
    assert (older.tree / "usr/sbin/bird").exists()


@alone
def test_package_that_is_none_inside_is_noticed(archive: Archive, cache: Path) -> None:
    package = archive.add("bird2", "2.0.12", BIRD)
    index = archive.folder / "Packages"
    before, size = package.read_bytes(), package.stat().st_size
    package.write_bytes(b"no package".ljust(size))
    index.write_text(index.read_text().replace(_sum(before), _sum(package.read_bytes())))
    assert "is not a Debian format archive" in refused()
    assert is_sound(cache)


@alone
def test_archive_that_nobody_signed_is_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsigned = Archive(tmp_path, trusted=False)
    unsigned.add("bird2", "2.0.12", BIRD)
    monkeypatch.setenv("APT_CONFIG", unsigned.environment["APT_CONFIG"])
    assert re.search(r"'bird': The repository '.*' does not have a Release file", refused())
    assert is_sound(cache)


@alone
def test_version_that_is_too_old_is_refused_before_it_is_downloaded(
    archive: Archive, cache: Path
) -> None:
    archive.add("bird2", "1.6.8-2", BIRD).unlink()
    said = "this system's archive has 1.6.8, and 2.0 is the oldest that fits"
    assert said in refused()
    assert is_sound(cache)


@alone
def test_package_without_its_program_is_not_kept(archive: Archive, cache: Path) -> None:
    archive.add("bird2", "2.0.12", BIRD[:1])
    assert "this system's archive has 2.0.12, without 'birdc'" in refused()
    assert is_sound(cache)


@alone
@long
@pytest.mark.parametrize("size", ["256k", "8m"])
def test_full_disk_is_told_and_nothing_half_done_is_left(
    archive: Archive, someone: Someone, tmp_path: Path, size: str
) -> None:
    archive.add("bird2", "2.0.12", BIRD, size=9_000_000)
    open_to_all(tmp_path)
    done = someone.run("sh", "-c", FULL, "sh", size, env=archive.environment)
    assert re.match(r"(bird: .*\n)?netviz: cannot fetch 'bird': .* space", done.stderr)
    assert done.stdout == "sound\n"


@alone
def test_closed_cache_is_told(archive: Archive, cache: Path, tmp_path: Path) -> None:
    cache.parent.write_text("a file, where a folder should be")
    assert refused().startswith(f"cannot fetch 'bird': '{cache}': Not a directory; run: ")


@alone
def test_machine_without_a_network_says_so_in_one_line(
    archive: Archive, someone: Someone, tmp_path: Path
) -> None:
    (tmp_path / "sources.list").write_text("deb [trusted=yes] http://192.0.2.1/ ./\n")
    open_to_all(tmp_path)
    env = archive.environment | {"XDG_CACHE_HOME": str(someone.home)}
    done = someone.run(NETVIZ, "components", "fetch", "bird", env=env)
    assert done.returncode == 2
    assert re.match("(bird: .*\n)?netviz: cannot fetch 'bird': Failed to fetch .*\n$", done.stderr)
    assert done.stderr.endswith("; with a network, run: netviz components fetch bird\n")


@alone
@pytest.mark.parametrize(
    ("manager", "typed"),
    [("dnf", "sudo dnf install openvswitch"), ("pacman", "sudo pacman -S openvswitch")],
)
def test_machine_without_apt_is_told_what_to_type(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str, typed: str
) -> None:
    (tmp_path / manager).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(trees, "_SYSTEM_PATH", "")
    said = f"cannot fetch 'ovs': this machine has no 'apt-get'; run: {typed}"
    assert refused("ovs") == said
    assert is_sound(cache)


@alone
def test_what_a_killed_fetch_left_is_cleared_by_the_next(archive: Archive, cache: Path) -> None:
    (cache / "fetching-killed/root").mkdir(parents=True)
    archive.add("bird2", "2.0.12", BIRD)
    fetching.fetch("bird")
    assert is_sound(cache, "bird")


@alone
def test_two_fetches_at_once_do_not_disturb_each_other(archive: Archive, cache: Path) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    fetch = {"args": [NETVIZ, "components", "fetch", "bird"], "stderr": -1, "text": True}
    both = [subprocess.Popen(**fetch, stdout=-1) for _ in range(2)]
    said, heard = zip(*(each.communicate() for each in both), strict=True)
    assert said == ("✓ bird 2.0.12: fetched\n",) * 2
    assert "".join(heard).count("to download") == 1  # A lab may be using it by now.
    assert is_sound(cache, "bird")


@alone
def test_next_fetch_waits_for_what_a_killed_one_left_at_work(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt, at_work = tmp_path / "apt-get", tmp_path / "apt-get.pid"
    apt.write_text("#!/bin/sh\necho $$ >$0.new\nmv $0.new $0.pid\nexec sleep 1000\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with subprocess.Popen([NETVIZ, "components", "fetch", "bird"]) as killed:
        while not at_work.exists():
            time.sleep(0.01)
        killed.kill()
    with (cache / "lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(int(at_work.read_text()), signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)


@alone
def test_fetch_that_waits_for_another_says_so(archive: Archive, cache: Path) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    cache.mkdir(parents=True)
    heard: list[str] = []

    with (cache / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def hear(_: str, doing: str) -> None:
            heard.append(doing)
            fcntl.flock(lock, fcntl.LOCK_UN)

        fetching.fetch("bird", heard=hear)
    assert heard[0] == "waiting for another fetch"


@alone
def test_what_a_careful_root_fetches_is_open_to_others(archive: Archive, cache: Path) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    before = os.umask(0o077)
    (found,) = fetching.fetch("bird")
    assert os.umask(before) == 0o077
    for path in (cache, found.tree, *found.tree.rglob("*")):
        assert path.is_symlink() or path.stat().st_mode & 0o444 == 0o444, path


@alone
@pytest.mark.parametrize("note", ["{", "{}", "[]"])
def test_note_that_cannot_be_read_is_no_tree(archive: Archive, note: str) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    (found,) = fetching.fetch("bird")
    (found.tree / "component.json").write_text(note)
    assert (trees.trees(), bird().origin) == ((), "")


@alone
def test_folder_that_others_may_write_is_not_trusted(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    fetching.fetch("bird")
    shared = tmp_path / "cache/netviz"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("NETVIZ_SHARED", str(shared))
    shared.chmod(0o777)
    assert trees.fetched() == {}
    shared.chmod(0o755)
    assert bool(trees.fetched()) == (shared.stat().st_uid == Path("/").stat().st_uid)


@alone
@pytest.mark.skipif(os.geteuid() != 0, reason="only where the machine's root runs the tests")
def test_users_folder_is_not_trusted_by_root(archive: Archive, cache: Path) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    fetching.fetch("bird")
    os.chown(cache, NOBODY, NOBODY)
    assert trees.fetched() == {}


@alone
@long
def test_list_names_states_versions_sizes_and_needs(archive: Archive, cache: Path) -> None:
    archive.add("bird2", "2.0.12", BIRD, size=3_000_000)
    subprocess.run([NETVIZ, "components", "fetch", "bird"], check=True, capture_output=True)
    table = subprocess.run([NETVIZ, "components"], capture_output=True, text=True).stdout
    assert re.search(r"bird +2.0.12 +fetched +3 MB +routers", table)
    assert re.search(r"docker .* busybox", table)
    told = subprocess.run([NETVIZ, "components", "--json"], capture_output=True, text=True).stdout
    (entry,) = (each for each in json.loads(told) if each["name"] == "bird")
    assert (entry["origin"], entry["version"], entry["needs"]) == ("fetched", "2.0.12", [])


@alone
def test_tree_is_laid_over_usr_at_the_start_or_when_it_is_needed(
    archive: Archive, cache: Path, someone: Someone
) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    fetching.fetch("bird")
    open_to_all(cache)
    env = {"XDG_CACHE_HOME": str(cache.parent)}
    ask = f"command -v bird; {PYTHON} -c '{NEEDS}' bird && bird"
    later = f"XDG_CACHE_HOME={cache.parent}; export XDG_CACHE_HOME; {ask}"
    line = "✓ bird 2.0.12: fetched\n2.0.12\n"
    assert someone.run("sh", "-c", ask, env=env).stdout == f"/usr/sbin/bird\n{line}"
    nowhere = {"XDG_CACHE_HOME": "/nonexistent"}
    assert someone.run("sh", "-c", later, env=nowhere).stdout == line
    nested = someone.run(NETVIZ, "run", NETVIZ, "run", "sh", "-c", later, env=nowhere)
    assert nested.stdout == line


@alone
@long
def test_container_whose_files_are_an_overlay_gets_them_too(
    archive: Archive, cache: Path, tmp_path: Path
) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    fetching.fetch("bird")
    lab = f"{NETVIZ} run {PYTHON} -c '{NEEDS}' bird"
    over = "mount -t overlay -o userxattr,lowerdir=$1:/usr overlay /usr && XDG_CACHE_HOME=/nowhere"
    script = f"{over} {NETVIZ} run env XDG_CACHE_HOME=$2 {PYTHON} -c '{NEEDS}' bird && {lab}"
    container = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    done = subprocess.run([*container, tmp_path, cache.parent], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("✓ bird 2.0.12: fetched\n" * 2, "")


@alone
def test_tree_is_laid_beside_what_the_machine_has_mounted_below_usr(
    archive: Archive, cache: Path, someone: Someone
) -> None:
    archive.add("bird2", "2.0.12", (*BIRD, "usr/lib/bird/own", "usr/share/bird/shared"))
    fetching.fetch("bird")
    open_to_all(cache)
    typed = f"XDG_CACHE_HOME={cache.parent} {PYTHON} -c '{NEEDS}' bird"
    ask = f"{typed} && bird && ls /usr/src /usr/lib/bird /usr/share/bird && env --version"
    deeper = f"{ask}; {NETVIZ} run sh -c '{ask.replace(typed, 'true')}'; touch /usr/x /usr/lib/x"
    below = f"mount -t tmpfs none /usr/src; touch /usr/src/app; {SHARED_WITH_A_CONTAINER}"
    container = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    lab = [*container, f'{below}; {NETVIZ} run sh -c "$0"']
    early = {"XDG_CACHE_HOME": str(cache.parent)}
    assert someone.call(*lab, "bird", env=early).stdout == "2.0.12\n"
    done = someone.call(*lab, deeper, env={"XDG_CACHE_HOME": "/nowhere"})
    shown = done.stdout
    assert shown.startswith("✓ bird 2.0.12: fetched\n2.0.12\n"), done.stderr
    assert shown.count("app\n") == shown.count("own\n") == shown.count("shared\n") == 2
    assert shown.count("env (GNU coreutils)") == 2
    assert done.stderr.count("Read-only file system") == 2


@alone
def test_tree_that_is_fetched_anew_lies_over_the_older(
    archive: Archive, cache: Path, someone: Someone
) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    fetching.fetch("bird")
    (kept,) = trees.trees()
    kept.rename(cache / "older")
    archive.add("bird2", "2.0.13", BIRD)
    fetching.fetch("bird")
    kept.rename(cache / "newer")
    (cache / "older").rename(kept)
    open_to_all(cache)
    anew = f"bird; mv {kept} {cache}/older; mv {cache}/newer {kept}"
    ask = f"{anew}; {PYTHON} -c '{NEEDS}' bird; bird"
    os.chown(cache, -1 if someone.uid is None else someone.uid, -1)
    done = someone.run("sh", "-c", ask, env={"XDG_CACHE_HOME": str(cache.parent)})
    assert done.stdout == "2.0.12\n✓ bird 2.0.13: fetched\n2.0.13\n"


@alone
@pytest.mark.parametrize("harm", ["older", "half"])
def test_own_tree_that_does_not_fit_hides_none_that_root_has_fetched(
    archive: Archive, cache: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    (own,) = fetching.fetch("bird")
    monkeypatch.setenv("NETVIZ_SHARED", str(cache.with_name("shared")))
    shutil.copytree(cache, trees.shared())
    monkeypatch.setattr(trees, "_is_roots", Path.is_dir)
    assert bird().tree == own.tree
    if harm == "half":
        (own.tree / BIRD[1]).unlink()
    else:
        trees.note(own.tree, "1.6.8", ["bird"])
    assert bird().tree == trees.shared() / own.tree.name


@outside
def test_component_that_is_not_there_is_told_with_the_command(someone: Someone) -> None:
    code = NEEDS.replace("print", "import netviz.errors\ntry: print").rstrip()
    code += "\nexcept netviz.errors.ComponentError as error: print(error)"
    env = {"XDG_CACHE_HOME": "/nonexistent", "PATH": "/usr/bin"}
    said = someone.python(code, "bird", env=env)
    if said.startswith("✓"):
        assert inside() or bird().origin
        return
    assert said.startswith("there is no 'bird' to use: it is neither on this machine nor fetched;")
    assert re.search(
        r"run: \S*netviz components fetch bird, then run this again; without bird, routes are", said
    )


@outside
def test_nothing_is_laid_outside_a_lab() -> None:
    if not inside():
        with pytest.raises(netviz.SandboxError, match="cannot use components: this is the machine"):
            netviz.needs("bird")


def test_unknown_component_is_told_with_those_that_are_known() -> None:
    with pytest.raises(ComponentError, match=r"no component is called 'x'; choose among: .*docker"):
        netviz.needs("x")


@pytest.mark.parametrize("name", ["docker", "cni", "ovs", "busybox"])
def test_components_of_the_lessons_can_be_used(name: str) -> None:
    provision = component(name)
    assert all(each.origin for each in provision.standings)
    assert f"✓ {name} " in repr(provision)
    assert "nv-holds" in provision._repr_html_()
    assert {each.tree.name for each in provision.standings if each.tree} <= set(laid())


def _sum(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()
