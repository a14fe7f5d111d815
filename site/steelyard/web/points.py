"""Scores as people read them."""

from __future__ import annotations

from babel.numbers import format_decimal
from flask_babel import get_locale


def points(score: float) -> str:
    """Return a sum of scores with at most one decimal: `4`, `4.5`."""
    return format_decimal(score, format="0.#", locale=get_locale())
