"""A question between two systems: texts as HTML, scoring by rule, pictures by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from steelyard.bank.model import Scoring

PLUGINFILE = "@@PLUGINFILE@@/"
"""How Moodle addresses a file that travels with a text; so does an item that was read."""


@dataclass(frozen=True)
class Option:
    """One choice."""

    html: str
    correct: bool
    feedback: str = ""
    """As HTML; empty for none."""


@dataclass(frozen=True)
class Item:
    """One question. Every text but title and tags is HTML."""

    id: str
    """`lora/rank`; of a question that was read, what its file calls it, or nothing."""
    title: str
    stem: str
    options: tuple[Option, ...]
    explanation: str
    single: bool
    """Radio buttons, else checkboxes."""
    scoring: Scoring
    shuffle: bool = True
    tags: tuple[str, ...] = ()
    """Also techniques and difficulty: `technique:lora`, `difficulty:2`."""
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """File name → content. A text addresses one by `PLUGINFILE` and its name, quoted as in URLs."""
    line: int = 1
    """Where it begins in the file that it was read from."""
    category: str = ""
    """The category that its file put it in: `Algebra/Linear`."""

    @property
    def keys(self) -> int:
        """How many choices are right."""
        return sum(option.correct for option in self.options)


@dataclass(frozen=True, order=True)
class Note:
    """Something to tell about a line of a file that was read."""

    line: int
    message: str


@dataclass
class Reading:
    """What came of a file: its questions, what was left out or changed, and what makes it unreadable."""

    items: list[Item] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    errors: list[Note] = field(default_factory=list)
    title: str | None = None
    """Of the first category that the file names."""
    introduction: str = ""
    """What the file says about that category, as HTML."""
    category: str = ""
    """The category of the questions that are read now."""
    categories: dict[str, int] = field(default_factory=dict)
    """Every category → the line that names it first."""
    left_out: int = 0
    """How many questions of the file were left out; each has its note."""

    def note(self, line: int, message: str) -> None:
        self.notes.append(Note(line, message))

    def error(self, line: int, message: str) -> None:
        self.errors.append(Note(line, message))

    def leave_out(self, line: int, title: str, why: str) -> None:
        """Count and tell a question that is left out."""
        self.left_out += 1
        name = f' "{title}"' if title else ""
        self.note(line, f"question{name} is left out: {why}")
