"""The login of /instructor: a token in the signed cookie, whose digest is stored for twelve hours."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta

from flask import Blueprint, Response, g, redirect, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from steelyard.store import instructors
from steelyard.web.app import clock
from steelyard.web.app.database import db

bp = Blueprint("instructor", __name__, url_prefix="/instructor")

LASTS = timedelta(hours=12)
OPEN = frozenset({"instructor.login", "instructor.log_in"})
"""What can be asked for without a login."""

_KEY = "login"


@bp.before_request
def require_login() -> AnyResponse | None:
    """Redirect to the login without one, with the page asked for as the target after it."""
    token = session.get(_KEY)
    g.instructor = instructors.logged_in(db.session, _digest(token), clock.now(), LASTS) if token else None
    if g.instructor is not None or request.endpoint in OPEN:
        return None
    asked = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("instructor.login", next=asked))


@bp.after_request
def forbid_caching(response: Response) -> Response:
    """Set Cache-Control: no-store, so that no browser keeps learners' answers after the logout."""
    response.headers["Cache-Control"] = "private, no-store"
    return response


def begin(instructor: str) -> None:
    """Log this browser in under a new token, and renew the CSRF token of its forms.

    The learner of the browser stays who they are. The caller commits.
    """
    end()
    token = secrets.token_urlsafe(32)
    now = clock.now()
    instructors.append_login(
        db.session, digest=_digest(token), instructor=instructor, expires=now + LASTS, now=now
    )
    session[_KEY] = token


def end() -> None:
    """Log this browser out: its token is deleted from the store, so that copies are worthless too."""
    token = session.pop(_KEY, None)
    session.pop("csrf_token", None)
    g.pop("csrf_token", None)
    if token:
        instructors.remove_login(db.session, _digest(token))


def current_instructor() -> str:
    """Return the instructor of this request, whom `guard` has let in."""
    instructor: str = g.instructor
    return instructor


def safe_next(address: str) -> str | None:
    """Return an address of these pages, to go on to after the login; None for any other.

    A browser reads `//host`, `\\host` and what comes after a control character as other sites; none of them
    begins as these pages do.
    """
    return address if re.fullmatch(r"/instructor(?:[/?][!-\[\]-~]*)?", address) else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
