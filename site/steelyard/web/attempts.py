"""The result of an attempt: what was right, what to read again, and the evidence that was met on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from steelyard import store
from steelyard.store import Seat
from steelyard.web.database import db
from steelyard.web.languages import language
from steelyard.web.learner import learner_id
from steelyard.web.present import Shown, pinned, shown
from steelyard.web.state import state

bp = Blueprint("attempts", __name__)


@dataclass(frozen=True)
class Line:
    """One question of the attempt."""

    seat: Seat
    shown: Shown


@dataclass(frozen=True)
class TechniqueScore:
    """How the questions about one technique went."""

    technique: str
    score: float
    """Sum of the scores."""
    questions: int


@bp.get("/attempts/<id>")
def show(id: str) -> str | Response:
    """Show the result once every question is answered; before that, go on with the next one."""
    sitting = store.sitting(db.session, id, learner_id()) or abort(404)
    if sitting.next:
        return redirect(url_for("questions.show", id=sitting.next.question, attempt=id))
    lines = [Line(seat, shown(pinned(seat), language())) for seat in sitting.seats]
    return render_template(
        "attempts/show.html",
        sitting=sitting,
        quiz=state().bank.quizzes.get(sitting.quiz or ""),
        lines=lines,
        techniques=by_technique(lines),
    )


def by_technique(lines: Iterable[Line]) -> list[TechniqueScore]:
    """Return the score of each technique that the questions name, the weakest first."""
    sums: dict[str, tuple[float, int]] = {}
    for line in lines:
        for technique in line.shown.question.techniques:
            score, questions = sums.get(technique, (0.0, 0))
            sums[technique] = (score + (line.seat.score or 0.0), questions + 1)
    scores = [TechniqueScore(technique, *sum) for technique, sum in sums.items()]
    return sorted(scores, key=lambda found: (found.score / found.questions, found.technique))
