"""A question in practice or review: shown, graded at once, and explained."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flask import abort, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from steelyard import store
from steelyard.grading import grade
from steelyard.store import AttemptItem, AttemptView
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.identity import TURN, learner_id
from steelyard.web.evidence.cards import compared_precision, side_words
from steelyard.web.quiz.opened import OpenQuestion, file_links, next_attempt_id, open_question, told_page
from steelyard.web.quiz.rendered import RenderedQuestion, unfit
from steelyard.web.text.percent import parse_percent
from steelyard.web.text.vocabulary import how_words, work_words

Page = str | Response | tuple[str, int]


@dataclass(frozen=True)
class PracticeItem:
    """A question outside an exam. It is asked, takes an answer and tells, as `exams.ExamItem` does."""

    opened: OpenQuestion

    @classmethod
    def open(
        cls, question_id: str, attempt: AttemptView | None = None, attempt_id: str | None = None
    ) -> PracticeItem:
        """Return a question in its attempt, or alone. Aborts without one.

        Alone it begins an attempt with its answer; see `open_question` for its id.
        """
        return cls(open_question(question_id, attempt, attempt_id))

    @property
    def is_over(self) -> bool:
        """Whether there is an answer to tell about."""
        return self.opened.item is not None and self.opened.item.answered

    def ask(self, *, trouble: str | None = None, status: int = 200) -> Page:
        """Show the question, with what a form that was sent holds."""
        opened = self.opened
        page = render_template(
            "questions/ask.html",
            opened=opened,
            quiz=opened.quiz,
            chosen=set(request.form.getlist("choice") if request.method == "POST" else ()),
            guess=request.form.get("guess", "")[:20],
            trouble=trouble,
            figure=_guess_about(opened.rendered),
            file_links=file_links(opened.question),
        )
        return (page, status) if status != 200 else page

    def take(self, chosen: Collection[str]) -> Page:
        """Grade an answer and go to the page that tells what came of it. The first answer stands."""
        opened = self.opened
        if self.is_over:
            return self._keep_first(opened.item, chosen)
        if trouble := _trouble(opened.rendered, chosen):
            return self.ask(trouble=trouble, status=400)
        if opened.attempt is None and request.form.get("face") != opened.rendered.wording_digest:
            changed = _(
                "The question has been edited since you opened it. This is the new wording; please answer it."
            )
            return self.ask(trouble=changed, status=409)
        if not _record(opened, frozenset(chosen)):
            attempt = store.attempt_view(db.session, opened.attempt_id, learner_id())
            return self._keep_first(attempt.item(opened.question.id) if attempt else None, chosen)
        return self._to_told_page()

    def tell(self) -> Page:
        """Show what came of the answer."""
        return told_page(self.opened)

    def _keep_first(self, first: AttemptItem | None, chosen: Collection[str]) -> Response:
        """Go to the answer that was there before this one, and say so when it is another one."""
        if first and set(chosen) != set(first.chosen or ""):
            flash(_("You had answered this question already. Your first answer stands."))
        if self.opened.attempt_id == next_attempt_id(self.opened.question.id):
            _count_lone_answer()  # the session did not hear of its own answer
        return self._to_told_page()

    def _to_told_page(self) -> Response:
        opened = self.opened
        return redirect(
            url_for("questions.show", question_id=opened.question.id, attempt=opened.attempt_id), 303
        )


def _count_lone_answer() -> None:
    session[TURN] = session.get(TURN, 0) + 1


# ---- asking ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GuessAbout:
    """What is to be guessed before answering, in words."""

    of: str
    against: str
    how: str
    work: str
    precision: str | None


def _guess_about(rendered: RenderedQuestion) -> GuessAbout | None:
    if rendered.figure is None:
        return None
    _claim, finding = rendered.figure
    of, against = finding.test.of or {}, finding.test.against or {}
    assert finding.setup is not None
    return GuessAbout(
        side_words(of, against),
        side_words(against, of),
        how_words(finding.kind, finding.device),
        work_words(finding.setup),
        compared_precision(finding),
    )


def _trouble(question: RenderedQuestion, chosen: Collection[str]) -> str | None:
    """Return why this form cannot be graded, worded for the learner."""
    if not chosen:
        return _("Choose at least one answer.")
    if trouble := unfit(question, chosen):
        return trouble
    guess = request.form.get("guess", "").strip()
    if question.figure and guess and parse_percent(guess) is None:
        return _(
            "The guess is a number of per cent, at most 100. Leave it empty if you would rather not guess."
        )
    return None


# ---- taking an answer -------------------------------------------------------------------------------------


def _record(opened: OpenQuestion, chosen: frozenset[str]) -> bool:
    """Write the answer down, with its guess; return False when another one came first, which then stands."""
    now = clock.now()
    question = opened.question
    if opened.attempt is None:
        item = store.PlannedItem(question.id, opened.edition, opened.letters)
        store.start(
            db.session,
            attempt=opened.attempt_id,
            learner=learner_id(),
            quiz=None,
            mode="review" if request.form.get("mode") == "review" else "practice",
            items=[item],
            now=now,
        )
        if store.attempt_view(db.session, opened.attempt_id, learner_id()) is None:  # somebody else's id
            db.session.rollback()
            abort(400)
        _count_lone_answer()
    first = store.append_answer(
        db.session,
        attempt=opened.attempt_id,
        question=question.id,
        chosen="".join(sorted(chosen)),
        score=grade(question, chosen).score,
        language=question.language,
        now=now,
    )
    guess = parse_percent(request.form.get("guess", "").strip())
    if first and opened.rendered.figure and guess is not None:
        claim, finding = opened.rendered.figure
        store.append_guess(
            db.session,
            attempt=opened.attempt_id,
            question=question.id,
            claim=claim,
            value=guess,
            measured=finding.value or 0.0,
            now=now,
        )
    db.session.commit()
    return first
