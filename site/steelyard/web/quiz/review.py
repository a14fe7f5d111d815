"""Spaced review: which questions are due, asked one at a time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from steelyard import store
from steelyard.review import Scheduled, schedule
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.identity import known_learner, learner_id
from steelyard.web.app.languages import language
from steelyard.web.app.security import submissions
from steelyard.web.app.state import state

bp = Blueprint("review", __name__)

AHEAD = (1, 7, 30)
"""Days for which the page tells how many questions will be due."""


def scheduled() -> list[Scheduled]:
    """Return this learner's questions with their due dates, the soonest first, if they can be asked now."""
    learner = known_learner()
    if learner is None:
        return []
    bank = state().bank
    answered = schedule(store.given(db.session, learner))
    return [each for each in answered if each.question in bank.practice]


def due(now: datetime) -> list[Scheduled]:
    """Return this learner's questions that are due."""
    return [each for each in scheduled() if each.is_due(now)]


@bp.get("/review")
def show() -> str:
    """Show which questions are due now, and how many will be."""
    now = clock.now()
    bank = state().bank
    every = scheduled()
    due = [each for each in every if each.is_due(now)]
    return render_template(
        "review/show.html",
        due=[bank.question(each.question, language()) for each in due],
        ahead=[(days, sum(each.is_due(now + timedelta(days=days)) for each in every)) for days in AHEAD],
        following=next((each for each in every if not each.is_due(now)), None),
    )


@bp.get("/review/next")
def next_due() -> Response:
    """Go to the question that has been due for longest; to the overview when none is left."""
    longest_due = next(iter(due(clock.now())), None)
    if longest_due is None:
        return redirect(url_for(".show"))
    return redirect(url_for("questions.show", question_id=longest_due.question, mode="review"))


@bp.post("/review/take-back")
@submissions
def take_back() -> Response:
    """Take back the latest answer given in review: the schedule is then as if it had not been given."""
    attempt = request.form.get("attempt", "")
    if not re.fullmatch(r"[0-9a-f]{32}", attempt):
        abort(400)
    reviewed = store.reviewed(db.session, attempt, learner_id()) or abort(404)
    if reviewed.is_latest:
        store.take_back(db.session, reviewed.answer, clock.now())
        db.session.commit()
        flash(_("The answer was taken back, and the question is due as it was before."))
    elif not reviewed.taken_back:
        flash(_("Only the latest answer of a review can be taken back. This one stands."))
    return redirect(url_for(".show"), 303)
