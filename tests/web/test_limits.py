"""Who may send how much: a class behind one address comes in at once, a script that drops its cookie does not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from limits import parse

from instructing import instructor, join
from learner import Learner
from steelyard.web.app import security

CLASS = 200
NEWCOMERS = parse(security.NEWCOMERS).amount


@pytest.fixture(autouse=True)
def _one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits' clock stands still: all of a test happens within one minute."""
    monkeypatch.setattr("steelyard.web.app.counters.time", SimpleNamespace(time=lambda: 1_800_000_000.0))


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


def test_a_script_that_drops_its_cookie_is_stopped_and_who_is_known_goes_on(app):
    known, script = Learner(app), Learner(app)
    page = known.start("basics")
    form = script.get("/quizzes/basics")
    cookie = script.client.get_cookie("steelyard")
    statuses = []
    for _ in range(NEWCOMERS):  # the known learner was the first of them
        script.client.set_cookie("steelyard", cookie.value)
        statuses.append(script.answer(form, [], follow=False).status)

    assert statuses == [303] * (NEWCOMERS - 1) + [429]
    assert answer_alone(Learner(app)) == 429
    assert known.answer(page, ["A"], follow=False).status == 303
    elsewhere = Learner(app)
    elsewhere.client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert answer_alone(elsewhere) == 303


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
    all = parse(security.ADDRESS)
    security.limiter.limiter.hit(all, "127.0.0.1", "address", cost=all.amount - 2)  # as many others sent

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
