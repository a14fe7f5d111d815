"""Judge claims: find the value of each test, see whether it lies within, and draw the verdict."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from memlab.results.comparing import Difference, common_seeds, differences, fraction_saved, is_time
from memlab.results.groups import Group, tuned
from memlab.results.record import Setup
from steelyard.arithmetic import compute
from steelyard.claims import Claim, Selection, Test, Verdict
from steelyard.evidence.measures import METRICS, PAIRED, Sides, metric, sides
from steelyard.evidence.reasons import Reason
from steelyard.evidence.records import SELECTORS, Kind, Records, replay

SEEDS = 3
"""Fewer repeats cannot disagree in a way that says anything."""

_TAKE: dict[str, tuple[Callable[[float, float], float], float]] = {
    "saving": (fraction_saved, 0.0),
    "ratio": (lambda of, against: of / against, 1.0),
    "difference": (lambda of, against: of - against, 0.0),
}
"""How two numbers become one, and what comes out when they are equal."""

_STRENGTH: tuple[Kind, ...] = ("gpu", "cpu", "predicted")
_WORDS: dict[Verdict, str] = {
    "holds": "holds",
    "does-not-hold": "does not hold",
    "holds-only-for": "holds only for",
    "open": "not measured yet",
}


# ---- what this module gives -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """What one test of a claim found for one group of repeats (or pair of such groups)."""

    test: Test
    within: bool | None
    """Whether the value lies in the test's interval; None when nothing decides it, as `why` explains."""
    kind: Kind | None = None
    value: float | None = None
    """Median over the repeats; a saving is a fraction, bytes are bytes."""
    spread: tuple[float, float] | None = None
    """Smallest and largest value over the repeats."""
    bound: Literal["least", "most"] | None = None
    """Set when the value itself is not known, only that it lies beyond `value`."""
    missed: int = 0
    """How many of the runs never came to the loss asked for; what they add to `spread` is a bound."""
    no_difference: bool = False
    """Whether the repeats disagree about which side is ahead."""
    runs: tuple[str, ...] = ()
    against_runs: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    rates: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    """The learning rates from which each side's was chosen."""
    setup: Setup | None = None
    """The setup of the `of` side, for what must stand beside a figure (precision, batch, sequence)."""
    device: str | None = None
    command: str | None = None
    """What to type to measure it again."""
    why: Reason | None = None


@dataclass(frozen=True)
class Judgement:
    """A claim, the verdict that the evidence gives, and the findings behind it."""

    claim: Claim
    verdict: Verdict
    """`open` when nothing decides the claim yet ("not measured yet")."""
    findings: tuple[Finding, ...] = ()
    contradiction: str | None = None
    """What the evidence says against what the author teaches, or None when they agree (E040)."""


def judge(claim: Claim, records: Records) -> Judgement:
    """Judge one claim by its tests (see the head of this package)."""
    findings: list[Finding] = []
    outcomes: list[bool | None] = []
    objections: list[str] = []
    for number, test in enumerate(claim.tests, 1):
        own_findings = tuple(_find(test, records))
        answers = {finding.within for finding in own_findings}
        if len(answers) > 1:
            own_findings = tuple(replace(finding, why=Reason("setups-disagree")) for finding in own_findings)
        findings += own_findings
        outcome = answers.pop() if len(answers) == 1 else None
        outcomes.append(outcome)
        if outcome is not None and outcome != test.expect:
            objections.append(f"test {number} {_objection(own_findings[0])}")
    verdict = _verdict(outcomes)
    if None in outcomes and verdict != claim.verdict:
        verdict = "open"
    contradiction = None
    if None not in outcomes and verdict != claim.verdict and claim.tests:
        taught, found_out = _words(claim, claim.verdict), _words(claim, verdict)
        contradiction = f'teaches "{taught}", the evidence says "{found_out}"'
    elif objections:
        contradiction = f"expects otherwise: {'; '.join(objections)}"
    return Judgement(claim, verdict, tuple(findings), contradiction)


# ---- finding --------------------------------------------------------------------------------------------


def _find(test: Test, records: Records) -> Iterator[Finding]:
    if test.compute is not None:
        try:
            yield _weigh(Finding(test, None, "computed"), [compute(test.compute)])
        except ValueError as error:
            yield Finding(test, None, why=Reason("arithmetic", {"error": str(error)}))
    elif test.value is not None:  # with a source: `cite`
        yield _weigh(Finding(test, None, "cited"), [test.value])
    elif why := _unanswerable(test):
        yield Finding(test, None, why=why)
    else:
        yield from _find_in_records(test, records)


def _unanswerable(test: Test) -> Reason | None:
    """Return why no record could ever answer the test, or None."""
    if unknown := sorted(({*(test.of or {})} | {*(test.against or {})}) - SELECTORS):
        return Reason("unknown-field", {"names": ", ".join(unknown)})
    if test.metric in PAIRED and test.against is None:
        return Reason("paired-metric", {"metric": test.metric})
    for name, known in ((test.metric, METRICS | PAIRED.keys()), (test.whole, METRICS)):
        if name is not None and name not in known:
            return Reason("unknown-metric", {"metric": name})
    return None


def _find_in_records(test: Test, records: Records) -> Iterator[Finding]:
    """Yield a finding for every group (or comparable pair) of the strongest kind; at least one finding."""
    left = _selected(test, test.of or {}, records)
    if isinstance(left, Reason):
        yield Finding(test, None, why=left)
        return
    if test.against is None:
        yield from _strongest(_value(test, group) for group, _ in left)
        return
    right = _selected(test, test.against, records)
    if isinstance(right, Reason):
        yield Finding(test, None, why=right)
        return
    named = {*(test.of or {})} & {*test.against}
    comparable: list[Finding] = []
    closest: tuple[Difference, ...] | None = None
    for of, of_rates in left:
        for against, against_rates in right:
            if of is against:
                continue
            allowed, refused = differences(of.first, against.first, named, in_time=is_time(test.metric))
            if not refused:
                finding = _comparison(test, of, against)
                comparable.append(replace(finding, differences=allowed, rates=(of_rates, against_rates)))
            elif closest is None or len(refused) < len(closest):
                closest = refused
    if comparable:
        yield from _strongest(comparable)
    else:
        yield Finding(test, None, why=Reason("not-comparable", {"differences": closest or ()}))


def _selected(
    test: Test, selection: Selection, records: Records
) -> Sequence[tuple[Group, tuple[float, ...]]] | Reason:
    """Return the groups that a side of a test means, each with the rates that it was chosen from."""
    meant = records.meant(selection)
    if not meant:
        return Reason("no-record", {"selection": selection})
    long = [group for group in meant if group.first.setup.steps >= test.steps]
    if not long:
        return Reason("too-short", {"selection": selection, "steps": test.steps})
    return tuned(long)


def _strongest(findings: Iterable[Finding]) -> list[Finding]:
    every = list(findings)
    decided = [finding for finding in every if finding.within is not None]
    for kind in _STRENGTH:
        if best := [finding for finding in decided if finding.kind == kind]:
            return best
    return every[:1]


def _value(test: Test, group: Group) -> Finding:
    finding = replace(_measured(test, group), runs=group.ids)
    if len(group.runs) < test.seeds:
        return _undecided(finding, "too-few-runs", made=len(group.runs), asked=test.seeds)
    values = []
    for _, record in group.runs.values():
        value = metric(record, test.metric)
        whole = None if test.whole is None else metric(record, test.whole)
        if value is None or (test.whole is not None and not whole):
            return _undecided(finding, "not-measured", metric=test.metric if value is None else test.whole)
        values.append(value / whole if whole else value)
    return _weigh(finding, values)


def _comparison(test: Test, of: Group, against: Group) -> Finding:
    """Compare seed by seed, so that the spread is the comparison's own."""
    seeds = common_seeds(of, against)
    finding = replace(
        _measured(test, of),
        runs=tuple(of.runs[seed][0] for seed in seeds),
        against_runs=tuple(against.runs[seed][0] for seed in seeds),
    )
    if len(seeds) < test.seeds:
        return _undecided(finding, "too-few-pairs", made=len(seeds), asked=test.seeds)
    if not seeds:
        return _undecided(finding, "too-few-pairs", made=0, asked=1)
    read = [sides(of.runs[seed][1], against.runs[seed][1], test.metric) for seed in seeds]
    pairs = [pair for pair in read if pair is not None and (pair.against or test.take == "difference")]
    if len(pairs) < len(read):
        return _undecided(finding, "not-measured-twice", metric=test.metric)
    return _compare(finding, pairs)


def _undecided(finding: Finding, code: str, **values: object) -> Finding:
    return replace(finding, why=Reason(code, values))


def _measured(test: Test, group: Group) -> Finding:
    run_id, record = next(iter(group.runs.values()))
    return Finding(
        test,
        None,
        group.kind,
        setup=record.setup,
        device=record.device.name,
        command=replay(run_id, record),
    )


# ---- weighing -------------------------------------------------------------------------------------------


def _weigh(finding: Finding, values: Sequence[float]) -> Finding:
    value = statistics.median(values)
    low, high = _interval(finding.test)
    return replace(finding, within=low <= value <= high, value=value, spread=(min(values), max(values)))


def _compare(finding: Finding, pairs: Sequence[Sides]) -> Finding:
    test = finding.test
    take, equal = _TAKE[test.take]
    beyond = -inf if test.take == "saving" else inf  # which way a value lies whose run missed the loss
    values = [take(pair.of, pair.against) for pair in pairs]
    farthest = [value if pair.reached else beyond for value, pair in zip(values, pairs, strict=True)]
    finding = replace(_weigh(finding, values), missed=sum(not pair.reached for pair in pairs))
    if statistics.median(farthest) != finding.value:
        return _beyond(finding, "most" if beyond < 0 else "least", len(pairs))
    if len(values) < SEEDS or not min(farthest) <= equal <= max(farthest) or min(values) == max(values):
        return finding
    return _no_difference(finding, equal, (min(farthest), max(farthest)))


def _beyond(finding: Finding, bound: Literal["least", "most"], pairs: int) -> Finding:
    """Decide by a bound: only if no value beyond it would decide otherwise."""
    assert finding.value is not None
    low, high = _interval(finding.test)
    nearest, farthest = (finding.value, inf) if bound == "least" else (-inf, finding.value)
    within: bool | None = None
    if low <= nearest and farthest <= high:
        within = True
    elif nearest > high or farthest < low:
        within = False
    why = None
    if within is None:
        why = Reason("not-reached", {"missed": finding.missed, "all": pairs})
    return replace(finding, within=within, bound=bound, why=why)


def _no_difference(finding: Finding, equal: float, spread: tuple[float, float]) -> Finding:
    """Decide where the repeats disagree: not by the median, which would call a winner."""
    low, high = _interval(finding.test)
    finding = replace(finding, no_difference=True)
    if not low < equal < high:
        return replace(finding, within=False)
    if low <= spread[0] and spread[1] <= high:
        return replace(finding, within=True)
    return replace(finding, within=None, why=Reason("noisy"))


def _interval(test: Test) -> tuple[float, float]:
    low, high = test.within
    return -inf if low is None else low, inf if high is None else high


# ---- judging --------------------------------------------------------------------------------------------


def _verdict(outcomes: list[bool | None]) -> Verdict:
    decided = {outcome for outcome in outcomes if outcome is not None}
    if decided == {True, False}:
        return "holds-only-for"
    if decided == {True}:
        return "holds"
    return "does-not-hold" if decided else "open"


def _words(claim: Claim, verdict: Verdict) -> str:
    if verdict == "holds-only-for":
        return f"holds only for {claim.only_for or 'some'}"
    return _WORDS[verdict]


def _objection(finding: Finding) -> str:
    low, high = ("…" if bound is None else f"{bound:g}" for bound in finding.test.within)
    lies = "lies" if finding.within else "does not lie"
    if finding.no_difference and finding.spread:
        least, most = finding.spread
        return f"finds no difference ({least:.4g} to {most:.4g}), which {lies} within [{low}, {high}]"
    at = f"at {finding.bound} " if finding.bound else ""
    return f"gives {at}{finding.value:.4g}, which {lies} within [{low}, {high}]"
