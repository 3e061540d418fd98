"""Probes in a lab that is thrown away; inside a lab, in a network and a /run/netns that are.

A process of its own tries them, for whoever asks may have threads, and stays where it is. On a
kernel of its own it is the very same one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from netviz.errors import NetvizError, SandboxError
from netviz.lab.probes import PROBES, Finding, Probe, attempt
from netviz.lab.sandbox import Supervision, enter, inside, loopback_up
from netviz.lab.syscalls import CLONE_NEWNET, CLONE_NEWNS, MS_PRIVATE, MS_REC, mount, unshare
from netviz.lab.trees import trees

_PROBING = (sys.executable, "-P", "-m", "netviz.lab.trials")
_ON_OWN_KERNEL = "--own-kernel"
_MAKE_WHAT_OTHERS_USE = ("ip netns add", "veth")
_FAILED = "cannot start a lab: it ended before the probes did: "


def tried(probes: Sequence[Probe] = PROBES, *, own_kernel: bool = False) -> list[Finding]:
    """Return how each probe ended; those that others build on are run before them.

    Raises ``SandboxError`` where no lab, or no kernel of its own, can start.
    """
    chosen = [each for each in PROBES if each in probes or each.name in _MAKE_WHAT_OTHERS_USE]
    numbers = [str(PROBES.index(each)) for each in chosen]
    probing = [*_PROBING, *([_ON_OWN_KERNEL] if own_kernel else ()), *numbers]
    done = subprocess.run(
        probing, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    said = done.stderr.strip().rpartition("\n")[2]
    answer = json.loads(done.stdout or json.dumps({"what": f"{_FAILED}{said}"}))
    if "what" in answer:
        raise SandboxError(**answer)
    found = dict(zip(chosen, answer, strict=True))
    return [Finding(probe, *found[probe]) for probe in probes]


def _try_and_tell(numbers: list[str]) -> None:
    """Be that process; outside of the lab it enters, all that is left to tell is a refusal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Whoever waits for it says that it was ended.
    try:
        if _ON_OWN_KERNEL in numbers:
            from netviz.lab import ownkernel

            on_it = [*_PROBING, *numbers[1:]]
            ownkernel.run(ownkernel.Errand(command=on_it, follow=os.getppid()))
        if inside():
            _leave_this_network()
        else:
            enter(Supervision(tools=trees(), follow=os.getppid()))
        found = [attempt(PROBES[int(number)]) for number in numbers]
        answer = json.dumps([(each.works, each.detail) for each in found])
    except NetvizError as error:
        answer = json.dumps(vars(error))
    os.write(1, answer.encode())


def _leave_this_network() -> None:
    """Equivalent to: ``unshare --net --mount``, and an empty /run/netns."""
    unshare(CLONE_NEWNS | CLONE_NEWNET)
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", "/run/netns", "tmpfs", options="mode=755")
    loopback_up()


if __name__ == "__main__":
    _try_and_tell(sys.argv[1:])
