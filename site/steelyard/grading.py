"""How an answer is scored. Pure functions; the rules are those of `questions/README.md`.

With N choices, c of them keys, and n ticked, of which t are right and f wrong:

==================== ==============================================
rule                 score
==================== ==============================================
all-or-nothing       1 if exactly the keys are ticked, else 0
balanced             max(0, t/c - f/(N - c)); no f-term if c = N
each-answer          1 - (choices judged wrongly)/N
proportional-correct t/c if f = 0, else 0
net-correct          max(0, (t - f)/c)
coverage             (t/c)(t/n)
equal-parts          t/c, whatever else is ticked
==================== ==============================================

A blank scores 0 under every rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, assert_never

from steelyard.bank.model import Question, Regrade, Scoring

Outcome = Literal["right", "partly", "wrong"]


@dataclass(frozen=True)
class Grade:
    """The score of one answer."""

    score: float
    """From 0 to 1."""
    outcome: Outcome
    """`right` for the full point, which only `equal-parts` gives for more than exactly the keys; `partly`
    for any other answer that scores."""


def grade(question: Question, chosen: Collection[str]) -> Grade:
    """Grade the chosen letters. Raises ValueError for a letter that is not among the choices."""
    ticked = frozenset(chosen)
    if unknown := ticked - frozenset(question.letters):
        raise ValueError(f"not among the choices: {', '.join(sorted(unknown))}")
    value = score(question.scoring, len(question.choices), question.key, ticked)
    if value == 1:
        return Grade(1.0, "right")
    return Grade(float(value), "partly" if value else "wrong")


def score(rule: Scoring, choices: int, key: frozenset[str], ticked: frozenset[str]) -> Fraction:
    """Return the exact score of `ticked` when `key` (not empty) is right, out of `choices` letters."""
    if not ticked:
        return Fraction(0)
    c, n = len(key), len(ticked)
    t = len(ticked & key)
    f = n - t
    match rule:
        case "all-or-nothing":
            return Fraction(ticked == key)
        case "balanced":
            return max(Fraction(0), Fraction(t, c) - (Fraction(f, choices - c) if f else 0))
        case "each-answer":
            return 1 - Fraction(f + c - t, choices)
        case "proportional-correct":
            return Fraction(t, c) if f == 0 else Fraction(0)
        case "net-correct":
            return max(Fraction(0), Fraction(t - f, c))
        case "coverage":
            return Fraction(t, c) * Fraction(t, n)
        case "equal-parts":
            return Fraction(t, c)
        case _:
            assert_never(rule)


# ---- regrading --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Total:
    """The sum of an attempt's scores."""

    score: float
    maximum: int
    """How many points could be had."""


def counted(score: float | None, regrade: Regrade | None) -> float | None:
    """Return what a stored score counts now; None when its question counts in no total.

    A blank (None) scores 0. Nothing is stored of this: it follows from the question's file as it stands, so
    that regrading twice is regrading once.
    """
    if regrade == "void":
        return None
    return 1.0 if regrade == "credit-all" else score or 0.0


def total(scores: Iterable[tuple[float | None, Regrade | None]]) -> Total:
    """Sum what the answers of one attempt count now."""
    counting = [value for value in (counted(*pair) for pair in scores) if value is not None]
    return Total(sum(counting), len(counting))
