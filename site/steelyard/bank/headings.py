"""The headings of a question's sections by language. A new language is one row."""

from __future__ import annotations

import re
from typing import Literal, get_args
from unicodedata import normalize

Section = Literal["question", "choices", "answer", "explanation"]
SECTIONS: tuple[Section, ...] = get_args(Section)

HEADINGS: dict[str, tuple[str, str, str, str]] = {
    "en": ("Question", "Choices", "Answer", "Explanation"),
    "ja": ("問題", "選択肢", "正解", "解説"),
}

_BY_NAME: dict[str, tuple[str, Section]] = {
    name.casefold(): (language, section)
    for language, names in HEADINGS.items()
    for section, name in zip(SECTIONS, names, strict=True)
}
_HASHES = re.compile(r" {0,3}[#＃]{1,6}(.+)")


def recognise(heading: str) -> tuple[str, Section] | None:
    """Return the language and the section that a heading's text names; bold and a colon do not matter."""
    name = normalize("NFKC", heading).strip(" *_:#").casefold()
    return _BY_NAME.get(name)


def miswritten(line: str) -> tuple[str, Section] | None:
    """Return what a raw line names that was meant as a section's heading: some hashes, then a name."""
    match = _HASHES.fullmatch(line.rstrip())
    return recognise(match[1]) if match else None


def heading(section: Section, language: str) -> str:
    """Return how the section's heading is written in this language: `## Choices`."""
    return f"## {HEADINGS[language][SECTIONS.index(section)]}"
