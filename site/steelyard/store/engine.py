"""Settings of a database connection, and of the file behind it."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from steelyard.settings import make_private_folder

BUSY_MILLISECONDS = 10_000
"""How long a statement waits for another connection to SQLite that is writing."""

OPTIONS: dict[str, Any] = {
    "pool_pre_ping": True,  # a connection from before PostgreSQL was restarted is replaced before it is used
    "hide_parameters": True,  # an error's text, which is logged, holds no learner's id
}
"""Of every engine, as arguments of `sqlalchemy.create_engine`."""


def tune(engine: sa.Engine) -> None:
    """Prepare an engine: for SQLite, write-ahead logging (readers never wait) and enforced foreign keys.

    A killed process loses nothing that was committed: the operating system has it by then. A power cut would
    lose the last commits, so `synchronous=FULL` waits at each for the disk to have its log
    (https://sqlite.org/pragma.html#pragma_synchronous). That costs some milliseconds an answer, and leaves a
    hundred answers a second and more; without it an answer that was acknowledged could be lost. PostgreSQL
    waits by default.

    An SQLite file is made with its folder, for this account only. Raises OSError, or SettingsError for the
    folder, when they cannot be. Nothing is connected yet, so that an engine can be made before a server
    forks.
    """
    if engine.dialect.name != "sqlite":
        sa.event.listen(engine, "handle_error", _hide_values)
        return
    if (path := database_file(engine)) is not None:
        _make_private(path)
        _stay_with(engine, path)

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


def database_file(engine: sa.Engine) -> Path | None:
    """Return the file of an SQLite database; None for one in memory or by SQLite's own URI, and elsewhere."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:" or "uri" in engine.url.query:
        return None
    return Path(name).resolve()


def _make_private(path: Path) -> None:
    """Make a database's file for this account only, or take it from everybody else.

    SQLite gives the log beside it the same rights. A group's rights stay where everybody has none: somebody
    has given them.
    """
    make_private_folder(path.parent)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(FileNotFoundError, PermissionError):  # another account's, whose business it is
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & stat.S_IRWXO:
                file.chmod(mode & stat.S_IRWXU)


def _stay_with(engine: sa.Engine, path: Path) -> None:
    """Let every connection refuse a file that was removed or replaced, in any process forked from this one.

    What is written to a removed file is found by nobody; and a new file beside the log of the old one may be
    damaged by it (https://sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use).
    """
    made = path.stat().st_ino

    def reason() -> str | None:
        try:
            same = path.stat().st_ino == made
        except OSError:
            return "is gone"
        return None if same else "was replaced while the site ran, which has to be started anew"

    @sa.event.listens_for(engine, "do_connect")
    def open_only(*_: Any) -> None:
        if why := reason():
            raise sqlite3.OperationalError(f"the database's file {why}: {path}")

    @sa.event.listens_for(engine, "checkout")
    def close(*_: Any) -> None:
        if why := reason():
            raise sa.exc.DisconnectionError(why)  # closed, and asked for anew


def _hide_values(context: sa.engine.ExceptionContext) -> None:
    """Take out of an error what PostgreSQL quotes of the row."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None and error.args:
            text, _, _ = str(error.args[0]).partition("\nDETAIL:")
            error.args = (text, *error.args[1:])
