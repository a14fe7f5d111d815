"""One page per quiz: what it asks, and where one starts or goes on."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from steelyard import store
from steelyard.bank.model import Quiz
from steelyard.web.database import db
from steelyard.web.languages import language
from steelyard.web.learner import learner_id, tallies_by_quiz
from steelyard.web.order import shuffled
from steelyard.web.render import render
from steelyard.web.security import submissions
from steelyard.web.state import state

bp = Blueprint("quizzes", __name__)


@bp.get("/quizzes/<path:slug>")
def show(slug: str) -> str:
    """Show a quiz before it is taken."""
    quiz = _quiz(slug)
    bank = state().bank
    introduction = quiz.introduction(language())
    return render_template(
        "quizzes/show.html",
        quiz=quiz,
        introduction=render(introduction, lang=language()) if introduction else None,
        questions=[bank.question(id, language()) for id in quiz.questions],
        broken={} if state().settings.public else _broken(slug),
        tallies=tallies_by_quiz().get(slug, []),
    )


@bp.post("/quizzes/<path:slug>")
@submissions
def start(slug: str) -> Response:
    """Begin a new attempt in practice mode and go to its first question."""
    quiz = _quiz(slug)
    bank = state().bank
    attempt = secrets.token_hex(16)
    editions = [(id, store.Edition(bank.questions[id])) for id in quiz.questions if bank.questions.get(id)]
    if not editions:
        abort(404)
    store.start(
        db.session,
        attempt=attempt,
        learner=learner_id(),
        quiz=slug,
        mode="practice",
        items=[store.Planned(id, edition, shuffled(edition.first, attempt)) for id, edition in editions],
        now=datetime.now(UTC),
    )
    db.session.commit()
    return redirect(url_for("questions.show", id=editions[0][0], attempt=attempt), 303)


def _quiz(slug: str) -> Quiz:
    return state().bank.quizzes.get(slug) or abort(404)


def _broken(slug: str) -> dict[str, tuple[object, ...]]:
    return {
        id: problems
        for id, problems in state().bank.broken.items()
        if (id.rpartition("/")[0] or "questions") == slug
    }
