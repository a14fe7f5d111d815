"""What is stored about learners (a test compares it with the tables), and deleting it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response

from steelyard import store
from steelyard.web.app.database import db
from steelyard.web.app.identity import known_learner, leave
from steelyard.web.app.languages import YEAR
from steelyard.web.app.security import submissions
from steelyard.web.learner.devices import VALID

bp = Blueprint("privacy", __name__)


@dataclass(frozen=True)
class StoredTable:
    """One table of the store."""

    words: str
    """What a row of it says."""
    columns: tuple[str, ...]


HELD: Mapping[str, StoredTable] = {
    "learners": StoredTable(
        _("That there is a learner: a number drawn at random, and since when. No name, no mail."),
        ("id", "created"),
    ),
    "attempts": StoredTable(
        _("Each quiz that you take, and each question that you answer alone: in which mode, and when."),
        ("id", "learner", "quiz", "mode", "started", "deadline", "closes"),
    ),
    "items": StoredTable(
        _("Which questions you were asked, in which wording, and the order of their choices."),
        ("attempt", "question", "position", "version", "letters"),
    ),
    "answers": StoredTable(
        _("What you chose, the score, in which language the question stood, and when."),
        ("id", "attempt", "question", "chosen", "score", "language", "answered"),
    ),
    "undos": StoredTable(
        _("Which answers you took back in review, and when."),
        ("answer", "undone"),
    ),
    "guesses": StoredTable(
        _("Figures that you guessed before answering, what they were compared with, and when."),
        ("id", "attempt", "question", "claim", "value", "measured", "guessed"),
    ),
    "drafts": StoredTable(
        _("In an exam: what was ticked at each time it was saved."),
        ("id", "attempt", "question", "chosen", "language", "saved", "tab", "nth"),
    ),
    "submissions": StoredTable(
        _("When an exam ended, and whether you handed it in or its time ran out."),
        ("attempt", "submitted", "by"),
    ),
    "transfers": StoredTable(
        _("A link to another device: a digest of it, and until when it works."),
        ("digest", "learner", "expires"),
    ),
    "members": StoredTable(
        _(
            "Only if you joined a class: which, when, your pseudonym in it, and extra time in exams. The "
            "instructor of the class sees your answers under that pseudonym."
        ),
        ("class_code", "learner", "pseudonym", "extra_percent", "joined"),
    ),
}
"""Every table with rows of a learner. They go when the learner goes."""

OTHERS: Mapping[str, str] = {
    "versions": _("the wording of each question that was asked"),
    "remnants": _(
        "how many deleted answers chose which choices of which wording, in which language, as one sum over "
        "everybody who left"
    ),
    "instructors": _("names of instructors, and digests of their passwords"),
    "logins": _("which browsers an instructor is logged in with"),
    "failed_logins": _(
        "failed attempts to log in as an instructor, with the network address that they came from, or with "
        "the number of a browser that has logged in before"
    ),
    "classes": _("names and codes of classes"),
    "exam_starts": _(
        "under which pseudonym of a class an exam was begun that is taken once, which exam, and when"
    ),
}
"""Every other table: nothing in it belongs to a learner."""


@bp.get("/privacy")
def show() -> str:
    """Say what is stored, where, and for how long."""
    return render_template(
        "privacy/show.html",
        held=HELD,
        others=OTHERS,
        cookie=current_app.config["SESSION_COOKIE_NAME"],
        cookie_days=current_app.permanent_session_lifetime.days,
        choice_days=YEAR // (24 * 3600),
        known_days=YEAR // (24 * 3600),
        link_minutes=int(VALID.total_seconds() // 60),
        known=_answers() is not None,
    )


@bp.get("/progress/delete")
def confirm() -> str:
    """Say what deleting removes and what remains, and ask."""
    return render_template("privacy/delete.html", answers=_answers(), trouble=None)


@bp.post("/progress/delete")
@submissions
def delete() -> str | Response | tuple[str, int]:
    """Remove everything that is stored about this learner, and end the session."""
    if request.form.get("confirm") != "yes":
        trouble = gettext("Nothing was deleted. Tick the box if you mean it.")
        return render_template("privacy/delete.html", answers=_answers(), trouble=trouble), 400
    if learner := known_learner():
        store.forget(db.session, learner)
        db.session.commit()
    leave()
    flash(_("Everything that was stored about you is deleted. Only the counts described here remain."))
    return redirect(url_for(".show", _anchor="remains"), 303)


def _answers() -> int | None:
    """Return how many answers are stored about this learner; None when nothing is."""
    learner = known_learner()
    if learner is None or not store.is_known(db.session, learner):
        return None
    return store.count_answers(db.session, learner)
