"""One page per quiz: what it asks, and where one starts or goes on, in practice or as an exam."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from steelyard import exam_lifecycle, store
from steelyard.bank.model import Bank, Edition, Quiz, slug_of
from steelyard.problems import Problem
from steelyard.store import exam_starts
from steelyard.store.exam_starts import Start
from steelyard.store.exams import extra_percent
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.identity import known_learner, learner_id, summaries_by_quiz
from steelyard.web.app.languages import language
from steelyard.web.app.security import submissions
from steelyard.web.app.state import state
from steelyard.web.quiz.attempt_ids import exam_attempt_id
from steelyard.web.quiz.exams import find_only
from steelyard.web.quiz.order import shuffled
from steelyard.web.text.render import render

bp = Blueprint("quizzes", __name__)


@bp.get("/quizzes/<path:slug>")
def show(slug: str) -> str:
    """Show a quiz before it is taken; of an exam-only one no question."""
    bank = state().bank
    quiz = _quiz(bank, slug)
    introduction = quiz.introduction(language())
    return render_template(
        "quizzes/show.html",
        quiz=quiz,
        introduction=render(introduction, lang=language()) if introduction else None,
        questions=[
            bank.question(question_id, language())
            for question_id in quiz.questions
            if question_id in bank.practice
        ],
        broken={} if state().settings.public else _broken(bank, slug),
        summaries=summaries_by_quiz().get(slug, []),
        availability=quiz.exam.availability(clock.now()),
        minutes=_minutes(quiz),
        admitted=_is_admitted(quiz),
    )


@bp.post("/quizzes/<path:slug>")
@submissions
def start(slug: str) -> Response:
    """Begin a new attempt and go to its first question; an exam-only quiz has one attempt, which goes on."""
    bank = state().bank
    quiz = _quiz(bank, slug)
    mode = request.form.get("mode") or ("exam" if quiz.exam.only else "practice")
    if mode == "exam":
        return _start_exam(bank, quiz, clock.now())
    if mode != "practice":
        abort(400)
    if quiz.exam.only:
        flash(_("This quiz has become an exam: it cannot be practised."))
        return redirect(url_for(".show", slug=slug), 303)
    attempt = secrets.token_hex(16)
    _begin(attempt, quiz, mode, clock.now(), None)
    return redirect(url_for("questions.show", question_id=quiz.questions[0], attempt=attempt), 303)


def _start_exam(bank: Bank, quiz: Quiz, now: datetime) -> Response:
    if quiz.exam.only and (begun := find_only(quiz.slug)):
        return redirect(url_for("attempts.show", attempt_id=begun.id), 303)
    if quiz.exam.availability(now) != "open" or not _is_admitted(quiz):
        return redirect(url_for(".show", slug=quiz.slug), 303)  # its page says when, or for whom
    attempt = exam_attempt_id(learner_id(), quiz.slug) if quiz.exam.only else secrets.token_hex(16)
    if quiz.exam.only:
        before = exam_starts.mark(db.session, learner=learner_id(), quiz=quiz.slug, attempt=attempt, now=now)
        if before:
            db.session.rollback()
            flash(_begun_before(before))
            return redirect(url_for(".show", slug=quiz.slug), 303)
    ends = exam_lifecycle.deadline(quiz.exam, now, extra_percent(db.session, learner_id()))
    _begin(attempt, quiz, "exam", now, ends)
    return redirect(url_for("questions.show", question_id=quiz.questions[0], attempt=attempt), 303)


def _begin(attempt: str, quiz: Quiz, mode: str, now: datetime, deadline: datetime | None) -> None:
    bank = state().bank
    store.start(
        db.session,
        attempt=attempt,
        learner=learner_id(),
        quiz=quiz.slug,
        mode=mode,
        items=planned(
            ((question_id, bank.questions[question_id]) for question_id in quiz.questions), attempt
        ),
        now=now,
        deadline=deadline,
        closes=quiz.exam.closes if quiz.exam.only else None,
    )
    db.session.commit()


def planned(editions: Iterable[tuple[str, Edition]], attempt: str) -> list[store.PlannedItem]:
    """Return the items of an attempt that is about to begin, each with its order of choices drawn."""
    return [
        store.PlannedItem(question_id, edition, shuffled(edition.first, attempt))
        for question_id, edition in editions
    ]


def _is_admitted(quiz: Quiz) -> bool:
    """Return whether this learner may begin the exam: some are for members of a class only."""
    if not quiz.exam.members_only:
        return True
    learner = known_learner()
    return learner is not None and exam_starts.is_member(db.session, learner)


def _begun_before(start: Start) -> str:
    return _(
        "This exam was begun before under your pseudonym %(pseudonym)s in the class %(name)s. It can be "
        "taken once; your instructor can allow another start.",
        pseudonym=start.pseudonym,
        name=start.class_name,
    )


def _minutes(quiz: Quiz) -> int | None:
    """Return the time limit of the exam in minutes, with the extra time of this learner."""
    # An exam-only quiz is taken once: two clicks of somebody new on its button have to be one learner's.
    learner = learner_id() if quiz.exam.only else known_learner()
    if quiz.exam.minutes is None or learner is None:
        return quiz.exam.minutes
    return quiz.exam.minutes * (100 + extra_percent(db.session, learner)) // 100


def _quiz(bank: Bank, slug: str) -> Quiz:
    return bank.quizzes.get(slug) or abort(404)


def _broken(bank: Bank, slug: str) -> dict[str, tuple[Problem, ...]]:
    return {
        question_id: problems for question_id, problems in bank.broken.items() if slug_of(question_id) == slug
    }
