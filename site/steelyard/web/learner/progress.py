"""The learner's progress, and the export of everything that is stored about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

from babel.dates import format_skeleton
from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from steelyard import exam_lifecycle, store
from steelyard.grading import counted
from steelyard.progress import Answered, by_technique, calibration, weeks
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.identity import known_learner, summaries_by_quiz
from steelyard.web.app.languages import language
from steelyard.web.app.state import state
from steelyard.web.text.scale import scale_low
from steelyard.web.text.spreadsheet import Cell, to_csv
from steelyard.web.text.technique_texts import title

bp = Blueprint("progress", __name__)

WEEKS = 6
ATTEMPTS = 10
GUESSES = 100
"""How many are shown, the latest of them; all of them are in the export."""


@bp.get("/progress")
def show() -> str:
    """Tell scores by technique over time, how well figures were guessed, and the latest results."""
    learner = known_learner()
    if learner is None or not store.is_known(db.session, learner):
        return render_template("progress/none.html")
    summaries = chain.from_iterable(summaries_by_quiz().values())
    sealed = _sealed(learner, clock.now())
    guessing = calibration(store.guessed(db.session, learner, sealed))
    shown = guessing.guesses[-GUESSES:] if guessing else ()
    techniques = by_technique(_counted(store.answered(db.session, learner, sealed)), _techniques)
    return render_template(
        "progress/show.html",
        techniques=techniques,
        weeks=weeks(techniques, WEEKS),
        calibration=guessing,
        shown=shown,
        low=scale_low(value for guess in shown for value in (guess.value, guess.measured)),
        question_title=_title,
        technique_title=title,
        short=lambda day: format_skeleton("yMMMd", day, locale=get_locale()),
        summaries=sorted(summaries, key=lambda summary: summary.started, reverse=True)[:ATTEMPTS],
        quizzes=state().bank.quizzes,
        answers=store.count_answers(db.session, learner),
    )


def _sealed(learner: str, now: datetime) -> frozenset[str]:
    """Return the quizzes of this learner whose exams' results nobody may see yet."""
    return exam_lifecycle.sealed(db.session, state().bank, store.quizzes_taken(db.session, learner), now)


def _counted(answers: Iterable[Answered]) -> Iterator[Answered]:
    """Replace the scores of regraded questions by what they count now."""
    for answer in answers:
        score = counted(answer.score, state().bank.regrade(answer.question))
        if score is not None:
            yield replace(answer, score=score)


def _techniques(question: str) -> Sequence[str]:
    """Return what a question is about; nothing for one that is no longer in the bank."""
    in_bank = state().bank.question(question, "en")
    return in_bank.techniques if in_bank else ()


def _title(question: str) -> str:
    in_bank = state().bank.question(question, language())
    return in_bank.title if in_bank else question


# ---- the export -------------------------------------------------------------------------------------------


@bp.get("/progress/export.json")
def export_json() -> AnyResponse:
    """Send everything that is stored about this learner; see `steelyard.store.progress.everything`."""
    return _attachment("json", "application/json", _as_json)


@bp.get("/progress/export.csv")
def export_csv() -> AnyResponse:
    """Send this learner's answers, one a line."""
    return _attachment("csv", "text/csv", _as_csv)


_Rows = dict[str, list[dict[str, Any]]]


def _attachment(suffix: str, kind: str, write: Callable[[_Rows, datetime], str]) -> AnyResponse:
    now = clock.now()
    learner = known_learner()
    if learner is None or not store.is_known(db.session, learner):
        flash(_("Nothing is stored about you, so there is nothing to download."))
        return redirect(url_for(".show"))
    text = write(store.everything(db.session, learner, _sealed(learner, now)), now)
    response = Response(text, mimetype=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="steelyard-{now:%Y-%m-%d}.{suffix}"'
    return response


def _as_json(rows: _Rows, now: datetime) -> str:
    head = {"format": "steelyard-learner", "version": 1, "exported": now}
    return json.dumps({**head, **rows}, default=datetime.isoformat, ensure_ascii=False, indent=1)


def _as_csv(rows: _Rows, _now: datetime) -> str:
    attempts = {row["id"]: row for row in rows["attempts"]}
    guesses = {(row["attempt"], row["question"]): row for row in rows["guesses"]}
    back = {row["answer"] for row in rows["undos"]}
    lines: list[tuple[Cell, ...]] = [CSV_COLUMNS]
    for answer in rows["answers"]:
        attempt = attempts[answer["attempt"]]
        guess = guesses.get((answer["attempt"], answer["question"]), {})
        lines.append(
            (
                answer["answered"].isoformat(),
                attempt["mode"],
                attempt["quiz"],
                answer["question"],
                answer["language"],
                answer["chosen"],
                answer["score"],
                guess.get("value"),
                guess.get("measured"),
                "yes" if answer["id"] in back else "no",
            )
        )
    return to_csv(lines)


CSV_COLUMNS = (
    "answered",
    "mode",
    "quiz",
    "question",
    "language",
    "chosen",
    "score",
    "guess",
    "measured",
    "taken_back",
)
