"""Who a request comes from: an anonymous learner, known by a signed cookie, stored with the first answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from flask import Flask, Response, g, render_template, request, session
from flask_babel import gettext as _
from sqlalchemy.exc import IntegrityError

from steelyard import exam_lifecycle, store
from steelyard.grading import total
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.state import state

Found = TypeVar("Found")

_KEY = "learner"
TURN = "turn"
"""In the session: how many lone questions it has answered; see `steelyard.web.quiz.questions`."""
_WRITTEN = "written"
"""In the session once the learner is in the store, so that one who left is not taken for one who is new."""
_CLASS = "class"


def learner_id() -> str:
    """Return the learner of this session; a new session gets a new one, so far in its cookie only.

    A learner who was in the store and is no more has left from another device. Whatever this session sends
    next begins anew, under an id that nothing leads back from.
    """
    if request.method == "POST" and "present" not in g:
        g.present = True  # looked up once a request
        if _WRITTEN in session and not store.is_known(db.session, session[_KEY]):
            del session[_KEY], session[_WRITTEN]
            g.anew = True
    if _KEY not in session:
        session[_KEY] = secrets.token_hex(16)
        session.permanent = True
    learner: str = session[_KEY]
    return learner


def own(look: Callable[[str], Found | None]) -> Found | None:
    """Return what `look` finds of this learner, who need not be looked up when there is something."""
    if _WRITTEN in session and "present" not in g and (found := look(session[_KEY])) is not None:
        g.present = True
        return found
    return look(learner_id())


def known_learner() -> str | None:
    """Return the learner of this session; None for a session without one, which so gets no cookie."""
    return session.get(_KEY)


def begins_anew() -> bool:
    """Return whether this request comes from a page whose learner has left: its attempts are nobody's now."""
    learner_id()
    return "anew" in g


def is_written() -> bool:
    """Return whether this session's learner is in the store, as far as its cookie has heard."""
    return _WRITTEN in session


def note_class(code: str | None) -> None:
    """Note in the session of which class this learner is a member; one of several is enough."""
    if session.get(_CLASS) != code:
        session.pop(_CLASS, None)
        if code is not None:
            session[_CLASS] = code


def joined_class() -> str:
    """Return the code of a class that this learner has joined, as far as the cookie has heard; else ""."""
    code: str = session.get(_CLASS, "")
    return code


def become(learner: str) -> None:
    """Let this browser go on as this learner, and forget who it was.

    Lone questions are counted from a number drawn at random, so that two devices never mean the same attempt.
    """
    note_class(None)
    session[_KEY] = learner
    session[_WRITTEN] = True
    session[TURN] = int(secrets.token_hex(6), 16)
    session.permanent = True


def leave() -> None:
    """Let this browser forget its learner. An instructor who is logged in with it stays so."""
    for key in (_KEY, _WRITTEN, _CLASS, TURN):
        session.pop(key, None)


def summaries_by_quiz() -> dict[str, list[store.AttemptSummary]]:
    """Return this learner's attempts at each quiz, the latest first; a new session has none.

    Exams whose time is over are ended first, and results that may not be told yet are left out.
    """
    if _KEY not in session:
        return {}
    now = clock.now()
    summaries = store.attempt_summaries(db.session, session[_KEY])
    if any(
        summary.is_open and summary.deadline and now >= summary.deadline + exam_lifecycle.GRACE
        for summary in summaries
    ):
        exam_lifecycle.close_overdue(db.session, now, session[_KEY])
        db.session.commit()
        summaries = store.attempt_summaries(db.session, session[_KEY])
    taken = {summary.quiz for summary in summaries if summary.mode == "exam"}
    sealed = exam_lifecycle.sealed(db.session, state().bank, taken, now)
    regraded = store.scores(db.session, session[_KEY], state().bank.regraded)
    by_quiz: dict[str, list[store.AttemptSummary]] = {}
    for summary in summaries:
        if summary.mode == "exam" and summary.quiz in sealed:
            summary = replace(summary, score=0.0, sealed=True)
        elif summary.attempt in regraded and not summary.is_open:
            summary = _recounted(summary, regraded[summary.attempt])
        by_quiz.setdefault(summary.quiz, []).append(summary)
    return by_quiz


def _recounted(summary: store.AttemptSummary, scores: Iterable[tuple[str, float]]) -> store.AttemptSummary:
    """Return a summary in which the answers to regraded questions count what they count now."""
    pairs = [(score, state().bank.regrade(question)) for question, score in scores]
    before, now = total((score, None) for score, _ in pairs), total(pairs)
    gone = before.maximum - now.maximum
    return replace(
        summary,
        items=summary.items - gone,
        answers=summary.answers - gone,
        score=summary.score - before.score + now.score,
    )


def init_app(app: Flask) -> None:
    """Keep the session's note of its learner true, and answer those who were deleted meanwhile."""

    @app.errorhandler(IntegrityError)
    def left_meanwhile(error: IntegrityError) -> tuple[str, int]:
        """Tell somebody whose rows were deleted from another device while they sent something."""
        db.session.rollback()
        if _WRITTEN not in session or store.is_known(db.session, session[_KEY]):
            raise error
        title = _("Your data has just been deleted")
        advice = _(
            "It was deleted from this browser or from another device while you sent this, so it was not "
            "taken. You can begin anew."
        )
        return render_template("error.html", code=409, title=title, advice=advice), 409

    @app.after_request
    def written(response: Response) -> Response:
        """Note in the cookie that the learner is in the store now, once per cookie."""
        taken = request.method == "POST" and response.status_code < 400
        new = taken and _KEY in session and _WRITTEN not in session
        if new and store.is_known(db.session, session[_KEY]):
            session[_WRITTEN] = True
        return response
