"""What the readers of GIFT and Moodle XML have in common: Moodle's text formats, numbers and categories."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase

from markupsafe import escape

from steelyard.exchange.grades import default_scoring, scoring_of
from steelyard.exchange.item import Item, Option, Reading
from steelyard.exchange.pictures import embedded
from steelyard.exchange.tree import shortened, tree
from steelyard.exchange.words import WORDS
from steelyard.markup.markdown import parser

MAX_HTML = 512 * 1024
"""Characters of one question's texts. A question file holds an eighth of that, and HTML is longer."""

_MD = parser()
_WHOLE = 99.99
"""Percent from which on a choice is wholly right."""
_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*")


def to_html(text: str, text_format: str) -> str:
    """Return a text in one of Moodle's formats (html, plain, markdown, else "auto-format") as HTML."""
    match text_format:
        case "html" | "wiki_like":
            return text
        case "plain" | "plain_text":
            return str(escape(text)).replace("  ", "&nbsp; ").replace("\n", "<br>")
        case "markdown":
            return str(_MD.render(text)).strip()
    text = re.sub(r">\s+<", "> <", text)  # beside a tag a line break is none
    return text.replace("\n<", " <").replace(">\n", "> ").replace("\n", "<br>")


def number(text: str) -> tuple[float | None, str]:
    """Return the number that Moodle reads at the beginning of a text (None for none), and what it ignores."""
    match = _NUMBER.match(text)
    return (float(match[1]), text[match.end() :]) if match else (None, text)


def category_path(path: str) -> list[str]:
    """Return the names in a category's path; a slash within a name is written twice."""
    names = [name.replace("//", "/").strip() for name in re.split(r"(?<!/)/(?!/)", path.strip())]
    return [name for name in names if name and name != "top" and not re.fullmatch(r"\$[a-z]+\$", name)]


def enter_category(reading: Reading, line: int, path: str, about: str = "") -> None:
    """Put the questions that follow into a category. `about` is what the file says of it, as HTML."""
    names = category_path(path)
    category = "/".join(names)
    if names and reading.title is None:
        reading.title = names[-1]
        reading.introduction = about
    elif words := " ".join(tree(about).text().split()):
        reading.note(line, f'what is said of the category "{category}" is left out: "{shortened(words)}"')
    reading.category = category
    if names:
        reading.categories.setdefault(category, line)


def true_or_false(
    correct: bool, feedback_true: str, feedback_false: str, language: str
) -> tuple[Option, Option]:
    """Return the two choices of a true/false question, in the order in which Moodle shows them."""
    words = WORDS[language]
    return Option(words.true, correct, feedback_true), Option(words.false, not correct, feedback_false)


def add(reading: Reading, item: Item, percent: Sequence[float]) -> None:
    """Add a question whose choices count so many per cent each, or note why it cannot be held."""
    item = embedded(item)
    size = len(item.stem) + len(item.explanation) + sum(len(o.html) + len(o.feedback) for o in item.options)
    if size > MAX_HTML:
        why = f"its texts have {size // 1024} KiB, and up to {MAX_HTML // 1024} can be read"
        reading.leave_out(item.line, item.title, why)
        return
    item, percent = _without_blanks(reading, item, percent)
    if not 2 <= len(percent) <= len(ascii_uppercase):
        why = f"it has {len(percent)} choices, and 2 to 26 can be held"
        reading.leave_out(item.line, item.title, why)
        return
    least = max(*percent, 0.01) if item.single else 0.01
    right = [value >= min(least, _WHOLE) for value in percent]
    if not any(right):
        reading.leave_out(item.line, item.title, "no choice of it is right")
        return
    if item.single and sum(right) > 1:
        letters = ", ".join(
            letter for letter, correct in zip(ascii_uppercase, right, strict=False) if correct
        )
        why = f"with radio buttons only one choice can be right, not {letters}"
        reading.leave_out(item.line, item.title, why)
        return
    title = re.sub(r"\s+", " ", item.title).strip() or _beginning(item.stem) or "Question"
    scoring = scoring_of(percent, item.single, right)
    if scoring is None:
        scoring = default_scoring(sum(right))
        listed = ", ".join(
            f"{letter} {value:g} %" for letter, value in zip(ascii_uppercase, percent, strict=False)
        )
        message = f'question "{title}": no rule scores {listed}; scoring is {scoring} instead'
        reading.note(item.line, message)
    options = tuple(
        replace(option, correct=correct) for option, correct in zip(item.options, right, strict=True)
    )
    made = replace(item, title=title, options=options, scoring=scoring, category=reading.category)
    reading.items.append(made)


def _without_blanks(reading: Reading, item: Item, percent: Sequence[float]) -> tuple[Item, Sequence[float]]:
    """Leave out choices without content, as Moodle does, and tell it where they had feedback or a mark."""
    kept = [(o, value) for o, value in zip(item.options, percent, strict=True) if not is_blank(o.html)]
    if len(kept) == len(percent):
        return item, percent
    for option, value in zip(item.options, percent, strict=True):
        if is_blank(option.html):
            words = (
                "" if is_blank(option.feedback) else f', with the feedback "{_beginning(option.feedback)}"'
            )
            about = f'question "{item.title}": an empty choice of {value:g} %{words} is left out'
            reading.note(item.line, about)
    return replace(item, options=tuple(option for option, _ in kept)), [value for _, value in kept]


def is_blank(html: str) -> bool:
    """Say whether a text shows nothing: only paragraphs, line breaks and spaces."""
    if not html.strip():
        return True
    if len(html) > 1000:
        return False
    shown = re.sub(r"</?(?:p|div|span|br)\b[^<>]*>|&nbsp;|&#160;|&#xa0;", "", html, flags=re.IGNORECASE)
    return not shown.replace("\u200b", "").replace("\ufeff", "").strip()


def _beginning(html: str) -> str:
    """Return a title for a question without one, as Moodle makes it: how its text begins."""
    words = " ".join(tree(html).text().split())
    return words if len(words) <= 60 else words[:59].rsplit(" ", 1)[0] + "…"
