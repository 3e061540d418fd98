"""Programs that drop privileges believe, in a lab of one user, that they did."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from netviz.lab.seccomp import program

if TYPE_CHECKING:
    from labs import Someone

ALLOWED, ANSWERED_ZERO = 0x7FFF0000, 0x00050000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
READ = {"x86_64": 0, "aarch64": 63}
# The first and the last of setuid … setfsgid and of chown … fchownat, and their neighbours.
ANSWERED = {"x86_64": (92, 93, 94, 105, 106, 123, 260), "aarch64": (54, 55, 143, 146, 159)}
LET_PASS = {"x86_64": (91, 95, 104, 107, 124, 261), "aarch64": (53, 56, 142, 148, 160)}

DROPS = """
import os, tempfile
os.setgroups([1000]); os.setresgid(1000, 1000, 1000); os.setresuid(1000, 1000, 1000)
os.setgid(1000); os.setuid(1000); os.setregid(1000, 1000); os.setreuid(1000, 1000)
with tempfile.NamedTemporaryFile() as file:
    os.chown(file.name, 1000, 1000); os.fchown(file.fileno(), 1000, 1000)
    print(os.getuid(), os.stat(file.name).st_uid)
"""


def answer(code: bytes, number: int, architecture: int) -> int:
    """Run a filter as the kernel does: the same four kinds of instruction, no others."""
    call, loaded, place = {0: number, 4: architecture}, 0, 0
    instructions = list(struct.iter_unpack("=HBBI", code))
    while True:
        kind, when_equal, otherwise, operand = instructions[place]
        place += 1
        if kind == 0x20:
            loaded = call[operand]
        elif kind == 0x15:
            place += when_equal if loaded == operand else otherwise
        else:
            assert kind == 0x06
            return operand


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_only_calls_that_change_owner_or_identity_are_answered(machine: str) -> None:
    code, architecture = program(machine), ARCHITECTURES[machine]
    assert {answer(code, n, architecture) for n in ANSWERED[machine]} == {ANSWERED_ZERO}
    passing = (*LET_PASS[machine], READ[machine])
    assert {answer(code, n, architecture) for n in passing} == {ALLOWED}


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_of_a_foreign_architecture_pass(machine: str) -> None:
    assert {answer(program(machine), n, 0x40000003) for n in ANSWERED[machine]} == {ALLOWED}


@pytest.mark.outside
def test_dropping_privileges_succeeds(someone: Someone) -> None:
    # Where root runs the lab, everybody exists in it, and the calls do what they say.
    assert someone.python(DROPS) in ("0 0\n", "1000 1000\n")


@pytest.mark.outside
def test_ordinary_user_becomes_nobody_else(someone: Someone) -> None:
    everybody = someone.sh("grep -c 4294967295 /proc/self/uid_map || true") == "1\n"
    assert someone.python(DROPS) == ("1000 1000\n" if everybody else "0 0\n")


@pytest.mark.outside
def test_ownership_in_archives_is_no_error(someone: Someone) -> None:
    script = "echo x > f; tar --owner=1000 --group=1000 -cf a f; rm f; tar -xpf a; cat f"
    assert someone.sh(script) == "x\n"


@pytest.mark.outside
def test_tcpdump_captures(someone: Someone) -> None:
    if someone.run("sh", "-c", "command -v tcpdump").returncode:
        pytest.skip("no tcpdump was installed or fetched")
    script = """tcpdump -Z nobody -i lo -c 1 -w - 2>heard & until grep -q listening heard
    do :; done; echo x > /dev/udp/127.0.0.1/9; wait $!"""
    assert someone.run("bash", "-c", script, text=False).stdout[:4] == b"\xd4\xc3\xb2\xa1"
