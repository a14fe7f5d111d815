"""What has to be checked within a piece of Markdown: links, images, raw HTML, and numbers that make a claim.

A number makes a claim when it has a unit by which learners remember it: a percentage, a multiple, an amount
of memory. Numbers in code and formulas do not count, nor those of stem and choices, which ask, not tell.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Literal

from markdown_it.token import Token

from steelyard.bank.model import Question, Text
from steelyard.markup.markdown import parser

Kind = Literal["link", "image", "html"]

_MD = parser()
_AMOUNT = r"\d[\d.,．，]*"
_RANGE = rf"(?:{_AMOUNT}\s*(?:[-–—−~〜～]|to\b)\s*)?{_AMOUNT}"
_UNIT = (
    r"(?:[%％]|per\s?cent\b|percent\b|パーセント|倍|割|[KMGT]i?B(?![A-Za-z])|[KMGT]i?バイト|ギガバイト"
    r"|times\b|fold\b|-fold\b|x(?![A-Za-z0-9])|×(?!\s*\d))"
)
_WORD = r"(?:two|three|four|five|six|seven|eight|nine|ten|twenty|fifty|hundred)"
_NUMBER = re.compile(
    rf"(?<![A-Za-z0-9_.])(?:{_RANGE}\s*{_UNIT}|[二三四五六七八九十百千数半]+倍)"
    rf"|(?<![\w\s])×\s*{_AMOUNT}|(?<=\s)(?<!\d\s)×\s*{_AMOUNT}|^×\s*{_AMOUNT}"
    rf"|\b{_WORD}\s+times\b",
    re.IGNORECASE | re.MULTILINE,
)
_NOTEWORTHY = re.compile(r"[<]|\]\(|\]\[|^ {0,3}\[|\[[^\]]*\](?!\()", re.MULTILINE)


@dataclass(frozen=True)
class Number:
    """A number that makes a claim, and the claim that is linked to it."""

    words: str
    claim: str | None
    line: int
    column: int


@dataclass(frozen=True)
class Mention:
    """A link or an image by its URL, or a piece of raw HTML as it stands."""

    kind: Kind
    content: str
    line: int
    column: int


@dataclass(frozen=True)
class Findings:
    """What `scan` finds in a text."""

    numbers: tuple[Number, ...] = ()
    mentions: tuple[Mention, ...] = ()


def numbers(question: Question) -> list[Number]:
    """Return the numbers that explanation and feedback tell; without a claim they are not weighed."""
    texts = [part.text for part in question.explanation]
    seen = set(texts)
    texts += [c.feedback for c in question.choices if c.feedback and c.feedback not in seen]
    return [number for text in texts for number in scan(text).numbers]


@lru_cache(maxsize=2048)
def scan(text: Text) -> Findings:
    """Scan one text. Lines and columns are the file's; a column is 1 where it is unknown."""
    if not _NUMBER.search(text.source) and not _NOTEWORTHY.search(text.source):
        return Findings()
    scanner = _Scanner(text)
    line = 0
    for token in _MD.parse(text.source):
        line = token.map[0] if token.map else line
        if token.type == "html_block":
            scanner.mentions.append(Mention("html", token.content, text.line + line, 1))
        elif token.type == "inline":
            scanner.inline(token, line)
    return Findings(tuple(scanner.numbers), tuple(scanner.mentions))


@dataclass
class _Scanner:
    text: Text
    numbers: list[Number] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lines = self.text.source.split("\n")
        self.starts = [0]
        """Where the lines of the present block's content begin."""

    def inline(self, token: Token, line: int) -> None:
        """Go through one block's inline content; `at` follows in the source what the tokens show."""
        content = token.content
        self.starts = [0, *(match.end() for match in re.finditer("\n", content))]
        visible, at = "", 0
        claim: str | None = None
        pieces: list[tuple[int, int, str | None]] = [(0, 0, None)]
        for child in _flat(token.children or []):
            if child.type == "link_open":
                url = str(child.attrGet("href") or "")
                claim = url[1:] if url.startswith("#") else None
                self.mention("link", url, token, line, content.find("[", at))
                continue
            if child.type == "link_close":
                claim = None
                continue
            if child.type == "image":
                self.mention("image", str(child.attrGet("src") or ""), token, line, content.find("![", at))
            elif child.type == "html_inline":
                self.mention("html", child.content, token, line, content.find(child.content, at))
            elif child.type == "text":
                pieces.append((len(visible), at, claim))
            shown = {"text": child.content, "softbreak": "\n", "hardbreak": "\n"}
            visible += shown.get(child.type, "" if child.nesting else "\ufffc")
            at = _after(content, child, at)
        at = 0
        for match in _NUMBER.finditer(visible):
            piece = bisect_right(pieces, match.start(), key=itemgetter(0)) - 1
            _, begin, linked = pieces[piece]
            limit = pieces[piece + 1][1] if piece + 1 < len(pieces) else len(content)
            at = max(at, begin)
            position = content.find(match[0], at, limit)
            if position < 0:  # markup stands within the number, as in `**90** %`
                position = max(at, content.find(_head(match[0]), at))
            at = position + 1
            self.numbers.append(
                Number(" ".join(match[0].split()), linked, *self.place(token, line, position))
            )

    def mention(self, kind: Kind, content: str, token: Token, line: int, at: int) -> None:
        self.mentions.append(Mention(kind, content, *self.place(token, line, at)))

    def place(self, token: Token, line: int, at: int) -> tuple[int, int]:
        """Return the line and column in the file of a place in a block's inline content."""
        at = max(0, min(at, len(token.content)))
        index = bisect_right(self.starts, at) - 1
        row, begin = line + index, self.starts[index]
        # Indentation, quote marks and table pipes stand before the content of a line.
        content = token.content[begin : begin + 80].partition("\n")[0]
        start = self.lines[row].find(content) if row < len(self.lines) else -1
        first = self.text.line + min(row, len(self.lines) - 1)
        return first, start + at - begin + 1 if start >= 0 else 1


def _flat(tokens: list[Token]) -> Iterator[Token]:
    """Leave out the tokens that emphasis leaves behind without content."""
    return (token for token in tokens if token.type != "text" or token.content)


def _head(number: str) -> str:
    """Return the digits with which a number begins, or its first word."""
    digits = re.match(_AMOUNT, number)
    return digits[0] if digits else number.split()[0]


def _after(content: str, child: Token, at: int) -> int:
    """Return where `child` ends in the source looked for from `at` on; an entity may hide it."""
    if child.type in ("softbreak", "hardbreak"):
        return content.find("\n", at) + 1 or at
    if child.type == "code_inline":  # its own line breaks have become spaces
        opened = content.find(child.markup, at) + len(child.markup)
        return content.find(child.markup, opened) + len(child.markup)
    position = content.find(child.content, at)
    return position + len(child.content) if position >= 0 else at
