"""Which members of a class have begun an exam that is taken once. What a learner deletes leaves these marks.

A mark holds the pseudonym in the class, the quiz, when it was begun, and the attempt's id, which leads
nowhere once that is deleted. Once no member has it, the class's instructor sees the mark and can remove it.
The caller commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from steelyard.store.lookalikes import likenesses
from steelyard.store.models import Attempt, Class, ExamStart, Member
from steelyard.store.writing import add


@dataclass(frozen=True)
class Start:
    """That somebody began an exam under a pseudonym."""

    class_code: str
    class_name: str
    pseudonym: str
    """As the class has it now; without such a member, case-folded."""
    quiz: str
    started: datetime


def is_member(session: Session, learner: str) -> bool:
    """Return whether a learner is in any class."""
    return session.scalar(sa.select(sa.exists().where(Member.learner == learner))) or False


def mark(session: Session, *, learner: str, quiz: str, attempt: str, now: datetime) -> Start | None:
    """Mark in each class of a learner that they begin an exam; return the mark of another attempt, if any.

    A pseudonym that looks like that of a mark is taken for it. The caller rolls back what was refused.
    """
    rows = session.execute(
        sa.select(Member.class_code, Member.pseudonym, Class.name)
        .join(Class, Class.code == Member.class_code)
        .where(Member.learner == learner)
        .order_by(Member.class_code)
    ).all()
    for row in rows:
        key = {"class_code": row.class_code, "pseudonym": row.pseudonym.casefold(), "quiz": quiz}
        add(session, ExamStart, **key, attempt=attempt, started=now)
        marks = sa.select(ExamStart).where(ExamStart.class_code == row.class_code, ExamStart.quiz == quiz)
        for before in session.scalars(marks.where(ExamStart.attempt != attempt)):
            if likenesses(before.pseudonym) & likenesses(row.pseudonym):
                return Start(row.class_code, row.name, row.pseudonym, quiz, before.started)
    return None


def former_starts(session: Session, code: str) -> list[Start]:
    """Return the marks of a class whose attempts are deleted or no member's, the latest first."""
    statement = (
        sa.select(ExamStart, Class.name)
        .join(Class, Class.code == ExamStart.class_code)
        .where(ExamStart.class_code == code, _is_former(code))
        .order_by(ExamStart.started.desc(), ExamStart.pseudonym, ExamStart.quiz)
    )
    members = sa.select(Member.pseudonym).where(Member.class_code == code)
    shown = {pseudonym.casefold(): pseudonym for pseudonym in session.scalars(members)}
    return [
        Start(code, name, shown.get(start.pseudonym, start.pseudonym), start.quiz, start.started)
        for start, name in session.execute(statement)
    ]


def allow_again(session: Session, *, code: str, pseudonym: str, quiz: str) -> bool:
    """Remove a mark that `former_starts` returns; return False when there is none."""
    result = session.execute(
        sa.delete(ExamStart).where(
            ExamStart.class_code == code,
            ExamStart.pseudonym == pseudonym.casefold(),
            ExamStart.quiz == quiz,
            _is_former(code),
        ),
        execution_options={"synchronize_session": False},
    )
    return bool(getattr(result, "rowcount", 0))


def _is_former(code: str) -> sa.ColumnElement[bool]:
    members = sa.select(Member.learner).where(Member.class_code == code)
    return ~sa.exists().where(Attempt.id == ExamStart.attempt, Attempt.learner.in_(members))
