"""The ids of attempts that are begun under an id of their own making: only this server can name them.

An attempt at a lone question begins with its answer, and one at an exam-only quiz is begun once. Both have an
id that is worked out rather than drawn, so that a form sent twice begins one attempt. It takes the site's
secret to work them out: who knows a learner's id can neither name their next attempt nor take its place.
"""

from __future__ import annotations

import hashlib
import hmac

from flask import current_app

_HALF = 16


def lone_attempt_id(learner: str, turn: int, question_id: str) -> str:
    """Return the id of the attempt that begins if this question is answered alone; the same until it is."""
    begin = _mac("lone", learner, str(turn), question_id)[:_HALF]
    return begin + _seal(begin, question_id)


def is_lone_attempt_id(attempt_id: str, question_id: str) -> bool:
    """Return whether `lone_attempt_id` gave this id for this question, to whomever and at whatever turn."""
    begin = attempt_id[:_HALF]
    return hmac.compare_digest(attempt_id, begin + _seal(begin, question_id))


def exam_attempt_id(learner: str, slug: str) -> str:
    """Return the id of a learner's attempt at an exam-only quiz, of which there is one at most."""
    return _mac("exam", learner, slug)[: 2 * _HALF]


def former_exam_attempt_id(learner: str, slug: str) -> str:
    """Return what `exam_attempt_id` was until version 0.1: an exam that began before an upgrade goes on."""
    return hashlib.sha256(f"{learner}/{slug}/exam".encode()).hexdigest()[: 2 * _HALF]


def _seal(begin: str, question_id: str) -> str:
    return _mac("seal", begin, question_id)[:_HALF]


def _mac(*parts: str) -> str:
    key = current_app.secret_key
    assert key is not None
    secret = key.encode() if isinstance(key, str) else key
    message = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hmac.new(secret, message, hashlib.sha256).hexdigest()
