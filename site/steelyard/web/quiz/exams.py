"""An exam under way: its questions without feedback, saving, its sheet, and handing it in."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from steelyard import exam_lifecycle, store
from steelyard.bank.model import Exam, Quiz
from steelyard.store import AttemptItem, AttemptView
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.errors import stale_form
from steelyard.web.app.identity import learner_id, own
from steelyard.web.app.languages import language
from steelyard.web.app.security import CONTENT_SECURITY_POLICY, drafts, submissions
from steelyard.web.app.state import state
from steelyard.web.quiz.attempt_ids import exam_attempt_id, former_exam_attempt_id
from steelyard.web.quiz.opened import open_question, told_page
from steelyard.web.quiz.rendered import pinned_edition, rendered, unfit

bp = Blueprint("exams", __name__)

Page = str | Response | tuple[str, int]


@dataclass(frozen=True)
class TimeLeft:
    """The time that is left, as its page was drawn."""

    seconds: int
    """Negative while the grace after the deadline lasts."""
    grace_seconds: int
    """Seconds after the deadline at which exam.js reloads the page."""

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


def find(attempt_id: str) -> AttemptView | None:
    """Return this learner's attempt; an exam whose time is over is ended first, whatever looks at it."""
    attempt = own(lambda learner: store.attempt_view(db.session, attempt_id, learner))
    if (
        attempt
        and attempt.under_way
        and attempt.deadline
        and clock.now() >= attempt.deadline + exam_lifecycle.GRACE
    ):
        exam_lifecycle.close_overdue(db.session, clock.now(), learner_id())
        db.session.commit()
        attempt = store.attempt_view(db.session, attempt_id, learner_id())
    return attempt


def find_only(slug: str) -> AttemptView | None:
    """Return this learner's attempt at an exam-only quiz, of which there is one at most."""
    for attempt_id in (exam_attempt_id(learner_id(), slug), former_exam_attempt_id(learner_id(), slug)):
        attempt = find(attempt_id)
        if attempt and attempt.mode == "exam" and attempt.quiz == slug:
            return attempt
    return None


def is_sealed(attempt: AttemptView) -> bool:
    """Return whether nothing of this exam's result may be told yet."""
    quiz = attempt.quiz or ""
    return attempt.mode == "exam" and bool(
        exam_lifecycle.sealed(db.session, state().bank, {quiz}, clock.now())
    )


def gone(slug: str | None = None) -> Page:
    """Return the page for an attempt that does not exist or is not this learner's, with 404."""
    quiz = state().bank.quizzes.get(slug) if slug else None
    return render_template("exams/gone.html", quiz=quiz), 404


# ---- a question -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExamItem:
    """A question of an exam. It is asked, takes an answer and tells, as `practice.PracticeItem` does."""

    attempt: AttemptView
    item: AttemptItem

    @property
    def is_over(self) -> bool:
        """Whether the exam has ended."""
        return not self.attempt.under_way

    def ask(self, *, trouble: str | None = None, status: int = 200) -> Page:
        """Show the question with what was saved last, or what a form that was sent holds, ticked.

        A form that comes after the end is told so.
        """
        attempt, item = self.attempt, self.item
        if self.is_over:
            return late(attempt.id, item.question, request.form.getlist("choice"))
        left = _left(attempt)
        if left and left.seconds <= 0 and request.method == "GET":
            return redirect(url_for("attempts.show", attempt_id=attempt.id))
        posted = request.method == "POST"
        page = render_template(
            "exams/ask.html",
            attempt=attempt,
            item=item,
            quiz=_quiz(attempt),
            rendered=rendered(pinned_edition(item), language()),
            chosen=set(request.form.getlist("choice") if posted else item.draft or ""),
            left=left,
            trouble=trouble,
        )
        return _live(page, status)

    def take(self, chosen: Collection[str]) -> Page:
        """Save what the form holds and go on to the next question."""
        attempt, item = self.attempt, self.item
        if self.is_over:
            return late(attempt.id, item.question, chosen)
        if trouble := unfit(rendered(pinned_edition(item), language()), chosen):
            return self.ask(trouble=trouble, status=400)
        if not _save(attempt, item, chosen):
            return late(attempt.id, item.question, chosen)
        following = attempt.after(item.question)
        if following is None:
            return redirect(url_for("attempts.show", attempt_id=attempt.id), 303)
        return redirect(url_for("questions.show", question_id=following.question, attempt=attempt.id), 303)

    def tell(self) -> Page:
        """Show what came of the answer, unless that may not be told yet."""
        if is_sealed(self.attempt):
            return redirect(url_for("attempts.show", attempt_id=self.attempt.id))
        return told_page(open_question(self.item.question, self.attempt))


def late(attempt_id: str, question: str, chosen: Collection[str]) -> Response:
    """Go to the end of an exam and say what became of an answer that was sent after it."""
    flash(_late_words(attempt_id, question, chosen))
    return redirect(url_for("attempts.show", attempt_id=attempt_id), 303)


def _late_words(attempt_id: str, question: str, chosen: Collection[str]) -> str:
    attempt = find(attempt_id)
    item = attempt.item(question) if attempt else None
    if attempt is None or item is None:
        abort(404)
    by_deadline = attempt.submitted_by != "learner"
    if set(item.chosen or item.draft or "") == set(chosen):
        if by_deadline:
            return _("The time was up. What you sent last had been saved before, and it counts.")
        return _("This exam had been handed in. What you sent last had been saved before, and it counts.")
    if by_deadline:
        return _("The time was up. What you sent last came too late to count; what was saved before does.")
    return _(
        "This exam had been handed in. What you sent last came too late to count; what was saved before does."
    )


@bp.post("/attempts/<attempt_id>/drafts/<path:question_id>")
@drafts
def autosave(attempt_id: str, question_id: str) -> Page:
    """Save what is ticked. The script sends every change; the response has no body."""
    attempt = find(attempt_id)
    item = attempt.item(question_id) if attempt else None
    if attempt is None or item is None or attempt.mode != "exam":
        abort(404)
    chosen = request.form.getlist("choice")
    if unfit(rendered(pinned_edition(item), language()), chosen):
        abort(400)
    if not attempt.under_way or not _save(attempt, item, chosen):
        return Response(_late_words(attempt_id, question_id, chosen), 409, mimetype="text/plain")
    return "", 204


def _save(attempt: AttemptView, item: AttemptItem, chosen: Collection[str]) -> bool:
    saved = exam_lifecycle.save(
        db.session,
        attempt=attempt.id,
        ends=attempt.deadline,
        question=item.question,
        chosen="".join(sorted(set(chosen))),
        language=rendered(pinned_edition(item), language()).question.language,
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


def sheet(attempt: AttemptView, *, trouble: str | None = None, status: int = 200) -> Page:
    """Show what is saved and what is not answered yet, and offer to hand in."""
    lines = [(item, rendered(pinned_edition(item), language()).question) for item in attempt.items]
    left = _left(attempt)
    page = render_template(
        "exams/sheet.html",
        attempt=attempt,
        quiz=_quiz(attempt),
        lines=lines,
        left=left,
        over=left is not None and left.seconds <= 0,
        confirm="confirm" in request.args and bool(attempt.blank),
        trouble=trouble,
    )
    return _live(page, status)


def handed_in(attempt: AttemptView) -> str:
    """Say that an exam has ended, and when its result will be told."""
    exam = state().bank.exams.get(attempt.quiz or "", Exam())
    return render_template(
        "exams/handed_in.html", attempt=attempt, quiz=_quiz(attempt), exam=exam, now=clock.now()
    )


@bp.post("/attempts/<attempt_id>/submit")
@submissions
def submit(attempt_id: str) -> Page:
    """Hand an exam in. Blanks in it are asked about first; the second of two tabs changes nothing."""
    attempt = find(attempt_id)
    if attempt is None:
        return gone()
    if attempt.mode != "exam":
        abort(404)
    over = attempt.deadline is not None and clock.now() >= attempt.deadline
    if attempt.under_way and attempt.blank and not over and "confirmed" not in request.form:
        return redirect(url_for("attempts.show", attempt_id=attempt_id, confirm=1), 303)
    ended = attempt.under_way and exam_lifecycle.hand_in(
        db.session, attempt=attempt_id, learner=learner_id(), language=language(), now=clock.now()
    )
    db.session.commit()
    if not ended:
        flash(_("This exam had been handed in already."))
    return redirect(url_for("attempts.show", attempt_id=attempt_id), 303)


@stale_form(bp, "submit")
def show_sheet_again() -> Page | None:
    """Show the sheet again when the token of its form is stale; None where there is none any more."""
    attempt = find((request.view_args or {})["attempt_id"])
    if attempt is None or not attempt.under_way:
        return None
    trouble = _(
        "Your browser's session had ended, so this exam is not handed in yet. All that you saved is here."
    )
    return sheet(attempt, trouble=trouble, status=400)


def _left(attempt: AttemptView) -> TimeLeft | None:
    if attempt.deadline is None:
        return None
    left: timedelta = attempt.deadline - clock.now()
    return TimeLeft(ceil(left.total_seconds()), int(exam_lifecycle.GRACE.total_seconds()) + 1)


def _quiz(attempt: AttemptView) -> Quiz | None:
    return state().bank.quizzes.get(attempt.quiz or "")


def _live(page: str, status: int) -> Response:
    """Return a page of an exam under way: never an old one from the browser's memory, and it may save."""
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = f"{CONTENT_SECURITY_POLICY}; connect-src 'self'"
    return response
