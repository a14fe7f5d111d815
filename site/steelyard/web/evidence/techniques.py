"""The technique map, and one page per demo script: what it changes, and what that weighed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flask import Blueprint, abort, current_app, render_template
from markupsafe import Markup

from memlab.results.record import Record
from memlab.results.techniques import BASELINE
from steelyard.bank.model import Bank, Question, Text
from steelyard.claims import Claim
from steelyard.evidence import Judgement
from steelyard.evidence.workloads import works_of
from steelyard.web.app.languages import language
from steelyard.web.app.state import judgements, state
from steelyard.web.evidence.cards import weighed_claims
from steelyard.web.evidence.labels import arm_words
from steelyard.web.evidence.side_by_side import Table, furthest, tables
from steelyard.web.evidence.source_diff import Line, changes, listing
from steelyard.web.evidence.technique_figures import figures
from steelyard.web.text import technique_texts
from steelyard.web.text.render import render

bp = Blueprint("techniques", __name__)

RUN_PANEL = "steelyard.run_panel"
"""The application's extension that says, for a technique, what its page offers for running it."""


@dataclass(frozen=True)
class Entry:
    """A technique as the map shows it."""

    name: str
    page: technique_texts.Page
    lead: Markup | None
    tables: tuple[Table, ...]
    scale: tuple[Table, ...]


@bp.get("/techniques")
def index() -> str:
    """Show every technique with what it saved, in which precision and on which device."""
    entries = [
        Entry(
            name, page, render(page.lead, lang=page.language) if page.lead else None, found, furthest(found)
        )
        for name in technique_texts.techniques()
        for page, found in [(technique_texts.page(name, language()), _head(name))]
    ]
    return render_template(
        "techniques/index.html",
        entries=entries,
        problems=() if state().settings.public else state().records.problems,
    )


@bp.get("/techniques/<name>")
def show(name: str) -> str:
    """Show one technique: its text, its script, its figures, and the claims made about it."""
    if name not in technique_texts.techniques():
        abort(404)
    page = technique_texts.page(name, language())
    claims = judgements(tuple(_claims(name, page, state().bank)))
    source = technique_texts.script(name)
    return render_template(
        "techniques/show.html",
        name=name,
        page=page,
        lead=_rendered(page.lead, page, claims),
        text=_rendered(page.body, page, claims),
        tables=_head(name),
        scale=furthest(_head(name)),
        figures=figures(name),
        fruitless=_fruitless(name),
        listing=listing(source),
        changes=_changes(name, source),
        claims=weighed_claims(claims.values()),
        panel=current_app.extensions[RUN_PANEL](name) if RUN_PANEL in current_app.extensions else None,
        questions=_questions(name, state().bank),
    )


def _head(name: str) -> tuple[Table, ...]:
    """Return the tables of the work that heads a technique's page."""
    return next((tables(name, work) for work in works_of(name, state().records)), ())


def _fruitless(name: str) -> list[tuple[str, Record, str]]:
    """Return the runs of a technique that ended without a figure: id, record, and what tells it apart."""
    return [
        (id, record, arm_words(record.setup))
        for id, record in state().records.by_id.items()
        if record.technique == name and record.status != "ok" and record.setup.rank_index is None
    ]


def _changes(name: str, source: str) -> tuple[tuple[Line, ...], ...]:
    if name == BASELINE or BASELINE not in technique_texts.techniques():
        return ()
    return changes(technique_texts.script(BASELINE), source)


def _rendered(
    text: Text | None, page: technique_texts.Page, claims: Mapping[str, Judgement]
) -> Markup | None:
    return render(text, lang=page.language, judgements=claims, heading=2) if text else None


def _questions(technique: str, bank: Bank) -> list[Question]:
    asked = (bank.question(id, language()) for id in sorted(bank.practice))
    return [question for question in asked if question and technique in question.techniques]


def _claims(technique: str, page: technique_texts.Page, bank: Bank) -> Iterator[Claim]:
    """Yield what is claimed about a technique: what is tested on its runs, and what its text links to."""
    written = "".join(text.source for text in (page.lead, page.body) if text)
    linked = set(re.findall(r"\]\(#([a-z0-9-]+)\)", written))
    for claim in _first_of_each_id(bank):
        if claim.id in linked or any(test.of and test.of["technique"] == technique for test in claim.tests):
            yield claim


def _first_of_each_id(bank: Bank) -> Iterable[Claim]:
    found: dict[str, Claim] = {}
    for id in sorted(bank.practice):
        question = bank.question(id, language())
        for claim in question.claims if question else ():
            found.setdefault(claim.id, claim)
    return found.values()
