"""The tables. Rows are added and, on a learner's own wish, removed; none is ever changed."""

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
    started: Mapped[datetime] = mapped_column(Moment)


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
