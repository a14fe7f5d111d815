"""The result of an attempt: each question's score, the scores by technique, and the evidence."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from flask import Blueprint, abort, redirect, render_template, url_for
from markupsafe import Markup

from steelyard import store
from steelyard.bank.model import Regrade
from steelyard.grading import counted, total
from steelyard.store import AttemptItem, AttemptView
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.identity import learner_id
from steelyard.web.app.languages import language
from steelyard.web.app.security import submissions
from steelyard.web.app.state import state
from steelyard.web.evidence.cards import evidence_cards
from steelyard.web.quiz import exams
from steelyard.web.quiz.quizzes import planned
from steelyard.web.quiz.rendered import RenderedQuestion, pinned_edition, rendered
from steelyard.web.text.technique_texts import title

bp = Blueprint("attempts", __name__)


@dataclass(frozen=True)
class ResultLine:
    """One question of the attempt."""

    item: AttemptItem
    rendered: RenderedQuestion
    regrade: Regrade | None

    def evidence(self, prefix: str) -> tuple[Markup, ...]:
        """Return the evidence cards of the question; `prefix` stands before their ids."""
        return evidence_cards(self.rendered.judgements.values(), prefix)

    @property
    def counts(self) -> float | None:
        """What the answer counts now; None when it counts in no total."""
        return counted(self.item.score, self.regrade)


@dataclass(frozen=True)
class TechniqueScore:
    """How the questions about one technique went."""

    technique: str
    score: float
    """Sum of the scores."""
    questions: int


@bp.get("/attempts/<attempt_id>")
def show(attempt_id: str) -> exams.Page:
    """Show the result once it may be told; before that, go on with the next question, or an exam's sheet."""
    if not re.fullmatch("[0-9a-f]{32}", attempt_id):
        abort(404)
    attempt = exams.find(attempt_id)
    if attempt is None:
        return exams.gone()
    if attempt.under_way:
        return exams.sheet(attempt)
    if attempt.next:
        return redirect(url_for("questions.show", question_id=attempt.next.question, attempt=attempt_id))
    if exams.is_sealed(attempt):
        return exams.handed_in(attempt)
    bank = state().bank
    lines = [
        ResultLine(item, rendered(pinned_edition(item), language()), bank.regrade(item.question))
        for item in attempt.items
    ]
    return render_template(
        "attempts/show.html",
        attempt=attempt,
        quiz=bank.quizzes.get(attempt.quiz or ""),
        lines=lines,
        total=total((line.item.score, line.regrade) for line in lines),
        techniques=by_technique(lines),
        practice=bank.practice,
        retake=_wrong(attempt),
        technique_title=title,
    )


@bp.post("/attempts/<attempt_id>/retake")
@submissions
def retake(attempt_id: str) -> exams.Page:
    """Begin to practise the questions that were not fully right, as they stand in the bank now."""
    attempt = exams.find(attempt_id)
    if attempt is None:
        return exams.gone()
    wrong = [] if attempt.under_way or attempt.next or exams.is_sealed(attempt) else _wrong(attempt)
    if not wrong:
        return redirect(url_for(".show", attempt_id=attempt_id), 303)
    bank, new_id = state().bank, secrets.token_hex(16)
    store.start(
        db.session,
        attempt=new_id,
        learner=learner_id(),
        quiz=attempt.quiz,
        mode="practice",
        items=planned(((question_id, bank.questions[question_id]) for question_id in wrong), new_id),
        now=clock.now(),
    )
    db.session.commit()
    return redirect(url_for("questions.show", question_id=wrong[0], attempt=new_id), 303)


def _wrong(attempt: AttemptView) -> list[str]:
    """Return what can be practised again: not fully right, still asked, and no exam's secret."""
    bank = state().bank
    return [
        item.question for item in attempt.items if (item.score or 0.0) < 1 and item.question in bank.practice
    ]


def by_technique(lines: Iterable[ResultLine]) -> list[TechniqueScore]:
    """Return the score of each technique that the questions name, the weakest first."""
    sums: dict[str, tuple[float, int]] = {}
    for line in lines:
        if line.counts is None:
            continue
        for technique in line.rendered.question.techniques:
            score, questions = sums.get(technique, (0.0, 0))
            sums[technique] = (score + line.counts, questions + 1)
    scores = [TechniqueScore(technique, *sums) for technique, sums in sums.items()]
    return sorted(scores, key=lambda entry: (entry.score / entry.questions, entry.technique))
