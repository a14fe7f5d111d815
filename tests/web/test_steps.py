"""The steps of a quiz: named by what came of them, and folded where they would fill a telephone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bank_files import question_text
from learner import Learner


def write_quiz(questions: Path, count: int) -> None:
    folder = questions / "long"
    folder.mkdir()
    for number in range(1, count + 1):
        (folder / f"q{number:02}.en.md").write_text(question_text(f"Number {number}"), encoding="utf-8")


def step_names(html: str) -> list[str]:
    """Return what each step is called for those who do not see it."""
    return [re.sub(r"<[^>]+>", "", step) for step in re.findall(r'<a class="step [^>]*>(.*?)</a>', html)]


@pytest.mark.parametrize("mode", ["practice", "exam"])
def test_up_to_twenty_steps_stand_open(settings, make_app, mode):
    write_quiz(settings.questions, 20)
    html = Learner(make_app(settings)).start("long", mode).response.text

    assert len(step_names(html)) == 20
    assert "steps-all" not in html


@pytest.mark.parametrize(("mode", "done"), [("practice", "right"), ("exam", "saved")])
def test_more_are_folded_under_where_the_learner_is(settings, make_app, mode, done):
    write_quiz(settings.questions, 21)
    learner = Learner(make_app(settings))
    page = learner.answer(learner.start("long", mode), "AC")
    if mode == "practice":
        page = learner.next(page)
    html = page.response.text

    assert re.search(r'<details class="steps-all">\s*<summary>Question 2 of 21 · 1 answered</summary>', html)
    assert html.count('aria-current="step"') == 1
    assert step_names(html)[:2] == [f"Question 1: {done}", "Question 2: not answered yet"]
    assert len(step_names(html)) == 21


def test_each_outcome_has_a_name_and_a_mark_of_its_own(settings, make_app):
    learner = Learner(make_app(settings))
    page = learner.start("basics")
    for chosen in ("AC", "A", "A"):
        told = learner.answer(page, chosen)
        page = learner.next(told)

    assert step_names(told.response.text) == [
        "Question 1: right",
        "Question 2: wrong",
        "Question 3: partly right",
    ]
    assert re.findall(r'class="step (step-\w+)"', told.response.text) == [
        "step-right",
        "step-wrong",
        "step-partly",
    ]
