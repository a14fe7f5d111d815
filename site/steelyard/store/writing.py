"""Inserting on both databases, safe when two requests race. The caller commits.

What every request runs is executed on the session's connection, in its transaction: no statement here is
about objects, and the ORM's part in executing one costs several times what the database's does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from steelyard.store.models import Base


def insert(session: Session, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Return an insertion that can say what a conflict means, in the words of this session's database."""
    return _insert(session.get_bind().dialect.name, sa.inspect(table).local_table)


def add(session: Session, table: type[Base], **values: Any) -> bool:
    """Insert a row unless an equal key is there; say whether it was inserted."""
    connection = session.connection()
    # The row that comes back is the one that was inserted; not every driver counts the rows of an insertion.
    added = connection.execute(_one_row(connection.dialect.name, table), values)
    return added.first() is not None


def add_all(session: Session, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, all of the same columns, where no equal key is there."""
    if rows:
        connection = session.connection()
        connection.execute(_rows(connection.dialect.name, table), rows)


@cache
def _rows(dialect: str, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    return _insert(dialect, sa.inspect(table).local_table).on_conflict_do_nothing()


@cache
def _one_row(dialect: str, table: type[Base]) -> sa.sql.dml.ReturningInsert[Any]:
    return _rows(dialect, table).returning(*sa.inspect(table).primary_key)


def _insert(dialect: str, table: Any) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
