"""A question made ready for pages: rendered once per version and language, and then looked up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from steelyard import store
from steelyard.bank.model import Choice, Question
from steelyard.bank.prose import numbers
from steelyard.evidence import Finding, Judgement, Records
from steelyard.remember import remembered
from steelyard.store import Edition, Seat
from steelyard.web.app.database import db
from steelyard.web.app.state import judgements, state
from steelyard.web.text.render import render

KEPT = 256
"""Rendered questions kept by each worker; one is some tens of kilobytes."""


@dataclass(frozen=True)
class ShownChoice:
    letter: str
    html: Markup
    correct: bool
    feedback: Markup | None


@dataclass(frozen=True)
class Shown:
    """One question in one language, as HTML, with the evidence for its claims."""

    question: Question
    stem: Markup
    choices: Mapping[str, ShownChoice]
    explanation: tuple[Markup, ...]
    """The general parts; feedback stands with the choices."""
    judgements: Mapping[str, Judgement]
    numbers: int
    """How many numbers of the explanation make a claim."""
    weighed: int
    """How many of these are linked to a claim that something decides."""
    figure: tuple[str, Finding] | None
    """The measured saving to be guessed before answering, with its claim's id."""
    face: str
    """Digits by which a change of the visible part shows. Key and feedback have no part in them."""


def pinned(seat: Seat) -> Edition:
    """Return the version that an attempt pinned: the bank's while that is unchanged, else the stored one."""
    twins = state().bank.questions.get(seat.question)
    edition = Edition(twins) if twins else None
    return edition if edition and edition.digest == seat.version else store.edition(db.session, seat.version)


def shown(edition: Edition, language: str) -> Shown:
    """Return an edition's question in this language, ready for a page."""
    return _shown(state().records, edition, language)


@remembered(KEPT)
def _shown(records: Records, edition: Edition, language: str) -> Shown:
    question = edition.question(language)
    found = judgements(question.claims, records)
    language = question.language

    made = numbers(question)
    decided = {id for id, judgement in found.items() if judgement.verdict != "open"}
    folder = question.id.rpartition("/")[0]
    before = partial(render, lang=language, folder=folder)
    after = partial(before, judgements=found)

    def choice(choice: Choice) -> ShownChoice:
        letter = choice.letter
        feedback = after(choice.feedback, prefix=f"{letter}-feedback-") if choice.feedback else None
        return ShownChoice(letter, before(choice.text, prefix=f"{letter}-"), choice.correct, feedback)

    return Shown(
        question,
        before(question.stem, prefix="stem-"),
        {c.letter: choice(c) for c in question.choices},
        tuple(
            after(part.text, prefix=f"part{number}-")
            for number, part in enumerate(question.explanation)
            if part.letter is None
        ),
        found,
        len(made),
        sum(number.claim in decided for number in made),
        _figure(found),
        _face(question),
    )


def _figure(found: Mapping[str, Judgement]) -> tuple[str, Finding] | None:
    for id, judgement in found.items():
        for finding in judgement.findings:
            test = finding.test
            weighed = finding.kind in ("gpu", "cpu") and finding.value is not None
            if weighed and test.take == "saving" and test.metric == "memory.peak_bytes":
                return id, finding
    return None


def _face(question: Question) -> str:
    visible = [question.type, question.stem.source]
    for choice in question.choices:
        visible += [choice.letter, choice.text.source]
    return hashlib.sha256("\0".join(visible).encode()).hexdigest()[:16]
