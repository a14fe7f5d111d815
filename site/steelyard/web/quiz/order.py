"""The order in which choices are shown."""

from __future__ import annotations

import random

from steelyard.bank.model import Question


def shuffled(question: Question, attempt: str) -> str:
    """Return the choices' letters in this attempt's order; in the file's where the question asks for that.

    Nothing secret hangs on the order, and the same attempt draws the same one, so that a page can be reloaded
    before the attempt is stored.
    """
    letters = list(question.letters)
    if question.shuffle:
        random.Random(f"{attempt}/{question.id}").shuffle(letters)  # noqa: S311
    return "".join(letters)
