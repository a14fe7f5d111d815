"""What one learner's progress page and export are made from."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from steelyard.progress import Answered, Guessed
from steelyard.store.models import (
    Answer,
    Attempt,
    Base,
    Draft,
    Guess,
    Item,
    Learner,
    Member,
    Submission,
    Transfer,
    Undo,
)

HELD: tuple[type[Base], ...] = (
    Learner,
    Attempt,
    Item,
    Answer,
    Undo,
    Guess,
    Draft,
    Submission,
    Transfer,
    Member,
)
"""The tables whose rows belong to one learner. They go when the learner goes."""


def quizzes_taken(session: Session, learner: str) -> set[str]:
    """Return the slugs of the quizzes that this learner has ever begun."""
    taken = sa.select(Attempt.quiz).where(Attempt.learner == learner, Attempt.quiz.is_not(None)).distinct()
    return {quiz for quiz in session.scalars(taken) if quiz}


def answered(session: Session, learner: str, sealed: Collection[str]) -> list[Answered]:
    """Return this learner's answers that were not taken back, in order; none of the quizzes `sealed`."""
    statement = (
        sa.select(Answer.question, Answer.score, Answer.answered)
        .join(Attempt, Attempt.id == Answer.attempt)
        .outerjoin(Undo, Undo.answer == Answer.id)
        .where(Attempt.learner == learner, Undo.answer.is_(None), _told(sealed))
        .order_by(Answer.id)
    )
    return [Answered(*row) for row in session.execute(statement)]


def guessed(session: Session, learner: str, sealed: Collection[str]) -> list[Guessed]:
    """Return this learner's guesses, in order; none of the quizzes `sealed`."""
    statement = (
        sa.select(Guess.question, Guess.value, Guess.measured)
        .join(Attempt, Attempt.id == Guess.attempt)
        .where(Attempt.learner == learner, _told(sealed))
        .order_by(Guess.id)
    )
    return [Guessed(*row) for row in session.execute(statement)]


def everything(session: Session, learner: str, sealed: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Return every row that is stored about a learner, by table and column, as the tables have them.

    What would give a key away is None: the version of an item that has no answer yet (a digest of the whole
    question), and scores, versions and measured figures of the quizzes `sealed`.
    """
    attempts = sa.select(Attempt.id).where(Attempt.learner == learner)
    answers = sa.select(Answer.id).where(Answer.attempt.in_(attempts))
    rows: dict[str, list[dict[str, Any]]] = {}
    for table in HELD:
        columns = table.__table__.columns
        if table is Learner:
            own = Learner.id == learner
        elif "learner" in columns:
            own = columns["learner"] == learner
        elif table is Undo:
            own = Undo.answer.in_(answers)
        else:
            own = columns["attempt"].in_(attempts)
        result = session.execute(sa.select(*columns).where(own).order_by(*table.__table__.primary_key))
        rows[table.__tablename__] = [dict(row._mapping) for row in result]
    _withhold(rows, sealed)
    return rows


def _told(sealed: Collection[str]) -> sa.ColumnElement[bool]:
    return Attempt.quiz.is_(None) | Attempt.quiz.not_in(sealed)


def _withhold(rows: dict[str, list[dict[str, Any]]], sealed: Collection[str]) -> None:
    silent = {attempt["id"] for attempt in rows["attempts"] if attempt["quiz"] in sealed}
    released = {(row["attempt"], row["question"]) for row in rows["answers"] if row["attempt"] not in silent}
    for row in rows["items"]:
        if (row["attempt"], row["question"]) not in released:
            row["version"] = None
    for table, column in (("answers", "score"), ("guesses", "measured")):
        for row in rows[table]:
            if row["attempt"] in silent:
                row[column] = None
