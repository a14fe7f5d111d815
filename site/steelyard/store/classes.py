"""Classes: learners who joined by a code, under pseudonyms. The caller commits."""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from steelyard.store.lookalikes import likenesses
from steelyard.store.models import Class, Learner, Member
from steelyard.store.writing import add

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Of a class's code: nothing in it looks like something else (no 0 and O, no 1, I and L, no U beside V)."""
LENGTH = 8
LONGEST_PSEUDONYM = 40
LONGEST_NAME = 100
MOST_EXTRA = 200
"""Extra time in per cent of a time limit."""


@dataclass(frozen=True)
class ClassInfo:
    """A class, with how many have joined it."""

    code: str
    name: str
    instructor: str
    created: datetime
    members: int


@dataclass(frozen=True)
class ClassMember:
    """A member of a class, without what would lead to the learner outside it."""

    pseudonym: str
    extra_percent: int
    joined: datetime


def normal_code(typed: str) -> str:
    """Return a code as it is stored: case, hyphens and spaces do not count. "" for what is no code."""
    code = "".join(char for char in typed.upper() if not char.isspace() and char not in "-‐‑–−ー")
    return code if len(code) == LENGTH and set(code) <= set(ALPHABET) else ""


def shown_code(code: str) -> str:
    """Return a code as it is read to a class: `ABCD-EFGH`."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


def tidy(typed: str) -> str:
    """Return a name as it is stored: composed, one space between words, without what cannot be seen."""
    seen = "".join(char for char in " ".join(typed.split()) if char.isprintable())
    return " ".join(unicodedata.normalize("NFC", seen).split())


def create_class(session: Session, *, name: str, instructor: str, now: datetime) -> str:
    """Create a class and return its code, drawn anew until it is nobody else's."""
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        if add(session, Class, code=code, name=name, instructor=instructor, created=now):
            return code


def group(session: Session, code: str) -> ClassInfo | None:
    """Return the class with this code, as it is stored; None without one."""
    row = session.connection().execute(_GROUP, {"code": code}).one_or_none()
    return ClassInfo(**row._mapping) if row else None


def groups_of(session: Session, instructor: str) -> list[ClassInfo]:
    """Return an instructor's classes, the latest first."""
    statement = _GROUPS.where(Class.instructor == instructor)
    rows = session.execute(statement.order_by(Class.created.desc(), Class.code))
    return [ClassInfo(**row._mapping) for row in rows]


def fellows(session: Session, code: str) -> list[ClassMember]:
    """Return the members of a class by pseudonym."""
    statement = sa.select(Member.pseudonym, Member.extra_percent, Member.joined).where(
        Member.class_code == code
    )
    rows = [ClassMember(**row._mapping) for row in session.execute(statement)]
    return sorted(rows, key=lambda fellow: fellow.pseudonym.casefold())


def pseudonym_of(session: Session, code: str, learner: str) -> str | None:
    """Return what a learner is called in a class; None when they are not in it."""
    found: str | None = session.connection().scalar(_PSEUDONYM, {"code": code, "learner": learner})
    return found


def join(session: Session, *, code: str, learner: str, pseudonym: str, now: datetime) -> bool:
    """Join a class; return False when another member has this pseudonym, or one that looks like it.

    Who is in the class already stays so, under the pseudonym they have.
    """
    if pseudonym_of(session, code, learner) is not None:
        return True
    names = session.connection().scalars(_PSEUDONYMS, {"code": code})
    if frozenset().union(*map(likenesses, names)) & likenesses(pseudonym):
        return False
    add(session, Learner, id=learner, created=now)
    values = {
        "class_code": code,
        "learner": learner,
        "pseudonym": pseudonym,
        "extra_percent": 0,
        "joined": now,
    }
    return add(session, Member, **values) or pseudonym_of(session, code, learner) is not None


def leave(session: Session, *, code: str, learner: str) -> None:
    """Remove a learner from a class, if they are in it."""
    session.execute(
        sa.delete(Member).where(Member.class_code == code, Member.learner == learner),
        execution_options=_BLIND,
    )


def set_extra(session: Session, *, code: str, pseudonym: str, percent: int) -> bool:
    """Grant a member extra time, 0 to 200 %; return False without such a member."""
    result = session.execute(
        sa.update(Member)
        .where(Member.class_code == code, Member.pseudonym == pseudonym)
        .values(extra_percent=percent),
        execution_options=_BLIND,
    )
    return bool(getattr(result, "rowcount", 0))


def remove_member(session: Session, *, code: str, pseudonym: str) -> bool:
    """Remove a member from a class, whose answers stay theirs; return False without such a member."""
    result = session.execute(
        sa.delete(Member).where(Member.class_code == code, Member.pseudonym == pseudonym),
        execution_options=_BLIND,
    )
    return bool(getattr(result, "rowcount", 0))


def remove_class(session: Session, code: str) -> None:
    """Remove a class with its memberships. What its members answered stays."""
    session.execute(sa.delete(Class).where(Class.code == code), execution_options=_BLIND)


_BLIND = {"synchronize_session": False}


_GROUPS = (
    sa.select(
        Class.code,
        Class.name,
        Class.instructor,
        Class.created,
        sa.func.count(Member.learner).label("members"),
    )
    .outerjoin(Member, Member.class_code == Class.code)
    .group_by(Class.code)
)
_GROUP = _GROUPS.where(Class.code == sa.bindparam("code"))
_PSEUDONYMS = sa.select(Member.pseudonym).where(Member.class_code == sa.bindparam("code"))
_PSEUDONYM = _PSEUDONYMS.where(Member.learner == sa.bindparam("learner"))
