"""A question that turned out broken: asked no more, and what it scored is shown beside what it counts now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from learner import Learner, Page
from steelyard import store
from steelyard.settings import Settings
from steelyard.web.app.database import db


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    return make_app(replace(settings, database_url=database_url))


def regrade(app: Flask, settings: Settings, how: str | None, name: str = "third") -> None:
    """Write into a question's file how it is regraded; None takes the line out."""
    path: Path = settings.questions / "basics" / f"{name}.en.md"
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("regrade:")
    ]
    if how:
        lines.insert(1, f"regrade: {how}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert app.extensions["steelyard"].live_bank.refresh()


def taken(learner: Learner) -> Page:
    """Take `basics`: first right, second wrong, third half right; return its result."""
    page = learner.start("basics")
    for chosen in ("AC", "A", "A"):
        page = learner.next(learner.answer(page, chosen))
    return page


def stored(app: Flask) -> list[tuple[str, float]]:
    with app.app_context():
        rows = db.session.execute(
            sa.select(store.Answer.question, store.Answer.score).order_by(store.Answer.id)
        )
        return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("how", "result", "beside"),
    [
        ("void", "1 of 2", "was 0.5, now counts in no total: regraded"),
        ("credit-all", "2 of 3", "was 0.5, now 1: regraded"),
    ],
)
def test_a_result_shows_what_was_and_counts_what_is(app, settings, how, result, beside):
    learner = Learner(app)
    before = taken(learner)
    rows = stored(app)
    regrade(app, settings, how)
    after = learner.get(before.url)

    assert "1.5 of 3" in before.text and "regraded" not in before.text
    assert result in after.text and beside in after.text
    assert beside in learner.get(f"/questions/basics/third?attempt={before.url.rpartition('/')[2]}").text
    assert result in learner.get("/").text
    assert result in learner.get("/quizzes/basics").text
    assert result in learner.get("/progress").text
    assert stored(app) == rows


@pytest.mark.both_databases
def test_regrading_twice_is_regrading_once_and_taking_it_back_leaves_no_trace(app, settings):
    learner = Learner(app)
    before = taken(learner)
    seen = []
    for how in ("void", "credit-all", "void"):
        regrade(app, settings, how)
        seen += [learner.get(before.url).text, learner.get(before.url).text]
    regrade(app, settings, None)

    assert seen[0] == seen[1] == seen[4] == seen[5] != seen[2] == seen[3]
    assert learner.get(before.url).text == before.text


@pytest.mark.parametrize("how", ["void", "credit-all"])
def test_a_regraded_question_is_asked_in_no_new_attempt(app, settings, how):
    learner = Learner(app)
    page = learner.get("/questions/basics/third")
    regrade(app, settings, how)
    gone = learner.answer(page, "AC")

    assert gone.status == 410
    assert "asked no more" in gone.text
    assert stored(app) == []
    assert "/questions/basics/third" not in learner.get("/quizzes/basics").links
    assert "/questions/basics/third" not in learner.get("/techniques/lora").links
    result = learner.start("basics")
    for chosen in ("AC", "B"):
        result = learner.next(learner.answer(result, chosen))
    assert "2 of 2" in result.text


def test_an_attempt_that_had_begun_goes_on_to_its_end(app, settings):
    learner = Learner(app)
    page = learner.start("basics")
    regrade(app, settings, "void", "second")
    for chosen in ("AC", "B", "A"):
        page = learner.next(learner.answer(page, chosen))

    assert "1.5 of 2" in page.text


@pytest.mark.both_databases
def test_the_score_by_technique_follows(app, settings):
    learner = Learner(app)
    url = taken(learner).url
    regrade(app, settings, "void")

    assert "1 / 2" in learner.get(url).text


def test_a_regraded_question_is_not_offered_to_be_answered_again(app, settings):
    learner = Learner(app)
    url = taken(learner).url
    regrade(app, settings, "void")
    result = learner.get(url)

    assert "/questions/basics/second" in result.links
    assert "/questions/basics/third" not in result.links
    assert (
        "/questions/basics/third"
        not in learner.get(f"/questions/basics/third?attempt={url.rpartition('/')[2]}").links
    )
