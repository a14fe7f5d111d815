"""The login of /instructor: who gets in, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import argon2
import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from instructing import PASSWORD, Instructor, add_instructor, instructor
from learner import Learner
from steelyard import passwords, store
from steelyard.settings import Settings
from steelyard.store import instructors
from steelyard.web.app.database import db
from steelyard.web.instructor.guard import safe_next

pytestmark = pytest.mark.both_databases

START = datetime(2027, 1, 15, 9, tzinfo=UTC)
WRONG = "Name or password is not right."


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    return make_app(replace(settings, database_url=database_url))


def rows(app: Flask, table: type[store.Base]) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


# ---- who gets in ------------------------------------------------------------------------------------------


def pages(app: Flask) -> list[tuple[str, str]]:
    values = {"code": "22222222", "slug": "basics"}
    return [
        (method, rule.build(values)[1])
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/instructor") and not rule.rule.startswith("/instructor/login")
    ]


def test_every_page_behind_the_login_leads_to_it(app):
    stranger = Learner(app)
    token = stranger.get("/join").hidden | stranger.get("/quizzes/basics").hidden
    asked = pages(app)

    assert len(asked) >= 10
    for method, url in asked:
        response = stranger.client.open(url, method=method, data={"csrf_token": token["csrf_token"]})
        assert (response.status_code, response.location.partition("?")[0]) == (302, "/instructor/login"), url


def test_the_right_password_leads_to_where_one_wanted_to_go(app):
    add_instructor(app)
    browser = Instructor(app)
    login = browser.get("/instructor/quizzes/basics?attempts=all&sort=-n")

    assert login.path == "/instructor/login"
    page = browser.send(login, login.action, **{**login.hidden, "name": " Ada ", "password": PASSWORD})
    assert (page.status, page.url) == (200, "/instructor/quizzes/basics?attempts=all&sort=-n")
    assert "Logged in as ada" in page.text


def test_a_wrong_name_and_a_wrong_password_are_told_in_the_same_words(app):
    add_instructor(app)
    unknown, wrong = Instructor(app).log_in("eve"), Instructor(app).log_in("ada", "not the password")

    assert (unknown.status, wrong.status) == (403, 403)
    assert WRONG in unknown.text and WRONG in wrong.text
    assert rows(app, store.Login) == 0


def test_an_unknown_name_costs_the_same_work(app, monkeypatch, real_passwords):
    """One computation of argon2 with the same parameters, whether there is anything to compare with or not."""
    computed = []
    low_level = argon2.low_level

    def hash_secret(*args, **kwargs):
        computed.append((kwargs["time_cost"], kwargs["memory_cost"], kwargs["parallelism"]))
        return b"$argon2id$nothing"

    def verify_secret(hash, *_):
        parameters = argon2.extract_parameters(hash.decode())
        computed.append((parameters.time_cost, parameters.memory_cost, parameters.parallelism))
        raise argon2.exceptions.VerifyMismatchError

    stored = passwords.hash_password(PASSWORD)
    monkeypatch.setattr("argon2._password_hasher.hash_secret", hash_secret)
    monkeypatch.setattr("argon2._password_hasher.verify_secret", verify_secret)
    assert low_level is not None

    assert not passwords.matches("wrong", stored)
    assert not passwords.matches("wrong", None)
    assert len(computed) == 2
    assert computed[0] == computed[1]


def test_a_password_is_stored_as_argon2id_and_hashed_anew_when_the_parameters_change(app, real_passwords):
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    with app.app_context():
        instructors.add_instructor(db.session, name="ada", password=weak, now=START)
        db.session.commit()
    assert Instructor(app).log_in().path == "/instructor"
    with app.app_context():
        stored = instructors.password_of(db.session, "ada")

    assert stored.startswith("$argon2id$") and not passwords.is_outdated(stored)
    assert argon2.extract_parameters(stored) == argon2.profiles.RFC_9106_LOW_MEMORY
    assert Instructor(app).log_in().path == "/instructor"
    assert rows(app, store.Login) == 2


@pytest.mark.parametrize("length", [0, 11, 1001])
def test_a_password_that_is_too_short_or_too_long_is_not_taken(length):
    with pytest.raises(ValueError, match=f"has {length} characters"):
        passwords.hash_password("x" * length)


def test_what_is_no_hash_matches_nothing():
    assert not passwords.matches(PASSWORD, "")
    assert not passwords.matches(PASSWORD, "plain")


# ---- sessions ---------------------------------------------------------------------------------------------


def session_of(browser: Learner) -> dict:
    with browser.client.session_transaction() as session:
        return dict(session)


def test_a_login_brings_new_tokens_and_leaves_the_learner_who_they_are(app):
    add_instructor(app)
    browser = Instructor(app)
    browser.start("basics")
    before = session_of(browser)
    form = browser.get("/instructor/login")
    browser.send(form, "/instructor/login", name="ada", password=PASSWORD)
    after = session_of(browser)
    browser.log_in()  # the page leads on: who is logged in needs no form

    assert after["learner"] == before["learner"]
    assert after["csrf_token"] != before["csrf_token"]
    assert "login" not in before and len(after["login"]) >= 43
    assert browser.client.post("/instructor/classes", data=form.hidden).status_code == 400


def test_a_second_login_in_a_browser_ends_the_first(app):
    browser = instructor(app)
    first = session_of(browser)["login"]
    again = browser.get("/instructor")
    browser.send(again, "/instructor/login", name="ada", password=PASSWORD)

    assert session_of(browser)["login"] != first
    assert rows(app, store.Login) == 1


def test_the_store_keeps_no_token(app):
    browser = instructor(app)
    with app.app_context():
        (login,) = db.session.scalars(sa.select(store.Login)).all()

    assert session_of(browser)["login"] not in (login.digest, login.instructor)
    assert len(login.digest) == 64


def test_logging_out_ends_the_login_even_for_a_copied_cookie(app):
    browser = instructor(app)
    copied = browser.client.get_cookie("steelyard").value
    page = browser.send(browser.get("/instructor"), "/instructor/logout")
    thief = Learner(app)
    thief.client.set_cookie("steelyard", copied)

    assert "You are logged out." in page.text
    assert browser.get("/instructor").path == "/instructor/login"
    assert thief.get("/instructor").path == "/instructor/login"
    assert rows(app, store.Login) == 0


def test_a_login_ends_after_twelve_hours(app, clock):
    browser = instructor(app)
    clock.go(hours=11, minutes=59)
    assert browser.get("/instructor").path == "/instructor"
    clock.go(minutes=1)

    assert browser.get("/instructor").path == "/instructor/login"
    instructor(app, "bea")
    assert rows(app, store.Login) == 1, "expired logins are removed"


def test_a_login_that_a_clock_ahead_of_time_made_is_none(app, clock):
    add_instructor(app)
    clock.go(days=30)
    browser = Instructor(app)
    browser.log_in()
    clock.go(days=-30)

    assert browser.get("/instructor").path == "/instructor/login"


def test_a_new_password_ends_every_login(app):
    browser = instructor(app)
    with app.app_context():
        assert instructors.set_password(db.session, "ada", passwords.hash_password("another password"))
        db.session.commit()

    assert browser.get("/instructor").path == "/instructor/login"
    assert WRONG in Instructor(app).log_in().text
    assert Instructor(app).log_in(password="another password").path == "/instructor"


def test_a_removed_instructor_is_logged_out(app):
    browser = instructor(app)
    with app.app_context():
        assert instructors.remove_instructor(db.session, "ada")
        db.session.commit()

    assert browser.get("/instructor").path == "/instructor/login"


def test_what_instructors_see_is_kept_in_no_browser(app):
    assert instructor(app).get("/instructor").response.headers["Cache-Control"] == "private, no-store"


# ---- onward -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "next",
    [
        "https://evil.example/instructor", "//evil.example/instructor", "/\\evil.example", "/instructor\\..\\evil",
        "/instructor.evil.example", "/instructorx", "/quizzes/basics", "javascript:alert(1)", "/instructor\r\nX: y",
        "/instructor/\t/evil.example", " /instructor", "instructor", "", "/instructor/é", "@evil.example",
    ],
)  # fmt: skip
def test_the_login_leads_to_no_other_place(app, next):
    add_instructor(app)
    browser = Instructor(app)
    form = browser.get("/instructor/login")
    fields = {**form.hidden, "name": "ada", "password": PASSWORD, "next": next}
    response = browser.client.post("/instructor/login", data=fields)

    assert (response.status_code, response.location) == (303, "/instructor")
    assert safe_next(next) is None


@given(st.text(max_size=30) | st.text("/\\.:@?#instrucoevl \t\n", max_size=30).map("/instructor".__add__))
def test_an_address_that_is_led_on_to_lies_behind_the_login(next):
    safe = safe_next(next)

    assert safe is None or (safe == next and safe.startswith("/instructor") and safe[11:12] in ("", "/", "?"))
    assert safe is None or not set(safe) & set("\\\t\r\n ")
