"""A Linux of one's own: built of a source that apt fetches, here one that takes a moment."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from archives import STUB, Archive, is_sound, open_to_all
from labs import NETVIZ, PYTHON, Someone

from netviz.errors import ComponentError
from netviz.lab import components, fetching, kernelbuild, linux, trees

alone = pytest.mark.outside(only=True)
long = pytest.mark.long

NAME = "linux-source-6.1"
MAKEFILE = """
defconfig:
	echo CONFIG_OF_ITS_OWN=y >.config
olddefconfig:
	sed -i /=n/d .config
linux:
	@echo '  CC      a.o'
	@{compile}
	printf '#!/bin/sh\\necho 6.1.9-netviz\\n' >linux
	chmod +x linux
"""
# The kernel is a script, which the real one would refuse.
STRIP = '#!/bin/sh\ncp "$3" "$2"\n'
OFF = [line for line in kernelbuild._asked() if line.endswith("=n")]
STUCK = f"sleep 98{os.getpid()}"
BUILD = """
import sys
from netviz.lab import kernelbuild, linux
kernelbuild._TOOLS = dict.fromkeys(sys.argv[1:], "the-package")
print(kernelbuild.build(), linux.own())
"""
NO_LABS = "echo 0 >/proc/sys/user/max_user_namespaces; "

Offer = Callable[..., None]


@pytest.fixture
def offer(
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: object,
) -> Offer:
    """Return a function that puts a source of Linux, or what passes for it, into the archive."""
    (tmp_path / "bin/strip").write_text(STRIP)
    (tmp_path / "bin/strip").chmod(0o755)
    monkeypatch.setattr(kernelbuild, "_TOOLS", {})

    def put(version: str = "6.1.9-1", compile: str = "true") -> None:
        files = {f"usr/src/{NAME}.tar.xz": _source(MAKEFILE.format(compile=compile))}
        archive.add(NAME, version, files=files)

    return put


def _source(makefile: str) -> bytes:
    merge = '#!/bin/sh\ncat "$3" >>"$2"\n'
    licences = ("COPYING", "LICENSES/preferred/GPL-2.0", "LICENSES/exceptions/Linux-syscall-note")
    texts = dict.fromkeys(licences, "copy, and pass on the source\n")
    texts |= {"Makefile": makefile, "scripts/kconfig/merge_config.sh": merge}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as files:
        for name, text in texts.items():
            entry = tarfile.TarInfo(f"{NAME}/{name}")
            entry.size, entry.mode = len(text), 0o755
            files.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def refused() -> str:
    with pytest.raises(ComponentError) as caught:
        kernelbuild.build()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def built() -> list[str]:
    """Build, and return what was told of it."""
    heard: list[str] = []
    assert kernelbuild.build(heard.append).origin == "built"
    return [each for each in heard if "%" not in each]


def is_at_work(command: str) -> bool:
    words = command.replace(" ", "\0").encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words in process.read_bytes():
                return True
        except OSError:  # It has just ended.
            continue
    return False


def has_ended(command: str) -> bool:
    patience = time.monotonic() + 10
    while is_at_work(command) and time.monotonic() < patience:
        time.sleep(0.02)
    return not is_at_work(command)


def test_every_line_of_the_configuration_asks_once_and_for_one_thing() -> None:
    names = [line.partition("=")[0] for line in kernelbuild._asked()]
    assert len(names) == len(set(names)) > 150
    for line in kernelbuild.CONFIGURATION.read_text().splitlines():
        assert re.fullmatch(r'|#.*|CONFIG_[A-Z0-9_]+=(y|n|"-netviz")', line), line


@alone
def test_built_kernel_is_used_and_told_of_with_its_licence_source_and_configuration(
    offer: Offer,
    cache: Path,
) -> None:
    offer()
    assert built()[0] == "1 package, 1 MB to download"
    found = components.standing(components.known()["own-kernel"])
    assert str(found) == "✓ own-kernel 6.1.9: built"
    tree = found.tree
    assert linux.own() == linux.OwnKernel(tree / "usr/bin/linux.uml", "6.1.9", None, None, True)
    files = {path.name for path in tree.iterdir()}
    assert files == {"usr", "config", "own.config", "COPYING", "README", "component.json"}
    lines = (tree / "config").read_text().splitlines()
    assert {"CONFIG_OF_ITS_OWN=y", *kernelbuild._asked()} - set(lines) == set(OFF)
    readme = (tree / "README").read_text()
    assert "apt-get download linux-source-6.1=6.1.9-1\n" in readme
    assert linux.checksum(linux.own().binary) in readme
    assert "make ARCH=um defconfig\n" in readme
    assert "pass on the source" in (tree / "COPYING").read_text()
    assert is_sound(cache, linux.BUILT)


@alone
def test_it_is_not_laid_over_a_lab(offer: Offer) -> None:
    offer()
    built()
    assert (len(trees.fetched()), trees.trees()) == (1, ())


@alone
@long
def test_nothing_is_built_again_unless_source_or_configuration_are_others(
    offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer()
    assert built() != built() == []
    offer("6.1.10-1")
    assert built() != built() == []
    text = kernelbuild.CONFIGURATION.read_text()
    monkeypatch.setattr(kernelbuild, "CONFIGURATION", tmp_path / "own.config")
    kernelbuild.CONFIGURATION.write_text(f"# A word about it.\n{text}")
    assert built() == []
    kernelbuild.CONFIGURATION.write_text(f"{text}CONFIG_MORE=y\n")
    assert built() != built() == []


@alone
def test_what_is_told_while_it_compiles_counts_files_and_time(offer: Offer) -> None:
    offer()
    told = built()
    assert "preparing linux-source-6.1, 0:00" in told
    assert told[-1] == "1 of about 1260 files compiled, 0:00"


@alone
@long
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("net/a.c:3:1: error: no such thing", "net/a.c:3:1: error: no such thing; all that was"),
        ("sh: 1: flex: not found", "sh: 1: flex: not found; all that was"),
        ("cc1: No space left on device", "cc1: No space left on device; make room, 2 GB, or name"),
        ("gcc: fatal error: Killed signal", "gcc: fatal error: Killed signal; close other progr"),
    ],
)
def test_failure_is_told_with_its_first_cause_and_the_older_kernel_stays(
    offer: Offer,
    cache: Path,
    said: str,
    told: str,
) -> None:
    offer()
    built()
    older = linux.own()
    offer("6.1.10-1", f"echo '{said}'; exit 1")
    message = refused()
    assert message.startswith(f"cannot build 'own-kernel': {told}")
    log = cache / "own-kernel.log"
    assert message.endswith(f"is in '{log}'; mended, run: netviz components build own-kernel")
    assert f"{said}\n" in log.read_text()
    log.unlink()
    assert is_sound(cache, linux.BUILT)
    assert linux.own() == older


@alone
def test_source_that_does_not_know_what_is_asked_is_not_built(
    offer: Offer,
    cache: Path,
) -> None:
    offer(compile="sed -i /IPIP/d .config")
    assert "this source does not take 'CONFIG_NET_IPIP=y'; take that line out of" in refused()
    assert is_sound(cache)


@alone
def test_archive_without_a_source_that_was_tried_says_so(archive: Archive) -> None:
    archive.add("linux-source-5.10")
    assert "this system's archive has no source of Linux that was tried: linux-sou" in refused()


@alone
def test_damaged_kernel_is_noticed_and_built_anew(offer: Offer) -> None:
    offer()
    built()
    sound = linux.own()
    sound.binary.write_bytes(sound.binary.read_bytes() + b"\0")
    said = f"what was built, '{sound.binary}', is not as it was built any more"
    with pytest.raises(ComponentError, match=f"{said}; run: netviz components build own-kernel"):
        linux.own()
    assert components.standing(components.known()["own-kernel"]).told == said
    assert built() != []
    assert linux.own() == sound


@alone
def test_built_or_packaged_is_chosen_by_a_variable(
    offer: Offer,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offer()
    modules = {"usr/lib/uml/modules/6.1.176/modules.dep": b""}
    archive.add("user-mode-linux", "6.1um4+b13", ["usr/bin/linux.uml"], files=modules)
    archive.add("kmod", "30", ["bin/kmod"])
    monkeypatch.setenv("NETVIZ_OWN_KERNEL", "packaged")
    fetching.fetch("own-kernel")
    packaged = linux.own()
    assert (packaged.version, packaged.modules.name, packaged.built) == (
        "6.1.176",
        "modules",
        False,
    )
    monkeypatch.setenv("NETVIZ_OWN_KERNEL", "built")
    assert linux.own() is None
    built()
    monkeypatch.delenv("NETVIZ_OWN_KERNEL")
    assert linux.own().built
    monkeypatch.setenv("NETVIZ_OWN_KERNEL", "mine")
    with pytest.raises(ComponentError, match="is 'mine', which names no kernel; set it to built"):
        linux.own()


@alone
def test_packaged_kernel_tells_its_own_version_and_is_not_laid_over_a_lab(
    archive: Archive,
    cache: Path,
) -> None:
    files = {"usr/bin/linux.uml": STUB.format(version="6.1.176").encode()}
    files |= {"usr/lib/uml/modules/6.1.176/modules.dep": b""}
    archive.add("user-mode-linux", "6.1um4+b13", files=files)
    archive.add("kmod", "30", ["bin/kmod"])
    (found,) = fetching.fetch("own-kernel")
    assert str(found) == "✓ own-kernel 6.1.176: fetched"
    assert (linux.own().kmod, trees.trees()) == (found.tree / "usr/bin/kmod", ())
    assert is_sound(cache, "own-kernel")


def test_processor_that_it_is_not_for_is_told() -> None:
    component = replace(components.known()["own-kernel"], processor="sparc64")
    told = components.standing(component).told
    assert re.fullmatch(r"it is for sparc64 alone, and this machine is \w+", told)


@alone
def test_what_it_needs_and_the_machine_lacks_is_fetched_and_used_in_a_lab(
    offer: Offer,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernelbuild, "_TOOLS", {"no-such-tool": "the-package"})
    archive.add("the-package", "1.0", ["usr/bin/no-such-tool"])
    offer(compile="no-such-tool && test ! -e /sys/class/net/eth0")
    assert "2 packages, 1 MB to download" in built()


@alone
def test_where_no_lab_can_start_it_builds_with_what_the_machine_has(
    offer: Offer,
    archive: Archive,
    someone: Someone,
    tmp_path: Path,
) -> None:
    offer()
    open_to_all(tmp_path)
    env = archive.environment | {"XDG_CACHE_HOME": str(someone.home)}
    script = f'{NO_LABS}exec {PYTHON} -c "$@"'
    done = someone.run("sh", "-c", script, "sh", BUILD, "make", env=env)
    assert done.stdout.startswith("✓ own-kernel 6.1.9: built OwnKernel("), done.stderr
    lacking = someone.run("sh", "-c", script, "sh", BUILD, "no-such-tool", env=env)
    said = "cannot build 'own-kernel': this machine lacks the-package, and what is fetched can be "
    assert f"{said}used in a lab only: cannot start a lab: " in lacking.stderr
    assert re.search("; run: sudo apt-get install .* the-package, then netviz", lacking.stderr)


@alone
@long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_build_leaves_no_process_and_the_next_clears_the_rest(
    offer: Offer,
    cache: Path,
    number: signal.Signals,
) -> None:
    offer(compile=STUCK)
    with subprocess.Popen([PYTHON, "-c", BUILD], stdout=-3, stderr=-3) as process:
        while not is_at_work(STUCK):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
    assert has_ended(STUCK)
    if number != signal.SIGINT:
        offer("6.1.10-1")
        built()
    assert is_sound(cache, *([linux.BUILT] if number != signal.SIGINT else []))


@alone
@long
def test_command_builds_and_tells_what_there_is(
    offer: Offer,
    archive: Archive,
    machine: Callable[..., None],
) -> None:
    machine("1.0", "gcc", "flex", "bison", "bc")
    for each in ("perl", "xz-utils", "libc6-dev", "binutils"):
        archive.add(each)
    offer()
    command = [NETVIZ, "components", "build", "own-kernel"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "ARCH": "x"})
    assert done.stdout == "✓ own-kernel 6.1.9: built\n"
    assert re.fullmatch(r"own-kernel: \d packages?, 1 MB to download\n", done.stderr)
    table = subprocess.run([NETVIZ, "components"], capture_output=True, text=True).stdout
    assert re.search(r"own-kernel +6.1.9 +built +1 MB +a Linux of one's own", table)
