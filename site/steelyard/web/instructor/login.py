"""Logging in, with a lockout after wrong passwords, and out."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from steelyard import passwords
from steelyard.store import instructors
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.security import LOGINS, address, limiter
from steelyard.web.instructor import known
from steelyard.web.instructor.guard import begin, bp, end, safe_next

Page = str | Response | tuple[str, int]


def _typed_name() -> str:
    return instructors.account(request.form.get("name", ""))


def _origin(name: str) -> tuple[str, bool]:
    """Return where a try comes from, and whether that is a browser which this instructor logged in with."""
    browser = known.number(name)
    return (f"browser {browser}", True) if browser else (address(), False)


# In a bucket of its own: learners of the same address, and scripts, send what they like beside it.
logins = limiter.shared_limit(LOGINS, scope="logins", key_func=lambda: _origin(_typed_name())[0])


@bp.get("/login")
def login() -> Page:
    """Ask for name and password."""
    if g.instructor is not None:
        return redirect(_onward(request.args.get("next", "")))
    return _form(request.args.get("next", ""))


@bp.post("/login")
@logins
def log_in() -> Page:
    """Log in, or show one message for a wrong name and a wrong password alike."""
    name = _typed_name()
    password = request.form.get("password", "")
    origin, is_known = _origin(name)
    now = clock.now()
    counted = instructors.count_try(db.session, name=name, origin=origin, now=now)
    db.session.commit()  # seen by tries that come at the same time
    wait = instructors.wait(db.session, counted, now, known=is_known)
    db.session.commit()
    if wait is not None:
        return _form(request.form.get("next", ""), trouble=_locked(wait), status=429)
    stored = instructors.password_of(db.session, name)
    if not passwords.matches(password, stored) or stored is None:
        wrong = _("Name or password is not right.")
        return _form(request.form.get("next", ""), trouble=wrong, status=403)
    instructors.forgive(db.session, name=name, origin=origin)
    if passwords.is_outdated(stored):
        instructors.rehash(db.session, name, passwords.hash_password(password))
    begin(name)
    db.session.commit()
    response = redirect(_onward(request.form.get("next", "")), 303)
    known.remember(response, name)
    return response


@bp.post("/logout")
def log_out() -> Response:
    """End the login of this browser."""
    end()
    db.session.commit()
    flash(_("You are logged out."))
    return redirect(url_for("home.index"), 303)


def _form(next_url: str, *, trouble: str | None = None, status: int = 200) -> Page:
    page = render_template(
        "instructor/login.html",
        name=request.form.get("name", "")[:60],
        next=safe_next(next_url),
        trouble=trouble,
    )
    return page, status


def _onward(next_url: str) -> str:
    safe = safe_next(next_url)
    return request.script_root + safe if safe else url_for("instructor.overview")


def _locked(wait: timedelta) -> str:
    return ngettext(
        "Too many wrong passwords. Try again in %(num)s minute. Whoever runs this site can help sooner.",
        "Too many wrong passwords. Try again in %(num)s minutes. Whoever runs this site can help sooner.",
        max(1, ceil(wait.total_seconds() / 60)),
    )
