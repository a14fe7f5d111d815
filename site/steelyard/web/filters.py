"""What every template may use: formats of numbers and moments, and the site's words.

All else a page gets from its view.
"""

from __future__ import annotations

from datetime import UTC, datetime

from babel.numbers import format_decimal, format_percent
from flask import Flask
from flask_babel import format_date, get_locale

from steelyard.web.text import numbers, vocabulary


def init_app(app: Flask) -> None:
    """Add the formats as filters, and the modules of numbers and words under their names."""
    app.jinja_env.globals.update(numbers=numbers, vocabulary=vocabulary)
    app.jinja_env.filters.update(
        day=day,
        percent=numbers.percent,
        points=points,
        points_exact=points_exact,
        two_decimals=two_decimals,
        universal=universal,
        whole_percent=whole_percent,
        zoned=zoned,
    )


def points(score: float) -> str:
    """Return a sum of scores with at most one decimal: `4`, `4.5`."""
    return format_decimal(score, format="0.#", locale=get_locale())


def points_exact(score: float) -> str:
    """Return the score of one question with at most two decimals: `1`, `0.5`, `0.67`."""
    return format_decimal(score, format="0.##", locale=get_locale())


def two_decimals(value: float) -> str:
    """Return a statistic with two decimals, a minus sign before a negative one."""
    return str(format_decimal(value, format="0.00", locale=get_locale())).replace("-", "−")


def whole_percent(fraction: float) -> str:
    """Return a fraction as a percentage without decimals."""
    return format_percent(fraction, format="#,##0%", locale=get_locale())


def day(moment: datetime) -> str:
    """Return a date in the language of the page."""
    return format_date(moment, "long")


def universal(moment: datetime) -> str:
    """Return a moment in the time zone that needs no place, and say so."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def zoned(moment: datetime) -> str:
    """Return a moment in the time zone that its author wrote, and say which."""
    text = moment.isoformat(timespec="minutes")
    zone = text[16:].removeprefix("+00:00")
    return f"{text[:10]} {text[11:16]} UTC{zone}"
