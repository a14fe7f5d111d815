"""A learner's own page: scores by technique over time, how well they guess, and everything as a file."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from learner import Learner
from records import make_record
from steelyard import progress, store
from steelyard.progress import Answered, Guessed, by_technique, calibration
from steelyard.settings import Settings
from steelyard.web.app.database import db
from steelyard.web.learner.progress import CSV_COLUMNS

START = datetime(2027, 1, 6, 12, tzinfo=UTC)  # a Wednesday


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    make_record("baseline", peak=1000).write(settings.results / "cpu")
    make_record("lora", peak=750).write(settings.results / "cpu")
    return make_app(replace(settings, database_url=database_url))


# ---- the sums ---------------------------------------------------------------------------------------------


def test_first_and_latest_answers_are_summed_by_technique_and_week():
    week = timedelta(weeks=1)
    answers = [
        Answered("a", 0.0, START),
        Answered("b", 0.5, START + week),
        Answered("a", 1.0, START + week),
        Answered("c", 1.0, START + week),
        Answered("b", 0.0, START + 2 * week),
    ]
    about = {"a": ("lora",), "b": ("lora", "baseline"), "c": ()}
    baseline, lora = by_technique(answers, lambda question: about[question])

    assert (baseline.name, lora.name) == ("baseline", "lora")
    assert (lora.first.score, lora.first.questions) == (0.5, 2)
    assert (lora.latest.score, lora.latest.questions) == (1.0, 2)
    assert {day: sum.share for day, sum in lora.weeks.items()} == {
        date(2027, 1, 4): 0.0,
        date(2027, 1, 11): 0.5,
    }
    assert progress.weeks([baseline, lora], most=1) == [date(2027, 1, 11)]


def test_a_week_begins_on_monday_in_utc():
    assert progress.monday(datetime.fromisoformat("2027-01-11T00:30+09:00")) == date(2027, 1, 4)
    assert progress.monday(datetime.fromisoformat("2027-01-11T09:30+09:00")) == date(2027, 1, 11)


def test_calibration_is_the_median_distance_and_the_mean_error_of_first_guesses():
    guesses = [Guessed("a", 0.5, 0.3), Guessed("b", 0.2, 0.3), Guessed("c", 0.9, 0.3), Guessed("a", 0.3, 0.3)]
    found = calibration(guesses)

    assert found is not None
    assert len(found.guesses) == 3
    assert found.median_error == pytest.approx(0.2)
    assert found.bias == pytest.approx((0.2 - 0.1 + 0.6) / 3)


def test_without_a_guess_there_is_no_calibration():
    assert calibration([]) is None


# ---- the page ---------------------------------------------------------------------------------------------


def test_a_new_visitor_has_no_progress_and_gets_no_cookie(app):
    learner = Learner(app)
    page = learner.get("/progress")

    assert "Nothing yet." in page.text
    assert "Nothing is stored about you" in learner.get("/progress/export.json").text


def test_scores_are_told_by_technique(app):
    learner = Learner(app)
    page = learner.start("basics")
    for chosen in ("AC", "D", "A"):
        told = learner.answer(page, chosen)
        page = learner.next(told)
    learner.answer(learner.get("/questions/basics/second"), "B")
    found = learner.get("/progress").text

    assert "4 answers so far." in found
    assert "LoRA 50% 1.5 / 3 83% 2.5 / 3" in found
    assert "The basics , " in found and "1.5 of 3" in found
    assert "How well you guess" not in found


def test_guesses_are_compared_with_what_was_measured(app):
    learner = Learner(app)
    learner.answer(learner.get("/questions/basics/first"), "AC", guess="60")
    learner.answer(learner.get("/questions/basics/third"), "AC", guess="20")
    found = learner.get("/progress").text

    assert "guesses 2 median distance from what was measured 20 points on average 15 points too high" in found
    assert "First 60% 25.0% +35" in found and "Third 20% 25.0% -5" in found


def test_an_answer_that_was_taken_back_does_not_count(app):
    learner = Learner(app)
    told = learner.answer(learner.get("/questions/more/alone?mode=review"), "BD")
    data = {"csrf_token": told.hidden["csrf_token"], "attempt": told.hidden["attempt"]}
    before = learner.get("/progress").text
    learner.client.post("/review/take-back", data=data)

    assert "LoRA 0% 0 / 1" in before
    assert "None of the questions that you answered names a technique" in learner.get("/progress").text


@pytest.mark.both_databases
def test_what_is_regraded_counts_as_it_does_now(app, settings):
    learner = Learner(app)
    learner.answer(learner.get("/questions/more/alone"), "BD")
    file = settings.questions / "more" / "alone.en.md"
    text = file.read_text(encoding="utf-8")
    found = []
    for regrade in ("credit-all", "void"):
        file.write_text(text.replace("type: ", f"regrade: {regrade}\ntype: "), encoding="utf-8")
        app.extensions["steelyard"].live_bank.refresh()
        found.append(learner.get("/progress").text)

    assert "LoRA 100% 1 / 1" in found[0]
    assert "LoRA" not in found[1]


# ---- the export -------------------------------------------------------------------------------------------


def export(learner: Learner) -> dict:
    response = learner.client.get("/progress/export.json")
    assert response.headers["Content-Disposition"].startswith('attachment; filename="steelyard-')
    return json.loads(response.data)


@pytest.mark.both_databases
def test_the_export_has_every_row_that_is_stored_about_the_learner_and_nobody_elses(app):
    learner, other = Learner(app), Learner(app)
    for each in (learner, other):
        each.answer(each.start("basics"), "AC", guess="60")
        each.answer(each.get("/questions/more/alone?mode=review"), "A")
    found = export(learner)

    assert (found["format"], found["version"]) == ("steelyard-learner", 1)
    assert {table.__tablename__ for table in store.HELD} == found.keys() - {"format", "version", "exported"}
    assert {name: len(found[name]) for name in ("learners", "attempts", "items", "answers", "guesses")} == {
        "learners": 1,
        "attempts": 2,
        "items": 4,
        "answers": 2,
        "guesses": 1,
    }
    assert found["answers"][0]["chosen"] == "AC" and found["answers"][0]["score"] == 1.0
    for table in store.HELD:
        for row in found[table.__tablename__]:
            assert list(row) == table.__table__.columns.keys()


def test_the_export_tells_no_version_of_a_question_that_is_not_answered(app):
    learner = Learner(app)
    learner.answer(learner.start("basics"), "AC")
    items = export(learner)["items"]

    assert [item["version"] is not None for item in items] == [True, False, False]


def test_the_answers_are_lines_of_a_table_too(app):
    learner = Learner(app)
    learner.answer(learner.start("basics"), "CA", guess="60")
    response = learner.client.get("/progress/export.csv")
    header, row = csv.reader(response.text.splitlines())

    assert response.mimetype == "text/csv"
    assert tuple(header) == CSV_COLUMNS
    assert row[1:] == ["practice", "basics", "basics/first", "en", "AC", "1.0", "0.6", "0.25", "no"]


def test_results_of_an_exam_that_has_not_closed_are_told_nowhere(app, settings):
    quiz = settings.questions / "basics" / "_quiz.en.md"
    quiz.write_text("---\nexam: only\ncloses: 2999-01-01T00:00Z\n---\n# An exam\n", encoding="utf-8")
    app.extensions["steelyard"].live_bank.refresh()
    learner = Learner(app)
    learner.answer(learner.get("/questions/more/alone"), "AC")
    with app.app_context():
        learner_id = db.session.scalars(sa.select(store.Learner.id)).one()
        edition = app.extensions["steelyard"].bank.questions["basics/first"]
        start = {"attempt": "e" * 32, "learner": learner_id, "quiz": "basics", "mode": "exam", "now": START}
        store.start(db.session, **start, items=[store.PlannedItem("basics/first", edition, "ABCD")])
        place = {"attempt": "e" * 32, "question": "basics/first", "now": START}
        store.append_answer(db.session, **place, chosen="AC", score=0.75, language="en")
        store.append_guess(db.session, **place, claim="a-claim", value=0.4, measured=0.25)
        db.session.add(store.Submission(attempt="e" * 32, submitted=START, by="learner"))
        db.session.commit()
    sealed = learner.get("/progress").text, export(learner), learner.client.get("/progress/export.csv").text
    quiz.write_text("---\nexam: only\ncloses: 2020-01-01T00:00Z\n---\n# An exam\n", encoding="utf-8")
    app.extensions["steelyard"].live_bank.refresh()
    told = learner.get("/progress").text, export(learner), learner.client.get("/progress/export.csv").text

    assert "LoRA 100% 1 / 1" in sealed[0] and "How well you guess" not in sealed[0]
    assert "0.75" not in sealed[0] + sealed[2] and "0.25" not in sealed[2]
    assert [row["score"] for row in sealed[1]["answers"]] == [1.0, None]
    assert [row["measured"] for row in sealed[1]["guesses"]] == [None]
    assert {row["question"] for row in sealed[1]["items"] if row["version"]} == {"more/alone"}
    assert "How well you guess" in told[0] and "0.75" in told[2]
    assert [row["score"] for row in told[1]["answers"]] == [1.0, 0.75]
