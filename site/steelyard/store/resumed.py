"""What migrations 0001 to 0003 do, unless it is done already.

Until 0003 an upgrade of SQLite was no transaction: a process killed under way left the first of its
statements behind, each of them whole, without the new revision. So on SQLite these migrations pass over what
is there. An upgrade is one transaction now (`steelyard.store.upgrade`): later migrations need none of this.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.sql.schema import SchemaItem


def create_table(name: str, *parts: SchemaItem) -> None:
    """Make a table of columns and constraints."""
    op.create_table(name, *parts, if_not_exists=_may_be_there())


def create_index(name: str, table: str, columns: list[str]) -> None:
    """Make an index on columns of a table."""
    op.create_index(name, table, columns, if_not_exists=_may_be_there())


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column to a table."""
    if _may_be_there():
        there = {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}
        if column.name in there:
            return
    op.add_column(table, column)


def _may_be_there() -> bool:
    return op.get_bind().dialect.name == "sqlite"
