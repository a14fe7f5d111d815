"""Item analysis by classical test theory, with the definitions of Moodle's quiz statistics. Pure functions.

The source is MoodleDocs, "Quiz statistics calculations". A variance divides by S - 1, where S is the count of
attempts, and what compares a question with the others looks only at attempts that answered every question.

* **facility**: the mean score, as a fraction of the maximum.
* **standard deviation**: of the scores to the question, with S - 1.
* **discrimination** (corrected): the correlation of the question's score with the rest score, the sum
  of the scores to the other questions. Moodle's "discrimination index", as a fraction.
* **efficiency** (discriminative): that covariance as a fraction of the largest one possible, which both lists
  of scores would have if each were sorted.
* **point-biserial** of a choice: the correlation of its being ticked (1 or 0) with the rest score.
* **alpha** (Cronbach's; "coefficient of internal consistency"): p/(p - 1) (1 - sum of the variances
  / variance of the totals) for p questions.

What is not defined, for want of two attempts or of any spread, is None. Scores are small fractions stored as
floating-point numbers; they are summed as the fractions they stand for: rounding is never taken for spread.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm, sqrt

DENOMINATOR = 26 * 26
"""The largest that a score can have: `coverage` multiplies two fractions of at most 26 letters."""


@dataclass(frozen=True)
class Response:
    """One answer within one attempt. A blank that was handed in has no letters and scores 0."""

    attempt: str
    question: str
    version: str
    chosen: str
    score: float
    """As it was graded, from 0 to 1, also of a question that is regraded: that one is in no total."""


@dataclass(frozen=True)
class RemovedAnswers:
    """Answers of learners who deleted their data: only how many chose which letters is left."""

    question: str
    version: str
    chosen: str
    answers: int


@dataclass
class ChoiceStatistics:
    """A choice, over the versions of its question in which its letter has the same text."""

    letter: str
    wording: dict[str, str]
    """Language → text."""
    versions: set[str]
    is_key: bool
    """In the latest of these versions."""
    is_current: bool
    """Whether the latest version has it."""
    n: int = 0
    """Answers to these versions, removed ones included."""
    ticked: int = 0
    removed: int = 0
    """How many of the `n` were of learners who deleted their data since."""
    compared: int = 0
    """Complete attempts that answered these versions."""
    point_biserial: float | None = None

    @property
    def share(self) -> float | None:
        """Of the answers, those that ticked it; None without an answer."""
        return self.ticked / self.n if self.n else None


@dataclass(frozen=True)
class ItemStatistics:
    """The statistics of one question."""

    question: str
    in_total: bool
    """Whether the quiz asks it, so that it is part of the totals."""
    n: int
    """Answers, removed ones left out."""
    facility: float | None
    deviation: float | None
    complete: int
    """Attempts that enter discrimination, efficiency and point-biserials."""
    discrimination: float | None
    efficiency: float | None
    choices: tuple[ChoiceStatistics, ...] = ()


@dataclass(frozen=True)
class QuizStatistics:
    """The statistics of a whole quiz."""

    complete: int
    """Attempts that answered every question the quiz asks."""
    maximum: int
    mean: float | None
    """Of the totals."""
    deviation: float | None
    alpha: float | None


@dataclass(frozen=True)
class Wording:
    """What a version of a question says of its choices."""

    version: str
    texts: Mapping[str, Mapping[str, str]]
    """Letter → language → text."""
    key: frozenset[str]


@dataclass(frozen=True)
class Analysis:
    """The statistics of a quiz and of its questions."""

    quiz: QuizStatistics
    items: Mapping[str, ItemStatistics] = field(default_factory=dict)
    """By question: those that the quiz asks, in its order, and then others that its attempts asked."""


# ---- definitions ------------------------------------------------------------------------------------------


def mean(values: Sequence[Fraction]) -> float | None:
    """Return the mean; None without a value."""
    return float(sum(values) / len(values)) if values else None


def deviation(values: Sequence[Fraction]) -> float | None:
    """Return the standard deviation with S - 1; None for fewer than two values."""
    (whole,), scale = _integers([values])
    n = len(whole)
    return sqrt(_spread(whole, whole) / (n * (n - 1))) / scale if n > 1 else None


def correlation(xs: Sequence[Fraction], ys: Sequence[Fraction]) -> float | None:
    """Return Pearson's correlation; None for fewer than two pairs, or when either does not vary."""
    (a, b), _scale = _integers([xs, ys])
    spread_a, spread_b = _spread(a, a), _spread(b, b)
    return _spread(a, b) / (sqrt(spread_a) * sqrt(spread_b)) if spread_a and spread_b else None


def efficiency(xs: Sequence[Fraction], ys: Sequence[Fraction]) -> float | None:
    """Return the covariance as a fraction of the largest that these values allow; None where that is 0."""
    (a, b), _scale = _integers([xs, ys])
    largest = _spread(sorted(a), sorted(b))
    return _spread(a, b) / largest if largest else None


def alpha(rows: Sequence[Sequence[Fraction]]) -> float | None:
    """Return Cronbach's alpha of attempts (rows) by questions; None when it is not defined."""
    questions = len(rows[0]) if rows else 0
    whole, _scale = _integers(rows)
    totals = [sum(row) for row in whole]
    spread = _spread(totals, totals)
    if questions < 2 or not spread:
        return None
    parts = sum(_spread(column, column) for column in zip(*whole, strict=True))
    return questions / (questions - 1) * (1 - parts / spread)


def _integers(rows: Sequence[Sequence[Fraction]]) -> tuple[list[list[int]], int]:
    """Return the rows as whole numbers of a common fraction, and how many of these make 1."""
    scale = lcm(*{value.denominator for row in rows for value in row})
    return [[value.numerator * (scale // value.denominator) for value in row] for row in rows], scale


def _spread(xs: Sequence[int], ys: Sequence[int]) -> int:
    """Return n times the sum of the products of the deviations from the means, which is a whole number."""
    return len(xs) * sum(x * y for x, y in zip(xs, ys, strict=True)) - sum(xs) * sum(ys)


# ---- the analysis -----------------------------------------------------------------------------------------


def analyse(
    responses: Iterable[Response],
    asked: Sequence[str],
    wordings: Mapping[str, Sequence[Wording]],
    removed: Iterable[RemovedAnswers] = (),
) -> Analysis:
    """Analyse a quiz.

    `asked` names the questions whose scores make the total, in the quiz's order; `wordings` the versions of
    each question, the latest first. Removed answers enter nothing but the counts of choices.
    """
    by_question: dict[str, list[Response]] = defaultdict(list)
    by_attempt: dict[str, dict[str, Response]] = defaultdict(dict)
    for response in responses:
        by_question[response.question].append(response)
        by_attempt[response.attempt][response.question] = response
    gone: dict[str, list[RemovedAnswers]] = defaultdict(list)
    for rest in removed:
        gone[rest.question].append(rest)
    complete = {
        attempt: [_exact(answered[question].score) for question in asked]
        for attempt, answered in by_attempt.items()
        if asked and all(question in answered for question in asked)
    }
    totals = {attempt: sum(scores, Fraction(0)) for attempt, scores in complete.items()}
    others = sorted({*by_question, *gone} - set(asked))
    items = {
        question: _item(
            question,
            by_question[question],
            gone[question],
            totals,
            wordings.get(question, ()),
            question in asked,
        )
        for question in (*asked, *others)
    }
    values = list(totals.values())
    quiz = QuizStatistics(
        len(values), len(asked), mean(values), deviation(values), alpha(list(complete.values()))
    )
    return Analysis(quiz, items)


def _item(
    question: str,
    responses: Sequence[Response],
    removed: Sequence[RemovedAnswers],
    totals: Mapping[str, Fraction],
    wordings: Sequence[Wording],
    in_total: bool,
) -> ItemStatistics:
    scores = [_exact(response.score) for response in responses]
    compared = [response for response in responses if in_total and response.attempt in totals]
    own = [_exact(response.score) for response in compared]
    rest = [totals[response.attempt] - score for response, score in zip(compared, own, strict=True)]
    choices = tuple(_choices(wordings))
    for choice in choices:
        _count(choice, responses, removed)
        pairs = [(r, y) for r, y in zip(compared, rest, strict=True) if r.version in choice.versions]
        choice.compared = len(pairs)
        choice.point_biserial = correlation(
            [Fraction(choice.letter in response.chosen) for response, _ in pairs], [y for _, y in pairs]
        )
    return ItemStatistics(
        question,
        in_total,
        len(scores),
        mean(scores),
        deviation(scores),
        len(compared),
        correlation(own, rest),
        efficiency(own, rest),
        choices,
    )


def _choices(wordings: Sequence[Wording]) -> list[ChoiceStatistics]:
    """Return the choices by letter, the latest text first; versions share one where its text is equal."""
    choices: list[ChoiceStatistics] = []
    for age, wording in enumerate(wordings):
        for letter, texts in wording.texts.items():
            choice = next((c for c in choices if c.letter == letter and _same(c.wording, texts)), None)
            if choice is None:
                choice = ChoiceStatistics(letter, {}, set(), letter in wording.key, age == 0)
                choices.append(choice)
            choice.versions.add(wording.version)
            choice.wording = {**texts, **choice.wording}
    return sorted(choices, key=lambda choice: choice.letter)


def _same(texts: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Say whether two versions word a choice alike, in every language that both have."""
    shared = texts.keys() & others.keys()
    return bool(shared) and all(texts[language] == others[language] for language in shared)


def _count(
    choice: ChoiceStatistics, responses: Sequence[Response], removed: Sequence[RemovedAnswers]
) -> None:
    counts: Counter[bool] = Counter(
        choice.letter in response.chosen for response in responses if response.version in choice.versions
    )
    for rest in removed:
        if rest.version in choice.versions:
            counts[choice.letter in rest.chosen] += rest.answers
            choice.removed += rest.answers
    choice.n = counts.total()
    choice.ticked = counts[True]


def _exact(score: float) -> Fraction:
    return Fraction(score).limit_denominator(DENOMINATOR)
