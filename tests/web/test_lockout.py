"""The login of /instructor: whom wrong passwords lock out, for how long, and whom they do not."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread
from time import time

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.test import Cookie

from instructing import PASSWORD, Instructor, add_instructor, instructor
from learner import Page
from steelyard import passwords, store
from steelyard.settings import Settings
from steelyard.store import instructors
from steelyard.web.app import security
from steelyard.web.app.database import db

pytestmark = pytest.mark.both_databases


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


def failures(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(store.FailedLogin)) or 0


def at(app: Flask, address: str) -> Instructor:
    """Return a browser that comes from this address."""
    browser = Instructor(app)
    browser.client.environ_base["REMOTE_ADDR"] = address
    return browser


def test_five_wrong_passwords_lock_an_account_for_an_address_and_say_how_long(app, clock, quick):
    add_instructor(app)
    statuses = []
    for _ in range(5):
        statuses.append(Instructor(app).log_in(password="wrong").status)
        clock.go(minutes=1)
    locked = Instructor(app).log_in()

    assert statuses == [403] * 5
    assert locked.status == 429
    assert "Try again in 10 minutes." in locked.text
    assert len(quick) == 5, "a locked account's password is not even looked at"
    assert at(app, "192.0.2.9").log_in().path == "/instructor", "elsewhere the same account is open"
    clock.go(minutes=9, seconds=59)
    assert Instructor(app).log_in().status == 429
    clock.go(seconds=1)
    assert Instructor(app).log_in().path == "/instructor"


def test_waiting_helps_even_if_one_tries_meanwhile(app, clock, quick):
    add_instructor(app)
    for _ in range(5):
        Instructor(app).log_in(password="wrong")
    for _ in range(20):
        assert Instructor(app).log_in().status == 429
    clock.go(minutes=15)

    assert Instructor(app).log_in().path == "/instructor"


def test_the_right_password_clears_the_wrong_ones_from_there(app, clock, quick):
    add_instructor(app)
    for _ in range(3):
        for _ in range(4):
            assert Instructor(app).log_in(password="wrong").status == 403
        assert Instructor(app).log_in().path == "/instructor"

    assert failures(app) == 0


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
    clock.go(days=300)
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
    clock.go(minutes=15)
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
    clock.go(days=30)
    lock_everywhere(app)
    assert at(app, "198.51.100.1").log_in().status == 429
    clock.go(days=-30)

    assert at(app, "198.51.100.1").log_in().path == "/instructor"
    clock.go(days=30)
    assert at(app, "198.51.100.2").log_in().path == "/instructor", "nor when their day has come"


def test_a_lockout_lasts_no_longer_than_a_quarter_of_an_hour_where_clocks_differ(app, clock, quick):
    """A machine whose clock is some seconds ahead took the wrong passwords; they count here."""
    add_instructor(app)
    clock.go(seconds=50)
    for _ in range(5):
        Instructor(app).log_in(password="wrong")
    clock.go(seconds=-50)
    locked = Instructor(app).log_in()

    assert locked.status == 429
    assert "Try again in 15 minutes." in locked.text


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
    assert failures(app) == 8
    clock.go(minutes=16)
    Instructor(app).log_in("eve", "wrong")

    assert failures(app) == 1


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(max_size=100), password=st.text(max_size=100), next=st.text(max_size=40))
def test_no_form_makes_the_login_fail(app, quick, name, password, next):
    security.limiter.reset()

    assert Instructor(app).log_in(name, password, next).status in (403, 429)
