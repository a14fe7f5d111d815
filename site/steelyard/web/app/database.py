"""The store, wired to the application: engine, session of the request, migrations."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

from flask import Flask
from flask_alembic import Alembic
from flask_sqlalchemy_lite import SQLAlchemy

from steelyard import store
from steelyard.settings import Settings

db = SQLAlchemy(session_options={"expire_on_commit": False})
alembic = Alembic(run_mkdir=False, command_name="db", metadatas=store.Base.metadata)


def init_app(app: Flask, settings: Settings) -> None:
    """Connect the application to the settings' database; nothing is opened yet."""
    app.config["SQLALCHEMY_ENGINES"] = {"default": settings.database_url}
    app.config["ALEMBIC"] = {"script_location": str(Path(store.__file__).parent / "migrations")}
    db.init_app(app)
    # No engine here is asynchronous; closing their sessions would start an event loop after each request.
    app.teardown_appcontext_funcs = [
        close for close in app.teardown_appcontext_funcs if not inspect.iscoroutinefunction(close)
    ]
    alembic.init_app(app)
    with app.app_context():
        store.tune(db.engine)


def migrate(app: Flask) -> None:
    """Bring the database's tables up to date. Raises SQLAlchemyError when the database does not answer."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with app.app_context():
        alembic.upgrade()
