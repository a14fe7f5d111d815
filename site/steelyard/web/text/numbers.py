"""Numbers as people read them, in the language of the page. Data hold bytes, seconds and fractions."""

from __future__ import annotations

from math import isfinite

from babel.numbers import format_compact_decimal, format_decimal, format_percent, format_scientific
from flask_babel import get_locale, gettext

NBSP = "\N{NO-BREAK SPACE}"
KIB, MIB, GIB = 1024, 1024**2, 1024**3
READABLE = 1e15
"""Larger figures get an exponent: nobody counts their digits, and Babel refuses to write very many."""


def size(value: float) -> str:
    """Return bytes in the unit that suits them: `4.63 GiB`, `924.8 MiB`. GiB is 1024³ bytes."""
    for unit, name, pattern in ((GIB, "GiB", "#,##0.00"), (MIB, "MiB", "#,##0.0"), (KIB, "KiB", "#,##0.0")):
        if abs(value) >= unit * 1000 / 1024:  # never four digits before the unit
            return f"{_decimal(value / unit, pattern)}{NBSP}{name}"
    return f"{_decimal(value, '#,##0')}{NBSP}B"


def gib(value: float) -> str:
    """Return bytes in GiB without the unit, for a table that says it once: `4.63`."""
    return _decimal(value / GIB, "#,##0.00")


def gib_left(value: float) -> str:
    """Return how many GiB are left (+) or lacking (−), without the unit: `−0.72`."""
    return _decimal(value / GIB, "+#,##0.00;−#,##0.00")


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with one decimal; below 1 %, to two figures."""
    if abs(fraction) >= READABLE:
        return f"{_decimal(fraction * 100, '')}%"
    if abs(fraction) >= 0.01 or fraction == 0:
        return format_percent(fraction, format="#,##0.0%", locale=get_locale())
    return format_percent(float(f"{fraction:.2g}"), format="0.0########%", locale=get_locale())


def seconds(value: float) -> str:
    """Return a time: `2.31 s`, or `85 ms` below a tenth of a second."""
    if abs(value) < 0.1:
        return f"{_decimal(value * 1000, '#,##0.0')}{NBSP}ms"
    return f"{_decimal(value, '#,##0.00')}{NBSP}s"


def duration(value: float) -> str:
    """`42 s`, or `3 min 20 s` from a minute on: what a person waits for."""
    minutes, rest = divmod(round(value), 60)
    if not minutes:
        return gettext("%(seconds)s s", seconds=rest)
    return gettext("%(minutes)s min %(seconds)s s", minutes=minutes, seconds=rest)


def times(value: float) -> str:
    """Return a ratio: `×1.24`."""
    return f"×{_decimal(value, '#,##0.00##')}"


def count(value: float) -> str:
    """Return a whole number with its thousands told apart."""
    return _decimal(value, "#,##0")


def loss(value: float) -> str:
    """Return a loss, in nats per token."""
    return _decimal(value, "0.000")


def difference(value: float) -> str:
    """Return how far one loss lies above (+) or below (−) another."""
    return _decimal(value, "+0.000;−0.000")


def per_parameter(value: float) -> str:
    """Return bytes for each parameter, to three decimals."""
    return _decimal(value, "#,##0.000")


def deviation(fraction: float) -> str:
    """Return how far a figure lies above (+) or below (−) what was expected: `+0.15%`."""
    if round(fraction, 4) == 0:
        return error(0)
    return format_percent(fraction, format="+#,##0.00%;−#,##0.00%", locale=get_locale())


def error(fraction: float) -> str:
    """Return how large an error is, whatever its sign: `0.15%`."""
    return format_percent(abs(fraction), format="#,##0.00%", locale=get_locale())


def short(value: float) -> str:
    """Return a large count in short: `8.03B`."""
    return format_compact_decimal(value, fraction_digits=2, locale=get_locale())


def plain(value: float) -> str:
    """Return a number without a unit: a whole one in full, any other to four figures."""
    if value == int(value):
        return count(value)
    return _decimal(float(f"{value:.4g}"), "#,##0.########")


def _decimal(value: float, pattern: str) -> str:
    if abs(value) >= READABLE:
        return format_scientific(value, format="0.###E0", locale=get_locale()) if isfinite(value) else "∞"
    return format_decimal(value, format=pattern, locale=get_locale())
