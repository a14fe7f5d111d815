"""Rate limits: windows that end, counters that go when they are over, and what a limited view answers."""

from __future__ import annotations

from threading import active_count
from types import SimpleNamespace

import pytest
from flask import Flask, request

from steelyard.web.app import limiter
from steelyard.web.app.limiter import Counters, Limiter

MINUTE = 60


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1_800_000_000.0)
    monkeypatch.setattr(limiter, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


def test_a_counter_counts_until_its_window_ends_and_begins_anew(clock):
    counted = Counters()
    assert counted.incr("a", MINUTE) == 1
    assert counted.incr("a", MINUTE, amount=3) == 4
    assert counted.incr("b", MINUTE) == 1
    assert (counted.get("a"), counted.get("b"), counted.get("c")) == (4, 1, 0)
    assert counted.get_expiry("a") == clock.now + MINUTE

    clock.now += MINUTE - 1
    assert counted.incr("a", MINUTE) == 5  # the window does not move
    clock.now += 1
    assert counted.get("a") == 0
    assert counted.incr("a", MINUTE) == 1
    assert counted.get_expiry("a") == clock.now + MINUTE


def test_counting_starts_no_thread_and_keeps_nothing_that_is_over(clock):
    counted, threads = Counters(), active_count()
    for learner in range(100):
        counted.incr(f"learner {learner}", MINUTE)
    assert active_count() == threads

    clock.now += 2 * MINUTE
    counted.incr("the next", MINUTE)
    assert counted.reset() == 1


def test_a_counter_can_be_forgotten(clock):
    counted = Counters()
    counted.incr("a", MINUTE)
    counted.incr("b", MINUTE)
    counted.clear("a")
    counted.clear("never seen")
    assert (counted.get("a"), counted.get("b")) == (0, 1)


@pytest.fixture
def asked(clock):
    """Return a function that asks one of two views that count together, and returns the status."""
    app, limits = Flask("limited"), Limiter()
    few = limits.shared_limit(
        "2 per minute",
        scope="few",
        key_func=lambda: request.args.get("who", ""),
        exempt_when=lambda: "exempt" in request.args,
    )
    misses = limits.shared_limit(
        "2 per minute",
        scope="misses",
        key_func=lambda: "all",
        deduct_when=lambda response: response.status_code == 404,
    )
    app.add_url_rule("/a", "a", few(lambda: "a"))
    app.add_url_rule("/b", "b", few(lambda: "b"))
    app.add_url_rule("/code/<int:code>", "code", misses(lambda code: ("", code)))
    client = app.test_client()
    return lambda path: client.get(path).status_code


def test_views_of_a_scope_count_together_for_each_key(asked, clock):
    assert [asked(f"/{view}?who=ada") for view in "abab"] == [200, 200, 429, 429]
    assert asked("/a?who=bob") == 200
    clock.now += MINUTE
    assert asked("/a?who=ada") == 200


def test_nothing_counts_for_who_is_exempt_or_has_no_key(asked):
    assert {asked("/a?who=ada&exempt=1") for _ in range(5)} == {200}
    assert {asked("/a") for _ in range(5)} == {200}
    assert asked("/a?who=ada") == 200


def test_a_request_can_count_by_what_is_answered(asked):
    assert {asked("/code/200") for _ in range(5)} == {200}
    assert [asked(f"/code/{code}") for code in (404, 404, 404, 200)] == [404, 404, 429, 429]
