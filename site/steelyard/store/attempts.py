"""Attempts: begun, answered, and read back. A writer commits nothing: the caller does, once per request."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from steelyard.bank.model import Edition
from steelyard.store.exams import latest_draft
from steelyard.store.models import Answer, Attempt, Draft, Guess, Item, Learner, Submission, Version
from steelyard.store.writing import add, add_all


@dataclass(frozen=True)
class PlannedItem:
    """A question that is about to become an item of an attempt."""

    question: str
    edition: Edition
    letters: str
    """The choices' letters in the order in which they will be shown."""


class AttemptItem(NamedTuple):
    """An item of an attempt with the answer and the guess given to it, if any."""

    question: str
    version: str
    letters: str
    chosen: str | None
    score: float | None
    guess: float | None
    measured: float | None
    draft: str | None = None
    """In an exam: the letters that were saved last; empty when all was unticked again."""

    @property
    def answered(self) -> bool:
        return self.chosen is not None


@dataclass(frozen=True)
class AttemptView:
    """An attempt as its learner sees it."""

    id: str
    quiz: str | None
    mode: str
    started: datetime
    items: tuple[AttemptItem, ...]
    deadline: datetime | None = None
    """When the server ends this exam."""
    submitted: datetime | None = None
    """When this exam ended, and with it what could be changed."""
    submitted_by: str | None = None
    """`learner` or `deadline`."""

    @property
    def under_way(self) -> bool:
        """Whether this is an exam that has not ended: nothing of it is graded, and nothing may be told."""
        return self.mode == "exam" and self.submitted is None

    @property
    def blank(self) -> tuple[AttemptItem, ...]:
        """The items of an exam under way in which nothing is ticked."""
        return tuple(item for item in self.items if not item.draft)

    @property
    def next(self) -> AttemptItem | None:
        """The first item without an answer."""
        return next((item for item in self.items if not item.answered), None)

    def item(self, question: str) -> AttemptItem | None:
        return next((item for item in self.items if item.question == question), None)

    def after(self, question: str) -> AttemptItem | None:
        """Return the item that comes after this question's."""
        questions = [item.question for item in self.items]
        rest = self.items[questions.index(question) + 1 :]
        return rest[0] if rest else None


@dataclass(frozen=True)
class AttemptSummary:
    """How far one attempt at a quiz has come."""

    attempt: str
    quiz: str
    started: datetime
    mode: str
    deadline: datetime | None
    submitted: datetime | None
    items: int
    answers: int
    """How many items are answered, or saved in an exam under way."""
    score: float
    sealed: bool = False
    """Whether the result may not be told yet; the score is then not given."""

    @property
    def is_open(self) -> bool:
        return self.submitted is None if self.mode == "exam" else self.answers < self.items


def start(
    session: Session,
    *,
    attempt: str,
    learner: str,
    quiz: str | None,
    mode: str,
    items: Sequence[PlannedItem],
    now: datetime,
    deadline: datetime | None = None,
    closes: datetime | None = None,
) -> None:
    """Begin an attempt, with its learner and versions where these are new; one that has begun stays as is."""
    add(session, Learner, id=learner, created=now)
    begun = {"learner": learner, "quiz": quiz, "mode": mode, "started": now}
    begun |= {"deadline": deadline, "closes": closes}
    if not add(session, Attempt, id=attempt, **begun):
        return
    digests = [item.edition.digest for item in items]
    stored = set(session.connection().scalars(_VERSIONS, {"digests": digests}))
    new = [item for item in items if item.edition.digest not in stored]
    add_all(
        session,
        Version,
        [
            {
                "digest": item.edition.digest,
                "question": item.question,
                "content": item.edition.to_json(),
                "created": now,
            }
            for item in new
        ],
    )
    add_all(
        session,
        Item,
        [
            {
                "attempt": attempt,
                "question": item.question,
                "position": position,
                "version": item.edition.digest,
                "letters": item.letters,
            }
            for position, item in enumerate(items)
        ],
    )


def attempt_view(session: Session, attempt: str, learner: str) -> AttemptView | None:
    """Return this learner's attempt, by one statement; None when there is none, or it is somebody else's."""
    if not _ID.fullmatch(attempt):  # PostgreSQL takes no NUL in a text, not even to look for it
        return None
    rows = session.connection().execute(_ATTEMPT, {"attempt": attempt, "learner": learner}).all()
    if not rows:
        return None
    first = rows[0]
    return AttemptView(
        attempt,
        first.quiz,
        first.mode,
        first.started,
        tuple(AttemptItem._make(row[_HEAD:]) for row in rows),
        first.deadline,
        first.submitted,
        first.by,
    )


def append_answer(
    session: Session,
    *,
    attempt: str,
    question: str,
    chosen: str,
    score: float,
    language: str,
    now: datetime,
) -> bool:
    """Append an answer; return False when this item has one already, which then stands."""
    return add(
        session,
        Answer,
        attempt=attempt,
        question=question,
        chosen=chosen,
        score=score,
        language=language,
        answered=now,
    )


def append_guess(
    session: Session, *, attempt: str, question: str, claim: str, value: float, measured: float, now: datetime
) -> bool:
    """Append a guess; return False when this item has one already, which then stands."""
    return add(
        session,
        Guess,
        attempt=attempt,
        question=question,
        claim=claim,
        value=value,
        measured=measured,
        guessed=now,
    )


def edition(session: Session, digest: str) -> Edition:
    """Return a stored version. Raises LookupError."""
    content = session.scalar(sa.select(Version.content).where(Version.digest == digest))
    if content is None:
        raise LookupError(digest)
    return Edition.from_json(content)


def attempt_summaries(session: Session, learner: str) -> list[AttemptSummary]:
    """Return this learner's attempts at quizzes, the latest first, by one statement."""
    rows = session.connection().execute(_SUMMARIES, {"learner": learner})
    return [AttemptSummary(**row._mapping) for row in rows]


def scores(session: Session, learner: str, questions: Collection[str]) -> dict[str, list[tuple[str, float]]]:
    """Return how this learner's answers to some questions were graded: attempt → questions with scores."""
    by_attempt: dict[str, list[tuple[str, float]]] = {}
    if questions:
        statement = (
            sa.select(Answer.attempt, Answer.question, Answer.score)
            .join(Attempt, Attempt.id == Answer.attempt)
            .where(Attempt.learner == learner, Answer.question.in_(questions))
        )
        for row in session.execute(statement):
            by_attempt.setdefault(row.attempt, []).append((row.question, row.score))
    return by_attempt


_ID = re.compile("[0-9a-f]{32}")

_VERSIONS = sa.select(Version.digest).where(Version.digest.in_(sa.bindparam("digests", expanding=True)))

_HEAD = 6
"""How many columns of `_ATTEMPT` hold for all of its rows; the others are the fields of an AttemptItem."""

_ATTEMPT = (
    sa.select(
        Attempt.quiz,
        Attempt.mode,
        Attempt.started,
        Attempt.deadline,
        Submission.submitted,
        Submission.by,
        Item.question,
        Item.version,
        Item.letters,
        Answer.chosen,
        Answer.score,
        Guess.value.label("guess"),
        Guess.measured,
        latest_draft(Draft.chosen).label("draft"),
    )
    .join(Item, Item.attempt == Attempt.id)
    .outerjoin(Submission, Submission.attempt == Attempt.id)
    .outerjoin(Answer, (Answer.attempt == Item.attempt) & (Answer.question == Item.question))
    .outerjoin(Guess, (Guess.attempt == Item.attempt) & (Guess.question == Item.question))
    .where(Attempt.id == sa.bindparam("attempt"), Attempt.learner == sa.bindparam("learner"))
    .order_by(Item.position)
)

_TICKED = sa.func.nullif(latest_draft(Draft.chosen), "")

_SUMMARIES = (
    sa.select(
        Attempt.id.label("attempt"),
        Attempt.quiz,
        Attempt.started,
        Attempt.mode,
        Attempt.deadline,
        Submission.submitted,
        sa.func.count(Item.question).label("items"),
        sa.func.count(sa.func.coalesce(Answer.chosen, _TICKED)).label("answers"),
        sa.func.coalesce(sa.func.sum(Answer.score), 0.0).label("score"),
    )
    .join(Item, Item.attempt == Attempt.id)
    .outerjoin(Answer, (Answer.attempt == Item.attempt) & (Answer.question == Item.question))
    .outerjoin(Submission, Submission.attempt == Attempt.id)
    .where(Attempt.learner == sa.bindparam("learner"), Attempt.quiz.is_not(None))
    .group_by(Attempt.id, Submission.submitted)
    .order_by(Attempt.started.desc(), Attempt.id)
    .limit(200)
)
