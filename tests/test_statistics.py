"""Item analysis equals what textbooks and an independent computation say, and does not hang on what it should not."""

from __future__ import annotations

import random
import statistics as independent
from collections import Counter
from math import sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from steelyard.statistics import Analysis, RemovedAnswers, Response, Wording, analyse

QUESTIONS = ("a", "b", "c")
LETTERS = "ABCD"


def wording(version: str, key: str = "A", **changed: str) -> Wording:
    """A version of four choices in English and Japanese; `changed` gives other English texts by letter."""
    texts = {
        letter: {"en": changed.get(letter, f"Text {letter}"), "ja": f"文 {letter}"} for letter in LETTERS
    }
    return Wording(version, texts, frozenset(key))


def responses(rows: list[dict[str, float]], chosen: str = "A") -> list[Response]:
    """One attempt per row: question → score."""
    return [
        Response(f"attempt {number}", question, "v1", chosen, score)
        for number, row in enumerate(rows)
        for question, score in row.items()
    ]


def of(rows: list[list[float]]) -> Analysis:
    return analyse(responses([dict(zip(QUESTIONS, row, strict=True)) for row in rows]), QUESTIONS, {})


# ---- known answers ----------------------------------------------------------------------------------------


def test_four_attempts_at_three_questions_have_the_figures_that_paper_and_pencil_give():
    found = of([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]])
    a, b, c = found.items.values()

    assert [item.facility for item in (a, b, c)] == [0.75, 0.5, 0.25]
    assert [item.deviation for item in (a, b, c)] == pytest.approx([0.5, sqrt(1 / 3), 0.5])
    # Of the first question: rest scores 2, 1, 0, 0; sums of products 0.75, of squares 0.75 and 2.75.
    assert a.discrimination == pytest.approx(0.75 / sqrt(0.75 * 2.75))
    # Of the second: rest scores 2, 1, 1, 0; sums 1, 1 and 2.
    assert b.discrimination == pytest.approx(1 / sqrt(1 * 2))
    assert [item.efficiency for item in (a, b, c)] == pytest.approx([1.0, 1.0, 1.0])
    assert (found.quiz.complete, found.quiz.maximum, found.quiz.mean) == (4, 3, 1.5)
    assert found.quiz.deviation == pytest.approx(sqrt(5 / 3))
    assert found.quiz.alpha == pytest.approx(0.75)


def test_a_question_that_only_the_weak_get_right_discriminates_negatively():
    found = of([[0, 1, 1], [0, 1, 1], [1, 0, 0], [1, 0, 0]])

    assert found.items["a"].discrimination == pytest.approx(-1)
    assert found.items["a"].efficiency == pytest.approx(-1)


def test_efficiency_is_the_share_of_the_covariance_that_the_scores_allow():
    # Scores 1, 0, 1, 0 beside rest scores 2, 1, 1, 0: sum of products 1; sorted (0, 0, 1, 1 beside 0, 1, 1, 2) too.
    assert of([[1, 1, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0]]).items["a"].efficiency == pytest.approx(1)
    # Scores 1, 0, 0, 1 beside the same rest scores: sum of products 0.
    assert of([[1, 1, 1], [0, 1, 0], [0, 1, 0], [1, 0, 0]]).items["a"].efficiency == pytest.approx(0)


# ---- what is not defined ----------------------------------------------------------------------------------


def test_without_an_attempt_nothing_is_defined():
    found = analyse([], QUESTIONS, {})

    assert list(found.items) == list(QUESTIONS)
    assert (found.quiz.complete, found.quiz.mean, found.quiz.alpha) == (0, None, None)
    assert {(item.n, item.facility, item.deviation) for item in found.items.values()} == {(0, None, None)}


def test_one_attempt_has_means_but_no_spread():
    found = of([[1, 0.5, 0]])
    item = found.items["b"]

    assert (item.n, item.facility, item.deviation, item.discrimination) == (1, 0.5, None, None)
    assert (found.quiz.mean, found.quiz.deviation, found.quiz.alpha) == (1.5, None, None)


def test_without_spread_there_is_no_correlation():
    found = of([[1, 1, 0], [1, 0, 1], [1, 1, 0]])

    assert found.items["a"].deviation == 0
    assert (found.items["a"].discrimination, found.items["a"].efficiency) == (None, None)
    assert found.quiz.deviation == 0
    assert found.quiz.alpha is None


def test_rounding_is_not_taken_for_spread():
    """Thirds and tenths add up to the same rest score in either order, whatever floating point says."""
    found = of([[0, 1 / 3, 2 / 3], [1, 0.1 * 3 + 1 / 30, 2 / 3], [0.5, 2 / 3, 1 / 3]])

    assert found.items["a"].discrimination is None


def test_a_quiz_of_one_question_has_no_rest_and_no_alpha():
    found = analyse(responses([{"a": 1.0}, {"a": 0.0}]), ("a",), {})

    assert found.items["a"].discrimination is None
    assert found.items["a"].deviation == pytest.approx(sqrt(0.5))
    assert found.quiz.alpha is None


# ---- which attempts count ---------------------------------------------------------------------------------


def test_an_attempt_that_was_not_finished_counts_for_facility_and_not_for_discrimination():
    rows = [{"a": 1.0, "b": 1.0}, {"a": 0.0, "b": 0.0}, {"a": 0.0}]
    found = analyse(responses(rows), ("a", "b"), {})

    assert (found.items["a"].n, found.items["b"].n) == (3, 2)
    assert found.items["a"].facility == pytest.approx(1 / 3)
    assert found.items["a"].complete == found.quiz.complete == 2
    assert found.items["a"].discrimination == pytest.approx(1)


def test_a_question_that_is_asked_no_more_keeps_its_figures_and_is_in_no_total():
    rows = [
        {"a": 1.0, "b": 1.0, "old": 1.0},
        {"a": 0.0, "b": 1.0, "old": 0.0},
        {"a": 1.0, "b": 0.0, "old": 0.5},
    ]
    found = analyse(responses(rows), ("a", "b"), {"old": [wording("v1")]})
    without = analyse(
        responses([{k: v for k, v in row.items() if k != "old"} for row in rows]), ("a", "b"), {}
    )
    old = found.items["old"]

    assert found.quiz == without.quiz
    assert found.items["a"] == without.items["a"]
    assert (old.in_total, old.n, old.facility, old.deviation) == (False, 3, 0.5, 0.5)
    assert (old.complete, old.discrimination, old.choices[0].point_biserial) == (0, None, None)
    assert old.choices[0].ticked == 3


# ---- an independent computation ---------------------------------------------------------------------------


def drawn(seed: int) -> tuple[list[Response], dict[str, list[Wording]], dict[str, dict[str, str]]]:
    """Return sixty attempts at five questions, of which one was edited and one voided, with their letters.

    Everybody sees the choices in another order; what is stored are the file's own letters.
    """
    chance = random.Random(seed)
    given, seen = [], {}
    for number in range(60):
        skill = chance.random()
        asked = ["q1", "q2", "q3", "q4", "void"][: 5 if chance.random() > 0.2 else chance.randint(1, 4)]
        for question in asked:
            shown = list(LETTERS)
            chance.shuffle(shown)
            right = chance.random() < skill
            ticked = {"A", "B"} if right else {shown[chance.randrange(4)]}
            version = "new" if question == "q2" and number >= 30 else "old"
            score = 1.0 if ticked == {"A", "B"} else 0.5 if ticked <= {"A", "B"} else 0.0
            if question == "q4":
                score = round(chance.random() * 9) / 9
            seen.setdefault(f"{number}", {})[question] = "".join(sorted(ticked))
            given.append(
                Response(
                    f"{number}",
                    question,
                    version,
                    "".join(sorted(ticked)),
                    score,
                )
            )
    old = wording("old", "AB")
    wordings = {question: [old] for question in ("q1", "q3", "q4", "void")}
    wordings["q2"] = [wording("new", "AB", C="Another text"), old]
    return given, wordings, seen


@pytest.mark.parametrize("seed", range(5))
def test_statistics_equal_an_independent_computation(seed):
    given, wordings, _ = drawn(seed)
    asked = ("q1", "q2", "q3", "q4")
    found = analyse(given, asked, wordings)

    table: dict[str, dict[str, float]] = {}
    for response in given:
        if response.question in asked:
            table.setdefault(response.attempt, {})[response.question] = response.score
    whole = {attempt: row for attempt, row in table.items() if len(row) == 4}
    totals = {attempt: independent.fsum(row.values()) for attempt, row in whole.items()}
    for question in asked:
        scores = [row[question] for row in table.values() if question in row]
        own = [row[question] for row in whole.values()]
        rest = [totals[attempt] - row[question] for attempt, row in whole.items()]
        item = found.items[question]
        assert item.n == len(scores)
        assert item.facility == pytest.approx(independent.fmean(scores))
        assert item.deviation == pytest.approx(independent.stdev(scores))
        assert item.discrimination == pytest.approx(independent.correlation(own, rest))
        largest = independent.covariance(sorted(own), sorted(rest))
        assert item.efficiency == pytest.approx(independent.covariance(own, rest) / largest)
    variances = sum(independent.variance([row[q] for row in whole.values()]) for q in asked)
    total = independent.variance(totals.values())
    assert found.quiz.alpha == pytest.approx(4 / 3 * (1 - variances / total))
    assert found.quiz.mean == pytest.approx(independent.fmean(totals.values()))
    assert found.quiz.deviation == pytest.approx(independent.stdev(totals.values()))


@pytest.mark.parametrize("seed", range(5))
def test_choices_equal_an_independent_computation_though_one_was_reworded(seed):
    given, wordings, seen = drawn(seed)
    asked = ("q1", "q2", "q3", "q4")
    found = analyse(given, asked, wordings)
    score = {(r.attempt, r.question): r.score for r in given}
    whole = [attempt for attempt, row in seen.items() if set(asked) <= set(row)]
    rest = {a: independent.fsum(score[a, q] for q in asked if q != "q2") for a in whole}
    version = {r.attempt: r.version for r in given if r.question == "q2"}

    rows = [(choice.letter, choice.wording["en"]) for choice in found.items["q2"].choices]
    assert rows == [
        ("A", "Text A"), ("B", "Text B"), ("C", "Another text"), ("C", "Text C"), ("D", "Text D"),
    ]  # fmt: skip
    for choice in found.items["q2"].choices:
        versions = {"Another text": {"new"}, "Text C": {"old"}}.get(choice.wording["en"], {"new", "old"})
        answers = [attempt for attempt in version if version[attempt] in versions]
        counts = Counter(choice.letter in seen[attempt]["q2"] for attempt in answers)
        assert (choice.n, choice.ticked) == (len(answers), counts[True])
        assert choice.share == pytest.approx(counts[True] / len(answers))
        compared = [attempt for attempt in whole if version[attempt] in versions]
        ticks = [float(choice.letter in seen[attempt]["q2"]) for attempt in compared]
        assert choice.compared == len(compared)
        if len(set(ticks)) > 1:
            expected = independent.correlation(ticks, [rest[attempt] for attempt in compared])
            assert choice.point_biserial == pytest.approx(expected)
        else:
            assert choice.point_biserial is None
    assert [choice.is_key for choice in found.items["q2"].choices] == [True, True, False, False, False]
    assert [choice.is_current for choice in found.items["q2"].choices] == [True, True, True, False, True]


def test_a_version_that_gained_a_language_shares_its_choices_with_the_one_before():
    english = Wording("v1", {letter: {"en": f"Text {letter}"} for letter in LETTERS}, frozenset("A"))
    both = wording("v2")
    japanese = Wording("v0", {letter: {"ja": f"文 {letter}"} for letter in LETTERS}, frozenset("A"))
    found = analyse([], ("a",), {"a": [both, english, japanese]})

    assert [choice.versions for choice in found.items["a"].choices] == [{"v0", "v1", "v2"}] * 4


def test_removed_answers_are_added_to_the_counts_of_choices_and_to_nothing_else():
    rows = [{"a": 1.0, "b": 1.0}, {"a": 0.0, "b": 0.0}]
    wordings = {"a": [wording("v1")]}
    gone = [
        RemovedAnswers("a", "v1", "BC", 3),
        RemovedAnswers("a", "v1", "", 2),
        RemovedAnswers("a", "v9", "A", 7),
    ]
    found = analyse(responses(rows), ("a", "b"), wordings, gone)
    without = analyse(responses(rows), ("a", "b"), wordings)
    a, b, *_ = found.items["a"].choices

    assert (a.n, a.ticked, a.removed) == (7, 2, 5)
    assert (b.n, b.ticked, b.removed) == (7, 3, 5)
    assert found.quiz == without.quiz
    assert (found.items["a"].n, found.items["a"].facility) == (2, 0.5)


# ---- what nothing may hang on -----------------------------------------------------------------------------

SCORES = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 2 / 3, 1.0])
TABLES = st.lists(st.lists(SCORES, min_size=3, max_size=3), min_size=2, max_size=12)


@given(TABLES, st.randoms())
def test_the_order_of_attempts_does_not_matter(rows, chance):
    given = responses([dict(zip(QUESTIONS, row, strict=True)) for row in rows])
    mixed = given[:]
    chance.shuffle(mixed)

    assert analyse(given, QUESTIONS, {}) == analyse(mixed, QUESTIONS, {})


@given(TABLES)
def test_the_order_of_questions_does_not_matter(rows):
    given = responses([dict(zip(QUESTIONS, row, strict=True)) for row in rows])
    there, back = analyse(given, QUESTIONS, {}), analyse(given, QUESTIONS[::-1], {})

    assert there.quiz == back.quiz
    assert dict(there.items) == dict(back.items)


@given(TABLES)
def test_every_figure_lies_within_its_bounds(rows):
    found = of(rows)
    for item in found.items.values():
        assert 0 <= item.facility <= 1
        assert item.discrimination is None or -1 - 1e-12 <= item.discrimination <= 1 + 1e-12
        assert item.efficiency is None or item.efficiency <= 1
    assert found.quiz.alpha is None or found.quiz.alpha <= 1 + 1e-12


@given(TABLES)
def test_a_question_that_everybody_gets_right_changes_no_other_question(rows):
    more = [{**dict(zip(QUESTIONS, row, strict=True)), "free": 1.0} for row in rows]
    found = analyse(responses(more), (*QUESTIONS, "free"), {})

    assert {q: item for q, item in found.items.items() if q != "free"} == dict(of(rows).items)
    assert found.items["free"].discrimination is None


@given(TABLES)
def test_taking_every_attempt_twice_changes_no_correlation(rows):
    once, twice = of(rows), of(rows + rows)
    assume(once.quiz.alpha is not None)

    assert once.quiz.alpha == pytest.approx(twice.quiz.alpha)
    for question in QUESTIONS:
        assert once.items[question].discrimination == pytest.approx(twice.items[question].discrimination)
