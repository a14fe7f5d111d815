"""Settings of a database connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

BUSY_MILLISECONDS = 10_000
"""How long a statement waits for another connection to SQLite that is writing."""


def tune(engine: sa.Engine) -> None:
    """Prepare an engine: for SQLite, write-ahead logging (readers never wait) and enforced foreign keys.

    A killed process loses nothing that was committed: the operating system has it by then. A power cut would
    lose the last commits, so `synchronous=FULL` waits at each for the disk to have its log
    (https://sqlite.org/pragma.html#pragma_synchronous). That costs some milliseconds an answer, and leaves a
    hundred answers a second and more; without it an answer that was acknowledged could be lost. PostgreSQL
    waits by default.

    The folder of an SQLite file is made. Raises OSError when it cannot be. Nothing is connected yet, so that
    an engine can be made before a server forks.
    """
    if engine.dialect.name != "sqlite":
        return
    if engine.url.database and engine.url.database != ":memory:":
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_MILLISECONDS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
