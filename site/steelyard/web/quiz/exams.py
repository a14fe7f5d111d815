"""An exam under way: its questions without feedback, saving, its sheet, and handing it in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from steelyard import exam_lifecycle, store
from steelyard.bank.model import Quiz
from steelyard.store import Seat, Sitting
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.errors import stale_form
from steelyard.web.app.identity import learner_id
from steelyard.web.app.languages import language
from steelyard.web.app.security import CONTENT_SECURITY_POLICY, drafts, submissions
from steelyard.web.app.state import state
from steelyard.web.quiz.rendered import Shown, pinned, shown

bp = Blueprint("exams", __name__)

Page = str | Response | tuple[str, int]


@dataclass(frozen=True)
class Left:
    """The time that is left, as its page was drawn."""

    seconds: int
    """Negative while the grace after the deadline lasts."""
    ends: str
    """The script waits until this many seconds after the deadline: then the exam has ended."""

    @property
    def words(self) -> str:
        """`1:29:58`, or `29:58` below an hour."""
        minutes, seconds = divmod(max(0, self.seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

    @property
    def duration(self) -> str:
        """As a machine reads it (HTML's duration string)."""
        return f"PT{max(0, self.seconds)}S"


def find(attempt: str) -> Sitting | None:
    """Return this learner's attempt; an exam whose time is over is ended first, whatever looks at it."""
    sitting = store.sitting(db.session, attempt, learner_id())
    if (
        sitting
        and sitting.under_way
        and sitting.deadline
        and clock.now() >= sitting.deadline + exam_lifecycle.GRACE
    ):
        exam_lifecycle.close_overdue(db.session, clock.now(), learner_id())
        db.session.commit()
        sitting = store.sitting(db.session, attempt, learner_id())
    return sitting


def only_attempt(slug: str) -> str:
    """Return the id of this learner's attempt at an exam-only quiz, of which there is one at most."""
    return hashlib.sha256(f"{learner_id()}/{slug}/exam".encode()).hexdigest()[:32]


def is_sealed(sitting: Sitting) -> bool:
    """Return whether nothing of this exam's result may be told yet."""
    quiz = sitting.quiz or ""
    return sitting.mode == "exam" and bool(
        exam_lifecycle.sealed(db.session, state().bank, {quiz}, clock.now())
    )


def unfit(question: Shown, chosen: Collection[str]) -> str | None:
    """Return why these letters cannot be an answer to the question, worded for the learner."""
    if not set(chosen) <= set(question.choices):
        return _("One of the answers sent is not among the choices. Please choose again.")
    if question.question.type == "single" and len(set(chosen)) > 1:
        return _("This question takes one answer. Please choose one.")
    return None


def gone(slug: str | None = None) -> Page:
    """Say that an attempt is not there, or not this learner's, and lead on."""
    quiz = state().bank.quizzes.get(slug) if slug else None
    return render_template("exams/gone.html", quiz=quiz), 404


# ---- a question -------------------------------------------------------------------------------------------


def ask(sitting: Sitting, seat: Seat, *, trouble: str | None = None, status: int = 200) -> Page:
    """Show a question of an exam under way, with what was saved last, or what the form holds, ticked."""
    left = _left(sitting)
    if left and left.seconds <= 0 and request.method == "GET":
        return redirect(url_for("attempts.show", id=sitting.id))
    posted = request.method == "POST"
    page = render_template(
        "exams/ask.html",
        sitting=sitting,
        seat=seat,
        quiz=_quiz(sitting),
        shown=shown(pinned(seat), language()),
        chosen=set(request.form.getlist("choice") if posted else seat.draft or ""),
        left=left,
        trouble=trouble,
    )
    return _live(page, status)


def save(sitting: Sitting, seat: Seat) -> Page:
    """Save what the form of a question holds and go on to the next one."""
    chosen = request.form.getlist("choice")
    if trouble := unfit(shown(pinned(seat), language()), chosen):
        return ask(sitting, seat, trouble=trouble, status=400)
    if not _save(sitting, seat, chosen):
        return late(sitting.id, seat.question, chosen)
    following = sitting.after(seat.question)
    if following is None:
        return redirect(url_for("attempts.show", id=sitting.id), 303)
    return redirect(url_for("questions.show", id=following.question, attempt=sitting.id), 303)


def late(attempt: str, question: str, chosen: Collection[str]) -> Response:
    """Go to the end of an exam and say what became of an answer that was sent after it."""
    flash(_late_words(attempt, question, chosen))
    return redirect(url_for("attempts.show", id=attempt), 303)


def _late_words(attempt: str, question: str, chosen: Collection[str]) -> str:
    sitting = find(attempt)
    seat = sitting.seat(question) if sitting else None
    if sitting is None or seat is None:
        abort(404)
    by_deadline = sitting.submitted_by != "learner"
    if set(seat.chosen or seat.draft or "") == set(chosen):
        if by_deadline:
            return _("The time was up. What you sent last had been saved before, and it counts.")
        return _("This exam had been handed in. What you sent last had been saved before, and it counts.")
    if by_deadline:
        return _("The time was up. What you sent last came too late to count; what was saved before does.")
    return _(
        "This exam had been handed in. What you sent last came too late to count; what was saved before does."
    )


@bp.post("/attempts/<attempt>/drafts/<path:id>")
@drafts
def autosave(attempt: str, id: str) -> Page:
    """Save what is ticked, for the script that sends every change; there is nothing to show."""
    sitting = find(attempt)
    seat = sitting.seat(id) if sitting else None
    if sitting is None or seat is None or sitting.mode != "exam":
        abort(404)
    chosen = request.form.getlist("choice")
    if unfit(shown(pinned(seat), language()), chosen):
        abort(400)
    if not sitting.under_way or not _save(sitting, seat, chosen):
        return Response(_late_words(attempt, id, chosen), 409, mimetype="text/plain")
    return "", 204


def _save(sitting: Sitting, seat: Seat, chosen: Collection[str]) -> bool:
    saved = exam_lifecycle.save(
        db.session,
        attempt=sitting.id,
        ends=sitting.deadline,
        question=seat.question,
        chosen="".join(sorted(set(chosen))),
        language=shown(pinned(seat), language()).question.language,
        now=clock.now(),
        order=_order(),
    )
    db.session.commit()
    return saved


def _order() -> tuple[str, int] | None:
    """Return what the script says of a save: its page, and its number among the saves of that page."""
    tab, nth = request.form.get("tab"), request.form.get("nth")
    if tab is None and nth is None:
        return None
    if not re.fullmatch(r"[0-9a-f]{16}", tab or "") or not re.fullmatch(r"[1-9][0-9]{0,8}", nth or ""):
        abort(400)
    return str(tab), int(str(nth))


# ---- the whole exam ---------------------------------------------------------------------------------------


def sheet(sitting: Sitting, *, trouble: str | None = None, status: int = 200) -> Page:
    """Show what is saved and what is not answered yet, and offer to hand in."""
    lines = [(seat, shown(pinned(seat), language()).question) for seat in sitting.seats]
    left = _left(sitting)
    page = render_template(
        "exams/sheet.html",
        sitting=sitting,
        quiz=_quiz(sitting),
        lines=lines,
        left=left,
        over=left is not None and left.seconds <= 0,
        confirm="confirm" in request.args and bool(sitting.blank),
        trouble=trouble,
    )
    return _live(page, status)


def handed_in(sitting: Sitting) -> str:
    """Say that an exam has ended, and when its result will be told."""
    return render_template("exams/handed_in.html", sitting=sitting, quiz=_quiz(sitting), now=clock.now())


@bp.post("/attempts/<id>/submit")
@submissions
def submit(id: str) -> Page:
    """Hand an exam in. Blanks in it are asked about first; the second of two tabs changes nothing."""
    sitting = find(id)
    if sitting is None:
        return gone()
    if sitting.mode != "exam":
        abort(404)
    over = sitting.deadline is not None and clock.now() >= sitting.deadline
    if sitting.under_way and sitting.blank and not over and "confirmed" not in request.form:
        return redirect(url_for("attempts.show", id=id, confirm=1), 303)
    ended = sitting.under_way and exam_lifecycle.hand_in(
        db.session, attempt=id, learner=learner_id(), language=language(), now=clock.now()
    )
    db.session.commit()
    if not ended:
        flash(_("This exam had been handed in already."))
    return redirect(url_for("attempts.show", id=id), 303)


@stale_form(bp, "submit")
def show_sheet_again() -> Page | None:
    """Show the sheet again when the token of its form is stale; None where there is none any more."""
    sitting = find((request.view_args or {})["id"])
    if sitting is None or not sitting.under_way:
        return None
    trouble = _(
        "Your browser's session had ended, so this exam is not handed in yet. All that you saved is here."
    )
    return sheet(sitting, trouble=trouble, status=400)


def _left(sitting: Sitting) -> Left | None:
    if sitting.deadline is None:
        return None
    left: timedelta = sitting.deadline - clock.now()
    return Left(ceil(left.total_seconds()), str(int(exam_lifecycle.GRACE.total_seconds()) + 1))


def _quiz(sitting: Sitting) -> Quiz | None:
    return state().bank.quizzes.get(sitting.quiz or "")


def _live(page: str, status: int) -> Response:
    """Return a page of an exam under way: never an old one from the browser's memory, and it may save."""
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = f"{CONTENT_SECURITY_POLICY}; connect-src 'self'"
    return response
