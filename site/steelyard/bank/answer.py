"""The Answer section: which letters it names, and what else stands there that should not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from unicodedata import normalize

from steelyard.bank.report import Report, quoted, span

MAX_REPEATED = 300
"""Characters of a choice that an answer may repeat."""

# Character for character, so that a column in the narrowed line is the column in the file.
_NARROW = str.maketrans({chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {"\u3000": " "})

_ALL = re.compile(r"(?:all|すべて|全て)[.。]?", re.IGNORECASE)
_LETTER = re.compile(r"[A-Za-z](?![A-Za-z0-9])")
_SEPARATOR = re.compile(r"(?:[\s,、・､･/&*_`。]|and(?![A-Za-z]))+", re.IGNORECASE)
_STOP = re.compile(r"[.):：、]?[*_`]*\s*")
_NOTE = re.compile(r"\(([^()]*)\)")
_BULLET = re.compile(r"\s*[-+*]\s+(?=\S)")
_OTHER = re.compile(r"[^\s,、・､･/&]+")
_INDENTED = re.compile(r"^(?:    |\t)|(?:\u00a0|&nbsp;){2}", re.MULTILINE)
_CODE = re.compile(
    r"^(?P<fence>[ \t]*(?P<marks>`{3,}|~{3,}))[^\n]*\n(?P<code>.*?)(?:^[ \t]*(?P=marks)[`~]*[ \t]*$|\Z)"
    r"|(?<!`)(?P<ticks>`+)(?!`)(?P<span>[^\n]*?[^\n`])(?P=ticks)(?!`)"
    r"|(?P<indented>(?:^(?:    |\t)[^\n]*(?:\n|\Z))+)"
    r"|(?P<hard>(?:\u00a0|&nbsp;){2,})",
    re.MULTILINE | re.DOTALL,
)
"""Code in lines or in a line, and spaces that are kept."""
_NUMBER = re.compile(r"(?<![\d.])\d{1,2}(?![\d.%])")


@dataclass(frozen=True)
class Answer:
    """The letters that are named and exist, and the place of the first of them."""

    letters: frozenset[str]
    line: int
    column: int


def narrow(text: str) -> str:
    """Return `text` with full-width letters, digits and marks as ASCII, as many characters as before."""
    return text.translate(_NARROW)


def comparable(text: str) -> str:
    """Return what two texts have in common when they say the same: no emphasis, width, case or spacing.

    Code says the same only where it is the same, and a line that is indented with hard spaces is as code.
    """
    pieces: list[str] = []

    def taken(match: re.Match[str]) -> str:
        pieces.append(match["code"] or match["span"] or match["indented"] or match["hard"])
        return "\0"

    words = _CODE.sub(taken, text) if "`" in text or "~~~" in text or _INDENTED.search(text) else text
    words = " ".join(re.sub(r"[*_`]", "", normalize("NFKC", words)).casefold().split())
    rest = iter(pieces)
    return re.sub("\0", lambda _: next(rest), words)


def read(lines: Sequence[str], first_line: int, choices: Mapping[str, str], report: Report) -> Answer | None:
    """Read the section's raw lines; `choices` maps letters to texts. None after reporting errors."""
    reader = _Reader(choices, report)
    for number, line in enumerate(lines, first_line):
        if line.strip():
            reader.line(narrow(line), number)
    return reader.finish(first_line)


class _Reader:
    def __init__(self, choices: Mapping[str, str], report: Report) -> None:
        self.choices = choices
        self.texts = {letter: _repeatable(text) for letter, text in choices.items()}
        self.report = report
        self.letters: list[str] = []
        self.place: tuple[int, int] | None = None
        self.notes: list[tuple[str, int, int]] = []
        self.all = False
        self.failed = False

    def line(self, text: str, number: int) -> None:
        bullet = _BULLET.match(text)
        at = bullet.end() if bullet else 0
        while at < len(text):
            if match := _SEPARATOR.match(text, at):
                at = match.end()
            elif match := _NOTE.match(text, at):
                self.notes.append((match[1], number, at + 1))
                at = match.end()
            elif not self.letters and (match := _ALL.match(text, at)):
                self.letters += sorted(self.choices)
                self.all = True
                self.place = (number, at + 1)
                at = match.end()
            elif (match := _LETTER.match(text, at)) and not self.all:
                self.name(match[0].upper(), number, at + 1)
                at = self.repeated(text, match.end(), match[0].upper())
            else:
                other = _OTHER.match(text, at)
                self.fail(number, at + 1, text[at:])
                at = len(text) if other else at + 1

    def name(self, letter: str, line: int, column: int) -> None:
        self.place = self.place or (line, column)
        if letter in self.choices:
            self.letters.append(letter)
        else:
            self.failed = True
            known = span(self.choices)
            self.report(line, column, "E012", f"the answer names {letter}, but the choices are {known}")

    def repeated(self, text: str, at: int, letter: str) -> int:
        """Step over the choice's own text after its letter, whole or up to its bracket."""
        stop = _STOP.match(text, at)
        start = stop.end() if stop else at
        for words in self.texts.get(letter, ()):
            if words and (end := _follows(text, start, words)):
                return end
        return at + 1 if text[at : at + 1] in (".", ")", ":") else at

    def fail(self, line: int, column: int, text: str) -> None:
        self.failed = True
        self.report(
            line,
            column,
            "E013",
            f'the answer should hold letters alone, such as "A, C"; found {quoted(text)}',
        )

    def finish(self, first_line: int) -> Answer | None:
        if not self.letters and not self.failed:
            self.report(first_line - 1, 1, "E011", "the answer names no choice")
            self.failed = True
        if self.failed:
            return None
        letters = frozenset(self.letters)
        for note, line, column in self.notes:
            if _contradicts(note, len(letters), len(self.choices)):
                named = f"{len(letters)} of {len(self.choices)} choices"
                self.report(
                    line,
                    column,
                    "W203",
                    f"the note {quoted(note)} contradicts the answer, which names {named}",
                )
        line, column = self.place or (first_line, 1)
        return Answer(letters, line, column)


def _repeatable(text: str) -> tuple[str, ...]:
    """Return how a choice's text may be repeated: whole or up to its bracket. Nobody repeats a long one."""
    whole = " ".join(narrow(text[:MAX_REPEATED]).split())
    return whole, whole.partition("(")[0].strip()


def _follows(text: str, start: int, words: str) -> int | None:
    """Return where `words` end if they stand at `start` (emphasis aside) and no word goes on."""
    at = start
    for char in words:
        while at < len(text) and text[at] in "*_`" and char not in "*_`":
            at += 1
        if at >= len(text) or text[at].casefold() != char.casefold():
            return None
        at += 1
    return None if text[at : at + 1].isalnum() and text[at - 1].isalnum() else at


def _contradicts(note: str, named: int, choices: int) -> bool:
    if _ALL.fullmatch(note.strip()):
        return named != choices
    numbers = _NUMBER.findall(note)
    return len(numbers) == 1 and int(numbers[0]) != named
