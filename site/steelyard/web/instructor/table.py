"""Results as a CSV file, safe to open in spreadsheets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from steelyard.bank.model import Bank
from steelyard.grading import counted, total
from steelyard.store.results import MemberAttempt
from steelyard.web.text.spreadsheet import to_csv


def results_table(results: Sequence[MemberAttempt], asked: Iterable[str], bank: Bank) -> str:
    """Return one line per attempt, with the score of each question as it counts now.

    Scores are fractions. A question that is regraded has a second column with the score that was given. A
    cell is empty where a question was not asked, not answered, or counts in no total.
    """
    seen = dict.fromkeys(asked) | dict.fromkeys(question for result in results for question in result.scores)
    columns = [(question, bank.regrade(question)) for question in seen]
    head = [
        "pseudonym",
        "attempt",
        "mode",
        "started (UTC)",
        "handed in (UTC)",
        "answered",
        "score",
        "maximum",
    ]
    for question, regrade in columns:
        head += [question, f"{question} as graded"] if regrade else [question]
    rows = [head]
    for result in results:
        sums = total((score, bank.regrade(question)) for question, score in result.scores.items())
        answered = [score for score in result.scores.values() if score is not None]
        cells = [
            result.pseudonym,
            str(result.number),
            result.mode,
            _moment(result.started),
            _moment(result.submitted),
            f"{len(answered)}",
            _number(sums.score),
            str(sums.maximum),
        ]
        for question, regrade in columns:
            score = result.scores.get(question)
            counts = (
                counted(score, regrade)
                if question in result.scores and (regrade or score is not None)
                else None
            )
            cells += [_number(counts), _number(score)] if regrade else [_number(counts)]
        rows.append(cells)
    return to_csv(rows)


def encoded(text: str) -> bytes:
    """Return the bytes of a file: UTF-8, with the mark by which Excel recognises it."""
    return text.encode("utf-8-sig")


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.6g}"


def _moment(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else ""
