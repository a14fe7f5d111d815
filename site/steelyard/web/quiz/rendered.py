"""A question rendered to HTML, once per version and language and then cached."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from flask_babel import gettext as _
from markupsafe import Markup

from steelyard import store
from steelyard.bank.model import Choice, Edition, Question
from steelyard.bank.prose import numbers
from steelyard.evidence import Finding, Judgement, Records
from steelyard.remember import remembered
from steelyard.store import AttemptItem
from steelyard.web.app.database import db
from steelyard.web.app.state import judgements, state
from steelyard.web.text.render import render

KEPT = 256
"""Rendered questions kept by each worker; one is some tens of kilobytes."""


@dataclass(frozen=True)
class RenderedChoice:
    """One choice as HTML."""

    letter: str
    html: Markup
    correct: bool
    feedback: Markup | None


@dataclass(frozen=True)
class RenderedQuestion:
    """One question in one language, as HTML, with the evidence for its claims."""

    question: Question
    stem: Markup
    choices: Mapping[str, RenderedChoice]
    explanation: tuple[Markup, ...]
    """The general parts; feedback stands with the choices."""
    judgements: Mapping[str, Judgement]
    numbers: int
    """How many numbers of the explanation make a claim."""
    weighed: int
    """How many of these are linked to a claim that something decides."""
    figure: tuple[str, Finding] | None
    """The measured saving to be guessed before answering, with its claim's id."""
    wording_digest: str
    """The first 16 hexadecimal digits of the SHA-256 of stem and choices, not of key and feedback.

    A form with another digest was rendered from another version.
    """


def pinned_edition(item: AttemptItem) -> Edition:
    """Return the version that an attempt pinned: the bank's while that is unchanged, else the stored one."""
    edition = state().bank.questions.get(item.question)
    return edition if edition and edition.digest == item.version else store.edition(db.session, item.version)


def rendered(edition: Edition, language: str) -> RenderedQuestion:
    """Return an edition's question in this language, ready for a page."""
    return _shown(state().records, edition, language)


def unfit(question: RenderedQuestion, chosen: Collection[str]) -> str | None:
    """Return why these letters cannot be an answer to the question, worded for the learner."""
    if not set(chosen) <= set(question.choices):
        return _("One of the answers sent is not among the choices. Please choose again.")
    if question.question.type == "single" and len(set(chosen)) > 1:
        return _("This question takes one answer. Please choose one.")
    return None


@remembered(KEPT)
def _shown(records: Records, edition: Edition, language: str) -> RenderedQuestion:
    question = edition.question(language)
    judged = judgements(question.claims, records)
    language = question.language

    made = numbers(question)
    decided = {claim_id for claim_id, judgement in judged.items() if judgement.verdict != "open"}
    folder = question.id.rpartition("/")[0]
    before = partial(render, lang=language, folder=folder)
    after = partial(before, judgements=judged)

    def choice(choice: Choice) -> RenderedChoice:
        letter = choice.letter
        feedback = after(choice.feedback, prefix=f"{letter}-feedback-") if choice.feedback else None
        return RenderedChoice(letter, before(choice.text, prefix=f"{letter}-"), choice.correct, feedback)

    return RenderedQuestion(
        question,
        before(question.stem, prefix="stem-"),
        {c.letter: choice(c) for c in question.choices},
        tuple(
            after(part.text, prefix=f"part{number}-")
            for number, part in enumerate(question.explanation)
            if part.letter is None
        ),
        judged,
        len(made),
        sum(number.claim in decided for number in made),
        _figure(judged),
        question.wording_digest,
    )


def _figure(judged: Mapping[str, Judgement]) -> tuple[str, Finding] | None:
    for claim_id, judgement in judged.items():
        for finding in judgement.findings:
            test = finding.test
            weighed = finding.kind in ("gpu", "cpu") and finding.value is not None
            if weighed and test.take == "saving" and test.metric == "memory.peak_bytes":
                return claim_id, finding
    return None
