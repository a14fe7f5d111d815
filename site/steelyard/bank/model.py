"""What a question file says, as data. Every element knows the line of the file on which it begins (from 1).

This module is the contract between the bank and all who read questions: grading, store, exchange, pages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import TypeAdapter

from steelyard.bank.places import Places
from steelyard.claims import Claim
from steelyard.problems import Problem

Scoring = Literal[
    "all-or-nothing",
    "balanced",
    "each-answer",
    "proportional-correct",
    "net-correct",
    "coverage",
    "equal-parts",
]

Regrade = Literal["void", "credit-all"]
"""What became of a question that turned out broken: it counts in no total, or is credited to everybody."""

T = TypeVar("T")

ROOT_QUIZ = "questions"
"""The slug of the quiz made of the files that lie in the bank's folder itself."""


@dataclass(frozen=True)
class Text:
    """A piece of Markdown as it stands in the file."""

    source: str
    line: int = 1


@dataclass(frozen=True)
class Choice:
    """One choice of a question."""

    letter: str
    """`A`, `B`, …"""
    text: Text
    """Without the letter. Blocks that follow the choice belong to it."""
    correct: bool
    feedback: Text | None = None


@dataclass(frozen=True)
class Part:
    """A piece of the explanation: general text, or (with a letter) the feedback of a choice."""

    letter: str | None
    text: Text
    """Of a feedback part without its heading."""


@dataclass(frozen=True)
class Question:
    """One question in one language."""

    id: str
    """The path below the bank's folder without suffix and language: `lora/rank`."""
    language: str
    path: str
    """Of the file, as shown to people: relative, never a server's path."""
    title: str
    stem: Text
    choices: tuple[Choice, ...]
    explanation: tuple[Part, ...]
    """In the order of the file."""
    type: Literal["single", "multiple"]
    scoring: Scoring
    shuffle: bool = True
    techniques: tuple[str, ...] = ()
    difficulty: int | None = None
    tags: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    regrade: Regrade | None = None
    """Set when the question turned out broken. It is then asked in no new attempt."""

    @property
    def letters(self) -> tuple[str, ...]:
        return tuple(choice.letter for choice in self.choices)

    @property
    def key(self) -> frozenset[str]:
        """The letters of the right choices."""
        return frozenset(choice.letter for choice in self.choices if choice.correct)

    def choice(self, letter: str) -> Choice:
        """Return the choice with this letter. Raises KeyError."""
        for choice in self.choices:
            if choice.letter == letter:
                return choice
        raise KeyError(letter)

    def claim(self, claim_id: str) -> Claim:
        """Return the claim with this id. Raises KeyError."""
        for claim in self.claims:
            if claim.id == claim_id:
                return claim
        raise KeyError(claim_id)

    def to_json(self) -> bytes:
        """Return the whole question, so that a graded version can be stored, shown and regraded later.

        How it is regraded is no part of what was asked and answered, and stays in the file alone.
        """
        return _QUESTION.dump_json(self, exclude={"regrade"}, exclude_defaults=True)

    @classmethod
    def from_json(cls, data: bytes | str) -> Question:
        """Read what `to_json` wrote. Raises ValueError."""
        return _QUESTION.validate_json(data)

    @cached_property
    def version(self) -> str:
        """The sha256 of `to_json`, in hexadecimal digits: equal versions are equal questions."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @cached_property
    def wording_digest(self) -> str:
        """Sixteen hexadecimal digits that tell what is asked, wherever its file lies: kind, stem, choices."""
        visible = [self.type, self.stem.source]
        for choice in self.choices:
            visible += [choice.letter, choice.text.source]
        return hashlib.sha256("\0".join(visible).encode()).hexdigest()[:16]


_QUESTION: TypeAdapter[Question] = TypeAdapter(Question)


class Edition(Mapping[str, Question]):
    """A question in its languages (language → question, never empty) as its files stood at one moment.

    They agree in everything but words. Equal content is equal, by its digest.
    """

    def __init__(self, questions: Mapping[str, Question]) -> None:
        self._questions = questions

    def __getitem__(self, language: str) -> Question:
        return self._questions[language]

    def __iter__(self) -> Iterator[str]:
        return iter(self._questions)

    def __len__(self) -> int:
        return len(self._questions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Edition) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """A sha256 in hexadecimal digits; equal digests are equal content, key and feedback included."""
        versions = sorted((language, question.version) for language, question in self.items())
        return hashlib.sha256(json.dumps(versions).encode()).hexdigest()

    @property
    def first(self) -> Question:
        """Any of the questions, for what they agree in."""
        return next(iter(self.values()))

    def question(self, language: str) -> Question:
        """Return the question in this language, else in English, else in any."""
        return self.get(language) or self.get("en") or self.first

    def to_json(self) -> str:
        """Return the edition as the store keeps it: an object of each language's `Question.to_json`."""
        return json.dumps({language: question.to_json().decode() for language, question in self.items()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises ValueError."""
        return cls({language: Question.from_json(data) for language, data in json.loads(text).items()})


ExamAvailability = Literal["open", "not_yet", "closed", "unreadable"]
"""Whether an exam can be started; `unreadable` while its description has problems."""


@dataclass(frozen=True)
class Exam:
    """How a quiz is taken as an exam."""

    only: bool = False
    """Whether it is taken in no other way. Its questions are then shown to nobody who does not take it."""
    minutes: int | None = None
    """The time limit."""
    opens: datetime | None = None
    """Of an exam-only quiz: when it can be started. In the zone that its author wrote."""
    closes: datetime | None = None
    """Of an exam-only quiz: when it ends for all, and its results are told."""
    members_only: bool = False
    """Whether only members of a class may begin it."""
    unreadable: bool = False
    """Whether the front matter speaks of an exam and cannot be read: it stays shut until that is mended."""

    def availability(self, now: datetime) -> ExamAvailability:
        """Return whether the exam can be started at this moment."""
        if self.unreadable:
            return "unreadable"
        if self.opens and now < self.opens:
            return "not_yet"
        return "closed" if self.closes and now >= self.closes else "open"


@dataclass(frozen=True)
class Quiz:
    """The questions of one folder, in order."""

    slug: str
    """The folder's path below the bank's folder; `questions` for the bank's folder itself."""
    titles: Mapping[str, str]
    """Language → title."""
    introductions: Mapping[str, Text]
    questions: tuple[str, ...]
    """Ids, without those that are asked no more because they are regraded."""
    exam: Exam = Exam()

    def title(self, language: str) -> str:
        """Return the title in this language, else in English, else in any."""
        return _pick(self.titles, language) or self.slug

    def introduction(self, language: str) -> Text | None:
        return _pick(self.introductions, language)


@dataclass(frozen=True)
class Bank:
    """Every question of a folder, and every problem of its files. A bad file never hides the good ones."""

    questions: Mapping[str, Edition] = field(default_factory=dict)
    """Id → the question in its languages."""
    quizzes: Mapping[str, Quiz] = field(default_factory=dict)
    """Slug → quiz."""
    problems: tuple[Problem, ...] = ()
    broken: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    """Id → the problems of its files that could not be read as a question, to be shown in its place."""
    root: Path = Path()
    """The folder that was read; for finding files beside a question, never for showing."""
    exams: Mapping[str, Exam] = field(default_factory=dict)
    """Slug → how it is taken as an exam, of every folder with a `_quiz` file, even one that asks nothing."""
    places: Mapping[str, Places] = field(default_factory=dict)
    """Path of a question's file, as shown → where its front matter has what."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """Language → what the whole is called, by the `_quiz` of the bank's folder itself."""
    introductions: Mapping[str, Text] = field(default_factory=dict)
    """Language → what that file says below the title."""

    def title(self, language: str) -> str | None:
        """Return the bank's title in this language, else in English, else in any; None without one."""
        return _pick(self.titles, language)

    def introduction(self, language: str) -> Text | None:
        """Return what introduces the bank, likewise."""
        return _pick(self.introductions, language)

    @cached_property
    def names_techniques(self) -> bool:
        """Whether a question names a technique of the lab or makes a claim that records decide."""
        return any(edition.first.techniques or edition.first.claims for edition in self.questions.values())

    @cached_property
    def practice(self) -> Mapping[str, Edition]:
        """The questions for everybody to see, practise and review.

        All but those of exam-only quizzes, and those that are asked no more because they are regraded.
        """
        return {
            question_id: edition
            for question_id, edition in self.questions.items()
            if not self.is_exam_only(question_id) and not self.regrade(question_id)
        }

    def is_exam_only(self, question_id: str) -> bool:
        """Return whether only those who take its quiz as an exam may see this question."""
        exam = self.exams.get(slug_of(question_id))
        return exam is not None and exam.only

    def question(self, question_id: str, language: str) -> Question | None:
        """Return the question in this language, else in English, else in any; None without such an id."""
        edition = self.questions.get(question_id)
        return edition.question(language) if edition else None

    @cached_property
    def regraded(self) -> frozenset[str]:
        """The ids of the questions that turned out broken."""
        return frozenset(question_id for question_id in self.questions if self.regrade(question_id))

    def regrade(self, question_id: str) -> Regrade | None:
        """Return how the answers to a question are regraded, as its file says now."""
        edition = self.questions.get(question_id)
        return edition.first.regrade if edition else None


def slug_of(question_id: str) -> str:
    """Return the slug of the quiz that a question belongs to."""
    return question_id.rpartition("/")[0] or ROOT_QUIZ


def _pick(by_language: Mapping[str, T], language: str) -> T | None:
    for wanted in (language, "en", *sorted(by_language)):
        if wanted in by_language:
            return by_language[wanted]
    return None
