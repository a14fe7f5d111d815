"""Evidence cards: what each says about one finding, in words and numbers, and the card as HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from flask import get_template_attribute, request
from flask_babel import gettext as _
from markupsafe import Markup

from memlab.results.record import Setup
from steelyard.claims import Test
from steelyard.evidence import Difference, Finding, Judgement
from steelyard.remember import remembered
from steelyard.web.app.languages import language
from steelyard.web.text import numbers
from steelyard.web.text.technique_texts import stamp, title, within_a_sentence
from steelyard.web.text.vocabulary import (
    change_words,
    formatter,
    how_words,
    metric_words,
    precision_words,
    rate_words,
    reason_words,
    selection_words,
    work_words,
)


@dataclass(frozen=True)
class Card:
    """One finding as people read it. What does not apply is None."""

    number: str | None
    """The median: `35.3% less`, `2.31 s`; or that no difference was found."""
    what: str
    """Of what: `peak memory`; of a computed figure the arithmetic, of a cited one the source."""
    spread: str | None
    how: str
    compared: str | None
    """What was compared with what, the baseline's precision included."""
    rates: str | None
    """Of a comparison of losses: the learning rates, and how many there were to choose from."""
    work: str | None
    test: str
    """The question that the claim's test asks."""
    answer: str | None
    why: str | None
    differences: tuple[Difference, ...]
    runs: tuple[str, ...]
    command: str | None


@dataclass(frozen=True)
class WeighedClaim:
    """A claim as its evidence card shows it."""

    judgement: Judgement
    cards: tuple[tuple[Finding, Card], ...]


def evidence_cards(judgements: Iterable[Judgement], prefix: str = "") -> tuple[Markup, ...]:
    """Return the evidence cards of these judgements as HTML; `prefix` stands before their ids.

    Each is drawn once per language and then kept with its judgement: until question or records change, or a
    technique's text, whose title a card names.
    """
    here = language(), request.script_root, stamp()
    return tuple(_drawn(judgement, prefix, *here) for judgement in judgements)


KEPT = 8
"""Drawn cards kept for each judgement: in every language alone and in a result, and what is out of date."""


@remembered(KEPT)
def _drawn(judgement: Judgement, prefix: str, *_here: object) -> Markup:
    draw = get_template_attribute("_evidence.html", "evidence_card")
    return Markup(draw(*weighed_claims([judgement]), prefix))  # noqa: S704 (a template's own output)


def weighed_claims(judgements: Iterable[Judgement]) -> tuple[WeighedClaim, ...]:
    """Word these judgements, each with every finding behind it."""
    return tuple(
        WeighedClaim(judgement, tuple((finding, card(finding)) for finding in judgement.findings))
        for judgement in judgements
    )


def card(finding: Finding) -> Card:
    """Word one finding."""
    test = finding.test
    write = _writer(test)
    return Card(
        number=_number(finding, write),
        what=test.compute or test.cite or _what(test),
        spread=_spread(finding, write),
        how=how_words(finding.kind, finding.device),
        compared=_compared(finding),
        rates=_rates(finding),
        work=work_words(finding.setup) if finding.setup else None,
        test=_question(test),
        answer=None if finding.within is None else _("Yes.") if finding.within else _("No."),
        why=reason_words(finding.why, title) if finding.why else None,
        differences=finding.differences,
        runs=(*finding.runs, *finding.against_runs),
        command=finding.command,
    )


def compared_precision(finding: Finding) -> str | None:
    """Return the precision of what a finding was compared with, else its own; None without a record."""
    if finding.setup is None:
        return None
    theirs = {d.field: d.against for d in finding.differences if d.field in Setup.model_fields}
    return precision_words(finding.setup.model_copy(update=theirs))


def side_words(side: Mapping[str, object], other: Mapping[str, object]) -> str:
    """Return a side of a comparison within a sentence: the technique, and what it does not share."""
    names = [name for name, value in side.items() if name != "technique" and other.get(name) != value]
    own = ", ".join(f"{name} {side[name]}" for name in names)
    name = within_a_sentence(title(side["technique"]))
    return f"{name} ({own})" if own else name


def _writer(test: Test) -> Callable[[float], str]:
    match test.take:
        case "saving":
            return change_words
        case "ratio":
            return numbers.times
        case "fraction":
            return numbers.percent
        case "difference":
            return partial(_signed, formatter(test.metric))
    return numbers.plain if test.of is None else formatter(test.metric)


def _signed(write: Callable[[float], str], value: float) -> str:
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return f"{sign}{write(abs(value))}"


def _number(finding: Finding, write: Callable[[float], str]) -> str | None:
    if finding.value is None:
        return None
    if finding.no_difference:
        return _("no difference found")
    if finding.bound is None:
        return write(finding.value)
    # Saving at most −5 % is taking at least 5 % more.
    least = finding.bound == "least" or (finding.test.take == "saving" and finding.value < 0)
    number = write(finding.value)
    return _("at least %(number)s", number=number) if least else _("at most %(number)s", number=number)


def _what(test: Test) -> str:
    if test.whole is None:
        return metric_words(test.metric)
    return _(
        "%(part)s, as a share of: %(whole)s", part=metric_words(test.metric), whole=metric_words(test.whole)
    )


def _spread(finding: Finding, write: Callable[[float], str]) -> str | None:
    """Say how far repeats lay apart. One run has no spread, and that is said too."""
    if finding.spread is None or not finding.runs:
        return None
    runs = len(finding.runs)
    low, high = (write(value) for value in finding.spread)
    if runs == 1:
        return _("one run")
    if finding.no_difference and finding.value is not None:
        middle = write(finding.value)
        return _(
            "%(median)s, between %(low)s and %(high)s over %(runs)s runs",
            median=middle,
            low=low,
            high=high,
            runs=runs,
        )
    if low == high:
        return _("the same in %(runs)s runs", runs=runs)
    return _("%(low)s to %(high)s over %(runs)s runs", low=low, high=high, runs=runs)


def _rates(finding: Finding) -> str | None:
    """Say at which learning rates losses were compared: they decide more than the technique does."""
    if finding.setup is None or "loss" not in finding.test.metric or not finding.rates[1]:
        return None
    theirs = {d.field: d.against for d in finding.differences}.get("lr", finding.setup.lr)
    of, against = (
        _("%(rate)s, of %(tried)s tried", rate=rate_words(rate), tried=len(tried))
        for rate, tried in zip((finding.setup.lr, float(theirs)), finding.rates, strict=True)
    )
    return _("learning rate: %(of)s; against %(against)s", of=of, against=against)


def _compared(finding: Finding) -> str | None:
    test = finding.test
    if test.of is None or finding.setup is None:
        return None
    other = test.against or {}
    of = selection_words(test.of, title(test.of["technique"]), other)
    precision = compared_precision(finding)
    if test.against is None:
        return _("%(of)s, %(precision)s", of=of, precision=precision)
    name = within_a_sentence(title(other["technique"]))
    against = selection_words(other, name, test.of)
    return _("%(of)s against %(against)s in %(precision)s", of=of, against=against, precision=precision)


def _question(test: Test) -> str:
    saving = test.take == "saving"
    write = numbers.percent if saving else _writer(test)  # a bound may be negative: no "less" and "more" here
    least, most = test.within
    low, high = (None if bound is None else write(bound) for bound in test.within)
    if test.take == "difference":
        if least is None and most == 0:
            return _("Is it lower?")
        if least == 0 and most is None:
            return _("Is it higher?")
    if low == high:
        return _("Is it %(value)s?", value=low)
    if saving:
        if least == 0 and most is None:
            return _("Does it save any?")
        if low is None:
            return _("Is the saving at most %(most)s?", most=high)
        if high is None:
            return _("Is the saving at least %(least)s?", least=low)
        return _("Is the saving from %(least)s to %(most)s?", least=low, most=high)
    if low is None:
        return _("Is it at most %(most)s?", most=high)
    if high is None:
        return _("Is it at least %(least)s?", least=low)
    return _("Is it from %(least)s to %(most)s?", least=low, most=high)
