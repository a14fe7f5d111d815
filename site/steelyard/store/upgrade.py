"""Changing the tables: whole or not at all, and one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from steelyard.store.engine import BUSY_MILLISECONDS

WAIT_SECONDS = 60
"""How long one process waits for another that changes the tables, or that holds what has to be changed."""

# Any number will do that no other program takes for a lock of its own in this database.
_ADVISORY_LOCK = int.from_bytes(b"steelyar", "big")


@contextmanager
def exclusive(connection: sa.Connection) -> Iterator[None]:
    """Begin a transaction on `connection` that no other process can run beside; the caller ends it.

    Whatever was open on the connection is rolled back. On SQLite `BEGIN IMMEDIATE` is sent by hand, since
    sqlite3 begins no transaction before a statement that changes tables: each would be kept by itself, and a
    process that is killed would leave the first of them behind
    (https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#sqlite-transactions). Foreign keys are not
    enforced meanwhile: a table that is rebuilt is dropped, which would remove the rows that refer to it
    (https://sqlite.org/lang_altertable.html#otheralter). PostgreSQL's transactions hold such statements; an
    advisory lock, given back at the end of the transaction, keeps a second process waiting.

    Raises sqlalchemy.exc.OperationalError when the database could not be had within `WAIT_SECONDS`; see
    `is_held`.
    """
    connection.rollback()
    if connection.dialect.name != "sqlite":
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        yield
        return
    _pragmas(connection, foreign_keys="OFF", busy_timeout=int(WAIT_SECONDS * 1000))
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
    finally:
        _pragmas(connection, foreign_keys="ON", busy_timeout=BUSY_MILLISECONDS)


def is_held(error: sa.exc.OperationalError) -> bool:
    """Say whether a statement failed because another process would not let go of the database in time."""
    if getattr(error.orig, "sqlstate", None) == "55P03":  # lock_not_available
        return True
    return getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _pragmas(connection: sa.Connection, **pragmas: str | int) -> None:
    """Set pragmas on a connection that is in no transaction: inside one some of them do nothing."""
    connection.rollback()
    for name, value in pragmas.items():
        connection.exec_driver_sql(f"PRAGMA {name}={value}")
    connection.rollback()
