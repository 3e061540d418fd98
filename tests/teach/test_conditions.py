"""Conditions by themselves: how they are joined, what is said of those that do not hold."""

from __future__ import annotations

from errno import ENOBUFS

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netviz.errors import ExerciseError
from netviz.model import Snapshot
from netviz.teach.conditions import Condition

EMPTY = Snapshot()


def fails(_: Snapshot) -> str:
    raise OSError(ENOBUFS, "No buffer space available")


A, B = Condition("A", lambda _: None), Condition("B", lambda _: None)
X, Y = Condition("X", lambda _: "no X"), Condition("Y", lambda _: "no Y")
UNKNOWN = Condition("U", fails)

LEAVES = st.sampled_from([A, B, X, Y, UNKNOWN, A.hint("a"), X.hint("x", "xx"), Y.tempting(A, "a!")])
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
        st.builds(lambda a, text: a.hint(text), inner, st.text(max_size=3)),
        st.builds(lambda a, b: a.tempting(b, "said"), inner, inner),
    ),
    max_leaves=8,
)


def difference(condition: Condition) -> str | None:
    return condition.line(EMPTY).difference


@given(CONDITIONS)
def test_what_is_denied_twice_is_the_same_and_denied_once_the_opposite(c):
    assert ~~c == c
    assert ~~~c == ~c
    assert not (c.line(EMPTY).holds and (~c).line(EMPTY).holds)


@given(CONDITIONS, CONDITIONS)
def test_de_morgan_holds(a, b):
    assert ~(a & b) == ~a | ~b
    assert ~(a | b) == ~a & ~b


@given(CONDITIONS, CONDITIONS, CONDITIONS)
def test_joining_does_not_depend_on_brackets(a, b, c):
    for left, right in (((a & b) & c, a & (b & c)), ((a | b) | c, a | (b | c))):
        assert left == right


@given(CONDITIONS, CONDITIONS)
def test_joined_conditions_hold_as_their_parts_do(a, b):
    first, second = a.line(EMPTY).holds, b.line(EMPTY).holds
    assert (a & b).line(EMPTY).holds == (first and second)
    assert (a | b).line(EMPTY).holds == (first or second)


@given(CONDITIONS)
def test_what_does_not_hold_has_a_difference_and_what_holds_has_none(c):
    line = c.line(EMPTY)
    assert line.holds == (line.difference is None)
    assert not (line.holds and line.hints)


def test_claims_read_well():
    assert (A & ~X).claim == "A and not: X"
    assert (~X & A).claim == "(not: X) and A"
    assert (A | X & Y).claim == "A or (X and Y)"
    assert str((A & X).claiming("all").line(EMPTY)) == "✗ all: not yet: X (no X)"
    assert (~(A | X)).claim == "(not: A) and not: X"


def test_difference_names_the_parts_that_are_missing():
    assert difference(A & X) == "not yet: X (no X)"
    assert difference(X & A & Y) == "not yet: X (no X); not yet: Y (no Y)"
    assert difference(A | X) is None
    assert difference(X | Y & A) == "not yet: X (no X); not yet: Y (no Y)"


def test_difference_of_what_is_denied_says_what_is_there():
    assert difference(~X) is None
    assert difference(~A) == "A, though it should not be so"
    assert difference(X & ~A) == "not yet: X (no X); A, though it should not be so"


def test_look_that_fails_proves_neither_a_claim_nor_its_opposite():
    for each in (UNKNOWN, ~UNKNOWN, UNKNOWN | X, ~UNKNOWN & A):
        assert "No buffer space available" in difference(each)
    assert (UNKNOWN | A).line(EMPTY).holds


def test_hints_are_those_of_the_parts_that_do_not_hold():
    assert (A.hint("a") & X.hint("x")).line(EMPTY).hints == ("x",)
    assert (A & X.hint("x")).hint("whole").line(EMPTY).hints == ("whole", "x")


def test_tempting_answer_is_named_in_place_of_the_difference():
    tempted = X.tempting(Y, "never").tempting(A, "A is not enough").tempting(B, "too late")
    assert difference(tempted) == "A is not enough"
    assert difference(B & tempted) == "A is not enough"
    assert A.tempting(B, "never").line(EMPTY).holds
    assert not (A & X.tempting(A, "")).line(EMPTY).holds


def test_conditions_with_the_same_claim_are_equal():
    assert Condition("A", fails) == A
    assert A.hint("a") != A


@pytest.mark.parametrize("other", ["net1", None, 5])
def test_only_conditions_can_be_joined_or_tempt(other):
    for join in (
        lambda: A & other,
        lambda: A | other,
        lambda: A.tempting(other, "said"),
    ):
        with pytest.raises(ExerciseError, match="is no condition"):
            join()


def test_pythons_own_and_is_refused_for_it_would_drop_a_condition():
    with pytest.raises(ExerciseError, match="join conditions with &"):
        assert (A and B) is not None
