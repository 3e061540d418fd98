"""Components: the machine's own, or fetched by apt from an archive of the test's own."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import STUB, Archive
from labs import NETVIZ, PYTHON, Someone, component

import netviz
from netviz.errors import ComponentError
from netviz.lab import components, fetching, packages, trees
from netviz.lab.filesystem import laid
from netviz.lab.sandbox import inside

alone = pytest.mark.outside(only=True)
outside = pytest.mark.outside

CHECKOUT = Path(netviz.__file__).parent.parent
BIRD = ("usr/sbin/bird", "usr/sbin/birdc")
NEEDS = """
import sys, netviz as nv
print(nv.needs(*sys.argv[1:]))
"""
FULL = f"""
mount -t tmpfs -o size=$1 none /mnt
export XDG_CACHE_HOME=/mnt
{NETVIZ} components fetch bird
find /mnt/netviz -name 'bird-*' -o -name 'fetching-*'
flock --nonblock /mnt/netviz/lock true && df --output=ipcent /mnt >/dev/null && echo sound
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a cache of its own, and look into no other."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(trees, "SHARED", tmp_path / "nowhere")
    return tmp_path / "cache/netviz"


@pytest.fixture
def archive(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Give apt one archive, and no other."""
    made = Archive(tmp_path)
    for name, text in made.environment.items():
        monkeypatch.setenv(name, text)
    return made


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that puts programs on this machine: scripts that tell a version."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(version: str, *programs: str) -> None:
        for program in programs:
            (folder / program).write_text(STUB.format(version=version))
            (folder / program).chmod(0o755)

    return put


def bird() -> components.Standing:
    return components.standing(components.known()["bird"])


def is_sound(cache: Path, *kept: str) -> bool:
    """Tell whether a cache has these trees, nothing half done, and no lock that is held."""
    there = {path.name.rpartition("-")[0] or path.name for path in cache.iterdir()}
    with (cache / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return there - {"lists", "lock"} == set(kept)


def open_to_all(folder: Path) -> None:
    """Let an ordinary user enter a folder of pytest's, which may be root's."""
    for each in (folder, *folder.parents[:-1]):
        if each.stat().st_uid == os.getuid() and not each.stat().st_mode & 0o1000:
            each.chmod(0o755)


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
def test_machine_without_a_network_says_so_in_one_line(someone: Someone) -> None:
    done = someone.run(NETVIZ, "components", "fetch", "bird", env={"XDG_CACHE_HOME": "/mnt"})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


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
    both = [subprocess.Popen([NETVIZ, "components", "fetch", "bird"], stdout=-3) for _ in range(2)]
    assert [each.wait() for each in both] == [0, 0]
    assert is_sound(cache, "bird")


@alone
def test_note_that_cannot_be_read_is_no_tree(archive: Archive) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    (found,) = fetching.fetch("bird")
    (found.tree / "component.json").write_text("{")
    assert (trees.trees(), bird().origin) == ((), "")


@alone
def test_folder_that_others_may_write_is_not_trusted(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add("bird2", "2.0.12", BIRD)
    fetching.fetch("bird")
    shared = tmp_path / "cache/netviz"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(trees, "SHARED", shared)
    shared.chmod(0o777)
    assert trees.fetched() == {}
    shared.chmod(0o755)
    assert bool(trees.fetched()) == (shared.stat().st_uid == Path("/").stat().st_uid)


@alone
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
    assert "run: netviz components fetch bird, then run this again; without it, routes are" in said


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
