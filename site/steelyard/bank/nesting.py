"""What is nested so deeply that a converter would end the process by it, or a page would lack it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from markdown_it.token import Token

from steelyard.bank.model import Text
from steelyard.bank.report import Report
from steelyard.markup import formulas
from steelyard.markup.markdown import MAX_NESTING, parser

MAX_HTML = 50
"""Elements of raw HTML in one another."""

TOO_DEEP = "quotes or lists are nested too deeply: what stands in the innermost would be lost"

_MD = parser()
_UNCLOSED = re.compile(r"br|hr|img|wbr|p|li|td|th|tr|tbody|dd|dt|rp|rt", re.IGNORECASE)
"""Elements that need no closing tag."""
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
_MARKS = re.compile(rf"^[ \t>*+\-\d.)]{{{MAX_NESTING - 2},}}", re.MULTILINE)
"""With what a line begins whose text the parser drops: a mark or a space for each level at least."""


def check(text: Text, lines: Sequence[str], report: Report) -> None:
    """Report the first of a text's blocks, formulas and pieces of HTML that is nested too deeply (E038).

    `lines` are those of the whole file.
    """
    if _is_suspicious(text.source):
        for line, column, message in islice(_too_deep(text, lines), 1):
            report(line, column, "E038", message)


def deepest_block(tokens: Iterable[Token]) -> int | None:
    """Return the line (from 0) of the first block so deep that the parser drops its text; None without."""
    for token in tokens:
        if token.type in ("blockquote_open", "list_item_open") and token.level + 1 >= MAX_NESTING:
            return token.map[0] if token.map else 0
    return None


def _is_suspicious(source: str) -> bool:
    """Return whether something may be nested too deeply; few texts have to be parsed for that."""
    is_formula_bad = "$" in source and formulas.fault(source) is not None
    return is_formula_bad or source.count("<") > MAX_HTML or bool(_MARKS.search(source))


def _too_deep(text: Text, lines: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Yield line and column in the file, and what is wrong there."""
    tokens = _MD.parse(text.source)
    if (deepest := deepest_block(tokens)) is not None:
        yield text.line + deepest, 1, TOO_DEEP
    line, html = text.line, 0
    for block in tokens:
        line = text.line + block.map[0] if block.map else line
        for token in (block, *(block.children or [])):
            if token.type.startswith("math_") and (reason := formulas.fault(token.content)):
                yield *_place(lines, token.content, line), reason
            if token.type in ("html_block", "html_inline"):
                for closing, name in _TAG.findall(token.content):
                    if not _UNCLOSED.fullmatch(name):
                        html = max(0, html + (-1 if closing else 1))
                if html > MAX_HTML:
                    message = f"more than {MAX_HTML} elements of HTML in one another: close them"
                    yield *_place(lines, token.content, line), message


def _place(lines: Sequence[str], content: str, line: int) -> tuple[int, int]:
    """Return where a piece begins that stands in the block at this line (from 1), or after its first line."""
    words = content.partition("\n")[0][:80]
    for number in range(line, len(lines) + 1):
        if words and (column := lines[number - 1].find(words) + 1):
            return number, column
    return line, 1
