"""The technique map, and one page per demo script: its source, figures and claims."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flask import Blueprint, abort, current_app, render_template
from markupsafe import Markup

from memlab.results.costs import Cost
from memlab.results.record import Record
from memlab.results.techniques import BASELINE
from steelyard.bank.model import Bank, Question, Text
from steelyard.claims import Claim
from steelyard.evidence import Judgement
from steelyard.evidence.workloads import workloads_of
from steelyard.web.app.languages import language
from steelyard.web.app.state import judgements, state
from steelyard.web.evidence.cards import evidence_cards
from steelyard.web.evidence.labels import arm_words
from steelyard.web.evidence.side_by_side import ComparisonTable, comparison_tables, furthest
from steelyard.web.evidence.source_diff import SourceLine, changes, listing
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
    tables: tuple[ComparisonTable, ...]
    scale: tuple[ComparisonTable, ...]


@bp.get("/techniques")
def index() -> str:
    """Show every technique with what it saved, in which precision and on which device."""
    entries = [
        Entry(
            name, page, render(page.lead, lang=page.language) if page.lead else None, tables, furthest(tables)
        )
        for name in technique_texts.techniques()
        for page, tables in [(technique_texts.page(name, language()), _head(name))]
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
        claims=evidence_cards(claims.values()),
        costs=_costs(name),
        panel=current_app.extensions[RUN_PANEL](name) if RUN_PANEL in current_app.extensions else None,
        questions=_questions(name, state().bank),
    )


@dataclass(frozen=True)
class MachineCost:
    """What a demo takes on one machine, as far as it was measured there."""

    machine: str
    quick: Cost | None
    default: Cost | None


def _costs(name: str) -> list[MachineCost]:
    machines = (
        MachineCost(costs.machine, costs.of(name, "quick"), costs.of(name, "default"))
        for costs in state().records.costs
    )
    return [costs for costs in machines if costs.quick or costs.default]


def _head(name: str) -> tuple[ComparisonTable, ...]:
    """Return the tables of the work that heads a technique's page."""
    return next((comparison_tables(name, work) for work in workloads_of(name, state().records)), ())


def _fruitless(name: str) -> list[tuple[str, Record, str]]:
    """Return the runs of a technique that ended without a figure: id, record, and what tells it apart."""
    return [
        (run_id, record, arm_words(record.setup))
        for run_id, record in state().records.by_id.items()
        if record.technique == name and record.status != "ok" and record.setup.rank_index is None
    ]


def _changes(name: str, source: str) -> tuple[tuple[SourceLine, ...], ...]:
    if name == BASELINE or BASELINE not in technique_texts.techniques():
        return ()
    return changes(technique_texts.script(BASELINE), source)


def _rendered(
    text: Text | None, page: technique_texts.Page, claims: Mapping[str, Judgement]
) -> Markup | None:
    return render(text, lang=page.language, judgements=claims, heading=2) if text else None


def _questions(technique: str, bank: Bank) -> list[Question]:
    asked = (bank.question(question_id, language()) for question_id in sorted(bank.practice))
    return [question for question in asked if question and technique in question.techniques]


def _claims(technique: str, page: technique_texts.Page, bank: Bank) -> Iterator[Claim]:
    """Yield what is claimed about a technique: what is tested on its runs, and what its text links to."""
    written = "".join(text.source for text in (page.lead, page.body) if text)
    linked = set(re.findall(r"\]\(#([a-z0-9-]+)\)", written))
    for claim in _first_of_each_id(bank):
        if claim.id in linked or any(test.of and test.of["technique"] == technique for test in claim.tests):
            yield claim


def _first_of_each_id(bank: Bank) -> Iterable[Claim]:
    by_id: dict[str, Claim] = {}
    for question_id in sorted(bank.practice):
        question = bank.question(question_id, language())
        for claim in question.claims if question else ():
            by_id.setdefault(claim.id, claim)
    return by_id.values()
