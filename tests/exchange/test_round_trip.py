"""Two hundred questions there and back: what a format can hold comes back unchanged, and the rest was named."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from exchange.generated import questions
from steelyard.bank.parse import parse
from steelyard.evidence import Records
from steelyard.exchange import gift, moodle_xml
from steelyard.exchange.export import item
from steelyard.exchange.files import question_file
from steelyard.exchange.grades import grades
from steelyard.exchange.item import PLUGINFILE, Item
from steelyard.exchange.tree import Element, tree

COUNT = 200
ROOT = Path(__file__).parent


@cache
def exported(pictures):
    notes = defaultdict(list)
    made = [
        item(question, Records({}), ROOT, pictures, notes[question.id].append)
        for question in questions(COUNT)
    ]
    return made, notes


@cache
def there_and_back(format):
    items, _ = exported(PLUGINFILE if format == "moodle-xml" else None)
    notes = defaultdict(list)
    tell = lambda about, message: notes[about.id].append(message)  # noqa: E731
    if format == "gift":
        reading = gift.read(gift.write(items, "Made / up", tell))
    else:
        reading = moodle_xml.read(moodle_xml.write(items, "Made / up", tell))
    return items, reading, notes


@pytest.mark.parametrize("format", ["gift", "moodle-xml"])
def test_what_the_format_can_hold_comes_back_and_what_it_cannot_was_named(format):
    items, reading, notes = there_and_back(format)

    assert reading.errors == []
    assert reading.title == "Made / up"
    assert len(reading.items) == COUNT
    for sent, came in zip(items, reading.items, strict=True):
        named = " ".join(notes[sent.id])
        assert _text(came) == _text(sent)
        if came.scoring != sent.scoring and came.single == sent.single:
            assert f"scoring {sent.scoring}" in named or _same_scores(came, sent)
        if came.shuffle != sent.shuffle:
            assert "shuffle: false" in named
        if came.single != sent.single:
            assert "radio buttons, all or nothing, instead" in named


@pytest.mark.parametrize("format", ["gift", "moodle-xml"])
def test_as_question_files_they_pass_and_say_the_same(format):
    _, reading, _ = there_and_back(format)
    for came in reading.items:
        notes = []
        text = question_file(came, "en", {}, notes.append)
        result = parse(text.encode(), "q.en.md", came.id, "en")

        assert result.question is not None, (text, result.problems)
        again = item(result.question, Records({}), ROOT, PLUGINFILE, notes.append)
        assert _shape(again) == _shape(came), text
        assert {note for note in notes if "no explanation" not in note} == set()


_EDGES = ("br", "p", "ul", "ol", "pre", "table", "blockquote", "h3", "h4", "hr")
"""Elements beside which white space is not seen."""


def _text(item: Item) -> Item:
    """Leave only what every format holds."""
    return replace(item, scoring="balanced", shuffle=True, single=True, line=1, category="")


def _same_scores(came: Item, sent: Item) -> bool:
    """Two rules may be one for a number of choices: right minus wrong, where half of the choices is right."""
    ignore = lambda message: None  # noqa: E731
    return grades(came, ignore) == grades(sent, ignore)


def _shape(item: Item) -> tuple[object, ...]:
    options = tuple((_seen(o.html), o.correct, _seen(o.feedback)) for o in item.options)
    explanation = _seen(item.explanation)
    return (
        item.title,
        _seen(item.stem),
        options,
        explanation,
        item.single,
        item.scoring,
        item.shuffle,
        set(item.tags),
    )


def _seen(html: str) -> object:
    """Return a text as it is seen: elements and text, white space as a browser joins it.

    A lone paragraph is as good as its words: beside a button both stand in one line.
    """
    root = tree(html)
    root.children = list(_paragraphs(root.children))
    branch = _branch(root)
    lone = [part for part in branch[2:] if isinstance(part, tuple)]
    return lone[0][2:] if len(branch) == 3 and lone and lone[0][0] == "p" else branch[2:]


def _paragraphs(children: list[Element | str]) -> Iterator[Element | str]:
    """Words that stand in no paragraph stand in one of their own all the same."""
    run: list[Element | str] = []
    for child in [*children, Element("")]:
        if isinstance(child, str) or child.tag in (
            "a",
            "em",
            "strong",
            "s",
            "code",
            "span",
            "br",
            "kbd",
            "sub",
            "sup",
        ):
            run.append(child)
            continue
        if any(not isinstance(part, str) or part.strip() for part in run):
            yield Element("p", {}, run)
        run = []
        yield from [child] if child.tag else []


def _is_nothing(part: object) -> bool:
    """An empty quote or heading shows nothing, and Markdown needs not write it."""
    return isinstance(part, tuple) and len(part) == 2 and part[0] not in ("br", "hr", "img", "li", "td", "th")


def _branch(element: Element) -> tuple[object, ...]:
    if element.tag == "pre":
        return ("pre", element.text().rstrip("\n"))
    parts: list[object] = []
    for child in element.children:
        if isinstance(child, Element):
            # A span only keeps text from being taken for a formula.
            branch = _branch(child)[2:] if child.tag == "span" else (_branch(child),)
        else:
            branch = (child,)
        for piece in branch:
            if isinstance(piece, str) and parts and isinstance(parts[-1], str):
                parts[-1] += piece
            else:
                parts.append(piece)
    joined = [re.sub(r"[ \n]+", " ", part) if isinstance(part, str) else part for part in parts]
    kept = [part for part in joined if part not in ("", " ") and not _is_nothing(part)]
    for at, part in enumerate(kept):
        before, after = kept[at - 1] if at else ("br",), kept[at + 1] if at + 1 < len(kept) else ("br",)
        if isinstance(part, str):
            part = part.lstrip(" ") if before[0] in _EDGES else part
            kept[at] = part.rstrip(" ") if after[0] in _EDGES else part
    names = tuple(sorted((k, v) for k, v in element.attributes.items()))
    return (element.tag, names, *kept)
