"""The statistics of a quiz, and a class's results as a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Response, abort, render_template, request
from markupsafe import Markup

from steelyard import exam_lifecycle
from steelyard.bank.model import Question, Quiz, Regrade, Text
from steelyard.statistics import ChoiceStatistics, ItemStatistics
from steelyard.store import classes, results
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.languages import LANGUAGES, language
from steelyard.web.app.state import state
from steelyard.web.instructor.analysis import analysis
from steelyard.web.instructor.guard import bp, current_instructor
from steelyard.web.instructor.table import encoded, results_table
from steelyard.web.text.render import render

ORDERS: dict[str, Callable[[ItemStatistics], float | None]] = {
    "n": lambda item: item.n,
    "facility": lambda item: item.facility,
    "deviation": lambda item: item.deviation,
    "discrimination": lambda item: item.discrimination,
    "efficiency": lambda item: item.efficiency,
}
"""What the table can be sorted by, beside the quiz's own order."""


@dataclass(frozen=True)
class StatisticsFilter:
    """Whose answers are analysed, and how the table is sorted."""

    class_code: str | None
    language: str | None
    first_only: bool
    sort: str
    """A key of ORDERS, with a `-` before it for the largest first; empty for the quiz's order."""

    def arguments(self, sort: str) -> dict[str, str | None]:
        """Return the arguments of the address that keeps the filter and sorts so."""
        return {
            "class": self.class_code,
            "language": self.language,
            "attempts": None if self.first_only else "all",
            "sort": sort or None,
        }


@dataclass(frozen=True)
class ItemRow:
    """One question of a quiz's statistics."""

    item: ItemStatistics
    number: int | None
    """Its place in the quiz, from 1; None when the quiz asks it no more."""
    title: str
    question: Question | None
    regrade: Regrade | None
    choices: tuple[tuple[ChoiceStatistics, Markup], ...]
    """Each with its text as it is shown."""


@bp.get("/quizzes/<path:slug>")
def show_quiz(slug: str) -> str:
    """Show facility, discrimination and the like of each question, and who chose what."""
    quiz = _quiz(slug)
    _close_overdue()
    chosen = _filter()
    statistics, attempts = analysis(
        db.session,
        state().bank,
        quiz,
        class_code=chosen.class_code,
        language=chosen.language,
        first_only=chosen.first_only,
    )
    rows = [_row(item, quiz) for item in statistics.items.values()]
    return render_template(
        "instructor/quiz.html",
        quiz=quiz,
        found=statistics.quiz,
        attempts=attempts,
        rows=rows,
        ordered=_sorted(rows, chosen.sort),
        filter=chosen,
        groups=classes.groups_of(db.session, current_instructor()),
    )


@bp.get("/classes/<code>/results/<path:slug>")
def download(code: str, slug: str) -> Response:
    """Send every attempt of a class at a quiz as a CSV file."""
    group = classes.group(db.session, classes.normal_code(code))
    if group is None or group.instructor != current_instructor():
        abort(404)
    quiz = _quiz(slug)
    _close_overdue()
    attempts = results.results(db.session, group.code, slug)
    text = results_table(attempts, quiz.questions, state().bank)
    name = f"{group.code}-{slug.replace('/', '-')}.csv".encode("ascii", "replace").decode().replace("?", "_")
    return Response(
        encoded(text),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _quiz(slug: str) -> Quiz:
    return state().bank.quizzes.get(slug) or abort(404)


def _close_overdue() -> None:
    """End the exams whose time is over: what was saved in them counts from then on."""
    exam_lifecycle.close_overdue(db.session, clock.now())
    db.session.commit()


def _filter() -> StatisticsFilter:
    code = classes.normal_code(request.args.get("class", ""))
    own = {group.code for group in classes.groups_of(db.session, current_instructor())}
    if request.args.get("class") and code not in own:
        abort(404)
    spoken = request.args.get("language", "")
    sort = request.args.get("sort", "")
    return StatisticsFilter(
        code or None,
        spoken if spoken in LANGUAGES else None,
        request.args.get("attempts") != "all",
        sort if sort.removeprefix("-") in ORDERS else "",
    )


def _row(item: ItemStatistics, quiz: Quiz) -> ItemRow:
    bank = state().bank
    question = bank.question(item.question, language())
    number = quiz.questions.index(item.question) + 1 if item.in_total else None
    return ItemRow(
        item,
        number,
        question.title if question else item.question,
        question,
        bank.regrade(item.question),
        tuple((choice, _text(item.question, place, choice)) for place, choice in enumerate(item.choices)),
    )


def _text(question: str, place: int, choice: ChoiceStatistics) -> Markup:
    spoken = next(lang for lang in (language(), "en", *choice.wording) if lang in choice.wording)
    return render(
        Text(choice.wording[spoken]),
        lang=spoken,
        folder=question.rpartition("/")[0],
        prefix=f"{question.replace('/', '-')}-{place}-",
    )


def _sorted(rows: list[ItemRow], sort: str) -> list[ItemRow]:
    """Return the rows in the order that is asked for; what is not defined comes last either way."""
    if not sort:
        return rows
    value = ORDERS[sort.removeprefix("-")]
    defined = [row for row in rows if value(row.item) is not None]
    rest = [row for row in rows if value(row.item) is None]
    return [*sorted(defined, key=lambda row: value(row.item) or 0.0, reverse=sort.startswith("-")), *rest]
