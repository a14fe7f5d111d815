"""Exams in the store: drafts are added while it is under way, and its end turns the latest ones into answers.

What ends an exam and what saves a draft lock its row of `attempts` (SQLite has one writer at a time anyway),
so that a draft is either there when the exam is graded, or is told that it came too late. The caller commits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from steelyard.bank.model import Edition
from steelyard.store.models import Answer, Attempt, Draft, Item, Member, Moment, Submission, Version
from steelyard.store.writing import add, add_all


@dataclass(frozen=True)
class Drafted:
    """An item of an exam with what is ticked in it, before it is graded."""

    question: str
    version: str
    chosen: str | None
    """The letters of the latest draft; None when none was ever saved."""
    language: str | None


def latest_draft(column: Any) -> sa.ScalarSelect[Any]:
    """Return a column of the latest draft of an item, for a statement that selects from `Item`.

    The latest is that with the greatest id: a clock may jump, ids do not.
    """
    return (
        sa.select(column)
        .where(Draft.attempt == Item.attempt, Draft.question == Item.question)
        .order_by(Draft.id.desc())
        .limit(1)
        .correlate(Item)
        .scalar_subquery()
    )


def extra_percent(session: Session, learner: str) -> int:
    """Return the greatest extra time that a class grants this learner, in per cent of a time limit."""
    return session.connection().scalar(_EXTRA, {"learner": learner}) or 0


_EXTRA = sa.select(sa.func.max(Member.extra_percent)).where(Member.learner == sa.bindparam("learner"))


def save_draft(
    session: Session,
    *,
    attempt: str,
    question: str,
    chosen: str,
    language: str,
    now: datetime,
    order: tuple[str, int] | None = None,
) -> bool:
    """Append what is ticked; return False when the exam has ended, or is gone.

    `order` is the page that made this save and its number among the saves of that page. One that a later one
    of its page has overtaken adds nothing, and counts as saved: a request may be handled long after the
    browser gave it up and sent what followed.
    """
    connection = session.connection()
    item = {"attempt": attempt, "question": question}
    connection.execute(_LOCK, {"attempt": attempt})
    # Statements of their own: on PostgreSQL they see what was committed while the first waited.
    if order and connection.scalar(_LATER, {**item, "tab": order[0], "nth": order[1]}):
        return True
    tab, nth = order or (None, None)
    values = {**item, "chosen": chosen, "language": language, "saved": now, "tab": tab, "nth": nth}
    return connection.execute(_DRAFT, values).first() is not None


_LOCK = sa.select(Attempt.id).where(Attempt.id == sa.bindparam("attempt")).with_for_update()

_LATER = sa.select(
    sa.exists().where(
        Draft.attempt == sa.bindparam("attempt"),
        Draft.question == sa.bindparam("question"),
        Draft.tab == sa.bindparam("tab"),
        Draft.nth > sa.bindparam("nth"),
    )
)

_DRAFT = (
    sa.insert(Draft)
    .from_select(
        ["attempt", "question", "chosen", "language", "saved", "tab", "nth"],
        sa.select(
            Item.attempt,
            Item.question,
            sa.bindparam("chosen", type_=sa.String),
            sa.bindparam("language", type_=sa.String),
            sa.bindparam("saved", type_=Moment),
            sa.bindparam("tab", type_=sa.String),
            sa.bindparam("nth", type_=sa.Integer),
        ).where(
            Item.attempt == sa.bindparam("attempt"),
            Item.question == sa.bindparam("question"),
            ~sa.exists().where(Submission.attempt == sa.bindparam("attempt")),
        ),
    )
    .returning(Draft.id)
)


def lock(session: Session, attempt: str, learner: str) -> datetime | None:
    """Lock an exam of this learner's and return its deadline. Raises LookupError when there is none."""
    row = session.execute(
        sa.select(Attempt.deadline)
        .where(Attempt.id == attempt, Attempt.learner == learner, Attempt.mode == "exam")
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise LookupError(attempt)
    deadline: datetime | None = row.deadline
    return deadline


def lock_overdue(
    session: Session, before: datetime, learner: str | None = None
) -> list[tuple[str, datetime]]:
    """Lock the exams that nobody handed in by `before`; return ids and deadlines.

    Those that another transaction holds are left to it.
    """
    statement = (
        sa.select(Attempt.id, Attempt.deadline)
        .where(
            Attempt.mode == "exam",
            Attempt.deadline <= before,
            ~sa.exists().where(Submission.attempt == Attempt.id),
        )
        .order_by(Attempt.id)
        .with_for_update(skip_locked=True)
    )
    if learner is not None:
        statement = statement.where(Attempt.learner == learner)
    return [(row.id, row.deadline) for row in session.execute(statement)]


def submit(session: Session, attempt: str, *, by: str, moment: datetime) -> bool:
    """Add the end of an exam; return False when it has ended already."""
    return add(session, Submission, attempt=attempt, submitted=moment, by=by)


def drafted(session: Session, attempt: str) -> list[Drafted]:
    """Return the items of an exam in order, each with its latest draft."""
    rows = session.connection().execute(_DRAFTED, {"attempt": attempt})
    return [Drafted(**row._mapping) for row in rows]


_DRAFTED = (
    sa.select(
        Item.question,
        Item.version,
        latest_draft(Draft.chosen).label("chosen"),
        latest_draft(Draft.language).label("language"),
    )
    .where(Item.attempt == sa.bindparam("attempt"))
    .order_by(Item.position)
)


def append_answers(session: Session, answers: Sequence[dict[str, Any]]) -> None:
    """Append the answers of an exam at once."""
    add_all(session, Answer, answers)


def editions(session: Session, digests: Iterable[str]) -> dict[str, Edition]:
    """Return stored versions by digest."""
    rows = session.execute(sa.select(Version.digest, Version.content).where(Version.digest.in_(set(digests))))
    return {row.digest: Edition.from_json(row.content) for row in rows}


def unclosed(session: Session, quizzes: Collection[str], now: datetime) -> frozenset[str]:
    """Return those of the quizzes that close after this moment, by what their exams' attempts began with."""
    statement = sa.select(Attempt.quiz).where(Attempt.closes > now, Attempt.quiz.in_(quizzes)).distinct()
    return frozenset(session.scalars(statement)) if quizzes else frozenset()


def under_way(session: Session, quizzes: Collection[str], now: datetime) -> frozenset[str]:
    """Return those of the quizzes that somebody takes as an exam at this moment, under a deadline."""
    statement = (
        sa.select(Attempt.quiz)
        .where(
            Attempt.mode == "exam",
            Attempt.deadline > now,
            Attempt.quiz.in_(quizzes),
            ~sa.exists().where(Submission.attempt == Attempt.id),
        )
        .distinct()
    )
    return frozenset(session.scalars(statement)) if quizzes else frozenset()
