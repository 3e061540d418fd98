"""Let programs that drop privileges believe they did.

tcpdump, dnsmasq and their like start as root and become somebody else. In a lab of one user there
is nobody else to become, so the calls that change owner or identity answer "done" and do nothing.
The filter is classic BPF: load the system call's number, compare, answer.
"""

from __future__ import annotations

import os
import struct

from netviz.lab.syscalls import install_seccomp

# From each architecture's table of system calls: setuid setgid setreuid setregid setgroups
# setresuid setresgid setfsuid setfsgid, then chown fchown lchown fchownat (arm64 lacks two).
_NUMBERS = {
    "x86_64": (105, 106, 113, 114, 116, 117, 119, 122, 123, 92, 93, 94, 260),
    "aarch64": (146, 144, 145, 143, 159, 147, 149, 151, 152, 55, 54),
}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH = 0, 4
_ALLOW, _ERRNO_ZERO = 0x7FFF0000, 0x00050000


def pretend_to_drop_privileges() -> None:
    """Answer 0 to setuid(2), chown(2) and their kin in this process and all that it starts.

    On an architecture whose numbers are not listed, nothing is filtered: those programs then say
    themselves that they cannot change user.
    """
    machine = os.uname().machine
    if machine in _NUMBERS:
        install_seccomp(program(machine))


def program(machine: str) -> bytes:
    """Return the filter for ``machine`` (as ``uname -m`` says it), 8 bytes an instruction."""
    numbers = _NUMBERS[machine]
    code = [
        (_LOAD_WORD, 0, 0, _OFFSET_ARCH),
        # A call of a foreign architecture (32-bit) has other numbers: let it pass.
        (_JUMP_IF_EQUAL, 0, len(numbers) + 1, _AUDIT_ARCH[machine]),
        (_LOAD_WORD, 0, 0, _OFFSET_NUMBER),
    ]
    for place, number in enumerate(numbers):
        code.append((_JUMP_IF_EQUAL, len(numbers) - place, 0, number))
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO_ZERO)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
