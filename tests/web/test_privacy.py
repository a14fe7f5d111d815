"""The page names every table that holds a learner, and leaving leaves nothing but counts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask

from learner import Learner, Page
from steelyard import store
from steelyard.settings import Settings
from steelyard.web.app.database import db
from steelyard.web.learner.privacy import HELD, OTHERS


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    return make_app(replace(settings, database_url=database_url))


# ---- what the page says -----------------------------------------------------------------------------------


def tables_of_a_learner() -> set[str]:
    """Return the tables whose rows lead to a learner, directly or through others."""
    tables = store.Base.metadata.tables
    found = {"learners"}
    while new := {
        name
        for name, table in tables.items()
        if name not in found and any(key.column.table.name in found for key in table.foreign_keys)
    }:
        found |= new
    return found


def test_the_page_names_every_table_and_column_that_holds_a_learner(app):
    columns = {name: set(store.Base.metadata.tables[name].columns.keys()) for name in tables_of_a_learner()}

    assert {name: set(held.columns) for name, held in HELD.items()} == columns
    assert {table.__tablename__ for table in store.HELD} == columns.keys(), "the export lacks a table"


def test_the_page_names_every_other_table_too():
    assert OTHERS.keys() == store.Base.metadata.tables.keys() - tables_of_a_learner()


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_page_shows_what_it_knows_in_both_languages(app, lang):
    page = Learner(app).get(f"/privacy?lang={lang}")
    shown = set(re.findall(r"<code>(\w+)</code>", page.response.text))

    assert shown >= HELD.keys() | OTHERS.keys() | {
        column for held in HELD.values() for column in held.columns
    }
    assert app.config["SESSION_COOKIE_NAME"] in shown
    assert f"{app.permanent_session_lifetime.days}" in page.text


def test_every_row_of_a_learner_goes_with_the_learner():
    """Whatever leads to a learner goes by itself when its parent goes."""
    for name in tables_of_a_learner() - {"learners"}:
        for key in store.Base.metadata.tables[name].foreign_keys:
            if key.column.table.name in tables_of_a_learner():
                assert key.ondelete == "CASCADE", f"{name}.{key.parent.name}"


# ---- leaving ----------------------------------------------------------------------------------------------


def leave(learner: Learner, **fields: str) -> Page:
    page = learner.get("/progress/delete")
    token = page.hidden.get("csrf_token") or learner.get("/questions/basics/first").hidden["csrf_token"]
    data = {"csrf_token": token, "confirm": "yes", **fields}
    return Page(learner.client.post("/progress/delete", data=data, follow_redirects=True))


def left(app: Flask) -> dict[str, int]:
    with app.app_context():
        counts = {
            name: db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for name, table in store.Base.metadata.tables.items()
        }
    return {name: count for name, count in counts.items() if count}


def remnants(app: Flask) -> list[tuple[str, str, int]]:
    with app.app_context():
        columns = store.Remnant.language, store.Remnant.chosen, store.Remnant.answers
        return [tuple(row) for row in db.session.execute(sa.select(*columns).order_by(*columns))]


@pytest.mark.both_databases
def test_deleting_leaves_nothing_but_counts(app):
    learner = Learner(app)
    learner.answer(learner.start("basics"), "AC")
    for chosen in ("AC", "BD", "AC"):
        told = learner.answer(learner.get("/questions/more/alone?mode=review"), chosen)
    data = {"csrf_token": told.hidden["csrf_token"], "attempt": told.hidden["attempt"]}
    learner.client.post("/review/take-back", data=data)
    asked = learner.get("/progress/delete").text
    page = leave(learner)

    assert "4 answers go" in asked
    assert page.path == "/privacy" and "Everything that was stored about you is deleted." in page.text
    assert left(app).keys() == {"versions", "remnants"}
    assert remnants(app) == [("en", "AC", 1), ("en", "AC", 2), ("en", "BD", 1)]
    assert "Nothing yet." in learner.get("/progress").text


@pytest.mark.both_databases
def test_the_counts_of_all_who_left_add_up(app):
    for _ in range(3):
        learner = Learner(app)
        learner.answer(learner.get("/questions/more/alone"), "AC")
        leave(learner)

    assert remnants(app) == [("en", "AC", 3)]


def test_nobody_else_is_touched(app):
    stays, leaves = Learner(app), Learner(app)
    told = [learner.answer(learner.get("/questions/more/alone"), "AC") for learner in (stays, leaves)]
    leave(leaves)

    assert stays.get(told[0].url).outcome == "Right"
    assert "1 answer so far." in stays.get("/progress").text


def test_without_the_tick_nothing_is_deleted(app):
    learner = Learner(app)
    learner.answer(learner.get("/questions/more/alone"), "AC")
    page = leave(learner, confirm="")

    assert page.status == 400 and "Nothing was deleted." in page.text
    assert "1 answer so far." in learner.get("/progress").text


def test_deleting_nothing_is_no_error(app):
    assert leave(Learner(app)).path == "/privacy"
    assert left(app) == {}


def test_another_device_of_one_who_left_begins_anew_and_nothing_of_the_old_comes_back(app):
    one = Learner(app)
    told = one.answer(one.get("/questions/more/alone"), "AC")
    started = one.start("basics")
    two = Learner(app)
    two.client.set_cookie("steelyard", one.client.get_cookie("steelyard").value)
    with app.app_context():
        old = db.session.scalars(sa.select(store.Learner.id)).one()
    leave(one)

    result = two.get(f"/attempts/{started.hidden['attempt']}")
    assert result.status == 404 and "or its learner has deleted everything" in result.text
    assert two.get(told.url).outcome == ""  # the question is asked as if for the first time
    assert "Nothing yet." in two.get("/progress").text
    assert "Nothing to review yet" in two.get("/review").text

    told = two.answer(two.get("/questions/more/alone"), "BD")
    assert told.outcome == "Wrong"
    assert "1 answer so far." in two.get("/progress").text
    with app.app_context():
        assert db.session.scalars(sa.select(store.Learner.id)).one() != old


def test_a_form_that_was_open_when_its_learner_left_is_taken_as_a_new_learners(app):
    one = Learner(app)
    one.answer(one.get("/questions/more/alone"), "AC")
    page = one.start("basics")
    two = Learner(app)
    two.client.set_cookie("steelyard", one.client.get_cookie("steelyard").value)
    leave(one)
    told = two.answer(page, "AC")

    assert (told.status, told.outcome) == (200, "Right")
    assert "1 answer so far." in two.get("/progress").text


@pytest.mark.both_databases
def test_an_answer_that_is_overtaken_by_the_deletion_is_told_so_and_leaves_nothing(app, monkeypatch):
    one, two = Learner(app), Learner(app)
    page = one.answer(one.start("basics"), "AC")
    page = one.next(page)
    two.client.set_cookie("steelyard", one.client.get_cookie("steelyard").value)
    append = store.append_answer

    def overtaken(session: sa.orm.Session, **values: object) -> bool:
        monkeypatch.undo()
        leave(two)
        return append(session, **values)

    monkeypatch.setattr(store, "append_answer", overtaken)
    told = one.answer(page, "B")

    assert told.status == 409 and "Your data has just been deleted" in told.text
    assert left(app).keys() == {"versions", "remnants"}
    assert one.answer(one.get("/questions/more/alone"), "AC").status == 200


def test_an_old_link_to_a_result_leads_to_a_clear_page(app):
    page = Learner(app).get(f"/attempts/{'a' * 32}")

    assert page.status == 404 and "or its learner has deleted everything" in page.text
