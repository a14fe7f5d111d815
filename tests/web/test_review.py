"""Reviews: what is due is asked again, one question at a time, and an answer can be taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from bank_files import question_text
from learner import Learner, Page
from steelyard import store
from steelyard.settings import Settings
from steelyard.web.app.database import db


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    return make_app(replace(settings, database_url=database_url))


def let_pass(app: Flask, time: timedelta) -> None:
    """Make every answer so much older."""
    with app.app_context():
        for answer in db.session.scalars(sa.select(store.Answer)):
            answer.answered -= time
        db.session.commit()


def rows(app: Flask, table: type[store.Base]) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def answered(app: Flask, *ids: str, chosen: str = "AC", age: timedelta = timedelta(days=1)) -> Learner:
    """Return a learner who answered these questions, one after the other, and let time pass."""
    learner = Learner(app)
    for id in ids:
        learner.answer(learner.get(f"/questions/{id}"), chosen)
    let_pass(app, age)
    return learner


def take_back(learner: Learner, told: Page) -> Page:
    data = {"csrf_token": told.hidden["csrf_token"], "attempt": told.hidden["attempt"]}
    return Page(learner.client.post("/review/take-back", data=data, follow_redirects=True))


def test_a_new_visitor_has_nothing_to_review_and_gets_no_cookie(app):
    learner = Learner(app)
    page = learner.get("/review")

    assert "Nothing to review yet" in page.text
    assert learner.get("/review/next").path == "/review"
    assert learner.client.get_cookie("steelyard") is None


def test_what_was_answered_is_due_when_its_time_has_come_and_not_before(app):
    learner = answered(app, "more/alone", age=timedelta())
    before = learner.get("/review").text
    let_pass(app, timedelta(minutes=11))

    assert "Nothing is due. The next question is due on" in before
    assert "1 question is due." in learner.get("/review").text
    assert "1 question is due for review." in learner.get("/").text
    assert "due for review" not in Learner(app).get("/").text


@pytest.mark.both_databases
def test_reviewing_goes_from_one_due_question_to_the_next_until_none_is_left(app):
    learner = answered(app, "more/alone", "basics/first")
    seen = []
    page = learner.get("/review/next")
    while page.choices:
        seen.append(page.path)
        assert page.hidden["mode"] == "review"
        told = learner.answer(page, "AC")
        assert told.outcome == "Right" and "/review/next" in told.links
        page = learner.get("/review/next")

    assert seen == ["/questions/more/alone", "/questions/basics/first"]
    assert page.path == "/review" and "Nothing is due" in page.text


def test_an_answer_in_review_is_an_attempt_of_its_own_kind(app):
    learner = answered(app, "more/alone")
    learner.answer(learner.get("/review/next"), "AC")

    with app.app_context():
        attempts = sa.select(store.Attempt.mode, store.Attempt.quiz).order_by(store.Attempt.started)
        assert db.session.execute(attempts).all() == [("practice", None), ("review", None)]


def test_the_mode_survives_a_form_that_is_sent_back(app):
    learner = answered(app, "more/alone")
    page = learner.answer(learner.get("/review/next"), "")
    stale = learner.answer(page, "A", csrf_token="stale")

    assert (page.status, stale.status) == (400, 400)
    assert page.hidden["mode"] == stale.hidden["mode"] == "review"
    assert "Take back this answer" in learner.answer(stale, "A").text


def test_looking_at_a_review_writes_nothing(app):
    learner = answered(app, "more/alone")
    before = rows(app, store.Attempt)
    for url in ("/review", "/review/next", "/questions/more/alone?mode=review"):
        assert learner.get(url).status == 200

    assert rows(app, store.Attempt) == before


@pytest.mark.both_databases
def test_an_answer_taken_back_is_due_again_and_nothing_is_lost(app):
    learner = answered(app, "more/alone")
    told = learner.answer(learner.get("/review/next"), "BD")
    after = learner.get("/review").text
    page = take_back(learner, told)

    assert "Nothing is due" in after
    assert "The answer was taken back" in page.text and "1 question is due." in page.text
    assert (rows(app, store.Answer), rows(app, store.Undo)) == (2, 1)
    assert "You took this answer back." in learner.get(told.url).text


@pytest.mark.both_databases
def test_taking_back_twice_takes_back_once(app):
    learner = answered(app, "more/alone", "basics/first")
    learner.answer(learner.get("/review/next"), "AC")
    told = learner.answer(learner.get("/review/next"), "AC")
    take_back(learner, told)
    again = take_back(learner, told)

    assert again.status == 200 and "The answer was taken back" not in again.text
    assert rows(app, store.Undo) == 1


def test_only_the_latest_answer_can_be_taken_back(app):
    learner = answered(app, "more/alone", "basics/first")
    first = learner.answer(learner.get("/review/next"), "AC")
    second = learner.answer(learner.get("/review/next"), "AC")
    refused = take_back(learner, first)

    assert "Only the latest answer of a review can be taken back." in refused.text
    assert rows(app, store.Undo) == 0
    assert "Take back this answer" not in learner.get(first.url).text
    take_back(learner, second)  # then the one before it is the latest that counts
    assert "Take back this answer" in learner.get(first.url).text


def test_an_answer_of_somebody_else_or_of_no_review_is_not_taken_back(app):
    learner, other = answered(app, "more/alone"), Learner(app)
    reviewed = learner.answer(learner.get("/review/next"), "AC")
    practised = learner.answer(learner.get("/questions/basics/first"), "AC")
    token = other.get("/questions/basics/third").hidden["csrf_token"]
    foreign = {"csrf_token": token, "attempt": reviewed.hidden["attempt"]}
    own = {"csrf_token": learner.get("/questions/basics/third").hidden["csrf_token"]}
    attempt = practised.url.partition("attempt=")[2]

    assert other.client.post("/review/take-back", data=foreign).status_code == 404
    assert learner.client.post("/review/take-back", data={**own, "attempt": attempt}).status_code == 404
    for nonsense in ("", "1", "\0", "a" * 33, "' OR 1"):
        sent = learner.client.post("/review/take-back", data={**own, "attempt": nonsense})
        assert sent.status_code == 400
    assert rows(app, store.Undo) == 0


def test_an_answer_of_a_quiz_counts_for_the_schedule_too(app):
    learner = Learner(app)
    learner.answer(learner.start("basics"), "AC")
    let_pass(app, timedelta(days=1))

    assert learner.get("/review/next").path == "/questions/basics/first"


def test_a_question_that_vanished_or_that_only_an_exam_may_ask_is_not_reviewed(app, settings):
    learner = answered(app, "more/alone", "basics/first", "basics/third")
    (settings.questions / "more" / "alone.en.md").unlink()
    app.extensions["steelyard"].live_bank.refresh()
    without = learner.get("/review").text
    quiz = settings.questions / "basics" / "_quiz.en.md"
    quiz.write_text("---\nexam: only\n---\n# An exam\n", encoding="utf-8")
    app.extensions["steelyard"].live_bank.refresh()

    assert "2 questions are due." in without
    assert "Nothing to review yet" in learner.get("/review").text
    assert learner.get("/review/next").path == "/review"


def test_a_question_that_is_regraded_is_not_reviewed(app, settings):
    learner = answered(app, "more/alone")
    text = question_text("Alone").replace("type: multiple", "type: multiple\nregrade: void")
    (settings.questions / "more" / "alone.en.md").write_text(text, encoding="utf-8")
    app.extensions["steelyard"].live_bank.refresh()

    assert "Nothing to review yet" in learner.get("/review").text


def test_ten_thousand_answers_are_replayed(app):
    learner = answered(app, "more/alone", age=timedelta())
    with app.app_context():
        attempt = db.session.scalars(sa.select(store.Attempt)).one()
        item = db.session.scalars(sa.select(store.Item)).one()
        hours = range(1, 10_000)
        when = {hour: attempt.started - timedelta(hours=hour) for hour in hours}
        common = {"question": item.question, "version": item.version, "letters": item.letters, "position": 0}
        given = {"question": item.question, "chosen": "AC", "score": 1.0, "language": "en"}
        for table, row in (
            (
                store.Attempt,
                lambda hour: {"id": f"{hour:032x}", "learner": attempt.learner, "mode": "review"},
            ),
            (store.Item, lambda hour: {"attempt": f"{hour:032x}", **common}),
            (store.Answer, lambda hour: {"attempt": f"{hour:032x}", **given, "answered": when[hour]}),
        ):
            times = {"started": attempt.started} if table is store.Attempt else {}
            db.session.execute(sa.insert(table), [{**row(hour), **times} for hour in hours])
        db.session.commit()

    assert learner.get("/review").status == 200
    assert "10000 answers so far." in learner.get("/progress").text
