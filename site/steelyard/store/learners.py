"""Learners: whether one is stored, moving to another device, and deletion."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from steelyard.store.models import Answer, Attempt, Item, Learner, Remnant, Transfer
from steelyard.store.writing import insert


def is_known(session: Session, learner: str) -> bool:
    """Return whether anything was ever written for this learner, and they have not left since."""
    return session.connection().scalar(_KNOWN, {"learner": learner}) is not None


_KNOWN = sa.select(Learner.id).where(Learner.id == sa.bindparam("learner"))


def count_answers(session: Session, learner: str) -> int:
    """Return how many answers of this learner are stored, those taken back included."""
    own = sa.select(sa.func.count()).select_from(Answer).join(Attempt, Attempt.id == Answer.attempt)
    return session.scalar(own.where(Attempt.learner == learner)) or 0


# ---- going on on another device ---------------------------------------------------------------------------


def append_transfer(session: Session, *, digest: str, learner: str, expires: datetime, now: datetime) -> None:
    """Keep the digest of a one-time link. It replaces the learner's last; expired ones are removed."""
    session.execute(
        sa.delete(Transfer).where((Transfer.learner == learner) | (Transfer.expires <= now)),
        execution_options={"synchronize_session": False},
    )
    session.execute(insert(session, Transfer).values(digest=digest, learner=learner, expires=expires))


def transfer(session: Session, digest: str, now: datetime) -> str | None:
    """Return the learner that a link would lead to; None when it was used, has expired, or never was."""
    return session.scalar(sa.select(Transfer.learner).where(*_usable(digest, now)))


def use_transfer(session: Session, digest: str, now: datetime) -> str | None:
    """Return the learner that a link leads to and remove the link, in one statement: one user succeeds."""
    used = sa.delete(Transfer).where(*_usable(digest, now)).returning(Transfer.learner)
    return session.scalar(used, execution_options={"synchronize_session": False})


def _usable(digest: str, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return Transfer.digest == digest, Transfer.expires > now


# ---- leaving ----------------------------------------------------------------------------------------------


def forget(session: Session, learner: str) -> None:
    """Remove a learner with everything that was stored about them.

    What remains is how many of their answers, as those of all who left, chose which letters of which version.
    """
    counted = (
        sa.select(Item.version, Answer.language, Answer.chosen, sa.func.count())
        .join(Item, (Item.attempt == Answer.attempt) & (Item.question == Answer.question))
        .join(Attempt, Attempt.id == Answer.attempt)
        .where(Attempt.learner == learner)
        .group_by(Item.version, Answer.language, Answer.chosen)
        .order_by(Item.version, Answer.language, Answer.chosen)  # two who leave at once lock in one order
    )
    added = insert(session, Remnant).from_select(["version", "language", "chosen", "answers"], counted)
    session.execute(
        added.on_conflict_do_update(
            index_elements=["version", "language", "chosen"],
            set_={"answers": Remnant.answers + added.excluded.answers},
        )
    )
    session.execute(sa.delete(Learner).where(Learner.id == learner))
