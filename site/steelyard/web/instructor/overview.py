"""The instructors' first page: classes, quizzes, and the problems of the question files."""

from __future__ import annotations

from flask import render_template

from steelyard.bank.model import Bank
from steelyard.checks import check
from steelyard.evidence import Records
from steelyard.problems import Problem
from steelyard.remember import remembered
from steelyard.store import classes, results
from steelyard.web.app.database import db
from steelyard.web.app.state import state
from steelyard.web.instructor.guard import bp, current_instructor


@bp.get("")
def overview() -> str:
    """Show the instructor's classes, every quiz, and the problems as `steelyard check` gives them."""
    bank = state().bank
    return render_template(
        "instructor/overview.html",
        groups=classes.groups_of(db.session, current_instructor()),
        quizzes=list(bank.quizzes.values()),
        attempts=results.attempts_by_quiz(db.session),
        problems=_problems(state().records, bank),
    )


@remembered(1, by="identity")
def _problems(records: Records, bank: Bank) -> tuple[Problem, ...]:
    return tuple(sorted(check(bank, records)))
