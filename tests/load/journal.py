"""What the learners of a load test saw: how long requests took, what went wrong, what was acknowledged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from statistics import quantiles

import sqlalchemy as sa

from steelyard import store

Place = tuple[str, str]
"""An attempt and a question."""


@dataclass
class Journal:
    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By route, of each request that was answered."""
    errors: Counter[str] = field(default_factory=Counter)
    broken_off: int = 0
    """Requests that a killed server left without an answer; each was sent again."""
    answers: dict[Place, str] = field(default_factory=dict)
    """The letters of each answer that the site said it has."""
    drafts: dict[Place, str] = field(default_factory=dict)
    """Likewise what it said it saved last in an exam."""
    acknowledged: int = 0
    """How often the site said that it has something."""

    def table(self, seconds: float) -> str:
        """Return the times by route, and what was asked in all."""
        lines = [f"{'route':34}{'requests':>9}{'p50 ms':>9}{'p95 ms':>9}{'max ms':>9}"]
        for route, times in [
            *sorted(self.milliseconds.items()),
            ("all", list(chain(*self.milliseconds.values()))),
        ]:
            cuts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else times * 19
            lines.append(f"{route:34}{len(times):9}{cuts[9]:9.0f}{cuts[18]:9.0f}{max(times):9.0f}")
        requests = sum(map(len, self.milliseconds.values()))
        lines.append(
            f"{requests / seconds:.0f} requests/s over {seconds:.0f} s, {self.acknowledged} acknowledgements"
        )
        return "\n".join(lines)


def audit(journal: Journal, database_url: str) -> list[str]:
    """Compare what was acknowledged with the store; return what is lost, other, doubled, or from nowhere."""
    engine = sa.create_engine(database_url)
    try:
        with engine.connect() as connection:
            answers = connection.execute(
                sa.select(store.Answer.attempt, store.Answer.question, store.Answer.chosen)
            )
            answered = [((row.attempt, row.question), row.chosen) for row in answers]
            drafts = connection.execute(
                sa.select(store.Draft.attempt, store.Draft.question, store.Draft.chosen).order_by(
                    store.Draft.id
                )
            )
            drafted = {(row.attempt, row.question): row.chosen for row in drafts}
    finally:
        engine.dispose()
    stored = dict(answered)
    wrong = [*_missing("answer", journal.answers, stored), *_missing("draft", journal.drafts, drafted)]
    wrong += [
        f"doubled answer: {place}" for place, times in Counter(p for p, _ in answered).items() if times > 1
    ]
    wrong += [f"answer that nobody was told of: {place}" for place in stored.keys() - journal.answers.keys()]
    return wrong


def _missing(what: str, told: Mapping[Place, str], stored: Mapping[Place, str]) -> list[str]:
    return [
        f"{what} {place}: told {letters!r}, stored {stored.get(place)!r}"
        for place, letters in told.items()
        if stored.get(place) != letters
    ]
