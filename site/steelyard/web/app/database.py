"""The store, wired to the application: engine, session of the request, migrations."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from alembic.script import Script
from flask import Flask
from flask_alembic import Alembic
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from steelyard import store
from steelyard.settings import Settings


class UpgradeError(click.ClickException):
    """A database whose tables this code cannot bring up to date; the text says why and what to do."""


class Migrations(Alembic):
    """Flask-Alembic, with each upgrade and downgrade whole or not at all, and one process at a time."""

    def current(self) -> tuple[Script, ...]:
        """Return the revision of the database, if it has one. Raises UpgradeError for an unknown one."""
        known = {script.revision for script in self.script_directory.walk_revisions()}
        heads = self.migration_context.get_current_heads()
        if unknown := sorted(set(heads) - known):
            raise UpgradeError(
                f"the database is of revision {unknown[0]}, and this version of Steelyard knows revisions up "
                f"to {max(known)}: a newer version has upgraded it. Run that version or a later one, or "
                "restore a backup from before the upgrade. Nothing was changed."
            )
        found: tuple[Script, ...] = super().current()
        return found

    def run_migrations(self, fn: Callable[..., Any], **kwargs: Any) -> None:
        """Run the steps that `fn` names in one transaction. Raises UpgradeError."""
        connection = self.migration_context.connection
        assert connection is not None  # there is none in a context that writes SQL to a file
        try:
            with store.exclusive(connection):
                self.current()
                super().run_migrations(fn, **kwargs)
        except OperationalError as error:
            if not store.is_held(error):
                raise
            raise UpgradeError(
                f"something else has held the database for {store.WAIT_SECONDS} seconds: another upgrade, or "
                "a program that writes to it. Wait for its end, or stop it, and start again. Nothing was "
                "changed."
            ) from None


db = SQLAlchemy(session_options={"expire_on_commit": False})
alembic = Migrations(run_mkdir=False, command_name="db", metadatas=store.Base.metadata)


def init_app(app: Flask, settings: Settings) -> None:
    """Connect the application to the settings' database; nothing is opened yet."""
    app.config["SQLALCHEMY_ENGINES"] = {"default": {"url": settings.database_url, **store.OPTIONS}}
    app.config["ALEMBIC"] = {"script_location": str(Path(store.__file__).parent / "migrations")}
    # Alembic believes that SQLite's transactions do not hold changes of tables; see store.exclusive.
    app.config["ALEMBIC_CONTEXT"] = {"transactional_ddl": True}
    db.init_app(app)
    # No engine here is asynchronous; closing their sessions would start an event loop after each request.
    app.teardown_appcontext_funcs = [
        close for close in app.teardown_appcontext_funcs if not inspect.iscoroutinefunction(close)
    ]
    alembic.init_app(app)
    with app.app_context():
        store.tune(db.engine)


def migrate(app: Flask) -> None:
    """Bring the database's tables up to date. Of several processes at once one does so, and the others wait.

    Raises UpgradeError, also for a database that does not answer or that cannot be written to.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with app.app_context():
        try:
            if alembic.needs_upgrade():  # else there is nothing to wait for
                alembic.upgrade()
            try_to_write()
        except SQLAlchemyError as error:
            raise UpgradeError(_unusable(error)) from None


def try_to_write() -> None:
    """Raise SQLAlchemyError where writing would. No row is deleted, and that is undone, too."""
    db.session.execute(sa.delete(store.Learner).where(sa.false()))
    db.session.rollback()


def _unusable(error: SQLAlchemyError) -> str:
    """Say which database cannot be used and why, in words for people."""
    cause = getattr(error, "orig", None) or error
    reason = str(cause).strip()
    if getattr(cause, "sqlite_errorname", "").startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        reason += "; this account has to be able to write to the file and to its folder"
    return f"the database cannot be used: {reason} ({db.engine.url.render_as_string(hide_password=True)})"
