"""Who may send how much: a class behind one address comes in at once, a script that drops its cookie does not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from flask import Flask
from limits import parse

from instructing import Instructor, add_instructor, instructor, join
from learner import Learner
from steelyard.web.app import security

CLASS = 200


@pytest.fixture(autouse=True)
def _one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits' clock stands still: all of a test happens within one minute."""
    monkeypatch.setattr("steelyard.web.app.limiter.time", SimpleNamespace(time=lambda: 1_800_000_000.0))


def answer_alone(learner: Learner) -> int:
    """Open a question, answer it, and return the status."""
    page = learner.get("/questions/more/alone")
    return learner.answer(page, ["A"], follow=False).status


def test_a_class_behind_one_address_joins_starts_and_answers_within_a_minute(app):
    code = instructor(app).create_class()
    for number in range(CLASS):
        learner = join(app, code, f"learner-{number}")
        page = learner.get("/quizzes/basics")
        first = learner.answer(page, [], follow=False)
        assert first.status == 303
        page = learner.get(first.response.location)
        assert learner.answer(page, ["A"], follow=False).status == 303


def newcomer(app: Flask) -> int:
    """Fetch a form without a cookie, start a quiz with it, and return the status."""
    script = Learner(app)
    return script.answer(script.get("/quizzes/basics"), [], follow=False).status


def fill(limit: str, *key: str, left: int = 0) -> None:
    """Let others of an address send as much as a limit takes, but for `left`."""
    amount = parse(limit)
    security.limiter.windows.hit(amount, *key, cost=amount.amount - left)


def test_a_script_that_drops_its_cookie_is_stopped_and_who_is_known_goes_on(app):
    known = Learner(app)
    page = known.start("basics")
    fill(security.NEWCOMERS, "127.0.0.1 ", "newcomers", left=4)
    statuses = [newcomer(app) for _ in range(4)]  # the known learner was one of them

    assert statuses == [303] * 3 + [429]
    assert answer_alone(Learner(app)) == 429
    assert known.answer(page, ["A"], follow=False).status == 303
    elsewhere = Learner(app)
    elsewhere.client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert answer_alone(elsewhere) == 303


def test_one_session_is_one_visitor_although_each_of_its_forms_makes_a_learner(app):
    script = Learner(app)
    form = script.get("/quizzes/basics")
    cookie = script.client.get_cookie("steelyard")
    statuses = []
    for _ in range(parse(security.LEARNER).amount + 1):
        script.client.set_cookie("steelyard", cookie.value)
        statuses.append(script.answer(form, [], follow=False).status)

    assert set(statuses[:-1]) == {303}
    assert statuses[-1] == 429
    assert newcomer(app) == 303


def test_newcomers_of_a_class_get_through_beside_such_a_script(app):
    """They count with the other newcomers of their class, and once they are in it, with its members."""
    ada = instructor(app)
    code, other = ada.create_class(), ada.create_class("Autumn")
    fill(security.NEWCOMERS, "127.0.0.1 ", "newcomers")
    for whose in ("False", "True"):
        fill(security.ADDRESS, f"127.0.0.1  {whose}", "address")
    assert newcomer(app) == 429
    learner = join(app, code, "amber")

    assert answer_alone(learner) == 303
    assert learner.start("basics").status == 200
    fill(security.NEWCOMERS, f"127.0.0.1 {code}", "newcomers")
    form = Learner(app).get(f"/join/{code}")
    late = Instructor(app)
    assert late.send(late.get(f"/join/{code}"), form.path, pseudonym="late").status == 429
    assert answer_alone(learner) == 303
    join(app, other, "birch")


def test_who_left_a_class_counts_with_it_no_more(app):
    learner = join(app, instructor(app).create_class(), "amber")
    fill(security.ADDRESS, "127.0.0.1  True", "address")
    assert answer_alone(learner) == 303
    with learner.client.session_transaction() as session:
        code = session["class"]
    learner.send(learner.get(f"/join/{code}"), f"/join/{code}/leave")

    assert answer_alone(learner) == 429


def test_forms_that_write_nothing_leave_newcomers_their_place(app):
    code = instructor(app).create_class()
    fill(security.NEWCOMERS, f"127.0.0.1 {code}", "newcomers", left=1)
    for _ in range(3):
        visitor = Instructor(app)
        assert visitor.send(visitor.get(f"/join/{code}"), f"/join/{code}", pseudonym=" ").status == 400

    join(app, code, "amber")
    visitor = Instructor(app)
    assert visitor.send(visitor.get(f"/join/{code}"), f"/join/{code}", pseudonym="birch").status == 429


def test_logging_in_is_counted_apart_from_what_learners_send(app):
    add_instructor(app)
    fill(security.NEWCOMERS, "127.0.0.1 ", "newcomers")
    for whose in ("False", "True"):
        fill(security.ADDRESS, f"127.0.0.1  {whose}", "address")
    assert newcomer(app) == 429
    browser = Instructor(app)

    assert browser.log_in().path == "/instructor"
    fill(security.LOGINS, "127.0.0.1", "logins")
    assert Instructor(app).log_in().status == 429
    assert browser.log_in().path == "/instructor", "it has logged in before"
    security.limiter.reset()
    fill(security.LOGINS, "127.0.0.1", "logins")
    assert newcomer(app) == 303


def test_a_script_that_never_hears_of_its_answers_is_one_learner(app):
    script = Learner(app)
    page = script.get("/questions/more/alone")
    cookie = script.client.get_cookie("steelyard")
    statuses = []
    for _ in range(parse(security.LEARNER).amount + 1):
        script.client.set_cookie("steelyard", cookie.value)
        statuses.append(script.answer(page, ["A"], follow=False).status)

    assert set(statuses[:-1]) == {303}
    assert statuses[-1] == 429


def test_all_that_one_address_sends_is_bounded(app):
    learner = Learner(app)
    page = learner.start("basics")
    fill(security.ADDRESS, "127.0.0.1  True", "address", left=1)

    assert learner.answer(page, ["A"], follow=False).status == 303
    assert learner.answer(page, ["A"], follow=False).status == 429


@pytest.mark.parametrize(
    ("proxies", "sent", "counted"),
    [
        (0, "203.0.113.5", "192.0.2.1"),
        (1, "203.0.113.5", "203.0.113.5"),
        (1, "198.51.100.9, 203.0.113.5", "203.0.113.5"),
        (2, "203.0.113.5, 10.0.0.1", "203.0.113.5"),
        (1, "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        (1, "not an address", "not an address"),
    ],
)
def test_the_address_is_the_one_that_the_last_known_proxy_saw(settings, make_app, proxies, sent, counted):
    app = make_app(replace(settings, proxies=proxies))
    seen: list[str] = []
    app.before_request(lambda: seen.append(security.address()))
    app.test_client().get("/", headers={"X-Forwarded-For": sent}, environ_base={"REMOTE_ADDR": "192.0.2.1"})

    assert seen == [counted]
