"""The health check for load balancers."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Blueprint, Response
from sqlalchemy.exc import SQLAlchemyError

from steelyard import store
from steelyard.web.app.database import db

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def healthz() -> Response:
    """Say whether this worker can reach its database, and the tables are there."""
    try:
        db.session.execute(sa.select(store.Learner.id).limit(1))
    except SQLAlchemyError:
        return Response("the database does not answer, or has no tables yet\n", 503, mimetype="text/plain")
    return Response("ok\n", mimetype="text/plain")
