"""A demo's source as numbered lines, and what it changes against the baseline's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from markupsafe import Markup

from steelyard.web.text.highlight import highlight

CONTEXT = 3
"""Unchanged lines shown around a change."""


@dataclass(frozen=True)
class SourceLine:
    """One line of a listing or of a comparison."""

    number: int
    """In its own file, from 1."""
    sign: str
    """`+` only here, `-` only in the baseline, a space in both."""
    html: Markup
    new: bool
    """Whether the author marked it `# NEW`: what the technique is about."""


@lru_cache(maxsize=64)
def listing(source: str) -> tuple[SourceLine, ...]:
    """Return every line of a Python source."""
    lines = source.splitlines()
    return tuple(_line(number, " ", lines, html) for number, html in enumerate(_coloured(source), 1))


@lru_cache(maxsize=64)
def changes(base: str, source: str) -> tuple[tuple[SourceLine, ...], ...]:
    """Return what leads from `base` to `source`, in runs of neighbouring lines; docstrings are left out."""
    before, after = base.splitlines(), source.splitlines()
    skip_before, skip_after = _docstring_lines(base), _docstring_lines(source)
    matcher = SequenceMatcher(None, before[skip_before:], after[skip_after:], autojunk=False)
    old, new = _coloured(base), _coloured(source)

    def run(opcodes: list[tuple[str, int, int, int, int]]) -> Iterator[SourceLine]:
        for tag, old_start, old_end, new_start, new_end in opcodes:
            if tag != "equal":
                for at in range(old_start + skip_before, old_end + skip_before):
                    yield _line(at + 1, "-", before, old[at])
            for at in range(new_start + skip_after, new_end + skip_after):
                yield _line(at + 1, " " if tag == "equal" else "+", after, new[at])

    return tuple(tuple(run(opcodes)) for opcodes in matcher.get_grouped_opcodes(CONTEXT))


def _line(number: int, sign: str, lines: list[str], html: Markup) -> SourceLine:
    return SourceLine(number, sign, html, sign != "-" and "# NEW" in lines[number - 1])


def _coloured(source: str) -> list[Markup]:
    """Pygments closes its elements at the end of each line, so that lines can be taken apart."""
    lines = highlight(source, "python").split("\n")
    return [Markup(line) for line in lines[: len(source.splitlines())]]  # noqa: S704


def _docstring_lines(source: str) -> int:
    try:
        module = ast.parse(source)
    except SyntaxError:
        return 0
    if ast.get_docstring(module) is None:
        return 0
    return module.body[0].end_lineno or 0
