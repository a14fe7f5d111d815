"""What a TeX formula has to keep to before a converter gets it: converters recurse, and one that runs out of
stack ends the whole process.

A step of recursion takes a character of the formula at least, so its length bounds the depth, whatever nests:
groups, brackets, commands without braces. Commands that a formula defines would break that rule.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 4000
"""Many times what a formula of the bank takes."""

MAX_DEPTH = 50
"""Of groups in groups, `\\left` and environments included, and of commands in a row."""

_DEFINITION = re.compile(r"\\(?:(?:re)?newcommand|providecommand|[egx]?def|let|global)(?![A-Za-z])")
_GROUP = re.compile(r"\\(?:left|right|begin|end|begingroup|endgroup)(?![A-Za-z])|\\.|[{}]", re.DOTALL)
_OPENS = frozenset({"{", r"\left", r"\begin", r"\begingroup"})
_CLOSES = frozenset({"}", r"\right", r"\end", r"\endgroup"})
_ROW = re.compile(rf"(?:\\[A-Za-z]+\s*){{{MAX_DEPTH + 1}}}")


def fault(formula: str) -> str | None:
    """Return why no converter may be given this formula, worded for its author; None if one may."""
    if len(formula) > MAX_CHARACTERS:
        return f"a formula is longer than {MAX_CHARACTERS} characters: divide it"
    if definition := _DEFINITION.search(formula):
        return f"a formula defines a command ({definition[0]}): write out what it stands for"
    if _depth(formula) > MAX_DEPTH or _ROW.search(formula):
        return f"a formula is nested more than {MAX_DEPTH} deep: divide it"
    return None


def _depth(formula: str) -> int:
    depth = deepest = 0
    for match in _GROUP.finditer(formula):
        if match[0] in _OPENS:
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] in _CLOSES:
            depth = max(0, depth - 1)
    return deepest
