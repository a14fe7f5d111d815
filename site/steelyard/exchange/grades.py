"""Scoring as Moodle can hold it: a percentage for each choice, of a fixed list; it adds up what was ticked.

The sum is cut off below 0 and above 100. So a rule can be held whose score is such a sum: `balanced`,
`net-correct`, `proportional-correct` and `equal-parts` with checkboxes, every rule with radio buttons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from string import ascii_uppercase
from typing import get_args

from steelyard.bank.model import Scoring
from steelyard.exchange.item import Item
from steelyard.grading import score

GRADES = (
    *("100", "90", "83.33333", "80", "75", "70", "66.66667", "60", "50", "40", "33.33333", "30", "25", "20"),
    *("16.66667", "14.28571", "12.5", "11.11111", "10", "5"),
)
"""The percentages that Moodle accepts, besides 0 and the negative of each (question/engine/bank.php)."""

_VALUES = {Fraction(grade): grade for grade in (*GRADES, "0", *(f"-{grade}" for grade in GRADES))}
_CLOSE = Fraction(1, 10_000)
"""Percent: what rounding to five decimals may change."""
_ROUNDED = Fraction(6, 1000)
"""Percent: what rounding to two decimals may change, as in `33.33` and `16.67`."""

_STAND_IN: dict[Scoring, Scoring] = {
    "all-or-nothing": "proportional-correct",
    "each-answer": "balanced",
    "coverage": "balanced",
}
"""For a rule that is no sum: the nearest that is one."""


def default_scoring(keys: int) -> Scoring:
    """Return the rule of a question that names none."""
    return "balanced" if keys > 1 else "all-or-nothing"


def grades(item: Item, note: Callable[[str], None]) -> list[str]:
    """Return each choice's percentage as Moodle spells it, and tell `note` what is not held exactly."""
    if not item.single and _held(item.scoring, item.keys) != item.scoring:
        stand_in = _held(item.scoring, item.keys)
        note(f"Moodle adds up a value per choice and cannot hold scoring {item.scoring}: {stand_in} instead")
    percentages = []
    for wanted in _wanted(item.scoring, item.single, [option.correct for option in item.options]):
        value = _snapped(wanted)
        if abs(value - wanted) > _CLOSE:
            note(f"Moodle has no grade of {float(wanted):.5g} %: {_VALUES[value]} % instead")
        percentages.append(_VALUES[value])
    return percentages


def scoring_of(percent: Sequence[float], single: bool, right: Sequence[bool]) -> Scoring | None:
    """Return the rule that gives these percentages, the default before others; None for no rule."""
    keys = sum(right)
    every: tuple[Scoring, ...] = get_args(Scoring)
    rules = [default_scoring(keys), *(rule for rule in every if rule != default_scoring(keys))]
    for rule in rules:
        if not single and _held(rule, keys) != rule:
            continue
        exact = _wanted(rule, single, right)
        if all(
            min(abs(Fraction(given) - value), abs(Fraction(given) - _snapped(value))) <= _ROUNDED
            for given, value in zip(percent, exact, strict=True)
        ):
            return rule
    return None


def _held(rule: Scoring, keys: int) -> Scoring:
    """Return the rule itself where checkboxes can hold it, else what stands in for it."""
    return rule if rule == "all-or-nothing" and keys == 1 else _STAND_IN.get(rule, rule)


def _wanted(rule: Scoring, single: bool, right: Sequence[bool]) -> list[Fraction]:
    choices, keys = len(right), sum(right)
    if single:
        letters = ascii_uppercase[:choices]
        key = frozenset(letter for letter, correct in zip(letters, right, strict=True) if correct)
        return [100 * score(rule, choices, key, frozenset(letter)) for letter in letters]
    match _held(rule, keys):
        case "balanced":
            wrong = Fraction(100, max(1, choices - keys))
        case "net-correct":
            wrong = Fraction(100, keys)
        case "equal-parts":
            wrong = Fraction(0)
        case _:
            wrong = Fraction(100)
    return [Fraction(100, keys) if correct else -wrong for correct in right]


def _snapped(wanted: Fraction) -> Fraction:
    """Return the nearest grade; for a part of the credit the next above, so that all parts give it whole."""
    nearest = min(_VALUES, key=lambda value: abs(value - wanted))
    if wanted <= 0 or abs(nearest - wanted) <= _CLOSE:
        return nearest
    return min(value for value in _VALUES if value >= wanted)
