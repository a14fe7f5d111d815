"""The door of /instructor: who gets in, for how long, and who is locked out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Thread
from time import time

import argon2
import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.test import Cookie

from instructing import PASSWORD, Instructor, add_instructor, instructor
from learner import Learner, Page
from steelyard import passwords, store
from steelyard.settings import Settings
from steelyard.store import instructors
from steelyard.web.app import security
from steelyard.web.app.database import db
from steelyard.web.instructor.guard import safe_next

pytestmark = pytest.mark.both_databases

START = datetime(2027, 1, 15, 9, tzinfo=UTC)
WRONG = "Name or password is not right."


class Clock:
    now = START

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("steelyard.web.app.clock.now", lambda: clock.now)
    return clock


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    return make_app(replace(settings, database_url=database_url))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Passwords are compared as they are, so that hundreds can be tried; returns what was compared with."""
    compared: list[str | None] = []

    def matches(password: str, stored: str | None) -> bool:
        compared.append(stored)
        return stored is not None and password == PASSWORD

    monkeypatch.setattr(passwords, "matches", matches)
    return compared


def rows(app: Flask, table: type[store.Base]) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def at(app: Flask, address: str) -> Instructor:
    """Return a browser that comes from this address."""
    browser = Instructor(app)
    browser.client.environ_base["REMOTE_ADDR"] = address
    return browser


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
    clock.pass_(hours=11, minutes=59)
    assert browser.get("/instructor").path == "/instructor"
    clock.pass_(minutes=1)

    assert browser.get("/instructor").path == "/instructor/login"
    instructor(app, "bea")
    assert rows(app, store.Login) == 1, "expired logins are removed"


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


# ---- lockout ----------------------------------------------------------------------------------------------


def test_five_wrong_passwords_lock_an_account_for_an_address_and_say_how_long(app, clock, quick):
    add_instructor(app)
    statuses = []
    for _ in range(5):
        statuses.append(Instructor(app).log_in(password="wrong").status)
        clock.pass_(minutes=1)
    locked = Instructor(app).log_in()

    assert statuses == [403] * 5
    assert locked.status == 429
    assert "Try again in 10 minutes." in locked.text
    assert len(quick) == 5, "a locked account's password is not even looked at"
    assert at(app, "192.0.2.9").log_in().path == "/instructor", "elsewhere the same account is open"
    clock.pass_(minutes=9, seconds=59)
    assert Instructor(app).log_in().status == 429
    clock.pass_(seconds=1)
    assert Instructor(app).log_in().path == "/instructor"


def test_waiting_helps_even_if_one_tries_meanwhile(app, clock, quick):
    add_instructor(app)
    for _ in range(5):
        Instructor(app).log_in(password="wrong")
    for _ in range(20):
        assert Instructor(app).log_in().status == 429
    clock.pass_(minutes=15)

    assert Instructor(app).log_in().path == "/instructor"


def test_the_right_password_clears_the_wrong_ones_from_there(app, clock, quick):
    add_instructor(app)
    for _ in range(3):
        for _ in range(4):
            assert Instructor(app).log_in(password="wrong").status == 403
        assert Instructor(app).log_in().path == "/instructor"

    assert rows(app, store.FailedLogin) == 0


def test_twenty_wrong_passwords_from_many_addresses_lock_the_account_everywhere(app, clock, quick):
    add_instructor(app)
    add_instructor(app, "bea")
    for number in range(20):
        assert at(app, f"192.0.2.{number}").log_in(password="wrong").status == 403

    assert at(app, "198.51.100.1").log_in().status == 429
    assert at(app, "198.51.100.1").log_in("bea").path == "/instructor"


def lock_everywhere(app: Flask) -> None:
    """Send wrong passwords for ada from as many addresses as lock her account out."""
    for number in range(20):
        assert at(app, f"192.0.2.{number}").log_in(password="wrong").status == 403


def test_a_browser_that_has_logged_in_before_is_not_locked_out_by_others(app, clock, quick):
    """Neither from anywhere, nor from its own address, nor for the names that its address has tried."""
    browser = instructor(app)
    browser.send(browser.get("/instructor"), "/instructor/logout")
    clock.pass_(days=300)
    lock_everywhere(app)
    for number in range(50):
        Instructor(app).log_in(f"name{number % 25}", "wrong")

    assert Instructor(app).log_in().status == 429
    assert browser.log_in().path == "/instructor"


def test_a_known_browser_has_a_limit_of_its_own(app, clock, quick):
    browser, thief = instructor(app), at(app, "198.51.100.1")
    for cookie in known_cookies(browser):
        thief.client.set_cookie(cookie.key, cookie.value, path=cookie.path)
    statuses = [thief.log_in(password="wrong").status for _ in range(5)]

    assert statuses == [403] * 5
    assert thief.log_in().status == 429
    assert at(app, "198.51.100.1").log_in().path == "/instructor", "its address is a stranger's still"
    clock.pass_(minutes=15)
    assert thief.log_in().path == "/instructor"


def test_a_browser_is_known_for_those_who_logged_in_with_it_and_no_others(app, clock, quick):
    browser = instructor(app, "bea")
    add_instructor(app)
    lock_everywhere(app)
    (own,) = known_cookies(browser)
    browser.log_in()  # locked out: ada was never here

    assert [cookie.key for cookie in known_cookies(browser)] == [own.key]
    assert browser.log_in().status == 429


@pytest.mark.parametrize("change", ["forged", "of another site", "too old"])
def test_a_browser_is_known_by_a_cookie_that_this_site_signed_within_a_year(
    app, make_app, settings, database_url, monkeypatch, clock, quick, change
):
    browser = instructor(app)
    browser.send(browser.get("/instructor"), "/instructor/logout")
    (cookie,) = known_cookies(browser)
    value = cookie.value
    if change == "forged":
        value = value.replace(".", "x.", 1)
    elif change == "of another site":
        other = make_app(replace(settings, secret_key="another secret for tests", database_url=database_url))
        stranger = Instructor(other)
        stranger.log_in()
        value = known_cookies(stranger)[0].value
    else:
        later = time() + 366 * 24 * 3600
        monkeypatch.setattr("itsdangerous.timed.time.time", lambda: later)
    lock_everywhere(app)
    stranger = Instructor(app)
    stranger.client.set_cookie(cookie.key, value, path=cookie.path)

    assert stranger.log_in().status == 429


def test_the_cookie_of_a_known_browser_is_kept_from_scripts_and_opens_nothing(app, settings, make_app):
    secure = make_app(replace(settings, https=True))
    add_instructor(secure)
    browser = Instructor(secure)
    page = browser.client.get("/instructor/login", base_url="https://localhost")
    token = Page(page).hidden["csrf_token"]
    form = {"csrf_token": token, "name": "ada", "password": PASSWORD}
    headers = {"Referer": "https://localhost/instructor/login"}
    response = browser.client.post(
        "/instructor/login", data=form, base_url="https://localhost", headers=headers
    )
    (header,) = [line for line in response.headers.getlist("Set-Cookie") if line.startswith("known_")]
    name, _, value = header.partition(";")[0].partition("=")
    stranger = Instructor(secure)
    stranger.client.set_cookie(name, value, path="/instructor")

    assert "ada" not in name
    assert {"Secure", "HttpOnly", "Path=/instructor", "SameSite=Lax", "Max-Age=31536000"} <= set(
        header.split("; ")
    )
    assert stranger.get("/instructor").path == "/instructor/login"


def known_cookies(browser: Instructor) -> list[Cookie]:
    """Return what a browser keeps of those who logged in with it."""
    return [cookie for cookie in browser.client._cookies.values() if cookie.key.startswith("known_")]


def test_wrong_passwords_dated_in_the_future_do_not_count(app, clock, quick):
    """The clock jumped ahead by 30 days, and back."""
    add_instructor(app)
    clock.pass_(days=30)
    lock_everywhere(app)
    assert at(app, "198.51.100.1").log_in().status == 429
    clock.pass_(days=-30)

    assert at(app, "198.51.100.1").log_in().path == "/instructor"
    clock.pass_(days=30)
    assert at(app, "198.51.100.2").log_in().path == "/instructor", "nor when their day has come"


def test_a_lockout_lasts_no_longer_than_a_quarter_of_an_hour_where_clocks_differ(app, clock, quick):
    """A machine whose clock is some seconds ahead took the wrong passwords; they count here."""
    add_instructor(app)
    clock.pass_(seconds=50)
    for _ in range(5):
        Instructor(app).log_in(password="wrong")
    clock.pass_(seconds=-50)
    locked = Instructor(app).log_in()

    assert locked.status == 429
    assert "Try again in 15 minutes." in locked.text


def test_a_login_that_a_clock_ahead_of_time_made_is_none(app, clock):
    add_instructor(app)
    clock.pass_(days=30)
    browser = Instructor(app)
    browser.log_in()
    clock.pass_(days=-30)

    assert browser.get("/instructor").path == "/instructor/login"


def test_a_new_password_ends_a_lockout(app, clock, quick):
    """Whoever runs the site can help sooner."""
    add_instructor(app)
    lock_everywhere(app)
    with app.app_context():
        assert instructors.set_password(db.session, "ada", passwords.hash_password(PASSWORD))
        db.session.commit()

    assert Instructor(app).log_in().path == "/instructor"


def test_fifty_wrong_passwords_from_an_address_lock_it_for_every_account(app, clock, quick):
    add_instructor(app)
    for number in range(50):
        assert Instructor(app).log_in(f"name{number}", "wrong").status == 403

    assert Instructor(app).log_in().status == 429
    assert at(app, "192.0.2.9").log_in().path == "/instructor"


def test_a_lockout_holds_over_workers_and_restarts(app, settings, make_app, clock, quick, database_url):
    add_instructor(app)
    for _ in range(5):
        Instructor(app).log_in(password="wrong")
    other = make_app(replace(settings, database_url=database_url))

    assert Instructor(other).log_in().status == 429


def test_many_tries_at_once_do_not_slip_through(app, clock, quick):
    add_instructor(app)
    forms = [(browser, browser.get("/instructor/login")) for browser in (Instructor(app) for _ in range(12))]

    def wrong(browser: Instructor, form) -> None:
        browser.send(form, "/instructor/login", name="ada", password="wrong")

    threads = [Thread(target=wrong, args=pair) for pair in forms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(quick) <= 5


def test_what_counts_no_more_is_forgotten(app, clock, quick):
    for number in range(8):
        Instructor(app).log_in(f"name{number}", "wrong")
    assert rows(app, store.FailedLogin) == 8
    clock.pass_(minutes=16)
    Instructor(app).log_in("eve", "wrong")

    assert rows(app, store.FailedLogin) == 1


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(max_size=100), password=st.text(max_size=100), next=st.text(max_size=40))
def test_no_form_makes_the_login_fail(app, quick, name, password, next):
    security.limiter.reset()

    assert Instructor(app).log_in(name, password, next).status in (403, 429)
