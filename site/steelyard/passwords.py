"""Passwords of instructors: hashed by argon2id, with the parameters that RFC 9106 names for little memory."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

SHORTEST, LONGEST = 12, 1000
"""How many characters a password may have."""

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)


def hash_password(password: str) -> str:
    """Return what is stored of a password: parameters, salt and hash. Takes tenths of a second, on purpose.

    Raises ValueError, worded for people, for one that is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValueError(
            f"the password has {len(password)} characters; it needs at least {SHORTEST} and at most {LONGEST}"
        )
    return _hasher.hash(password)


def matches(password: str, stored: str | None) -> bool:
    """Say whether this is the password that was stored; without one, say no after the same work.

    So the time of an answer does not tell whether a name is known.
    """
    password = password[:LONGEST]
    if stored is None:
        _hasher.hash(password)
        return False
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """Say whether a password was hashed with other parameters than those of today."""
    return _hasher.check_needs_rehash(stored)
