"""Exams for tests: a clock that tests set, and a quiz that is nothing but an exam."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from flask import Flask

from bank_files import question_text
from learner import Learner, Page
from steelyard import store
from steelyard.web.app.database import db

OPENS = datetime(2027, 1, 15, 0, 0, tzinfo=UTC)
CLOSES = OPENS + timedelta(minutes=90)
MINUTES = 30
ONLY = f"exam: only\nminutes: {MINUTES}\nopens: 2027-01-15T09:00+09:00\ncloses: 2027-01-15T10:30+09:00"


@dataclass
class Clock:
    """What time it is, as tests have it. Called like the site's own clock."""

    moment: datetime = OPENS + timedelta(minutes=10)

    def __call__(self) -> datetime:
        return self.moment

    def go(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        self.moment += timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def write_exams(questions: Path) -> None:
    """Give the quiz `basics` a time limit, and add `final`: exam-only, of three questions."""
    limited = f"---\norder: [first, second, third]\nminutes: {MINUTES}\n---\n# The basics\n"
    (questions / "basics" / "_quiz.en.md").write_text(limited, encoding="utf-8")
    folder = questions / "final"
    folder.mkdir()
    (folder / "_quiz.en.md").write_text(f"---\norder: [one, two, three]\n{ONLY}\n---\n# The final\n", "utf-8")
    (folder / "one.en.md").write_text(question_text("Final one"), encoding="utf-8")
    (folder / "one.ja.md").write_text(question_text("最終一", language="ja"), encoding="utf-8")
    (folder / "two.en.md").write_text(
        question_text("Final two", key="B", type="single", scoring="all-or-nothing"), encoding="utf-8"
    )
    (folder / "three.en.md").write_text(question_text("Final three"), encoding="utf-8")


def attempt_of(page: Page) -> str:
    return page.hidden["attempt"]


def hand_in(learner: Learner, attempt: str, **fields: str) -> Page:
    """Press the button of an exam's sheet, and see what follows."""
    sheet = learner.get(f"/attempts/{attempt}")
    data = {**sheet.hidden, **fields}
    return Page(learner.client.post(f"/attempts/{attempt}/submit", data=data, follow_redirects=True))


def autosave(learner: Learner, page: Page, chosen: str, **order: str | int) -> Page:
    """Send what is ticked as the script does; `order` is the page's own number and that of the save."""
    question = page.path.removeprefix("/questions/")
    url = f"/attempts/{attempt_of(page)}/drafts/{question}"
    return Page(learner.client.post(url, data={**page.hidden, "choice": list(chosen), **order}))


def answers(app: Flask) -> list[store.Answer]:
    with app.app_context():
        return list(db.session.scalars(sa.select(store.Answer).order_by(store.Answer.id)))


def chosen(app: Flask) -> dict[str, str]:
    """Return what counts: question → letters."""
    return {answer.question: answer.chosen for answer in answers(app)}


def submissions(app: Flask) -> list[store.Submission]:
    with app.app_context():
        return list(db.session.scalars(sa.select(store.Submission)))
