"""Every scoring rule keeps its promises, for every question and every answer."""

from __future__ import annotations

from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from steelyard.bank.model import Choice, Question, Regrade, Scoring, Text
from steelyard.grading import Total, counted, grade, score, total

RULES: tuple[Scoring, ...] = get_args(Scoring)
LETTERS = "ABCDEFGHIJ"


@st.composite
def answers(draw):
    """Return the number of choices, the key (never empty) and the ticked letters."""
    letters = LETTERS[: draw(st.integers(2, len(LETTERS)))]
    key = draw(st.frozensets(st.sampled_from(letters), min_size=1))
    return len(letters), key, draw(st.frozensets(st.sampled_from(letters)))


def question(scoring: Scoring, key: str, choices: int = 4) -> Question:
    listed = tuple(Choice(letter, Text(letter), letter in key) for letter in LETTERS[:choices])
    return Question("q", "en", "q.en.md", "Title", Text("stem"), listed, (), "multiple", scoring)


@given(st.sampled_from(RULES), answers())
def test_a_score_lies_between_nothing_and_everything_and_exactly_the_key_gets_it_all(rule, answer):
    n, key, ticked = answer

    assert 0 <= score(rule, n, key, ticked) <= 1
    assert score(rule, n, key, key) == 1
    if ticked != key and rule != "equal-parts":
        assert score(rule, n, key, ticked) < 1


@given(st.sampled_from(RULES), answers())
def test_a_blank_scores_nothing(rule, answer):
    n, key, _ = answer

    assert score(rule, n, key, frozenset()) == 0


@given(st.sampled_from(RULES), answers())
def test_adding_a_right_choice_never_lowers_a_score(rule, answer):
    n, key, ticked = answer
    for letter in key - ticked:
        assert score(rule, n, key, ticked | {letter}) >= score(rule, n, key, ticked)


@given(st.sampled_from(RULES), answers())
def test_adding_a_wrong_choice_to_an_answer_never_raises_its_score(rule, answer):
    n, key, ticked = answer
    assume(ticked)
    for letter in frozenset(LETTERS[:n]) - key - ticked:
        assert score(rule, n, key, ticked | {letter}) <= score(rule, n, key, ticked)


@given(st.sampled_from([rule for rule in RULES if rule != "each-answer"]), answers())
def test_a_wrong_choice_alone_scores_no_more_than_a_blank(rule, answer):
    n, key, _ = answer
    for letter in frozenset(LETTERS[:n]) - key:
        assert score(rule, n, key, frozenset(letter)) == 0


def test_under_each_answer_a_wrong_choice_alone_scores_for_what_was_rightly_left_alone():
    # The one exception: a blank is no answer and scores 0, where the formula alone would give (N - c)/N.
    assert score("each-answer", 6, frozenset("A"), frozenset("B")) == Fraction(4, 6)


@given(st.sampled_from(RULES), answers())
def test_ticking_everything_scores_what_the_format_says(rule, answer):
    n, key, _ = answer
    c = len(key)
    assume(c < n)
    expected = {
        "each-answer": Fraction(c, n),
        "equal-parts": 1,  # the one rule without a penalty
        "coverage": Fraction(c, n),
        "net-correct": max(0, 2 - Fraction(n, c)),
    }

    assert score(rule, n, key, frozenset(LETTERS[:n])) == expected.get(rule, 0)


@given(st.sampled_from(RULES), answers(), st.randoms(use_true_random=False))
def test_letters_are_only_names(rule, answer, random):
    n, key, ticked = answer
    shuffled = list(LETTERS[:n])
    random.shuffle(shuffled)
    renamed = dict(zip(LETTERS, shuffled, strict=False))

    assert score(rule, n, key, ticked) == score(
        rule, n, frozenset(map(renamed.get, key)), frozenset(map(renamed.get, ticked))
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("all-or-nothing", 0),
        ("balanced", Fraction(2, 3) - Fraction(1, 2)),
        ("each-answer", Fraction(3, 5)),
        ("proportional-correct", 0),
        ("net-correct", Fraction(1, 3)),
        ("coverage", Fraction(4, 9)),
        ("equal-parts", Fraction(2, 3)),
    ],
)
def test_two_of_three_keys_and_one_of_two_distractors_score_by_the_formula(rule, expected):
    assert score(rule, 5, frozenset("ABC"), frozenset("ABD")) == expected


def test_under_equal_parts_the_full_point_is_right_whatever_else_is_ticked():
    # All who look at a stored score take a full point for right; so must whoever grades.
    asked = question("equal-parts", "AB")

    assert (grade(asked, "ABCD").outcome, grade(asked, "ABCD").score) == ("right", 1.0)
    assert (grade(asked, "ACD").outcome, grade(asked, "ACD").score) == ("partly", 0.5)
    assert grade(asked, "CD").outcome == "wrong"


def test_exactly_the_key_is_right_something_of_it_partly_and_nothing_of_it_wrong():
    asked = question("balanced", "AB")

    assert (grade(asked, "AB").outcome, grade(asked, "AB").score) == ("right", 1.0)
    assert (grade(asked, ["A"]).outcome, grade(asked, ["A"]).score) == ("partly", 0.5)
    assert (grade(asked, "CD").outcome, grade(asked, "CD").score) == ("wrong", 0.0)
    assert grade(asked, "").outcome == "wrong"


def test_when_every_choice_is_right_ticking_everything_is_right():
    assert grade(question("balanced", "ABCD"), "ABCD").outcome == "right"


def test_a_letter_that_was_not_offered_is_refused():
    with pytest.raises(ValueError, match="not among the choices: Z"):
        grade(question("balanced", "AB"), ["A", "Z"])


# ---- regrading --------------------------------------------------------------------------------------------

REGRADES: tuple[Regrade, ...] = get_args(Regrade)
SCORES = st.none() | st.floats(0, 1)


@given(SCORES)
def test_without_regrading_a_score_counts_as_it_is_and_a_blank_counts_nothing(score):
    assert counted(score, None) == (score or 0.0)


@given(SCORES, st.sampled_from(REGRADES))
def test_regrading_what_was_regraded_changes_nothing(score, regrade):
    once = counted(score, regrade)

    assert once == {"void": None, "credit-all": 1.0}[regrade]
    assert counted(once, regrade) == once


@given(st.lists(st.tuples(SCORES, st.none() | st.sampled_from(REGRADES))))
def test_a_void_question_counts_in_no_total_and_a_credited_one_gives_its_point(scores):
    found = total(scores)
    without_void = [(score, regrade) for score, regrade in scores if regrade != "void"]

    assert found == total(without_void)
    assert len(without_void) == found.maximum
    assert found.score <= found.maximum + 1e-9


def test_an_attempt_of_three_questions_is_regraded_question_by_question():
    assert total([(0.5, None), (0.0, None), (None, None)]) == Total(0.5, 3)
    assert total([(0.5, "void"), (0.0, None), (None, None)]) == Total(0.0, 2)
    assert total([(0.5, None), (0.0, "credit-all"), (None, None)]) == Total(1.5, 3)
    assert total([(0.5, None), (0.0, "void"), (None, "credit-all")]) == Total(1.5, 2)
