"""A question as an attempt pinned it, and the page that shows its graded answer."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from flask import Response, abort, render_template, session

from steelyard import store
from steelyard.bank.model import Edition, Question, Quiz
from steelyard.grading import counted, grade
from steelyard.store import AttemptItem, AttemptView
from steelyard.web.app.database import db
from steelyard.web.app.identity import TURN, begins_anew, learner_id
from steelyard.web.app.languages import language
from steelyard.web.app.state import state
from steelyard.web.evidence.cards import evidence_cards
from steelyard.web.quiz.attempt_ids import is_lone_attempt_id, lone_attempt_id
from steelyard.web.quiz.order import shuffled
from steelyard.web.quiz.rendered import RenderedQuestion, pinned_edition, rendered
from steelyard.web.text.scale import scale_low


@dataclass(frozen=True)
class OpenQuestion:
    """A question in its attempt, or in one that begins with the answer."""

    edition: Edition
    rendered: RenderedQuestion
    attempt_id: str
    letters: str
    """The choices' letters in the order in which they are shown."""
    attempt: AttemptView | None
    item: AttemptItem | None

    @property
    def question(self) -> Question:
        return self.rendered.question

    @property
    def quiz(self) -> Quiz | None:
        """The quiz of the attempt, if it has one and the bank still has that."""
        slug = self.attempt.quiz if self.attempt else None
        return state().bank.quizzes.get(slug) if slug else None


def open_question(
    question_id: str, attempt: AttemptView | None, attempt_id: str | None = None
) -> OpenQuestion:
    """Return a question as pinned by its attempt, else as it stands in the bank. Aborts without one.

    Without an attempt one begins with the answer: of this id, which has to be one that this server gave, else
    of the learner's next one.
    """
    item = attempt.item(question_id) if attempt else None
    bank = state().bank
    if bank.is_exam_only(question_id) and (attempt is None or attempt.mode != "exam"):
        abort(404)
    if item:
        edition = pinned_edition(item)
    elif question_id in bank.practice:
        edition = bank.practice[question_id]
    elif bank.regrade(question_id):
        abort(Response(render_template("questions/regraded.html"), 410, mimetype="text/html"))
    else:
        abort(_missing(question_id))
    if attempt is None and attempt_id is not None and not is_lone_attempt_id(attempt_id, question_id):
        attempt_id = None if begins_anew() else abort(400)
    attempt_id = attempt.id if attempt else attempt_id or next_attempt_id(question_id)
    letters = item.letters if item else shuffled(edition.first, attempt_id)
    return OpenQuestion(edition, rendered(edition, language()), attempt_id, letters, attempt, item)


def next_attempt_id(question_id: str) -> str:
    """Return the id of the attempt that begins if this question is answered alone; the same until it is."""
    return lone_attempt_id(learner_id(), session.get(TURN, 0), question_id)


def _missing(question_id: str) -> int | Response:
    """Return what stands in a question's place: locally the problems of its file."""
    problems = state().bank.broken.get(question_id)
    if problems is None:
        return 404
    if state().settings.public:
        return 503
    return Response(render_template("questions/broken.html", id=question_id, problems=problems), 503)


def told_page(opened: OpenQuestion) -> str:
    """Show a graded answer with its explanation. Only for a question that has one."""
    assert opened.attempt is not None and opened.item is not None
    attempt, item = opened.attempt, opened.item
    chosen = frozenset(item.chosen or "")
    regrade = state().bank.regrade(opened.question.id)
    return render_template(
        "questions/tell.html",
        opened=opened,
        quiz=opened.quiz,
        chosen=chosen,
        grade=grade(opened.question, chosen),
        regrade=regrade,
        counts=counted(item.score, regrade),
        found=len(chosen & opened.question.key),
        wrong=len(chosen - opened.question.key),
        low=scale_low(value for value in (item.guess, item.measured) if value is not None),
        evidence=evidence_cards(opened.rendered.judgements.values()),
        file_links=file_links(opened.question),
        next=attempt.after(opened.question.id) if attempt.mode == "exam" else attempt.next,
        review=store.reviewed(db.session, attempt.id, learner_id()) if attempt.mode == "review" else None,
    )


@dataclass(frozen=True)
class FileLinks:
    """Where a question's file is, and where it is edited and reported, if the settings say so."""

    place: str | None
    """File and line; None where strangers would read it."""
    edit_url: str | None
    report_url: str | None


def file_links(question: Question) -> FileLinks:
    """Return the links of a question's file."""
    path, line = question.path, question.stem.line

    def filled(pattern: str | None) -> str | None:
        return pattern.replace("{path}", quote(path)).replace("{line}", str(line)) if pattern else None

    settings = state().settings
    edit_url = filled(settings.edit_url)
    place = f"{path}:{line}" if edit_url or not settings.public else None
    return FileLinks(place, edit_url, filled(settings.report_url))
