"""Predictions: what was chosen, what the kernel says afterwards, and what a cell shows of both."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

import netviz as nv
from netviz.errors import ExerciseError
from netviz.teach.checks import exists, reaches, up

if TYPE_CHECKING:
    from kernels import Notebook

    from netviz.teach.predict import Prediction

WIDGET = "application/vnd.jupyter.widget-view+json"
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def ask(*about: object) -> Prediction:
    return nv.predict("How many?", *about)


def test_first_condition_that_holds_is_what_happened() -> None:
    options = {"both": up("lo") & exists("net1"), "lo": up("lo"), "none": ~up("lo")}
    guess = ask(options)
    subprocess.run(["ip", "netns", "add", "net1"], check=True)
    assert guess.reveal().happened == "both"  # It is looked at now, not when it was asked.
    subprocess.run(["ip", "netns", "delete", "net1"], check=True)
    assert guess.reveal().to_dict() == {
        "predicted": None,
        "happened": "lo",
        "seen": "✓ lo is up",
        "why": "",
    }


def test_command_prints_the_option_or_what_it_is_known_by() -> None:
    command = "ip -brief link | wc -l"
    assert ask(["0", "1"], command).reveal().happened == "1"
    assert ask({"none": "^0$", "some": r"^\d+$"}, command).reveal().happened == "some"
    assert ask(["1", "1 2"], "echo 1; echo 2").reveal().happened is None


@pytest.mark.parametrize("seen", ["\n2 packets\n", ["2 packets", "0 lost"], "x\n2 packets"])
def test_what_was_seen_already_may_decide(seen: object) -> None:
    assert ask({"one": "^1 packet", "two": "^2 packet"}).reveal(seen).happened == "two"


def test_function_is_called_when_it_is_revealed() -> None:
    found: list[int] = []
    guess = ask(["0", "3"], lambda: len(found))
    found += [1, 2, 3]
    assert guess.reveal().happened == "3"


def test_what_fits_no_option_is_told_plainly() -> None:
    guess = ask(["1", "2"], "seq 20")
    guess.choose("2")
    revealed = guess.reveal()
    assert not revealed
    assert str(revealed).startswith(
        "? Not decided: you predicted “2”.\nWhat happened: none of the options\n"
        "What was seen:\n  $ seq 20\n  1\n  2\n"
    )
    assert str(revealed).endswith("  7\n  …")
    assert "net1 exists: there is no namespace net1" in str(
        ask({"a": exists("net1"), "b": reaches("net1", "::1")}).reveal()
    )


@pytest.mark.parametrize("answer", ["no-such-program", lambda: 1 / 0, None])
def test_way_to_an_answer_that_fails_is_told_and_not_raised(answer: object) -> None:
    revealed = ask(["1", "2"], answer).reveal()
    assert revealed.happened is None
    assert any(
        why in revealed.seen for why in ("not found", "division by zero", "nothing was seen")
    )


def test_right_and_wrong_are_told_by_word_and_sign() -> None:
    told = []
    for option in ("1", "0"):
        guess = ask(["0", "1"], "ip -brief link | wc -l")
        guess.choose(option)
        told += [str(guess.reveal(why="There is only `lo`.")).splitlines()[:3], str(guess)]
    right, right_asked, wrong, wrong_asked = told
    assert right[:2] == ["✓ Right: you predicted “1”.", "What happened: 1"]
    assert right[2] == "Why: There is only `lo`."
    assert "● 1 ✓ your prediction, and what happened" in right_asked
    assert wrong[0] == "✗ Not so: you predicted “0”."
    assert "● 0 ✗ your prediction\n  ○ 1 ← what happened" in wrong_asked


def test_choice_may_be_changed_until_it_is_revealed() -> None:
    guess = ask(["0", "1"], lambda: 1)
    guess.choose("0")
    guess.choose("1")
    assert guess.reveal()
    with pytest.raises(ExerciseError, match="revealed already"):
        guess.choose("0")
    guess._question.chosen = 0  # As a page would say that is slow.
    assert guess.reveal()


def test_question_that_is_asked_again_keeps_its_choice_until_it_is_revealed() -> None:
    ask(["0", "1"], lambda: 1).choose("1")
    assert "●" not in str(ask(["1", "0"], lambda: 1))  # Other options are another question.
    ask(["0", "1"], lambda: 1).choose("1")
    assert "● 1" in str(again := ask(["0", "1"], lambda: 1))
    assert again.reveal()
    assert "●" not in str(ask(["0", "1"], lambda: 1))


def test_who_chose_nothing_is_told_what_happened_all_the_same() -> None:
    revealed = ask(["0", "1"], lambda: 1).reveal()
    assert not revealed
    assert str(revealed) == "You made no prediction.\nWhat happened: 1"


def test_hostile_text_is_escaped() -> None:
    guess = nv.predict(HOSTILE, [HOSTILE, "2"], lambda: HOSTILE)
    guess.choose(HOSTILE)
    revealed = guess.reveal(why=HOSTILE)
    page = revealed._repr_html_() + "".join(guess._question.options)
    assert "<script" not in page + guess._question.text
    assert "\x1b" not in f"{page}{guess}{revealed}"


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ((["a"],), "are not two options or more"),
        (("ab",), "are not two options or more"),
        ((["a", "a"],), "each another text"),
        (([1, 2],), "each another text"),
        ((["a", " "],), "each another text"),
        (({"a": exists("a"), "b": "b"},), "they go with nothing else"),
        (({"a": exists("a"), "b": exists("b")}, "ls"), "they go with nothing else"),
        (({"a": "(", "b": "b"},), r"'\(' is neither a condition nor a regular expression"),
        ((["a", "b"], 3), "3 is no place to look at"),
    ],
)
def test_what_can_have_no_answer_is_refused(about: tuple[object, ...], why: str) -> None:
    with pytest.raises(ExerciseError, match=why):
        ask(*about)
    with pytest.raises(ExerciseError, match="None is no question"):
        nv.predict(None, ["a", "b"])
    with pytest.raises(ExerciseError, match="'c' is no option; choose one: 'a', 'b'"):
        ask(["a", "b"]).choose("c")


def test_cell_shows_the_question_and_beside_it_html_that_tells_what_happened(
    own_lab: Notebook,
) -> None:
    asks = 'import netviz as nv\nit = nv.predict("`hostname`?", ["lab", "x"], "hostname")\nit'
    first = own_lab.run(asks)
    (shown,) = (each["content"]["data"] for each in first.of_type("display_data"))
    assert {WIDGET, "text/html", "text/plain"} == shown.keys()
    assert "<li>lab</li><li>x</li>" in shown["text/html"]
    assert not first.of_type("execute_result")
    own_lab.run('it.choose("lab")')
    revealed = own_lab.run("it.reveal()")
    (update,) = (each["content"]["data"] for each in revealed.of_type("update_display_data"))
    happened = "<li>lab <strong>✓ your prediction, and what happened</strong></li>"
    assert happened in update["text/html"]
    assert revealed.value.startswith("✓ Right")
    again = own_lab.run(asks)  # The first one stays in the page, though nothing names it any more.
    assert not again.of_type("comm_close")
    assert own_lab.run("import gc; gc.collect(); it.reveal()").value.startswith("You made no")
