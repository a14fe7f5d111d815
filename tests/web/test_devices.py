"""Continue on another device: a link that serves once, and whose learner nothing else leads to."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
import sqlalchemy as sa
from flask import Flask

from learner import Learner, Page
from steelyard import store
from steelyard.settings import Settings
from steelyard.web.app.database import db

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    return make_app(replace(settings, database_url=database_url))


def learner_who_answered(app: Flask) -> Learner:
    learner = Learner(app)
    learner.answer(learner.get("/questions/more/alone"), "AC")
    return learner


def make_link(learner: Learner) -> str:
    """Return the path of a new link, as its page shows it."""
    token = learner.get("/progress").hidden["csrf_token"]
    page = learner.client.post("/progress/continue", data={"csrf_token": token})
    found = re.search(r"http://localhost(/continue/[\w-]{43})<", page.text)
    assert found, page.text
    return found[1]


def use(learner: Learner, path: str) -> Page:
    page = learner.get(path)
    data = {"csrf_token": page.hidden.get("csrf_token", csrf(learner))}
    return Page(learner.client.post(path, data=data, follow_redirects=True))


def csrf(learner: Learner) -> str:
    return learner.get("/questions/basics/first").hidden["csrf_token"]


def test_another_browser_goes_on_with_the_same_answers_and_the_first_one_too(app):
    one, two = learner_who_answered(app), Learner(app)
    page = use(two, make_link(one))

    assert "This browser goes on from here" in page.text and "1 answer so far." in page.text
    for browser in (two, one):  # neither takes the other's answer for its own
        told = browser.answer(browser.get("/questions/more/alone"), "BD")
        assert told.outcome == "Wrong" and "You had answered" not in told.text
    assert "3 answers so far." in one.get("/progress").text
    assert "3 answers so far." in two.get("/progress").text


def test_the_link_is_shown_as_a_qr_code_without_inline_style(app):
    learner = learner_who_answered(app)
    data = {"csrf_token": csrf(learner)}
    page = learner.client.post("/progress/continue", data=data)

    assert '<svg viewBox="0 0 ' in page.text and 'class="qr"' in page.text
    assert " style=" not in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert learner.get("/progress/continue").path == "/progress"  # as when the language is changed there


@pytest.mark.both_databases
def test_a_link_serves_once(app):
    one, two, three = learner_who_answered(app), Learner(app), Learner(app)
    path = make_link(one)
    use(two, path)
    late = use(three, path)

    assert late.status == 404 and "This link works no more" in late.text
    assert "Nothing yet." in three.get("/progress").text


def test_looking_at_a_link_does_not_use_it_up(app):
    one, two = learner_who_answered(app), Learner(app)
    path = make_link(one)
    for _ in range(3):
        assert "Continue here" in two.get(path).text

    assert "1 answer so far." in use(two, path).text


def test_the_device_that_made_the_link_is_told_to_open_it_elsewhere(app):
    one = learner_who_answered(app)

    assert "You are here already" in one.get(make_link(one)).text


@pytest.mark.both_databases
def test_a_link_that_has_expired_or_that_a_newer_one_replaced_or_that_never_was_does_nothing(app):
    one, two = learner_who_answered(app), Learner(app)
    old = make_link(one)
    newer = make_link(one)
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(store.Transfer)) == 1
        db.session.scalars(sa.select(store.Transfer)).one().expires = datetime.now(UTC) - timedelta(seconds=1)
        db.session.commit()
    for path in (
        old,
        newer,
        "/continue/nonsense",
        "/continue/%00",
        "/continue/%ff%fe",
        f"/continue/{'a' * 5000}",
    ):
        assert two.get(path).status == 404
        assert use(two, path).status == 404

    assert "Nothing yet." in two.get("/progress").text


def test_a_browser_with_answers_of_its_own_is_told_that_they_stay_behind(app):
    one, two = learner_who_answered(app), learner_who_answered(app)
    path = make_link(one)
    page = two.get(path)
    use(two, path)

    assert "This browser has 1 answer of its own." in page.text
    assert "/progress/export.json" in page.links and "/progress/delete" in page.links
    with app.app_context():  # nothing is lost or joined
        learners = sa.select(store.Attempt.learner, sa.func.count()).group_by(store.Attempt.learner)
        assert [count for _, count in db.session.execute(learners)] == [1, 1]


def test_nothing_stored_is_nothing_to_continue(app):
    learner = Learner(app)
    data = {"csrf_token": csrf(learner)}
    page = Page(learner.client.post("/progress/continue", data=data, follow_redirects=True))

    assert "nothing to continue" in page.text


def test_a_form_without_its_token_against_forgery_uses_no_link(app):
    one, two = learner_who_answered(app), Learner(app)
    path = make_link(one)

    assert two.client.post(path).status_code == 400
    assert "Continue here" in two.get(path).text


def test_the_store_keeps_no_token(app):
    path = make_link(learner_who_answered(app))
    with app.app_context():
        kept = db.session.scalars(sa.select(store.Transfer)).one()

    assert path.rpartition("/")[2] not in (kept.digest, kept.learner)
    assert re.fullmatch("[0-9a-f]{64}", kept.digest)


@pytest.mark.both_databases
def test_of_many_who_use_a_link_at_once_one_succeeds(app):
    with app.app_context():
        db.session.add(store.Learner(id="a" * 32, created=NOW))
        db.session.commit()
        expires = NOW + timedelta(minutes=15)
        store.append_transfer(db.session, digest="d" * 64, learner="a" * 32, expires=expires, now=NOW)
        db.session.commit()
    together, results = Barrier(8), []

    def use_it() -> None:
        with app.app_context():
            together.wait()
            found = store.use_transfer(db.session, "d" * 64, NOW)
            db.session.commit()
            results.append(found)

    threads = [Thread(target=use_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (results.count("a" * 32), results.count(None)) == (1, 7)
