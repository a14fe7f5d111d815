"""What the schedule of reviews is made from: the answers of one learner, less those taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from steelyard.review import GivenAnswer
from steelyard.store.models import Answer, Attempt, Undo
from steelyard.store.writing import add


@dataclass(frozen=True)
class Reviewed:
    """Where an answer stands that was given in review."""

    answer: int
    taken_back: bool
    is_latest: bool
    """Whether it is the last one given in review that was not taken back: the one that can be."""


def given(session: Session, learner: str) -> list[GivenAnswer]:
    """Return this learner's answers that were not taken back, in the order of giving, by one statement."""
    rows = session.connection().execute(_GIVEN, {"learner": learner})
    return [GivenAnswer(row.question, row.score >= 1, row.answered) for row in rows]


def reviewed(session: Session, attempt: str, learner: str) -> Reviewed | None:
    """Return where the answer of this learner's review stands; None when there is no such answer."""
    own = {"learner": learner}
    row = session.execute(_REVIEW.where(Attempt.id == attempt), own).first()
    if row is None:
        return None
    latest = session.scalar(_REVIEW.where(Undo.answer.is_(None)).order_by(Answer.id.desc()).limit(1), own)
    return Reviewed(row.id, row.answer is not None, row.id == latest)


def take_back(session: Session, answer: int, now: datetime) -> None:
    """Let the schedule be as if this answer had not been given. Doing it twice does it once."""
    add(session, Undo, answer=answer, undone=now)


_GIVEN = (
    sa.select(Answer.question, Answer.score, Answer.answered)
    .join(Attempt, Attempt.id == Answer.attempt)
    .outerjoin(Undo, Undo.answer == Answer.id)
    .where(Attempt.learner == sa.bindparam("learner"), Undo.answer.is_(None))
    .order_by(Answer.id)
)

_REVIEW = (
    sa.select(Answer.id, Undo.answer)
    .join(Attempt, Attempt.id == Answer.attempt)
    .outerjoin(Undo, Undo.answer == Answer.id)
    .where(Attempt.learner == sa.bindparam("learner"), Attempt.mode == "review")
)
