"""Browsers that an instructor has logged in with, known by a signed cookie of their own.

Whoever wants an instructor locked out can send wrong passwords from anywhere. Such a browser is held to its
own wrong passwords alone, after the device cookies of OWASP ("Slow Down Online Guessing Attacks with Device
Cookies"). The cookie opens nothing: the password is asked for all the same.
"""

from __future__ import annotations

import hashlib
import secrets

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from steelyard.web.app.languages import YEAR

PREFIX = "known_"
"""Of the cookies' names; what follows tells one instructor's from another's."""


def number(instructor: str) -> str | None:
    """Return the number of this request's browser, if this instructor has logged in with it; else None."""
    try:
        kept = _serializer().loads(request.cookies.get(_cookie(instructor), ""), max_age=YEAR)
    except BadSignature:
        return None
    name, drawn = kept
    return str(drawn) if name == instructor else None


def remember(response: Response, instructor: str) -> None:
    """Let the browser that gets this response be known as one that this instructor has logged in with."""
    response.set_cookie(
        _cookie(instructor),
        _serializer().dumps([instructor, secrets.token_hex(16)]),
        max_age=YEAR,
        path="/instructor",
        httponly=True,
        samesite="Lax",
        secure=current_app.config["SESSION_COOKIE_SECURE"],
    )


def _cookie(instructor: str) -> str:
    return PREFIX + hashlib.sha256(instructor.encode()).hexdigest()[:16]


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt="steelyard.known-browser")
