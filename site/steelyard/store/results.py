"""What the learners of a quiz answered, as an instructor reads it.

An exam has answers once it has ended; until then it is in none of this.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from steelyard.bank.model import Edition
from steelyard.statistics import RemovedAnswers
from steelyard.store.models import Answer, Attempt, Item, Member, Remnant, Submission, Version


@dataclass(frozen=True)
class StoredAnswer:
    """An answer, or a blank in an exam that has ended, which chose nothing."""

    attempt: str
    question: str
    version: str
    chosen: str
    score: float
    """As it was graded."""


@dataclass(frozen=True)
class MemberAttempt:
    """One attempt of a member of a class."""

    pseudonym: str
    number: int
    """Which of the learner's attempts at this quiz, from 1."""
    mode: str
    started: datetime
    submitted: datetime | None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    """Question → score as it was graded, None without an answer; the questions that were asked, in order."""


def given(
    session: Session,
    quiz: str,
    *,
    class_code: str | None = None,
    language: str | None = None,
    first_only: bool = True,
) -> list[StoredAnswer]:
    """Return the answers to a quiz: of everybody or of one class, in every language or in one.

    By default only those of each learner's first attempt at the quiz.
    """
    statement = (
        sa.select(Answer.attempt, Answer.question, Item.version, Answer.chosen, Answer.score)
        .join(Item, _ANSWERED)
        .join(Attempt, Attempt.id == Answer.attempt)
        .where(Attempt.quiz == quiz)
        .order_by(Attempt.started, Attempt.id, Item.position)
    )
    if first_only:
        statement = statement.where(Attempt.id.in_(_first(quiz)))
    if class_code is not None:
        statement = statement.where(Attempt.learner.in_(_learners(class_code)))
    if language is not None:
        statement = statement.where(Answer.language == language)
    return [StoredAnswer(**row._mapping) for row in session.execute(statement)]


def remains(
    session: Session, questions: Collection[str], language: str | None = None
) -> list[RemovedAnswers]:
    """Return what remains of removed answers to these questions."""
    answers = sa.func.sum(Remnant.answers).label("answers")
    statement = (
        sa.select(Version.question, Remnant.version, Remnant.chosen, answers)
        .join(Version, Version.digest == Remnant.version)
        .where(Version.question.in_(questions))
        .group_by(Version.question, Remnant.version, Remnant.chosen)
        .order_by(Version.question, Remnant.version, Remnant.chosen)
    )
    if language is not None:
        statement = statement.where(Remnant.language == language)
    return [RemovedAnswers(**row._mapping) for row in session.execute(statement)]


def versions(session: Session, digests: Collection[str]) -> dict[str, list[Edition]]:
    """Return the stored versions of each question, the latest first."""
    statement = (
        sa.select(Version.question, Version.content)
        .where(Version.digest.in_(digests))
        .order_by(Version.created.desc(), Version.digest)
    )
    by_question: dict[str, list[Edition]] = {}
    for row in session.execute(statement):
        by_question.setdefault(row.question, []).append(Edition.from_json(row.content))
    return by_question


def results(session: Session, class_code: str, quiz: str) -> list[MemberAttempt]:
    """Return every attempt at a quiz of the members of a class, by pseudonym and then by time."""
    statement = (
        sa.select(
            Member.pseudonym,
            Attempt.id,
            Attempt.mode,
            Attempt.started,
            Submission.submitted,
            Item.question,
            Answer.score,
        )
        .join(Attempt, Attempt.learner == Member.learner)
        .join(Item, Item.attempt == Attempt.id)
        .outerjoin(Submission, Submission.attempt == Attempt.id)
        .outerjoin(Answer, _ANSWERED)
        .where(Member.class_code == class_code, Attempt.quiz == quiz, _TOLD)
        .order_by(Member.pseudonym, Attempt.started, Attempt.id, Item.position)
    )
    by_attempt: dict[str, MemberAttempt] = {}
    numbers: dict[str, int] = {}
    for row in session.execute(statement):
        if row.id not in by_attempt:
            numbers[row.pseudonym] = numbers.get(row.pseudonym, 0) + 1
            by_attempt[row.id] = MemberAttempt(
                row.pseudonym, numbers[row.pseudonym], row.mode, row.started, row.submitted, {}
            )
        by_attempt[row.id].scores[row.question] = row.score  # type: ignore[index]
    return list(by_attempt.values())


def attempts_by_quiz(session: Session, class_code: str | None = None) -> dict[str, int]:
    """Return how many attempts there are at each quiz, of everybody or of one class."""
    statement = (
        sa.select(Attempt.quiz, sa.func.count())
        .outerjoin(Submission, Submission.attempt == Attempt.id)
        .where(Attempt.quiz.is_not(None), _TOLD)
        .group_by(Attempt.quiz)
    )
    if class_code is not None:
        statement = statement.where(Attempt.learner.in_(_learners(class_code)))
    return {quiz or "": number for quiz, number in session.execute(statement)}


_ANSWERED = (Answer.attempt == Item.attempt) & (Answer.question == Item.question)
_TOLD = (Attempt.mode != "exam") | Submission.submitted.is_not(None)


def _learners(class_code: str) -> sa.Select[Any]:
    return sa.select(Member.learner).where(Member.class_code == class_code)


def _first(quiz: str) -> sa.Select[Any]:
    """Select each learner's first attempt at a quiz."""
    place = sa.func.row_number().over(partition_by=Attempt.learner, order_by=(Attempt.started, Attempt.id))
    ranked = sa.select(Attempt.id, place.label("place")).where(Attempt.quiz == quiz).subquery()
    return sa.select(ranked.c.id).where(ranked.c.place == 1)
