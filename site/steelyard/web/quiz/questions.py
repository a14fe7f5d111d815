"""One page per question: the question, and after the answer its explanation and evidence."""

from __future__ import annotations

import re

from flask import Blueprint, abort, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from steelyard.bank.model import slug_of
from steelyard.store import AttemptView
from steelyard.web.app.errors import stale_form
from steelyard.web.app.security import submissions
from steelyard.web.app.state import state
from steelyard.web.quiz import exams
from steelyard.web.quiz.exams import ExamItem
from steelyard.web.quiz.practice import PracticeItem

bp = Blueprint("questions", __name__)

Page = str | Response | tuple[str, int]


@bp.get("/questions/<path:question_id>")
def show(question_id: str) -> Page:
    """Show a question, or what came of answering it."""
    attempt_id = request.args.get("attempt")
    if attempt_id is None:
        return PracticeItem.open(question_id).ask()
    attempt = exams.find(attempt_id)
    if attempt is None or attempt.item(question_id) is None:  # somebody else's link
        return (
            exams.gone(slug_of(question_id))
            if state().bank.is_exam_only(question_id)
            else redirect(url_for(".show", question_id=question_id))
        )
    item = _open(question_id, attempt)
    return item.tell() if item.is_over else item.ask()


@bp.post("/questions/<path:question_id>")
@submissions
def answer(question_id: str) -> Page:
    """Take an answer: in an exam it is saved, in practice graded at once."""
    attempt_id = request.form.get("attempt", "")
    if not re.fullmatch(r"[0-9a-f]{32}", attempt_id):
        abort(400)
    attempt = exams.find(attempt_id)
    if attempt is not None and attempt.item(question_id) is None:
        abort(404)
    if _is_lost_exam(attempt):
        return exams.gone(slug_of(question_id))
    return _open(question_id, attempt, attempt_id).take(request.form.getlist("choice"))


@stale_form(bp, "answer")
def ask_again() -> Page:
    """Show the form again, with what was chosen, when its token is stale."""
    question_id = (request.view_args or {})["question_id"]
    attempt = exams.find(request.form.get("attempt", ""))
    if attempt is not None and attempt.item(question_id) is None:
        attempt = None
    if _is_lost_exam(attempt):
        return exams.gone(slug_of(question_id))
    trouble = _(
        "Your browser's session had ended, so the answer was not taken yet. What you chose is still marked: "
        "send it again."
    )
    return _open(question_id, attempt).ask(trouble=trouble, status=400)


def _open(
    question_id: str, attempt: AttemptView | None, attempt_id: str | None = None
) -> ExamItem | PracticeItem:
    """Return a question as what it is in its attempt, or to be practised alone. Aborts without one."""
    item = attempt.item(question_id) if attempt else None
    if attempt and item and attempt.mode == "exam":
        return ExamItem(attempt, item)
    return PracticeItem.open(question_id, attempt, attempt_id)


def _is_lost_exam(attempt: AttemptView | None) -> bool:
    """Say whether an exam's form was sent without its exam: its learner has left, or this is another one."""
    return request.form.get("mode") == "exam" and (attempt is None or attempt.mode != "exam")
