"""The text of the technique pages: `<technique>.<lang>.md` in the pages' folder, by the scripts' names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flask import g

from memlab.results.techniques import place
from steelyard.bank.model import Text
from steelyard.web.app.languages import language
from steelyard.web.app.state import state

_SCRIPT = re.compile(r"[a-z][a-z0-9_]{0,39}")
_HEADING = re.compile(r"# +(.+?)(?: +#+)?\s*\n")


@dataclass(frozen=True)
class Page:
    """The text about a technique, in one language. A script without a text has only a title, its name."""

    title: str
    language: str
    lead: Text | None = None
    """The first paragraph."""
    body: Text | None = None
    """What follows the first paragraph."""


def techniques() -> tuple[str, ...]:
    """Return the demos' names, in the order in which they are best read. A new script is a new page."""
    names = {path.stem for path in state().settings.demos.glob("*.py") if _SCRIPT.fullmatch(path.stem)}
    return tuple(sorted(names, key=place))


def script(technique: str) -> str:
    """Return the source of a demo script. Raises OSError."""
    return (state().settings.demos / f"{technique}.py").read_text(encoding="utf-8", errors="replace")


def page(technique: str, language: str) -> Page:
    """Return the text about a technique in this language, else in English."""
    known = _SCRIPT.fullmatch(technique)  # an author may name anything
    for wanted in dict.fromkeys((language, "en")) if known else ():
        path = state().settings.pages / f"{technique}.{wanted}.md"
        try:
            return _read(path, path.stat().st_mtime_ns, wanted)
        except (OSError, UnicodeDecodeError):  # none, or none to be read: the figures stand alone
            continue
    return Page(technique.replace("_", " "), language)


def stamp() -> tuple[tuple[str, int], ...]:
    """Return what changes when one of the texts does; looked up once a request."""
    if "technique_texts" not in g:
        try:
            entries = list(os.scandir(state().settings.pages))
        except OSError:
            entries = []
        g.technique_texts = tuple(sorted((entry.name, _changed(entry)) for entry in entries))
    found: tuple[tuple[str, int], ...] = g.technique_texts
    return found


def _changed(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_mtime_ns
    except OSError:
        return 0


def title(technique: object) -> str:
    """Return what the page about a technique calls it, in the language of this page."""
    return page(str(technique), language()).title


def within_a_sentence(title: str) -> str:
    """Return a title without its first capital, unless that belongs to a name: `full fine-tuning`, `LoRA`."""
    first, space, rest = title.partition(" ")
    return f"{first.lower() if first.istitle() else first}{space}{rest}"


@lru_cache(maxsize=64)
def _read(path: Path, changed: int, language: str) -> Page:
    source = path.read_text(encoding="utf-8-sig").strip()
    title = path.name.split(".")[0].replace("_", " ")
    if heading := _HEADING.match(source):
        title, source = heading[1], source[heading.end() :].lstrip()
    lead, _blank, body = source.partition("\n\n")
    return Page(title, language, Text(lead), Text(body))
