"""Who is answering: an anonymous learner, known by a signed cookie, written down with their first answer."""

from __future__ import annotations

import secrets

from flask import session

from steelyard import store
from steelyard.web.database import db

_KEY = "learner"


def learner_id() -> str:
    """Return the learner of this session; a new session gets a new one, so far in its cookie only."""
    if _KEY not in session:
        session[_KEY] = secrets.token_hex(16)
        session.permanent = True
    found: str = session[_KEY]
    return found


def tallies_by_quiz() -> dict[str, list[store.Tally]]:
    """Return this learner's attempts at each quiz, the latest first; a new session has none."""
    by_quiz: dict[str, list[store.Tally]] = {}
    if _KEY in session:
        for tally in store.tallies(db.session, session[_KEY]):
            by_quiz.setdefault(tally.quiz, []).append(tally)
    return by_quiz
