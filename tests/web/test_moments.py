"""Moments stand in the time zone that the site is set to, with its name in words, for a browser to put into its own."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from exam_files import CLOSES, OPENS, attempt_of, hand_in, write_exams
from instructing import instructor, join
from learner import Learner, Page
from steelyard.settings import Settings


@pytest.fixture
def at(settings: Settings, make_app):
    """A function from the name of a time zone, or None, to a site with exams in it."""
    write_exams(settings.questions)

    def make(name: str | None) -> Flask:
        return make_app(replace(settings, timezone=ZoneInfo(name) if name else None))

    return make


def times(page: Page) -> list[tuple[str, str, str]]:
    """Return each `<time>` of a page: its moment, what it shows, and the words."""
    found = re.findall(r'<time datetime="([^"]+)" data-shows="(\w+)">([^<]*)</time>', page.response.text)
    return [
        (moment, shows, words.replace("\N{NARROW NO-BREAK SPACE}", " ")) for moment, shows, words in found
    ]


@pytest.mark.parametrize(
    ("zone", "lang", "words"),
    [
        (None, "en", "January 15, 2027, 10:30 AM (GMT+09:00)"),
        (None, "ja", "2027年1月15日 10:30（GMT+09:00）"),
        ("Asia/Tokyo", "en", "January 15, 2027, 10:30 AM (Japan Standard Time)"),
        ("Asia/Tokyo", "ja", "2027年1月15日 10:30（日本標準時）"),
        ("America/New_York", "en", "January 14, 2027, 8:30 PM (Eastern Standard Time)"),
        ("UTC", "ja", "2027年1月15日 1:30（協定世界時）"),
    ],
)
def test_an_exam_closes_in_the_sites_zone_or_else_in_its_files(at, clock, zone, lang, words):
    page = Learner(at(zone)).get(f"/quizzes/final?lang={lang}")

    assert times(page) == [(CLOSES.isoformat(), "moment", words)]
    assert "js/moments.js" in page.response.text


def test_summer_time_is_named_as_such(at, clock):
    clock.moment = datetime(2027, 7, 1, 12, tzinfo=UTC)
    learner = Learner(at("Europe/Berlin"))
    page = hand_in(learner, attempt_of(learner.start("basics", "exam")), confirmed="yes")

    assert [words for *_rest, words in times(page)] == [
        "July 1, 2027, 2:00 PM (Central European Summer Time)"
    ]


def test_the_next_review_is_due_in_the_sites_zone(at, clock):
    learner = Learner(at("Asia/Tokyo"))
    page = learner.get("/questions/basics/first?mode=review")
    learner.answer(page, "AC")
    ((_moment, shows, words),) = times(learner.get("/review"))

    assert shows == "moment" and words.endswith("(Japan Standard Time)")


@pytest.mark.parametrize(("zone", "day"), [(None, "January 14, 2027"), ("Asia/Tokyo", "January 15, 2027")])
def test_a_class_was_made_and_joined_on_the_sites_day(at, clock, zone, day):
    clock.moment = datetime(2027, 1, 14, 15, 30, tzinfo=UTC)  # half past midnight in Tokyo
    app = at(zone)
    ada = instructor(app)
    code = ada.create_class()
    join(app, code, "amber")

    for address in ("/instructor", f"/instructor/classes/{code}"):
        assert ("2027-01-14T15:30:00+00:00", "day", day) in times(ada.get(address))


def test_a_page_without_a_moment_asks_for_no_script(at, clock):
    assert "js/moments.js" not in Learner(at("Asia/Tokyo")).get("/quizzes/basics").response.text


def test_the_front_matter_means_what_it_says_whatever_the_sites_zone(at, clock):
    for zone in (None, "America/New_York"):
        learner = Learner(at(zone))
        clock.moment = OPENS
        assert "/quizzes/final" in learner.get("/quizzes/final").action
        clock.moment = CLOSES
        assert "This exam closed on" in learner.get("/quizzes/final").text
