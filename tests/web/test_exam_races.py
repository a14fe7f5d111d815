"""What meets at the end of an exam: one of many comes first, and no save that was acknowledged is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from threading import Barrier, Thread

import pytest
import sqlalchemy as sa
from flask import Flask

from exam_files import MINUTES, Clock, answers, attempt_of, autosave, chosen, submissions, write_exams
from learner import Learner, Page
from steelyard import exam_lifecycle, store
from steelyard.settings import Settings
from steelyard.web.app import security
from steelyard.web.app.database import db

pytestmark = pytest.mark.both_databases

ROUNDS = 12


@pytest.fixture
def app(settings: Settings, make_app, database_url: str, clock: Clock) -> Flask:
    write_exams(settings.questions)
    return make_app(replace(settings, database_url=database_url))


def same(app: Flask, learner: Learner) -> Learner:
    """Return the same learner in another tab."""
    cookie = learner.client.get_cookie("steelyard")
    assert cookie
    other = Learner(app)
    other.client.set_cookie("steelyard", cookie.value)
    return other


def at_once(calls: Iterable[Callable[[], object]]) -> None:
    calls = list(calls)
    barrier = Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        call()

    threads = [Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_an_exam_handed_in_by_many_at_once_ends_once(app):
    learner = Learner(app)
    page = learner.start("basics", "exam")
    learner.answer(page, ["A", "C"])
    url = f"/attempts/{attempt_of(page)}/submit"
    statuses: list[int] = []

    def send(tab: Learner) -> None:
        data = {**page.hidden, "confirmed": "yes"}
        statuses.append(tab.client.post(url, data=data).status_code)

    at_once(partial(send, same(app, learner)) for _ in range(8))

    assert statuses == [303] * 8
    assert len(submissions(app)) == 1
    assert chosen(app) == {"basics/first": "AC", "basics/second": "", "basics/third": ""}


def test_a_save_that_meets_the_end_counts_or_is_told_that_it_does_not(app):
    """The one thing that must not happen: a save is acknowledged, and the grade does not know it."""
    outcomes = set()
    for _ in range(ROUNDS):
        security.limiter.reset()
        learner = Learner(app)
        first = learner.start("basics", "exam")
        pages = [first, *(learner.get(first.url.replace("first", name)) for name in ("second", "third"))]
        for page in pages:
            autosave(learner, page, "A")
        saved: dict[str, int] = {}

        def save(tab: Learner, page: Page, saved: dict[str, int] = saved) -> None:
            saved[page.path.removeprefix("/questions/")] = autosave(tab, page, "B").status

        def end(tab: Learner, first: Page = first) -> None:
            tab.client.post(f"/attempts/{attempt_of(first)}/submit", data=first.hidden)

        saves = [partial(save, same(app, learner), page) for page in pages]
        at_once([*saves, partial(end, same(app, learner))])
        with app.app_context():
            graded = sa.select(store.Answer.question, store.Answer.chosen)
            rows = db.session.execute(graded.where(store.Answer.attempt == attempt_of(first))).all()
        counted = {row.question: row.chosen for row in rows}

        assert counted == {question: "B" if status == 204 else "A" for question, status in saved.items()}
        assert set(saved.values()) <= {204, 409}
        outcomes |= set(saved.values())
    assert 204 in outcomes


def test_an_overdue_exam_that_many_look_at_is_ended_once(app, clock):
    learner = Learner(app)
    page = learner.start("basics", "exam")
    autosave(learner, page, "AC")
    clock.go(minutes=MINUTES + 1)
    tabs = [same(app, learner) for _ in range(6)]
    statuses: list[int] = []

    def statistics() -> None:
        with app.app_context():
            exam_lifecycle.close_overdue(db.session, clock())
            db.session.commit()

    looks = [lambda tab=tab: statuses.append(tab.get(page.url).status) for tab in tabs]
    at_once([*looks, statistics, statistics])

    assert statuses == [200] * 6
    assert [end.by for end in submissions(app)] == ["deadline"]
    assert len(answers(app)) == 3 and chosen(app)["basics/first"] == "AC"


def test_an_exam_that_is_started_by_many_clicks_at_once_is_one(app):
    learner = Learner(app)
    form = learner.get("/quizzes/final").hidden
    tabs = [same(app, learner) for _ in range(6)]
    statuses: list[int] = []
    at_once(
        [
            lambda tab=tab: statuses.append(tab.client.post("/quizzes/final", data=form).status_code)
            for tab in tabs
        ]
    )
    with app.app_context():
        attempts = db.session.scalars(sa.select(store.Attempt.id)).all()
        items = db.session.scalar(sa.select(sa.func.count()).select_from(store.Item))

    assert statuses == [303] * 6
    assert (len(attempts), items) == (1, 3)
