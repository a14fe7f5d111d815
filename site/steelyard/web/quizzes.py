"""One page per quiz: what it asks, and where one starts or goes on."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from steelyard import store
from steelyard.bank.load import slug_of
from steelyard.bank.model import Bank, Problem, Quiz
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
    bank = state().bank
    quiz = _quiz(bank, slug)
    introduction = quiz.introduction(language())
    return render_template(
        "quizzes/show.html",
        quiz=quiz,
        introduction=render(introduction, lang=language()) if introduction else None,
        questions=[bank.question(id, language()) for id in quiz.questions],
        broken={} if state().settings.public else _broken(bank, slug),
        tallies=tallies_by_quiz().get(slug, []),
    )


@bp.post("/quizzes/<path:slug>")
@submissions
def start(slug: str) -> Response:
    """Begin a new attempt in practice mode and go to its first question."""
    bank = state().bank
    quiz = _quiz(bank, slug)
    attempt = secrets.token_hex(16)
    editions = [(id, store.Edition(bank.questions[id])) for id in quiz.questions]
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


def _quiz(bank: Bank, slug: str) -> Quiz:
    return bank.quizzes.get(slug) or abort(404)


def _broken(bank: Bank, slug: str) -> dict[str, tuple[Problem, ...]]:
    return {id: problems for id, problems in bank.broken.items() if slug_of(id) == slug}
