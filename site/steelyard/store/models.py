"""The tables. What learners did is added and, on their own wish, removed; it is never changed.

Only what is nobody's answer may change: an instructor's password, a member's extra time, and the counts that
remain of removed answers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

ID = sa.String(32)
"""Thirty-two hexadecimal digits, drawn at random."""
QUESTION = sa.Text()
"""An id is as long as the path of its file."""
DIGEST = sa.String(64)


class Moment(TypeDecorator[datetime]):
    """A point in time, UTC on both sides (SQLite keeps no time zone)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base of all tables."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Learner(Base):
    """Somebody without a name. The row comes with the first thing that is written for them."""

    __tablename__ = "learners"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    created: Mapped[datetime] = mapped_column(Moment)


class Version(Base):
    """The whole content of a question that somebody was graded by, once per digest."""

    __tablename__ = "versions"

    digest: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    question: Mapped[str] = mapped_column(QUESTION, index=True)
    content: Mapped[str] = mapped_column(sa.Text)
    created: Mapped[datetime] = mapped_column(Moment)


class Attempt(Base):
    """One learner's way through a quiz, or through a single question (then without a quiz)."""

    __tablename__ = "attempts"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    learner: Mapped[str] = mapped_column(sa.ForeignKey("learners.id", ondelete="CASCADE"), index=True)
    quiz: Mapped[str | None] = mapped_column(QUESTION)
    mode: Mapped[str] = mapped_column(sa.String(20))
    """`practice`, `exam` or `review`."""
    started: Mapped[datetime] = mapped_column(Moment)
    deadline: Mapped[datetime | None] = mapped_column(Moment, index=True)
    """Of an exam with a time limit: when the server closes it, extra time included."""
    closes: Mapped[datetime | None] = mapped_column(Moment)
    """Of an exam-only quiz, as its description said at the start: no result is shown before."""


class Item(Base):
    """A question of an attempt: its place, the version pinned at the start, and the order of its choices."""

    __tablename__ = "items"
    __table_args__ = (sa.UniqueConstraint("attempt", "position"),)

    attempt: Mapped[str] = mapped_column(sa.ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True)
    question: Mapped[str] = mapped_column(QUESTION, primary_key=True)
    position: Mapped[int]
    version: Mapped[str] = mapped_column(sa.ForeignKey("versions.digest"), index=True)
    letters: Mapped[str] = mapped_column(sa.String(26))
    """The choices' letters in the order in which they are shown."""


class Answer(Base):
    """The letters that were chosen. The first answer to an item counts; there is no second."""

    __tablename__ = "answers"
    __table_args__ = (
        sa.UniqueConstraint("attempt", "question"),
        sa.ForeignKeyConstraint(
            ("attempt", "question"), ("items.attempt", "items.question"), ondelete="CASCADE"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[str] = mapped_column(ID)
    question: Mapped[str] = mapped_column(QUESTION)
    chosen: Mapped[str] = mapped_column(sa.String(26))
    score: Mapped[float] = mapped_column(sa.Double)
    language: Mapped[str] = mapped_column(sa.String(20))
    answered: Mapped[datetime] = mapped_column(Moment)


class Draft(Base):
    """What is ticked in an exam so far. Each save is a row; the latest one (by id) of an item counts."""

    __tablename__ = "drafts"
    __table_args__ = (
        sa.Index(None, "attempt", "question"),
        sa.ForeignKeyConstraint(
            ("attempt", "question"), ("items.attempt", "items.question"), ondelete="CASCADE"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[str] = mapped_column(ID)
    question: Mapped[str] = mapped_column(QUESTION)
    chosen: Mapped[str] = mapped_column(sa.String(26))
    """Empty when everything was unticked again."""
    language: Mapped[str] = mapped_column(sa.String(20))
    saved: Mapped[datetime] = mapped_column(Moment)
    tab: Mapped[str | None] = mapped_column(sa.String(16))
    """A number that the script drew for the page from which this was saved; null without a script."""
    nth: Mapped[int | None]
    """Which save of that page this is, from 1."""


class Submission(Base):
    """The end of an exam: its latest drafts have become answers, and it takes no more."""

    __tablename__ = "submissions"

    attempt: Mapped[str] = mapped_column(sa.ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True)
    submitted: Mapped[datetime] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(sa.String(20))
    """`learner` or `deadline`."""


class Guess(Base):
    """What a learner thought the scale would say, before it spoke."""

    __tablename__ = "guesses"
    __table_args__ = (
        sa.UniqueConstraint("attempt", "question"),
        sa.ForeignKeyConstraint(
            ("attempt", "question"), ("items.attempt", "items.question"), ondelete="CASCADE"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[str] = mapped_column(ID)
    question: Mapped[str] = mapped_column(QUESTION)
    claim: Mapped[str] = mapped_column(sa.String(60))
    value: Mapped[float] = mapped_column(sa.Double)
    """A fraction: 0.25 for a guessed saving of 25 %."""
    measured: Mapped[float] = mapped_column(sa.Double)
    """The figure it was compared with, likewise."""
    guessed: Mapped[datetime] = mapped_column(Moment)


class Undo(Base):
    """An answer given in review that its learner took back: the schedule is as if it had not been given."""

    __tablename__ = "undos"

    answer: Mapped[int] = mapped_column(sa.ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    undone: Mapped[datetime] = mapped_column(Moment)


class Transfer(Base):
    """A one-time link by which a learner goes on on another device. Using it removes the row."""

    __tablename__ = "transfers"

    digest: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    """The sha256 of the link's token; the token itself is kept nowhere."""
    learner: Mapped[str] = mapped_column(sa.ForeignKey("learners.id", ondelete="CASCADE"), index=True)
    expires: Mapped[datetime] = mapped_column(Moment)


class Remnant(Base):
    """How many removed answers chose these letters of a version: all that remains of a learner who left."""

    __tablename__ = "remnants"

    version: Mapped[str] = mapped_column(sa.ForeignKey("versions.digest"), primary_key=True)
    language: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    chosen: Mapped[str] = mapped_column(sa.String(26), primary_key=True)
    answers: Mapped[int]


# ---- instructors and their classes ------------------------------------------------------------------------


class Instructor(Base):
    """Somebody with a login. `steelyard instructor add` makes one."""

    __tablename__ = "instructors"

    name: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    password: Mapped[str] = mapped_column(sa.String(200))
    """Hashed by argon2id."""
    created: Mapped[datetime] = mapped_column(Moment)


class Login(Base):
    """A login that an instructor's browser holds. Logging out, or a new password, removes it."""

    __tablename__ = "logins"

    digest: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    """The sha256 of the token in the cookie."""
    instructor: Mapped[str] = mapped_column(sa.ForeignKey("instructors.name", ondelete="CASCADE"), index=True)
    expires: Mapped[datetime] = mapped_column(Moment)


class FailedLogin(Base):
    """A wrong password, kept while it counts for the lockout."""

    __tablename__ = "failed_logins"
    __table_args__ = (sa.Index(None, "account", "failed"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(sa.String(60))
    """As it was typed, known or not."""
    address: Mapped[str] = mapped_column(sa.String(60))
    """Where it came from: a network address, or the number of a browser that has logged in before."""
    failed: Mapped[datetime] = mapped_column(Moment)


class Class(Base):
    """A group of learners who joined by a code."""

    __tablename__ = "classes"

    code: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    instructor: Mapped[str] = mapped_column(sa.ForeignKey("instructors.name", ondelete="CASCADE"), index=True)
    created: Mapped[datetime] = mapped_column(Moment)


class Member(Base):
    """A learner in a class, under a pseudonym that only they and the class's instructor know."""

    __tablename__ = "members"
    __table_args__ = (sa.UniqueConstraint("class_code", "pseudonym"),)

    class_code: Mapped[str] = mapped_column(
        sa.ForeignKey("classes.code", ondelete="CASCADE"), primary_key=True
    )
    learner: Mapped[str] = mapped_column(
        sa.ForeignKey("learners.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    pseudonym: Mapped[str] = mapped_column(sa.String(40))
    extra_percent: Mapped[int]
    """Extra time in exams, in per cent of their time limit."""
    joined: Mapped[datetime] = mapped_column(Moment)


class ExamStart(Base):
    """That a member of a class began an exam that is taken once. It outlives what a learner deletes."""

    __tablename__ = "exam_starts"

    class_code: Mapped[str] = mapped_column(
        sa.ForeignKey("classes.code", ondelete="CASCADE"), primary_key=True
    )
    pseudonym: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    """Case-folded."""
    quiz: Mapped[str] = mapped_column(QUESTION, primary_key=True)
    attempt: Mapped[str] = mapped_column(ID)
    """Not a reference: the attempt may be deleted."""
    started: Mapped[datetime] = mapped_column(Moment)
