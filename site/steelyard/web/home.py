"""The start page."""

from __future__ import annotations

from flask import Blueprint, render_template

from steelyard.bank.model import Bank
from steelyard.checks import contradictions
from steelyard.evidence import Records
from steelyard.problems import Problem
from steelyard.remember import remembered
from steelyard.web.app import clock
from steelyard.web.app.identity import tallies_by_quiz
from steelyard.web.app.state import Same, state
from steelyard.web.evidence.savings import savings
from steelyard.web.filters import scale_low
from steelyard.web.quiz.review import due

bp = Blueprint("home", __name__)


@bp.get("/")
def index() -> str:
    """Say what this is, offer the quizzes, and show what the techniques save."""
    bank = state().bank
    map = savings()
    quizzes = [quiz for quiz in bank.quizzes.values() if quiz.questions]
    return render_template(
        "home/index.html",
        quizzes=quizzes,
        progress=tallies_by_quiz(),
        due=len(due(clock.now())),
        savings=map,
        low=scale_low([0.0, *(finding.value or 0.0 for saving in map for finding in saving.findings)]),
        problems=() if state().settings.public else _problems(state().records, Same(bank)),
    )


@remembered(1)
def _problems(records: Records, bank: Same[Bank]) -> tuple[Problem, ...]:
    """Return what the owner of the files has to mend: what cannot be read, and what the evidence refutes."""
    return tuple(sorted({*bank.value.problems, *contradictions(bank.value, records)}))
