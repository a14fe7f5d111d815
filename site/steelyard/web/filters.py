"""Words and figures as the templates write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from math import floor
from urllib.parse import quote

from babel.numbers import format_decimal, format_percent
from flask import Flask
from flask_babel import format_date, get_locale

from steelyard.evidence import Finding
from steelyard.settings import Settings
from steelyard.web.evidence import cards
from steelyard.web.text import numbers, vocabulary


def init_app(app: Flask, settings: Settings) -> None:
    app.jinja_env.globals["settings"] = settings
    app.jinja_env.filters.update(
        change=cards.change,
        compared_precision=cards.compared_precision,
        day=day,
        fill=fill,
        how=how,
        percent=numbers.percent,
        points=points,
        points_exact=points_exact,
        scale_low=scale_low,
        selection=selection,
        technique=cards.title,
        two_decimals=two_decimals,
        universal=universal,
        whole_percent=whole_percent,
        work=vocabulary.work_words,
        zoned=zoned,
    )


def points(score: float) -> str:
    """Return a sum of scores with at most one decimal: `4`, `4.5`."""
    return format_decimal(score, format="0.#", locale=get_locale())


def points_exact(score: float) -> str:
    """Return the score of one question with at most two decimals: `1`, `0.5`, `0.67`."""
    return format_decimal(score, format="0.##", locale=get_locale())


def two_decimals(value: float) -> str:
    return str(format_decimal(value, format="0.00", locale=get_locale())).replace("-", "−")


def whole_percent(fraction: float) -> str:
    return format_percent(fraction, format="#,##0%", locale=get_locale())


def day(moment: datetime) -> str:
    return format_date(moment, "long")


def universal(moment: datetime) -> str:
    """Return a moment in the time zone that needs no place, and say so."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def zoned(moment: datetime) -> str:
    """Return a moment in the time zone that its author wrote, and say which."""
    text = moment.isoformat(timespec="minutes")
    zone = text[16:].removeprefix("+00:00")
    return f"{text[:10]} {text[11:16]} UTC{zone}"


def fill(pattern: str, path: str, line: int) -> str:
    """Return the address of a line of a file, by the pattern of a setting."""
    return pattern.replace("{path}", quote(path)).replace("{line}", str(line))


def scale_low(fractions: Iterable[float]) -> float:
    """Return where a beam begins that holds these figures: 0, or a multiple of −25 % down to −100 %."""
    return max(-1.0, min(0.0, floor(min(fractions) * 4) / 4))


def how(finding: Finding) -> str:
    return vocabulary.how_words(finding.kind, finding.device)


def selection(fields: Mapping[str, object], other: Mapping[str, object]) -> str:
    """Return a side of a comparison within a sentence: the technique, and what it does not share."""
    names = [name for name, value in fields.items() if name != "technique" and other.get(name) != value]
    own = ", ".join(f"{name} {fields[name]}" for name in names)
    name = cards.within_a_sentence(cards.title(fields["technique"]))
    return f"{name} ({own})" if own else name
