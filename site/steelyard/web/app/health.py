"""The health check for load balancers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Flask, Response
from sqlalchemy.exc import SQLAlchemyError

from steelyard import store
from steelyard.web.app.database import db, try_to_write
from steelyard.web.app.security import own_host

PATH = "/healthz"
ROOM_BYTES = 16 * 2**20
"""With less left on its disk an SQLite file is as good as full: the log alone grows to 4 MiB, and beyond."""

bp = Blueprint("health", __name__)


def init_app(app: Flask) -> None:
    """Let the health check answer by whatever name it is asked: a probe asks by an address."""
    application, host = app.wsgi_app, own_host(app)

    def asked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == PATH:
            environ = {**environ, "HTTP_HOST": host}
        return application(environ, start_response)

    app.wsgi_app = asked  # type: ignore[method-assign]


@bp.get(PATH)
def healthz() -> Response:
    """Say whether this worker can write to its database, and the tables are there.

    Nothing is written, and a full disk would not be noticed, so that an SQLite file's disk is asked for its
    room.
    """
    try:
        try_to_write()
        file = store.database_file(db.engine)
        room = ROOM_BYTES if file is None else shutil.disk_usage(file.parent).free
    except (SQLAlchemyError, OSError):
        return _ill("the database does not answer, takes nothing, or has no tables yet")
    if room < ROOM_BYTES:
        return _ill(f"the disk of the database is full: {room // 2**20} MiB are left")
    return Response("ok\n", mimetype="text/plain")


def _ill(reason: str) -> Response:
    return Response(f"{reason}\n", 503, mimetype="text/plain")
