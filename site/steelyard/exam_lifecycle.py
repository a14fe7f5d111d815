"""The life of an exam: its deadline, saving, handing in, and when its result may be shown.

Every moment is an argument. Drafts are ordered as they came in, never by the clock: one that jumps may end an
exam early or late, but what was acknowledged before the end counts. The caller commits.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from steelyard.bank.model import Bank, Edition, Exam
from steelyard.grading import grade
from steelyard.store import exams
from steelyard.store.exams import Drafted

GRACE = timedelta(seconds=10)
"""What was sent before the deadline may arrive that much after it."""

LONGEST = timedelta(minutes=600)
"""The time limit of an exam-only quiz that sets neither a limit nor when it closes."""


def deadline(exam: Exam, started: datetime, extra_percent: int) -> datetime | None:
    """Return when an exam ends that begins now; None when nothing but its learner ends it.

    Extra time is a share of the time limit, which is `minutes`, else the time from `opens` to `closes`. It is
    added to the limit and, so that a late start does not take it away again, to `closes`.
    """
    limit = timedelta(minutes=exam.minutes) if exam.minutes else None
    if exam.only and not exam.closes:  # results wait for the last one: everybody has to come to an end
        limit = limit or LONGEST
    window = exam.closes - exam.opens if exam.closes and exam.opens else timedelta()
    extra = (limit or window) * extra_percent / 100
    ends = []
    if limit:
        ends.append(started + limit + extra)
    if exam.closes:
        ends.append(exam.closes + extra)
    return min(ends, default=None)


def save(
    session: Session,
    *,
    attempt: str,
    ends: datetime | None,
    question: str,
    chosen: str,
    language: str,
    now: datetime,
    order: tuple[str, int] | None = None,
) -> bool:
    """Save what is ticked in an exam that ends at `ends`; return False when it comes too late to count.

    `order`: see `store.exams.save_draft`.
    """
    if ends and now >= ends + GRACE:
        return False
    return exams.save_draft(
        session, attempt=attempt, question=question, chosen=chosen, language=language, now=now, order=order
    )


def hand_in(session: Session, *, attempt: str, learner: str, language: str, now: datetime) -> bool:
    """End an exam and grade it by the versions that it pinned; return False when it has ended already.

    `language` is that in which its learner saw what was left blank. Raises LookupError when this learner has
    no such exam.
    """
    ends = exams.lock(session, attempt, learner)
    late = ends is not None and now >= ends
    return _end(
        session, attempt, "deadline" if late else "learner", ends if ends and late else now, language, {}
    )


def close_overdue(session: Session, now: datetime, learner: str | None = None) -> int:
    """End every exam (of this learner's) whose deadline and grace are over, as its deadline found it.

    Returns how many this call ended. Statistics begin with it, and so does every look at an exam.
    """
    known: dict[str, Edition] = {}
    ended = 0
    for attempt, ends in exams.lock_overdue(session, now - GRACE, learner):
        ended += _end(session, attempt, "deadline", ends, None, known)
    return ended


def sealed(session: Session, bank: Bank, quizzes: Collection[str], now: datetime) -> frozenset[str]:
    """Return those of the quizzes whose exams' results nobody may see yet.

    The results of an exam-only quiz are told once it has closed and nobody is taking it any more: somebody
    with extra time may be. Those of a quiz of which the bank knows nothing wait for the last one as well, and
    for the latest close that an attempt at it began with.
    """
    untold: set[str] = set()
    asked: set[str] = set()
    unknown: set[str] = set()
    for slug in quizzes:
        exam = bank.exams.get(slug, Exam())
        if exam.only:
            (asked if exam.closes and now >= exam.closes else untold).add(slug)
        elif slug not in bank.quizzes:
            unknown.add(slug)
    untold |= exams.unclosed(session, unknown, now)
    return frozenset(untold | exams.under_way(session, asked | unknown, now - GRACE))


def _end(
    session: Session, attempt: str, by: str, moment: datetime, language: str | None, known: dict[str, Edition]
) -> bool:
    """Add the submission, and an answer to each item; return False when the exam has ended already."""
    if not exams.submit(session, attempt, by=by, moment=moment):
        return False
    items = exams.drafted(session, attempt)
    known |= exams.editions(session, {item.version for item in items} - known.keys())
    spoken = language or next((item.language for item in items if item.language), "en")
    exams.append_answers(
        session, [_answer(attempt, item, known[item.version], spoken, moment) for item in items]
    )
    return True


def _answer(attempt: str, item: Drafted, edition: Edition, language: str, moment: datetime) -> dict[str, Any]:
    """Grade an item; one with nothing ticked is answered by a blank, so that the attempt is complete."""
    chosen = item.chosen or ""
    return {
        "attempt": attempt,
        "question": item.question,
        "chosen": chosen,
        "score": grade(edition.first, chosen).score,
        "language": item.language or edition.question(language).language,
        "answered": moment,
    }
