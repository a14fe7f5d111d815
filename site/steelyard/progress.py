"""A learner's progress: scores by technique and week, and the errors of guesses. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import fmean, median

from memlab.results.techniques import place


@dataclass(frozen=True)
class Answered:
    """An answer that was graded."""

    question: str
    score: float
    """From 0 to 1."""
    answered: datetime


@dataclass(frozen=True)
class Guessed:
    """A guess, and what it was compared with."""

    question: str
    value: float
    """A fraction, as is `measured`."""
    measured: float

    @property
    def error(self) -> float:
        """How far the guess lies above (+) or below (-) what was measured."""
        return self.value - self.measured


@dataclass
class ScoreSum:
    """Scores added up."""

    score: float = 0.0
    questions: int = 0

    def add(self, score: float) -> None:
        self.score += score
        self.questions += 1

    @property
    def share(self) -> float:
        return self.score / self.questions


@dataclass
class TechniqueProgress:
    """The questions about one technique."""

    name: str
    first: ScoreSum = field(default_factory=ScoreSum)
    """Of the first answer to each question."""
    latest: ScoreSum = field(default_factory=ScoreSum)
    """Of the latest answer to each question."""
    weeks: dict[date, ScoreSum] = field(default_factory=dict)
    """The first answers by the week in which they were given, named by its Monday (UTC)."""


@dataclass(frozen=True)
class Calibration:
    """How well figures were guessed: the first guess for each question."""

    guesses: tuple[Guessed, ...]

    @property
    def median_error(self) -> float:
        """The median of the absolute errors, a fraction."""
        return median(abs(guess.error) for guess in self.guesses)

    @property
    def bias(self) -> float:
        """The mean error: above 0, savings were guessed too high."""
        return fmean(guess.error for guess in self.guesses)


def by_technique(
    answers: Iterable[Answered], techniques: Callable[[str], Sequence[str]]
) -> tuple[TechniqueProgress, ...]:
    """Add up the scores of each technique, in reading order.

    `answers` are in the order in which they were given; `techniques` says what a question is about.
    """
    first: dict[str, Answered] = {}
    latest: dict[str, Answered] = {}
    for answer in answers:
        first.setdefault(answer.question, answer)
        latest[answer.question] = answer
    by_name: dict[str, TechniqueProgress] = {}
    for question, answer in first.items():
        for name in techniques(question):
            technique = by_name.setdefault(name, TechniqueProgress(name))
            technique.first.add(answer.score)
            technique.latest.add(latest[question].score)
            technique.weeks.setdefault(monday(answer.answered), ScoreSum()).add(answer.score)
    return tuple(by_name[name] for name in sorted(by_name, key=place))


def weeks(techniques: Iterable[TechniqueProgress], most: int) -> list[date]:
    """Return the latest weeks, at most so many, in which a question was answered for the first time."""
    return sorted({week for technique in techniques for week in technique.weeks})[-most:]


def calibration(guesses: Iterable[Guessed]) -> Calibration | None:
    """Return how well figures were guessed; None without a guess.

    Once the figure was seen it is remembered rather than guessed, so the first guess for a question counts.
    `guesses` are in the order in which they were made.
    """
    first: dict[str, Guessed] = {}
    for guess in guesses:
        first.setdefault(guess.question, guess)
    return Calibration(tuple(first.values())) if first else None


def monday(moment: datetime) -> date:
    """Return the Monday of a moment's week, in UTC."""
    day = moment.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())
