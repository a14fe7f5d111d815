"""Inserting on both databases, safe when two requests race. The caller commits."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from steelyard.store.models import Base


def insert(session: Session, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Return an insertion that can say what a conflict means, in the words of this session's database."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def add(session: Session, table: type[Base], **values: Any) -> bool:
    """Insert a row unless an equal key is there; say whether it was inserted."""
    key = sa.inspect(table).primary_key
    # The row that comes back is the one that was inserted; not every driver counts the rows of an insertion.
    added = session.execute(insert(session, table).values(**values).on_conflict_do_nothing().returning(*key))
    return added.first() is not None
