"""The start page."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, render_template

from steelyard.bank.model import Bank
from steelyard.checks import contradictions
from steelyard.evidence import Records
from steelyard.problems import Problem
from steelyard.remember import remembered
from steelyard.web.app import clock
from steelyard.web.app.identity import summaries_by_quiz
from steelyard.web.app.languages import language
from steelyard.web.app.state import state
from steelyard.web.evidence.cards import compared_precision
from steelyard.web.evidence.savings import Saving, savings
from steelyard.web.quiz.review import due
from steelyard.web.text.render import render
from steelyard.web.text.scale import scale_low
from steelyard.web.text.technique_texts import title
from steelyard.web.text.vocabulary import change_words, how_words, work_words

bp = Blueprint("home", __name__)


@bp.get("/")
def index() -> str:
    """Show what the site is, the quizzes, and what the techniques save."""
    bank = state().bank
    saved = savings() if bank.names_techniques else ()
    introduction = bank.introduction(language())
    quizzes = [quiz for quiz in bank.quizzes.values() if quiz.questions]
    return render_template(
        "home/index.html",
        introduction=render(introduction, lang=language(), folder="") if introduction else None,
        quizzes=quizzes,
        progress=summaries_by_quiz(),
        due=len(due(clock.now())),
        savings=[_map_row(saving) for saving in saved],
        low=scale_low(finding.value or 0.0 for saving in saved for finding in saving.findings),
        problems=() if state().settings.public else _problems(state().records, bank),
    )


@dataclass(frozen=True)
class MapRow:
    """One technique on the start page's map, in words and figures ready for the page."""

    technique: str
    title: str
    points: list[tuple[str, float]]
    """The marks on the beam."""
    figures: tuple[tuple[str, str | None], ...]
    """Each change of the peak, and the precision of the full fine-tuning that it is against."""
    how: str
    work: str


def _map_row(saving: Saving) -> MapRow:
    best = saving.findings[0]
    assert best.setup is not None
    return MapRow(
        saving.technique,
        title(saving.technique),
        saving.points,
        tuple((change_words(each.value or 0.0), compared_precision(each)) for each in saving.findings),
        how_words(best.kind, best.device),
        work_words(best.setup),
    )


@remembered(1, by="identity")
def _problems(records: Records, bank: Bank) -> tuple[Problem, ...]:
    """Return the problems to fix: files that cannot be read, and claims that the evidence contradicts."""
    return tuple(sorted({*bank.problems, *contradictions(bank, records)}))
