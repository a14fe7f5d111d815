"""The link to a class, which whoever has it gets in by, whatever others of the same address try.

Wrong codes are counted by address, since they are guesses. A script behind a class's address could use up
what the address may guess, and nobody there could type the right code for a minute. The link and its QR code
carry a key that cannot be guessed, so they are never counted with guesses.
"""

from __future__ import annotations

from flask import current_app, request, session
from itsdangerous import Signer

_INVITED = "invited"


def link_key(code: str) -> str:
    """Return what a link to the class with this code carries."""
    return _signer().get_signature(code).decode("ascii")


def came_by_link(code: str) -> bool:
    """Whether this browser has opened a link to the class with this code, now or in this session."""
    if not code:
        return False
    if _signer().verify_signature(code.encode(), request.args.get("key", "").encode()):
        session[_INVITED] = code
    return bool(session.get(_INVITED) == code)


def _signer() -> Signer:
    return Signer(current_app.config["SECRET_KEY"], salt="steelyard.class-link")
