"""Instructors, the browsers they are logged in with, and the lockout after wrong passwords.

The caller commits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from steelyard.store.models import Class, FailedLogin, Instructor, Login
from steelyard.store.writing import add

WINDOW = timedelta(minutes=15)
"""How long a wrong password counts."""
TRIES_HERE, TRIES_ANYWHERE, TRIES_OF_ADDRESS = 5, 20, 50
"""How many wrong passwords are taken within the window: for an account from one address, for an account from
anywhere, and from one address for any account."""
CLOCKS_DIFFER = timedelta(minutes=1)
"""How far the clocks of several machines, or of tries at one moment, may lie apart."""

NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,59}")


@dataclass(frozen=True)
class InstructorSummary:
    """An instructor as the command line lists them."""

    name: str
    created: datetime
    classes: int


def account(typed: str) -> str:
    """Return the name that somebody means, as it is stored: without regard to case or to spaces around it.

    What cannot be a name is made storable, so that wrong passwords for it can be counted.
    """
    return "".join(char if char.isprintable() else "?" for char in typed.strip().lower())


def add_instructor(session: Session, *, name: str, password: str, now: datetime) -> bool:
    """Add an instructor with a hashed password; return False when the name is taken."""
    return add(session, Instructor, name=name, password=password, created=now)


def instructors(session: Session) -> list[InstructorSummary]:
    """Return all instructors by name."""
    statement = (
        sa.select(Instructor.name, Instructor.created, sa.func.count(Class.code).label("classes"))
        .outerjoin(Class, Class.instructor == Instructor.name)
        .group_by(Instructor.name)
        .order_by(Instructor.name)
    )
    return [InstructorSummary(**row._mapping) for row in session.execute(statement)]


def password_of(session: Session, name: str) -> str | None:
    """Return the hash of an instructor's password; None when there is no such instructor."""
    return session.scalar(sa.select(Instructor.password).where(Instructor.name == name))


def set_password(session: Session, name: str, password: str) -> bool:
    """Store a new hash, log the instructor out everywhere and end a lockout of the account.

    Returns False without such an instructor.
    """
    if not _set(session, name, password):
        return False
    session.execute(sa.delete(Login).where(Login.instructor == name), execution_options=_BLIND)
    session.execute(sa.delete(FailedLogin).where(FailedLogin.account == name), execution_options=_BLIND)
    return True


def rehash(session: Session, name: str, password: str) -> None:
    """Store the same password hashed anew: who is logged in stays so."""
    _set(session, name, password)


def remove_instructor(session: Session, name: str) -> bool:
    """Remove an instructor and their classes; members keep their answers. False without such a name."""
    result = session.execute(sa.delete(Instructor).where(Instructor.name == name), execution_options=_BLIND)
    return bool(getattr(result, "rowcount", 0))


# ---- logins -----------------------------------------------------------------------------------------------


def append_login(session: Session, *, digest: str, instructor: str, expires: datetime, now: datetime) -> None:
    """Keep the digest of a login's token; expired logins are removed."""
    session.execute(sa.delete(Login).where(Login.expires <= now), execution_options=_BLIND)
    add(session, Login, digest=digest, instructor=instructor, expires=expires)


def logged_in(session: Session, digest: str, now: datetime, lasts: timedelta) -> str | None:
    """Return whose login this is; None when it has expired or was ended.

    One that ends later than a login of now would was made by a clock that was ahead.
    """
    return session.scalar(
        sa.select(Login.instructor).where(
            Login.digest == digest, Login.expires > now, Login.expires <= now + lasts + CLOCKS_DIFFER
        )
    )


def remove_login(session: Session, digest: str) -> None:
    """Delete a login by the digest of its token, if there is one."""
    session.execute(sa.delete(Login).where(Login.digest == digest), execution_options=_BLIND)


# ---- lockout ----------------------------------------------------------------------------------------------


def count_try(session: Session, *, name: str, origin: str, now: datetime) -> FailedLogin:
    """Count a try as a wrong one before its password is looked at, and drop those that count no more.

    `origin` is an address, or what stands for a browser that has logged in to the account before. Failures
    dated in the future are dropped as well: a clock that was ahead wrote them, and they would lock the
    account until then. Once this is committed, `wait` tells whether the try is one too many. Of many at once,
    none can then pass unseen by the others.
    """
    outside = (FailedLogin.failed <= now - WINDOW) | (FailedLogin.failed > now + CLOCKS_DIFFER)
    session.execute(sa.delete(FailedLogin).where(outside), execution_options=_BLIND)
    own = FailedLogin(account=name[:60], address=origin[:60], failed=now)
    session.add(own)
    return own


def wait(session: Session, own: FailedLogin, now: datetime, *, known: bool = False) -> timedelta | None:
    """Return how long to wait because of the tries beside this one; None when it may go ahead.

    A `known` origin, of which strangers' tries cannot come, is held to its own tries alone: what others send
    locks nobody out of a browser that they have logged in with. Who has to wait is not counted, so that
    waiting helps.
    """
    account, origin = FailedLogin.account == own.account, FailedLogin.address == own.address
    limits: list[tuple[int, sa.ColumnElement[bool]]] = [(TRIES_HERE, account & origin)]
    if not known:
        limits += [(TRIES_ANYWHERE, account), (TRIES_OF_ADDRESS, origin)]
    waits = []
    for tries, where in limits:
        others = sa.select(FailedLogin.failed).where(
            FailedLogin.id != own.id, FailedLogin.failed <= now + CLOCKS_DIFFER, where
        )
        nth = session.scalar(others.order_by(FailedLogin.failed.desc()).offset(tries - 1).limit(1))
        if nth is not None and nth + WINDOW > now:
            waits.append(min(nth, now) + WINDOW - now)
    if not waits:
        return None
    session.delete(own)
    return max(waits)


def forgive(session: Session, *, name: str, origin: str) -> None:
    """Forget the wrong passwords of an account from an origin, after the right one came from there."""
    session.execute(
        sa.delete(FailedLogin).where(FailedLogin.account == name[:60], FailedLogin.address == origin[:60]),
        execution_options=_BLIND,
    )


_BLIND = {"synchronize_session": False}


def _set(session: Session, name: str, password: str) -> bool:
    result = session.execute(
        sa.update(Instructor).where(Instructor.name == name).values(password=password),
        execution_options=_BLIND,
    )
    return bool(getattr(result, "rowcount", 0))
