"""The exam options of a quiz, put together from the files of its languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard.bank.model import Exam
from steelyard.bank.parse import ParsedQuiz
from steelyard.problems import Problem

_SHARED = ("minutes", "opens", "closes")


def merge(described: Sequence[ParsedQuiz]) -> tuple[Exam, list[Problem]]:
    """Return how a quiz is taken as an exam, and where its languages disagree.

    An option given in one language holds for all. The first file that gives it is right, and a file that says
    otherwise has a problem; but a quiz that is exam-only in one language is so in all.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for name in _SHARED:
        given = [quiz for quiz in described if getattr(quiz.exam, name) is not None]
        values[name] = getattr(given[0].exam, name) if given else None
        for other in given[1:]:
            theirs = getattr(other.exam, name)
            if theirs != values[name]:
                words = (
                    f"{given[0].language} says {_word(values[name])}; {other.language} says {_word(theirs)}"
                )
                message = f"{name} differs between languages: {words}"
                problems.append(Problem(other.path, *other.places.value(name), "E022", message))
    opens, closes = values["opens"], values["closes"]
    if opens and closes and closes <= opens and not problems:
        closing = next(quiz for quiz in described if quiz.exam.closes)
        message = "closes has to be after opens, which another language gives"
        problems.append(Problem(closing.path, *closing.places.value("closes"), "E022", message))
    only = any(quiz.exam.only for quiz in described)
    for quiz in described:
        if only and quiz.exam_word == "optional":
            message = "exam differs between languages: another one says only, which holds for all"
            problems.append(Problem(quiz.path, *quiz.places.value("exam"), "E022", message))
    unreadable = any(quiz.exam.unreadable for quiz in described)
    members_only = any(quiz.exam.members_only for quiz in described)
    return Exam(only=only, members_only=members_only, unreadable=unreadable, **values), problems


def _word(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
