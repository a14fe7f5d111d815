"""What the rate limits count with: windows that end, and counters that go when they are over."""

from __future__ import annotations

from threading import active_count
from types import SimpleNamespace

import pytest

from steelyard.web.app import counters
from steelyard.web.app.counters import Counters

MINUTE = 60


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1_800_000_000.0)
    monkeypatch.setattr(counters, "time", SimpleNamespace(time=lambda: clock.now))
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
