"""Settings of a database connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa


def tune(engine: sa.Engine) -> None:
    """Prepare an engine: for SQLite, write-ahead logging (readers never wait) and enforced foreign keys.

    The folder of an SQLite file is made. Raises OSError when it cannot be.
    """
    if engine.dialect.name != "sqlite":
        return
    if engine.url.database and engine.url.database != ":memory:":
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
