"""Continue on another device: a single-use link, as text and as a QR code."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from flask import Blueprint, Response, flash, make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from steelyard import store
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.identity import become, known_learner
from steelyard.web.app.security import submissions
from steelyard.web.text.qr import qr

bp = Blueprint("devices", __name__)

VALID = timedelta(minutes=15)

Page = str | AnyResponse | tuple[str, int]


@bp.post("/progress/continue")
@submissions
def link() -> Page:
    """Show a new link, the only time that anybody sees it: the store keeps its digest alone."""
    now = clock.now()
    learner = known_learner()
    if learner is None or not store.is_known(db.session, learner):
        flash(_("Nothing is stored about you yet, so there is nothing to continue."))
        return redirect(url_for("progress.show"), 303)
    token = secrets.token_urlsafe(32)
    store.append_transfer(db.session, digest=_digest(token), learner=learner, expires=now + VALID, now=now)
    db.session.commit()
    address = url_for(".show_link", token=token, _external=True)
    page = render_template("devices/link.html", address=address, code=qr(address), minutes=_minutes())
    response: Response = make_response(page)
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.get("/progress/continue")
def linked() -> AnyResponse:
    """A link is shown once: whoever comes back, or changes the language, may make another."""
    return redirect(url_for("progress.show"))


@bp.get("/continue/<token>")
def show_link(token: str) -> Page:
    """Say what using the link will do. Looking does not use it up, so that a preview of it costs nothing."""
    learner = store.transfer(db.session, _digest(token), clock.now())
    if learner is None:
        return _gone()
    here = known_learner()
    own = store.count_answers(db.session, here) if here and here != learner else 0
    return render_template("devices/open.html", token=token, own=own, same=here == learner)


@bp.post("/continue/<token>")
@submissions
def use(token: str) -> Page:
    """Let this browser go on as the learner of the link. What was its own stays with its old learner."""
    learner = store.use_transfer(db.session, _digest(token), clock.now())
    db.session.commit()
    if learner is None:
        return _gone()
    become(learner)
    flash(_("This browser goes on from here with the answers of the other device."))
    return redirect(url_for("progress.show"), 303)


def _gone() -> Page:
    return render_template("devices/gone.html", minutes=_minutes()), 404


def _minutes() -> int:
    return int(VALID.total_seconds() // 60)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
