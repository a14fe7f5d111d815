"""A learner's way through a quiz, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread

import pytest
import sqlalchemy as sa
from flask import Flask

from learner import Learner
from steelyard import store
from steelyard.settings import Settings
from steelyard.web import create_app
from steelyard.web.app.database import db


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    return make_app(replace(settings, database_url=database_url))


def rows(app: Flask, table: type[store.Base]) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


@pytest.mark.both_databases
def test_a_quiz_is_taken_from_its_first_question_to_the_result(app):
    learner = Learner(app)
    page = learner.start("basics")
    outcomes = []
    for chosen in (["A", "C"], ["B"], ["A"]):
        told = learner.answer(page, chosen)
        outcomes.append(told.outcome)
        page = learner.next(told)

    assert outcomes == ["Right", "Right", "Partly right"]
    assert "You found 1 of 2" in told.text
    assert page.path.startswith("/attempts/")
    assert "2.5 of 3" in page.text
    assert "LoRA saves something." in page.text


def test_the_order_of_questions_is_the_quizs(app):
    learner = Learner(app)
    page, seen = learner.start("basics"), []
    while page.choices:
        seen.append(page.path)
        page = learner.next(learner.answer(page, ["B"]))

    assert seen == ["/questions/basics/first", "/questions/basics/second", "/questions/basics/third"]


def test_feedback_tells_of_chosen_and_of_not_chosen_choices(app):
    learner = Learner(app)
    told = learner.answer(learner.start("basics"), ["A", "B"]).text

    for letter in "ABCD":
        assert f"Feedback on {letter} of First." in told
    for words in ("Your choice, and right", "Your choice, but wrong", "Right, but not chosen", "Rightly not"):
        assert words in told


def test_looking_writes_nothing(app):
    learner = Learner(app)
    for url in ("/", "/quizzes/basics", "/questions/basics/first", "/?lang=ja", "/healthz"):
        assert learner.get(url).status == 200

    assert [rows(app, table) for table in (store.Learner, store.Attempt, store.Version)] == [0, 0, 0]


def test_a_question_alone_becomes_an_attempt_with_its_answer(app):
    learner = Learner(app)
    told = learner.answer(learner.get("/questions/more/alone"), ["A", "C"])

    assert told.outcome == "Right"
    assert [rows(app, table) for table in (store.Learner, store.Attempt, store.Answer)] == [1, 1, 1]


def test_a_closed_tab_is_resumed_from_the_start_page(app):
    learner = Learner(app)
    first = learner.start("basics")
    learner.answer(first, ["A", "C"])
    home = learner.get("/")
    resumed = next(url for url in home.links if url.startswith("/attempts/"))

    assert "1 of 3 answered" in home.text
    assert learner.get(resumed).path == "/questions/basics/second"


def test_the_order_of_choices_is_drawn_once_for_an_attempt(app):
    learner = Learner(app)
    page = learner.start("basics")
    orders = {tuple(learner.get(page.url).choices) for _ in range(5)}
    others = {tuple(learner.start("basics").choices) for _ in range(12)}

    assert orders == {tuple(page.choices)}
    assert len(others) > 1
    assert {frozenset(order) for order in others} == {frozenset("ABCD")}


def test_the_order_of_a_question_alone_survives_a_reload_and_is_the_one_that_is_told(app):
    learner = Learner(app)
    page = learner.get("/questions/basics/first")
    again = learner.get("/questions/basics/first?lang=ja")
    told = learner.answer(again, ["A"]).text
    places = [told.index(f"Feedback on {letter} of 最初") for letter in page.choices]

    assert page.choices == again.choices
    assert places == sorted(places)


@pytest.mark.both_databases
def test_a_form_sent_twice_counts_once(app):
    learner = Learner(app)
    page = learner.get("/questions/basics/first")
    first, second = learner.answer(page, ["A", "C"]), learner.answer(page, ["A", "C"])

    assert first.url == second.url
    assert [rows(app, table) for table in (store.Attempt, store.Answer)] == [1, 1]
    assert "answered this question already" not in second.text


@pytest.mark.both_databases
def test_another_answer_from_a_second_tab_is_refused_and_the_first_stands(app):
    learner = Learner(app)
    page = learner.start("basics")
    learner.answer(page, ["A", "C"])
    second = learner.answer(page, ["B"])

    assert "Your first answer stands" in second.text
    assert "You found 2 of 2" in second.text
    assert rows(app, store.Answer) == 1


def test_two_tabs_on_two_questions_of_an_attempt_do_not_disturb_each_other(app):
    learner = Learner(app)
    first = learner.start("basics")
    third = learner.get(first.url.replace("first", "third"))
    learner.answer(third, ["A", "C"])
    learner.answer(first, ["B"])
    page = learner.get(f"/attempts/{first.hidden['attempt']}")

    assert page.path == "/questions/basics/second"
    assert "1.0 of 3" not in page.text
    assert rows(app, store.Answer) == 2


@pytest.mark.both_databases
def test_one_answer_of_many_sent_at_the_same_moment_is_kept(app):
    learner = Learner(app)
    page = learner.start("basics")
    cookie = learner.client.get_cookie("steelyard")
    assert cookie
    statuses: list[int] = []

    def send(letter: str) -> None:
        other = Learner(app)
        other.client.set_cookie("steelyard", cookie.value)
        statuses.append(other.answer(page, [letter], follow=False).status)

    threads = [Thread(target=send, args=(letter,)) for letter in "ABCDABCD"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [303] * 8
    assert rows(app, store.Answer) == 1


def test_a_session_that_did_not_hear_of_its_answer_can_answer_again(app):
    """A reply may get lost, or be overtaken by another tab's, and with it the cookie that it sets."""
    learner = Learner(app)
    page = learner.get("/questions/basics/first")
    before = learner.client.get_cookie("steelyard")
    learner.answer(page, ["A"])
    learner.client.set_cookie("steelyard", before.value)
    second = learner.answer(learner.get("/questions/basics/first"), ["A", "C"])
    third = learner.answer(learner.get("/questions/basics/first"), ["A", "C"])

    assert "Your first answer stands" in second.text
    assert "Your first answer stands" not in third.text
    assert "You found 2 of 2" in third.text
    assert rows(app, store.Answer) == 2


def test_attempts_of_others_are_not_shown(app):
    page = Learner(app).start("basics")
    other = Learner(app)

    assert other.get(f"/attempts/{page.hidden['attempt']}").status == 404
    assert other.get(page.url).url == "/questions/basics/first"
    stolen = other.get("/questions/basics/first")
    stolen.hidden["attempt"] = page.hidden["attempt"]
    assert other.answer(stolen, ["A"]).status == 400
    assert rows(app, store.Answer) == 0


@pytest.mark.both_databases
@pytest.mark.parametrize("id", ["%00", "%00" * 32, "x", "%F0%9F%98%80" * 8, "'--"])
def test_an_id_that_cannot_be_finds_nothing(app, id):
    learner = Learner(app)

    assert learner.get(f"/attempts/{id}").status == 404
    assert learner.get(f"/questions/basics/first?attempt={id}").url == "/questions/basics/first"


@pytest.mark.both_databases
def test_answers_are_inserted_and_never_updated(app):
    statements: list[str] = []
    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *a: statements.append(a[2].split()[0].upper()))
    learner = Learner(app)
    page = learner.start("basics")
    while page.choices:
        told = learner.answer(page, ["A"])
        learner.answer(page, ["B"])
        page = learner.next(told)

    assert "INSERT" in statements
    assert not {"UPDATE", "DELETE", "REPLACE"} & set(statements)


@pytest.mark.both_databases
@pytest.mark.parametrize("state", ["alone", "asked", "told"])
def test_a_question_page_takes_at_most_three_statements(app, state):
    learner = Learner(app)
    page = learner.get("/questions/basics/first") if state == "alone" else learner.start("basics")
    if state == "told":
        page = learner.answer(page, ["A"])
    statements: list[str] = []
    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    learner.get(page.url)

    assert len(statements) <= 3


@pytest.mark.both_databases
def test_a_worker_tells_whether_its_database_is_ready(app, settings, tmp_path):
    empty = create_app(replace(settings, database_url=f"sqlite:///{tmp_path}/empty.sqlite3"))
    unreachable = create_app(replace(settings, database_url="postgresql+psycopg://nobody@127.0.0.1:1/none"))

    assert Learner(app).get("/healthz").status == 200
    assert Learner(unreachable).get("/healthz").status == 503
    assert Learner(empty).get("/healthz").status == 503
    with empty.app_context():
        db.engine.dispose()
