"""What every template may use: formats of numbers and moments, and the site's words.

All else a page gets from its view.
"""

from __future__ import annotations

from datetime import UTC, datetime

from babel.dates import format_date, format_time, get_timezone_name
from babel.numbers import format_decimal, format_percent
from flask import Flask, g
from flask_babel import get_locale
from flask_babel import gettext as _
from markupsafe import Markup

from steelyard.web.app.state import state
from steelyard.web.text import numbers, vocabulary


def init_app(app: Flask) -> None:
    """Add the formats as filters, and the modules of numbers and words under their names."""
    app.jinja_env.globals.update(numbers=numbers, vocabulary=vocabulary)
    app.jinja_env.filters.update(
        day=day,
        moment=moment,
        percent=numbers.percent,
        points=points,
        points_exact=points_exact,
        two_decimals=two_decimals,
        universal=universal,
        whole_percent=whole_percent,
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


def day(value: datetime) -> Markup:
    """Return the day of a moment, as `<time>`."""
    return _time(value, "day", format_date(_local(value), "long", locale=get_locale()))


def moment(value: datetime) -> Markup:
    """Return a moment with its time zone in words, as `<time>`."""
    local, locale = _local(value), get_locale()
    words = _(
        "%(day)s, %(time)s (%(zone)s)",
        day=format_date(local, "long", locale=locale),
        time=format_time(local, "short", locale=locale),
        zone=get_timezone_name(local, locale=locale),
    )
    return _time(value, "moment", words)


def universal(value: datetime) -> str:
    """Return a moment in the time zone that needs no place, and say so."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _local(value: datetime) -> datetime:
    """Return a moment in the site's time zone; without one as it is: as its author wrote it, or in UTC."""
    zone = state().settings.timezone
    return value.astimezone(zone) if zone else value


def _time(value: datetime, shows: str, words: str) -> Markup:
    """Return what moments.js shows in the time zone of the browser; base.html asks for that script."""
    g.shows_moments = True
    attributes = Markup('datetime="{}" data-shows="{}"').format(value.astimezone(UTC).isoformat(), shows)
    return Markup("<time {}>{}</time>").format(attributes, words)
