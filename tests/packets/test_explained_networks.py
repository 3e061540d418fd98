"""What explain says of networks with faults is what ping finds, and what it proposes mends them."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from shlex import quote
from typing import TYPE_CHECKING

import pytest
from faults import FAULTS, broken
from net.oracle import can, sh
from numbered import OPTIONAL, Net

from netviz.model import Namespace, Snapshot
from netviz.net.discovery import snapshot
from netviz.packets.diagnosis import diagnose

if TYPE_CHECKING:
    from netviz.explanations import Explanation

pytestmark = pytest.mark.long

NETWORKS, AT_ONCE = 224, 80
OF_LINKS = {"wrong VNI", "wrong remote", "tunnel down", "macvlan alone", "lower device down"}
"""Faults of links that not every kernel has."""
ON = ("UP", "UNKNOWN")
MENDS = 8  # Three faults, and what was hidden behind them.


@dataclass
class Case:
    """One question: what is said of it and what ping found, at first and after each mend."""

    net: Net
    who: str
    to: str
    told: list[Explanation] = field(default_factory=list)
    answered: list[bool] = field(default_factory=list)

    def __str__(self) -> str:
        wrong = "; ".join(self.net.wrong) or "nothing"
        head = f"network {self.net.number} ({self.net.shape}), wrong: {wrong}"
        told = (
            f"ping {self.who} {self.to}: {'answered' if ok else 'nothing came'}\n{it!s}"
            for it, ok in zip(self.told, self.answered, strict=True)
        )
        return "\n".join([head, *told])

    @property
    def certain(self) -> int:
        """Return how many of the answers are certain."""
        return sum(it.certain for it in self.told)

    @property
    def contradicted(self) -> bool:
        """Tell whether the kernel did otherwise than what was certain."""
        pairs = zip(self.told, self.answered, strict=True)
        return any(it.certain and it.works != answered for it, answered in pairs)

    @property
    def to_mend(self) -> str | None:
        """Return the command that should mend what was found last."""
        it = self.told[-1]
        known = it.certain and not self.answered[-1] and len(self.told) <= MENDS
        return it.mend if known else None

    @property
    def stuck(self) -> bool:
        """Tell whether a mend changed nothing, or nobody knows one where it is certain."""
        steps = [it.broken and (it.broken.text, it.broken.where, it.mend) for it in self.told]
        again = any(a and a == b for a, b in pairwise(steps))
        last = self.told[-1]
        return again or (last.certain and not last.works and not last.mend)


@cache
def kinds() -> tuple[str, ...]:
    """Return the kinds of links that this kernel can make, of those that not every one can."""
    made = {
        "vxlan": "ip link add x type vxlan id 1 dstport 4789 local 10.0.0.1 remote 10.0.0.2",
        "macvlan": "ip link add v type veth peer name w; ip link add x link v type macvlan",
    }
    return tuple(kind for kind in OPTIONAL if can(made[kind]))


def build(nets: list[Net]) -> None:
    command = ["sh", "-e"]
    script = "".join(net.script() for net in nets)
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def pinged(asked: list[tuple[str, str]], wait: str = "-W1") -> list[bool]:
    """Return for each whether it was answered; all are sent at once."""
    lines = [
        f"nsenter --net=/run/netns/{who} ping -n -q -c1 {wait} {to} >/dev/null 2>&1 && echo {n} &"
        for n, (who, to) in enumerate(asked)
    ]
    answered = sh("\n".join([*lines, "wait"])).split()
    return [str(n) in answered for n in range(len(asked))]


def settled() -> dict[str, Namespace]:
    """Return the namespaces when the kernel has made up its mind about all carriers.

    Of a change it tells bridges and routes up to a second later. What a ping still asked for when
    it ended is forgotten: else the next one would wait for that question to be asked again.
    """
    for _ in range(30):
        seen = snapshot()
        pending = (("LOWER_UP" in link.flags) != (link.state in ON) for _, link in seen if link.up)
        if not any(pending):
            break
        time.sleep(0.1)
    for space in seen.namespaces:
        if any("INCOMPLETE" in each.state for each in space.neighbours):
            sh(f"ip -n {space.name} neighbour flush nud incomplete")
    return {space.name: space for space in seen.namespaces}


def answers(cases: list[Case]) -> list[bool]:
    """Return for each case whether it is answered.

    On a busy machine an answer may be late: who should have one asks again, for three seconds.
    """
    found = pinged([(case.who, case.to) for case in cases])
    late = [n for n, case in enumerate(cases) if case.told[-1].works and not found[n]]
    again = pinged([(cases[n].who, cases[n].to) for n in late], "-w3")
    return [ok or (n in late and again[late.index(n)]) for n, ok in enumerate(found)]


def explain(cases: list[Case]) -> None:
    seen = settled()
    for case in cases:
        network = Snapshot(tuple(seen[name] for name in ("root", *case.net.spaces)))
        case.told.append(diagnose(network, case.who, case.to))


def mend(cases: list[Case]) -> None:
    mends = ((case, case.to_mend) for case in cases)
    script = [f"( {it} ) >/dev/null || echo {quote(str(case))}" for case, it in mends if it]
    assert not sh("\n".join(script))


def played(nets: list[Net]) -> list[Case]:
    """Build them, ask all questions, mend what is broken; return what came of it.

    Of a network one question is asked at a time: what one ping teaches, another would know. While
    they wait for answers, the next networks are built.
    """
    current, waiting, done = list[tuple[Net, list[Case]]](), nets, list[Case]()
    with ThreadPoolExecutor(1) as builder:
        while waiting or current:
            cases = [some[0] for _, some in current]
            explain(cases)
            new, waiting = waiting[: AT_ONCE - len(current)], waiting[AT_ONCE - len(current) :]
            built = builder.submit(build, new)
            for case, answered in zip(cases, answers(cases), strict=True):
                case.answered.append(answered)
            mend(cases)
            done += [some.pop(0) for _, some in current if not some[0].to_mend]
            built.result()
            gone = "".join(net.gone() for net, some in current if not some)
            sh(f"ip -batch - <<END\n{gone}END")
            current = [(net, some) for net, some in current if some]
            current += [(net, [Case(net, *it) for it in net.questions]) for net in new]
    return done


@pytest.mark.long
def test_explanations_agree_with_the_kernel_and_mend_what_is_broken() -> None:
    cases = played([broken(number, kinds()) for number in range(NETWORKS)])
    assert not [str(case) for case in cases if case.contradicted]
    assert not [str(case) for case in cases if case.stuck]
    told = sum(len(case.told) for case in cases)
    assert sum(case.certain for case in cases) >= 0.95 * told
    # Each of the faults is in some network, and most are seen to break one by themselves.
    assert {name for case in cases for name in case.net.wrong} >= FAULTS.keys() - OF_LINKS
    lost = {tuple(case.net.wrong) for case in cases if not case.answered[0]}
    assert len([wrong for wrong in lost if len(wrong) == 1]) >= 25
