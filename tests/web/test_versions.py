"""An attempt keeps the version of a question that it began with, whatever happens to the file."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from learner import Learner
from steelyard import store
from steelyard.web.app.database import db


@pytest.fixture
def learner(app) -> Learner:
    return Learner(app)


def answers(app) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(store.Answer)) or 0


def edit(settings, old: str, new: str) -> None:
    path = settings.questions / "basics" / "first.en.md"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def refresh(app) -> None:
    assert app.extensions["steelyard"].live_bank.refresh()


def test_an_attempt_keeps_the_version_that_it_began_with(app, settings, learner):
    page = learner.start("basics")
    edit(settings, "\nA, C\n", "\nB\n")
    edit(settings, "Feedback on A of First.", "Another feedback.")
    (settings.questions / "basics" / "first.ja.md").unlink()
    refresh(app)
    told = learner.answer(page, ["A", "C"])

    assert "You found 2 of 2" in told.text
    assert "Feedback on A of First." in told.text
    assert "最初" in learner.get(told.url + "&lang=ja").text


def test_an_attempt_outlives_its_questions_file(app, settings, learner):
    page = learner.start("basics")
    for path in settings.questions.glob("basics/first.*.md"):
        path.unlink()
    refresh(app)

    assert learner.get("/questions/basics/first").status == 404
    assert learner.answer(page, ["A", "C"]).outcome == "Right"


def test_an_attempt_goes_on_when_its_quiz_is_renamed(app, settings, learner):
    page = learner.start("basics")
    (settings.questions / "basics").rename(settings.questions / "other")
    refresh(app)
    told = learner.answer(page, ["A", "C"])

    assert "Next question" in told.text
    assert learner.next(told).path == "/questions/basics/second"


def test_a_question_alone_that_was_edited_meanwhile_is_shown_anew(app, settings, learner):
    page = learner.get("/questions/basics/first")
    edit(settings, "Choice A of First", "A quite different choice")
    refresh(app)
    again = learner.answer(page, ["A", "C"])

    assert (again.status, answers(app)) == (409, 0)
    assert "has been edited" in again.text and "A quite different choice" in again.text
    assert learner.answer(again, ["A", "C"]).outcome == "Right"


def test_a_version_is_stored_once_and_whole(app, settings):
    for _ in range(3):
        learner = Learner(app)
        learner.answer(learner.get("/questions/basics/first"), ["A"])
    with app.app_context():
        (version,) = db.session.scalars(sa.select(store.Version)).all()
        edition = store.edition(db.session, version.digest)

    assert version.question == "basics/first"
    assert {"en", "ja"} == set(edition)
    assert edition.question("ja").choice("A").feedback.source == "Feedback on A of 最初."
    assert edition.question("en").key == {"A", "C"}
