"""What the readers of GIFT and Moodle XML have in common: Moodle's text formats and its percentages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase

from markupsafe import escape

from steelyard.exchange.grades import default_scoring, scoring_of
from steelyard.exchange.item import Item, Reading
from steelyard.exchange.tree import tree
from steelyard.markdown import parser

_MD = parser()
_WHOLE = 99.99
"""Percent from which on a choice is wholly right."""


def to_html(text: str, text_format: str) -> str:
    """Return a text in one of Moodle's formats (html, plain, markdown, else "auto-format") as HTML."""
    match text_format:
        case "html":
            return text
        case "plain" | "plain_text":
            return str(escape(text)).replace("\n", "<br>")
        case "markdown":
            return str(_MD.render(text)).strip()
    return text.replace("\n", "<br>")


def add(reading: Reading, item: Item, percent: Sequence[float]) -> None:
    """Add a question whose choices count so many per cent each, or note why it cannot be held."""
    name = f' "{item.title}"' if item.title else ""
    if not 2 <= len(percent) <= len(ascii_uppercase):
        reading.note(
            item.line, f"question{name} is left out: it has {len(percent)} choices, and 2 to 26 can be held"
        )
        return
    least = max(*percent, 0.01) if item.single else 0.01
    right = [value >= min(least, _WHOLE) for value in percent]
    if not any(right):
        reading.note(item.line, f"question{name} is left out: no choice of it is right")
        return
    if item.single and sum(right) > 1:
        letters = ", ".join(
            letter for letter, correct in zip(ascii_uppercase, right, strict=False) if correct
        )
        reading.note(
            item.line,
            f"question{name} is left out: with radio buttons only one choice can be right, not {letters}",
        )
        return
    scoring = scoring_of(percent, item.single, right)
    if scoring is None:
        scoring = default_scoring(sum(right))
        listed = ", ".join(
            f"{letter} {value:g} %" for letter, value in zip(ascii_uppercase, percent, strict=False)
        )
        reading.note(item.line, f"question{name}: no rule scores {listed}; scoring is {scoring} instead")
    options = tuple(
        replace(option, correct=correct) for option, correct in zip(item.options, right, strict=True)
    )
    title = re.sub(r"\s+", " ", item.title).strip() or _beginning(item.stem)
    reading.items.append(replace(item, title=title, options=options, scoring=scoring))


def _beginning(html: str) -> str:
    """Return a title for a question without one, as Moodle makes it: how its text begins."""
    words = " ".join(tree(html).text().split())
    return words if len(words) <= 60 else words[:59].rsplit(" ", 1)[0] + "…"
