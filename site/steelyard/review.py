"""When a question is to be asked again: spaced repetition by FSRS, derived from a learner's answers.

Nothing of the schedule is stored. Each question is a card of py-fsrs, and the answers to it, in the order in
which they were given, are its reviews: right is rated Good, partly right and wrong are rated Again. The
scheduler has py-fsrs' default parameters (FSRS-6, retention of 90 %, steps of 1 and 10 minutes), without
the random spread of due dates, so that the same answers lead to the same dates everywhere.

A clock may have been wrong when an answer was given. The order in which answers were stored counts, whatever
their times say; an answer before the one it follows is to FSRS one of the same day. A question whose last
answer lies more than a day ahead of now was answered by a clock that was ahead, and is due at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fsrs import Card, Rating, Scheduler

AHEAD = timedelta(days=1)
"""How far the clock of an answer may have been ahead before its due date is no longer believed."""

_SCHEDULER = Scheduler(enable_fuzzing=False)


@dataclass(frozen=True)
class GivenAnswer:
    """An answer that counts for the schedule."""

    question: str
    right: bool
    answered: datetime


@dataclass(frozen=True)
class Scheduled:
    """A question that was answered before."""

    question: str
    due: datetime
    """In UTC."""
    last: datetime
    """When it was last answered, in UTC."""

    def is_due(self, now: datetime) -> bool:
        return self.due <= now or self.last - now > AHEAD


def schedule(answers: Iterable[GivenAnswer]) -> list[Scheduled]:
    """Return each question that was answered, with the date from which it is to be asked again.

    `answers` are in the order in which they were given. Its cost is linear in them. The soonest comes first.
    """
    cards: dict[str, Card] = {}
    for answer in answers:
        moment = answer.answered.astimezone(UTC)
        card = cards.get(answer.question) or Card(card_id=0, due=moment)
        rating = Rating.Good if answer.right else Rating.Again
        cards[answer.question], _ = _SCHEDULER.review_card(card, rating, moment)
    scheduled = [
        Scheduled(question, card.due, card.last_review or card.due) for question, card in cards.items()
    ]
    return sorted(scheduled, key=lambda each: (each.due, each.question))
