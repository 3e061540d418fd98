"""Break a lab and judge the mend: what is shown, what counts, and what is left when nothing can."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest
from net.oracle import can, sh

import netviz
from netviz.changes import changes
from netviz.errors import ExerciseError, NetvizError, SandboxError
from netviz.model import Address, Interface, Namespace, Snapshot
from netviz.net.discovery import snapshot
from netviz.net.lasting import lasting
from netviz.picture.live import Live
from netviz.teach import breaking
from netviz.teach.breaking import break_something, mended
from netviz.teach.echoes import answered
from netviz.teach.faults import faults
from netviz.teach.places import Lab, remotes

if TYPE_CHECKING:
    from netviz.net.steps import Step
    from netviz.picture.film import Frame

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait less for answers that do not come; forget what another test broke."""
    monkeypatch.setattr(breaking, "_PATIENCE", 0.3)
    monkeypatch.setattr(breaking, "_SETTLES", 0.3)
    monkeypatch.setattr(breaking, "_latest", [])
    return


def left(before: Snapshot) -> list[str]:
    now = lasting(snapshot(), exact=True)
    return [str(each) for each in changes(lasting(before, exact=True), now)]


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let there be no other faults than these."""
    chosen = tuple(fault for fault in faults() if fault.name in names)
    monkeypatch.setattr(breaking, "faults", lambda: chosen)


def test_what_is_broken_is_shown_and_not_why() -> None:
    netviz.bridge(3).up()
    before = snapshot()
    broken = break_something(seed=1)
    where, to = broken.lost[0]
    assert repr(broken).startswith(f"Something is broken: {where} no longer reaches {to}, ")
    assert re.search(rf", and {len(broken.lost) - 3} others? like that\. Find it", repr(broken))
    assert "nv.mended() judges" in repr(broken)
    # The first symptom is no loss of an own address.
    assert where not in {
        space.name for space, it in before if to in {a.local for a in it.addresses}
    }
    shown = repr(broken) + broken._repr_html_()
    assert broken.place.cause not in shown
    assert broken.fault.name not in shown
    assert not answered([(where, to)], 0.2)


def test_living_picture_shows_it_and_does_not_tell_it() -> None:
    netviz.two_hosts().up()
    live = Live()
    frames: list[Frame] = []
    with live.listening(frames.append):
        broken = break_something(seed=1)
        live.settle()
    live.stop()
    assert frames
    assert not [each for each in frames if each.told or each.changed], broken.place.cause


def test_same_seed_breaks_the_same_thing_also_when_a_class_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netviz.bridge(3).up()
    monkeypatch.setattr(breaking, "_SETTLES", 3.0)
    causes = []
    monkeypatch.setenv("NETVIZ_SEED", "7")
    for seed in ("4", 4, "6", "7", 7, None):
        causes.append(break_something(seed).place.cause)
        assert netviz.undo()
    assert causes[0] == causes[1]
    assert len({*causes[3:]}) == 1
    assert len({*causes}) > 1
    monkeypatch.setenv("NETVIZ_SEED", "")
    assert break_something().task == "level 1"


@pytest.mark.parametrize("level", [1, 2, 3])
def test_fault_is_of_the_level_that_was_asked_for(level: int) -> None:
    netviz.two_hosts().up()
    assert break_something(seed=2, level=level).fault.level == level


def test_hints_lead_from_the_place_over_the_command_to_the_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "wrong prefix length")
    netviz.two_hosts().up()
    broken = break_something(seed=3, level=2)
    where = broken.place.look.namespace
    assert [broken.hint(), broken.hint()] == [
        f"Look in {where}.",
        f"This shows it: ip -n {where} address",
    ]
    assert broken.hint() == broken.hint() == f"The cause: {broken.place.cause}."
    assert repr(broken.hint()) == broken.hint()


@pytest.mark.parametrize("to", ["10.1.1.2", "fd00::2"])
def test_command_that_is_hinted_shows_the_cause(to: str) -> None:
    netviz.two_hosts().up()
    sh("ip -n net1 address add fd00::1/64 dev veth0 nodad")
    sh("ip -n net2 address add fd00::2/64 dev veth1 nodad")
    fault = next(it for it in faults() if it.name == "blackhole")
    (place,) = fault.places(Lab(snapshot(), (("net1", to),)))
    for step in place.breaks:
        sh(step.command())
    assert f"blackhole {to}" in sh(place.look.command())


def test_fault_is_one_that_the_chosen_command_shows() -> None:
    netviz.bridge(3).up()
    assert break_something(seed=1, level=1, shown_by="bridge").fault.look == "bridge link"
    assert break_something(seed=1, level=2, shown_by="ip route").fault.look == "ip -$v route"
    with pytest.raises(
        ExerciseError, match="level 1 is shown by 'nft'; there are: level 1 by bridge l"
    ):
        break_something(shown_by="nft")


def test_solution_is_commands_that_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "address gone")
    netviz.router().up()
    before = snapshot()
    broken = break_something(seed=1)
    cause, *commands = broken.solution().split("\n")
    assert broken.place.cause in cause
    assert not mended()
    for command in commands:
        sh(command)
    assert mended()
    assert left(before) == []


def test_any_other_way_of_mending_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "wrong gateway")
    netviz.router().up()
    broken = break_something(seed=1, level=2)
    here = broken.place.look.namespace
    other = {"net1": "2", "net2": "1"}[here]
    sh(f"ip -n {here} route add default via 10.1.{here[-1]}.1")
    assert not mended()
    sh(f"ip -n {here} route add 10.1.{other}.0/25 via 10.1.{here[-1]}.1")
    assert mended()


def test_line_for_each_pair_that_was_lost_and_one_for_all() -> None:
    netviz.two_hosts().up()
    broken = break_something(seed=1)
    where, to = broken.lost[0]
    result = mended()
    assert len(result.lines) == len(broken.lost) + 1
    assert str(result.lines[0]) == f"✗ {where} reaches {to} again: not yet"
    assert str(result.lines[-1]) == "✓ what was not broken still works"


def test_mend_that_breaks_something_else_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "interface down")
    netviz.bridge(3).up()
    broken = break_something(seed=1)
    for step in broken.back:
        sh(step.command())
    kept = next(pair for pair in broken.worked if pair not in broken.lost and pair[1][-1] != "1")
    sh(f"ip -n {kept[0]} link set lo down")
    result = mended()
    assert not result
    assert [line.holds for line in result.lines] == [True] * len(broken.lost) + [False]
    assert f"still works: {kept[0]} does not reach " in str(result.lines[-1])


def test_mending_is_noted_without_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[tuple[str, str, bool]] = []
    monkeypatch.setattr(breaking, "note", lambda *told: noted.append(told))
    netviz.two_hosts().up()
    broken = break_something(seed=8)
    mended()
    for step in broken.back:
        sh(step.command())
    mended()
    assert noted == [("mending", "level 1, seed 8", each) for each in (False, True)]


def test_undo_gives_the_working_network_back() -> None:
    netviz.bridge(2).up()
    before = snapshot()
    break_something(seed=1)
    assert netviz.undo()
    assert left(before) == []
    assert mended()


def test_next_fault_takes_the_place_of_one_that_was_not_mended() -> None:
    netviz.bridge(3).up()
    before = snapshot()
    first = break_something(seed=1)
    second = break_something(seed=9)
    assert {*second.worked} == {*first.worked}
    for step in second.back:
        sh(step.command())
    assert mended()
    assert left(before) == []


def test_network_that_was_changed_since_is_left_alone_and_undo_gives_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "address gone", "interface down")
    netviz.bridge(3).up()
    first = break_something(seed=1)
    where = first.place.look.namespace
    sh(f"ip -n {where} address add 10.9.9.9/24 dev lo")
    hers = snapshot()
    second = break_something(seed=9)
    assert not {*first.lost} & {*second.worked}
    assert netviz.undo()
    assert left(hers) == []


def test_lab_that_is_gone_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[object] = []
    monkeypatch.setattr(breaking, "note", lambda *told: noted.append(told))
    netviz.two_hosts().up()
    break_something(seed=1)
    netviz.reset()
    with pytest.raises(ExerciseError, match=r"is gone; begin with break_something\(\)"):
        mended()
    assert noted == []


def test_what_breaks_nothing_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "route gone", "wrong gateway", "source NAT gone", "forwarding off")
    netviz.docker(2).up()
    before = snapshot()
    with pytest.raises(ExerciseError, match="no fault of level 2 costs this lab anything"):
        break_something(level=2)
    assert left(before) == []


def test_lab_in_which_nothing_works_is_refused_and_left_alone() -> None:
    netviz.two_hosts().up()
    sh("ip -n net1 link set veth0 down; ip -n net1 link set lo down; ip -n net2 link set lo down")
    before = snapshot()
    with pytest.raises(ExerciseError, match="build a network first"):
        break_something()
    assert left(before) == []


def test_unknown_level_and_nothing_broken_are_refused() -> None:
    with pytest.raises(
        ExerciseError, match="no fault of level 7; there are: level 1 by bridge link"
    ):
        break_something(level=7)
    with pytest.raises(ExerciseError, match="nothing was broken"):
        mended()


def test_nothing_is_broken_outside_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netviz.lab.sandbox.inside", lambda: False)
    with pytest.raises(SandboxError, match="cannot break something"):
        break_something()


def test_namespace_without_a_name_is_left_alone() -> None:
    netviz.two_hosts().up()
    command = ["unshare", "-n", "sh", "-c", "echo; exec sleep 20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as sleeper:
        assert sleeper.stdout
        sleeper.stdout.readline()
        broken = break_something(seed=1, level=2)
        sleeper.kill()
    assert {where for where, _ in broken.worked} == {"net1", "net2"}


def test_pairs_of_a_large_lab_are_a_part_that_the_seed_chooses() -> None:
    spaces = tuple(
        Namespace(number, f"net{number}", interfaces=told.interfaces)
        for number in range(5)
        for told in [_with_addresses(number)]
    )
    one, same, other = (
        breaking._pairs(Snapshot(spaces), breaking.Random(seed)) for seed in (1, 1, 2)
    )
    assert len(one) == 40
    assert one == same != other


def _with_addresses(number: int) -> Namespace:
    own = tuple(Address("inet", f"10.{number}.0.{last}", 24) for last in range(1, 11))
    return Namespace(
        number, "", interfaces=(Interface(2, "eth0", "veth", None, 1500, ("UP",), addresses=own),)
    )


def test_echoes_tell_both_families_and_what_is_gone() -> None:
    netviz.two_hosts().up()
    sh("ip -n net1 address add fd00::1/64 dev veth0 nodad")
    sh("ip -n net2 address add fd00::2/64 dev veth1 nodad")
    pairs = [("net1", "10.1.1.2"), ("net2", "fd00::1"), ("net1", "10.9.9.9"), ("net9", "10.1.1.1")]
    assert answered(pairs, 1.0 if not answered(pairs[:2], 3.0) else 0.2) == tuple(pairs[:2])


def test_call_that_has_no_route_is_not_answered() -> None:
    netviz.two_hosts().up()
    assert answered([("net1", "10.99.0.1:80"), ("net1", "[fd99::1]:80")], 0.1) == ()


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        (["10.0.0.2:99999"], "'10.0.0.2:99999'"),
        (["10.0.0.2:0"], "'10.0.0.2:0'"),
        ([80], "80"),
        ("10.0.0.2", "'10.0.0.2'"),
        (["999.1.1.1:80"], "'999.1.1.1:80'"),
        (["[abc]:80"], "'[abc]:80'"),
    ],
)
def test_what_cannot_be_called_is_refused_by_its_name(calls: Sequence[str], told: str) -> None:
    how = "write an address and a TCP port: 10.96.0.10:80, [fd00::10]:80"
    with pytest.raises(ExerciseError, match=re.escape(f"{told} cannot be called; {how}")):
        break_something(calls=calls)


def test_one_call_may_be_named_alone() -> None:
    assert breaking._callable("10.0.0.2:80") == ("10.0.0.2:80",)
    assert breaking._callable(["[fd00::2]:80"]) == ("[fd00::2]:80",)


@pytest.mark.parametrize(
    ("remote", "taken", "wrong"),
    [
        ("10.0.0.2", 1, ["10.0.0.4"]),
        ("10.0.0.2", 8, []),
        ("255.255.255.254", 0, ["255.255.255.255"]),
        ("255.255.255.255", 0, []),
    ],
)
def test_tunnel_whose_neighbours_are_all_there_has_no_wrong_remote(
    remote: str, taken: int, wrong: list[str]
) -> None:
    own = tuple(Address("inet", f"10.0.0.{3 + each}", 24) for each in range(taken))
    told = {"addresses": own, "parameters": {"remote": remote}}
    link = Interface(2, "tun1", "ipip", None, 1480, ("UP",), **told)
    lab = Lab(Snapshot((Namespace(1, "net1", held_by="name", interfaces=(link,)),)), ())
    assert [place["wrong"] for place in remotes(lab)] == wrong


def service() -> str:
    """Build a cluster with a Service and a policy; return who is called."""
    netviz.nodes(2, 1).up()
    sh("""ip netns exec node1 nft -f - <<'END'
table ip services { chain prerouting { type nat hook prerouting priority dstnat
    ip daddr 10.96.0.10 tcp dport 80 dnat to numgen random mod 1 map { 0 : 10.244.2.2 }
}; }
table ip policies { chain forward { type filter hook forward priority filter
    ip daddr 10.244.2.2 tcp dport 80 accept
    ip daddr 10.244.2.2 tcp dport 1-1000 drop
}; }
END
ip netns exec node2-pod1 busybox httpd -p 80""")
    return "10.96.0.10:80"


@pytest.mark.skipif(not can("command -v busybox"), reason="no busybox was installed or fetched")
def test_calls_count_where_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    call = service()
    assert answered([("node1-pod1", call), ("node2-pod1", call)], 0.3) == (("node1-pod1", call),)
    for name in [it.name for it in faults() if it.look.startswith("nft list chain")]:
        only(monkeypatch, name)
        with pytest.raises(ExerciseError, match="costs this lab anything"):
            break_something(seed=1, level=3)
        before = snapshot()
        broken = break_something(seed=1, level=3, shown_by="nft list chain", calls=[call])
        assert (broken.fault.name, broken.lost) == (name, (("node1-pod1", call),))
        assert not mended()
        sh("\n".join(step.command() for step in broken.back))
        assert mended(), name
        assert left(before) == []
    with pytest.raises(ExerciseError, match="' cannot be called"):
        break_something(level=3, calls=["10.96.0.10"])


def test_taken_back_exactly_even_when_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    netviz.bridge(2).up()
    before = snapshot()
    ways = iter([answered])

    def interrupted(pairs: list[tuple[str, str]], patience: float) -> object:
        for way in ways:
            return way(pairs, patience)
        raise KeyboardInterrupt

    monkeypatch.setattr(breaking, "answered", interrupted)
    with pytest.raises(KeyboardInterrupt):
        break_something(seed=1)
    assert left(before) == []
    with pytest.raises((ExerciseError, NetvizError)):
        mended()


def test_fault_that_is_there_when_it_is_interrupted_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netviz.bridge(2).up()
    carry_out = breaking._carry_out

    def interrupted(steps: Sequence[Step], *, force: bool = True) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        carry_out(steps, force=force)

    monkeypatch.setattr(breaking, "_carry_out", interrupted)
    with pytest.raises(KeyboardInterrupt):
        break_something(seed=1)
    assert not mended()


def test_hostile_names_reach_neither_a_page_nor_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "interface down")
    sh("ip netns add '<b>'; ip netns add b;ip link add '$(x)' netns '<b>' type veth peer e netns b")
    for where, dev, last in (("<b>", "$(x)", 1), ("b", "e", 2)):
        sh(f"ip -n '{where}' address add 10.1.1.{last}/24 dev '{dev}'")
        sh(f"ip -n '{where}' link set dev '{dev}' up; ip -n '{where}' link set lo up")
    broken = break_something(seed=1)
    assert "<b>" not in broken._repr_html_()
    for step in broken.back:
        sh(step.command())
    assert mended()


def test_places_of_a_lab_without_anything_are_none() -> None:
    lab = Lab(snapshot(), ())
    assert [fault.name for fault in faults() if [*fault.places(lab)]] == ["loopback down"]
