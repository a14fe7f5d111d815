"""What learners did: appended, never rewritten; all else is derived from it. Plain SQLAlchemy, no Flask."""

from steelyard.store.editions import Edition
from steelyard.store.engine import tune
from steelyard.store.models import Answer, Attempt, Base, Guess, Item, Learner, Version
from steelyard.store.queries import (
    Planned,
    Seat,
    Sitting,
    Tally,
    append_answer,
    append_guess,
    edition,
    sitting,
    start,
    tallies,
)

__all__ = [
    "Answer",
    "Attempt",
    "Base",
    "Edition",
    "Guess",
    "Item",
    "Learner",
    "Planned",
    "Seat",
    "Sitting",
    "Tally",
    "Version",
    "append_answer",
    "append_guess",
    "edition",
    "sitting",
    "start",
    "tallies",
    "tune",
]
