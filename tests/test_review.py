"""The schedule is FSRS' own: due dates equal py-fsrs used alone, whatever the clock's zone, or its mood."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from fsrs import Card, Rating, Scheduler
from hypothesis import given
from hypothesis import strategies as st

from steelyard.review import GivenAnswer, Scheduled, schedule

START = datetime(2027, 1, 1, 12, tzinfo=UTC)

gaps = st.timedeltas(timedelta(), timedelta(days=400))
jumps = st.timedeltas(timedelta(days=-400), timedelta(days=400))
zones = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)


@st.composite
def histories(draw: st.DrawFn, gaps: st.SearchStrategy[timedelta] = gaps) -> list[GivenAnswer]:
    """Answers to a few questions, in the order in which they were given."""
    moment, answers = START, []
    for _ in range(draw(st.integers(1, 30))):
        moment += draw(gaps)
        answers.append(
            GivenAnswer(draw(st.sampled_from(("a/one", "a/two", "b/three"))), draw(st.booleans()), moment)
        )
    return answers


def alone(answers: list[GivenAnswer], question: str) -> datetime:
    """The due date of one question by py-fsrs, as its documentation reviews a card."""
    scheduler, card = Scheduler(enable_fuzzing=False), Card()
    for answer in answers:
        if answer.question == question:
            rating = Rating.Good if answer.right else Rating.Again
            card, _ = scheduler.review_card(card, rating, answer.answered.astimezone(UTC))
    return card.due


@given(histories())
def test_due_dates_equal_py_fsrs_used_alone(answers):
    expected = {question: alone(answers, question) for question in {answer.question for answer in answers}}

    assert {found.question: found.due for found in schedule(answers)} == expected


@given(histories(jumps))
def test_due_dates_equal_py_fsrs_when_the_clock_jumps_back(answers):
    for found in schedule(answers):
        assert found.due == alone(answers, found.question)


@given(histories(), zones)
def test_the_zone_of_the_clock_has_no_part_in_it(answers, zone):
    elsewhere = [GivenAnswer(each.question, each.right, each.answered.astimezone(zone)) for each in answers]

    assert schedule(elsewhere) == schedule(answers)


@given(histories(), st.integers(0, 29))
def test_an_answer_left_out_is_as_if_it_had_not_been_given(answers, index):
    index %= len(answers)
    without = answers[:index] + answers[index + 1 :]
    taken = answers[index].question
    others = {found for found in schedule(answers) if found.question != taken}

    assert others == {found for found in schedule(without) if found.question != taken}
    assert [found.due for found in schedule(without) if found.question == taken] == [
        alone(without, taken) for _ in range(any(each.question == taken for each in without))
    ]


@given(histories())
def test_the_soonest_comes_first(answers):
    dates = [found.due for found in schedule(answers)]

    assert dates == sorted(dates)


def test_a_wrong_answer_is_asked_again_sooner_than_a_right_one():
    (wrong,) = schedule([GivenAnswer("q", True, START), GivenAnswer("q", False, START + timedelta(days=1))])
    (right,) = schedule([GivenAnswer("q", True, START), GivenAnswer("q", True, START + timedelta(days=1))])

    assert wrong.due < right.due


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (timedelta(days=2), False),
        (timedelta(days=3), True),
        (timedelta(hours=-23), False),  # another server's clock is a little behind
        (timedelta(days=-2), True),  # the answer's clock was ahead: nobody waits for a date in the far future
    ],
)
def test_a_question_is_due_from_its_date_on_or_when_its_clock_was_wrong(now, expected):
    assert Scheduled("q", START + timedelta(days=3), START).is_due(START + now) is expected


def test_no_answers_are_no_schedule():
    assert schedule([]) == []
