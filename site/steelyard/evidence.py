"""Records and claims to verdicts: pure functions. A number on a page comes from here, or from nowhere.

How a claim is judged
    Each test comes out true or false by its interval. A claim whose decided tests are all true *holds*; all
    false, it *does not hold*; some of each, it *holds only for* what its author names. With no decided test
    it is *open*: "not measured yet".

Which records a test looks at
    Those that its selection names, and of these the strongest kind: measured on a GPU, measured on a CPU,
    predicted. Records that differ in nothing but the seed are repeats and give one value, with its spread.
    When several setups qualify (both precisions, say), all must agree, else the test decides nothing.

Which records may be compared
    One device, one set of versions, one setup. Apart from the technique, only these fields may differ: a
    field that both sides of the test name; a field that only one of two techniques has (LoRA's rank); and
    what a technique brings with it (the type of frozen weights, the tuned learning rate). The finding lists
    them all.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from memlab.record import TECHNIQUE_FIELDS, Record, Setup, read
from steelyard.arithmetic import compute
from steelyard.bank.model import Claim, Problem, Test, Verdict

Kind = Literal["gpu", "cpu", "predicted", "computed", "cited"]
"""How a figure was obtained, the stronger kind first."""

SELECTORS = frozenset({"technique", "mode", "device"} | set(Setup.model_fields) - {"seed", "data_sha256"})
"""The fields by which a test may select records; `device` is cuda, cpu or fake."""

MAX_RECORD_BYTES = 4 * 1024**2

LARGEST = 2**63
"""No measurement comes near it, and reckoning with what lies beyond may overflow."""

_STRENGTH: tuple[Kind, ...] = ("gpu", "cpu", "predicted")
_KIND_OF_DEVICE: dict[str, Kind] = {"cuda": "gpu", "cpu": "cpu", "fake": "predicted"}
_ALWAYS_OWN = frozenset({"base_dtype", "lr"})
_WORDS: dict[Verdict, str] = {
    "holds": "holds",
    "does-not-hold": "does not hold",
    "holds-only-for": "holds only for",
    "open": "not measured yet",
}


# ---- what this module gives -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A setup field in which the two sides of a comparison differ."""

    field: str
    of: Any
    against: Any


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
    runs: tuple[str, ...] = ()
    against_runs: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    setup: Setup | None = None
    """The setup of the `of` side, for what must stand beside a figure (precision, batch, sequence)."""
    device: str | None = None
    command: str | None = None
    """What to type to measure it again."""
    why: str | None = None


@dataclass(frozen=True)
class Judgement:
    """A claim, the verdict that the evidence gives, and the findings behind it."""

    claim: Claim
    verdict: Verdict
    """`open` when nothing decides the claim yet ("not measured yet")."""
    findings: tuple[Finding, ...] = ()
    contradiction: str | None = None
    """What the evidence says against what the author teaches, or None when they agree (E040)."""


@dataclass(frozen=True)
class Group:
    """Repeats: measured runs that differ in nothing but the seed, by seed."""

    runs: Mapping[int, tuple[str, Record]]

    @property
    def first(self) -> Record:
        return next(iter(self.runs.values()))[1]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(id for id, _ in self.runs.values())

    @property
    def kind(self) -> Kind:
        return _KIND_OF_DEVICE[self.first.device.kind]


@dataclass(frozen=True)
class Records:
    """The published records by id: the path below the results folder, without suffix (`cpu/lora-mixed-…`)."""

    by_id: Mapping[str, Record]
    problems: tuple[Problem, ...] = ()

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The usable records (`status: ok`) as groups of repeats, in the order of their ids.

        Of a run on several ranks the record of all of them counts; those of single ranks are its details.
        """
        usable = [
            (id, record)
            for id, record in sorted(self.by_id.items())
            if record.status == "ok" and record.setup.rank_index is None
        ]
        usable.sort(key=lambda item: (_identity(item[1]), item[1].setup.seed))
        return tuple(
            Group({record.setup.seed: (id, record) for id, record in repeats})
            for _, repeats in groupby(usable, key=lambda item: _identity(item[1]))
        )


def load(folder: Path) -> Records:
    """Read every record below `folder`; one that is foreign or corrupted is refused by name in `problems`."""
    by_id: dict[str, Record] = {}
    problems: list[Problem] = []
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder)
        if name == Path("schema.json"):
            continue
        try:
            by_id[name.with_suffix("").as_posix()] = _read(path)
        except (OSError, ValueError) as error:
            problems.append(Problem(name.as_posix(), 1, 1, "E050", f"is not a record: {_reason(error)}"))
    return Records(by_id, tuple(problems))


def judge(claim: Claim, records: Records) -> Judgement:
    """Judge one claim by its tests (see the head of this module)."""
    findings: list[Finding] = []
    outcomes: list[bool | None] = []
    objections: list[str] = []
    for number, test in enumerate(claim.tests, 1):
        found = tuple(_find(test, records))
        findings += found
        answers = {finding.within for finding in found}
        outcome = answers.pop() if len(answers) == 1 else None
        outcomes.append(outcome)
        if outcome is not None and outcome != test.expect:
            objections.append(f"test {number} {_objection(found[0])}")
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


def metric(record: Record, path: str) -> float | None:
    """Return the number at `path` (such as ``memory.peak_bytes``), None if it was not measured.

    Raises KeyError when no record has such a number.
    """
    value: Any = record
    for name in path.split("."):
        if value is None:
            return None
        if not isinstance(value, BaseModel) or name not in type(value).model_fields:
            raise KeyError(path)
        value = getattr(value, name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise KeyError(path)
    return value


def selects(selection: Mapping[str, Any], record: Record) -> bool:
    """Say whether `record` is among those that a test's `of` or `against` names."""
    return all(_field(record, name) == wanted for name, wanted in selection.items())


def replay(id: str, record: Record) -> str:
    """Return the command that measures a published run again and prints both side by side."""
    return f"python demos/{record.technique}.py --like demos/results/{id}.json"


# ---- reading --------------------------------------------------------------------------------------------


def _read(path: Path) -> Record:
    if path.is_symlink():
        raise ValueError("a link is not followed")
    if (size := path.stat().st_size) > MAX_RECORD_BYTES:
        raise ValueError(f"{size} bytes are more than {MAX_RECORD_BYTES}")
    record = read(path)
    if not _is_measurable(record.model_dump()):
        raise ValueError(f"it holds a number beyond {LARGEST:.2g}")
    if path.stem != record.slug:
        raise ValueError(f"its setup belongs under the name {record.slug}.json")
    return record


def _is_measurable(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_measurable, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_measurable, value))
    return not isinstance(value, int | float) or abs(value) < LARGEST


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first, *others = error.errors(include_url=False)
    place = ".".join(map(str, first["loc"]))
    more = f" (and {len(others)} more)" if others else ""
    return f"{place + ': ' if place else ''}{first['msg']}{more}"


def _identity(record: Record) -> str:
    """Return what repeats have in common, as text that sorts."""
    device = record.device
    versions = sorted(record.origin.versions.items())
    setup = record.setup.without_seed()
    return repr((record.technique, record.mode, device.kind, device.name, setup, versions))


# ---- finding --------------------------------------------------------------------------------------------


def _find(test: Test, records: Records) -> Iterator[Finding]:
    if test.compute is not None:
        try:
            yield _weigh(Finding(test, None, "computed"), [compute(test.compute)])
        except ValueError as error:
            yield Finding(test, None, why=f"the arithmetic {error}")
    elif test.cite is not None:
        if test.value is None:
            yield Finding(test, None, why="the citation gives no value")
        else:
            yield _weigh(Finding(test, None, "cited"), [test.value])
    else:
        yield from _find_in_records(test, records)


def _find_in_records(test: Test, records: Records) -> Iterator[Finding]:
    """Yield a finding for every group (or comparable pair) of the strongest kind; at least one finding."""
    of, against = test.of or {}, test.against
    if unknown := sorted(({*of} | {*(against or {})}) - SELECTORS):
        yield Finding(test, None, why=f"no record has a field {', '.join(unknown)}")
        return
    left = [group for group in records.groups if selects(of, group.first)]
    if not left:
        yield Finding(test, None, why=f"no record of {_described(of)}")
        return
    if against is None:
        yield from _strongest(_value(test, group) for group in left)
        return
    right = [group for group in records.groups if selects(against, group.first)]
    if not right:
        yield Finding(test, None, why=f"no record of {_described(against)}")
        return
    named = {*of} & {*against}
    pairs = [(a, b, differences(a.first, b.first, named)) for a in left for b in right]
    comparable = [(a, b, allowed) for a, b, (allowed, refused) in pairs if not refused]
    if comparable:
        yield from _strongest(_comparison(test, a, b, allowed) for a, b, allowed in comparable)
    else:
        refused = min((refused for _, _, (_, refused) in pairs), key=len)
        listed = ", ".join(f"{d.field} ({d.of} and {d.against})" for d in refused)
        yield Finding(test, None, why=f"nothing to compare with: the closest records differ in {listed}")


def _strongest(findings: Iterable[Finding]) -> list[Finding]:
    found = list(findings)
    decided = [finding for finding in found if finding.within is not None]
    for kind in _STRENGTH:
        if best := [finding for finding in decided if finding.kind == kind]:
            return best
    return found[:1]


def _value(test: Test, group: Group) -> Finding:
    finding = replace(_measured(test, group), runs=group.ids)
    if len(group.runs) < test.seeds:
        return replace(finding, why=f"{len(group.runs)} of the {test.seeds} repeats asked for were made")
    try:
        values = [metric(record, test.metric) for _, record in group.runs.values()]
    except KeyError:
        return replace(finding, why=f"no record has a number {test.metric}")
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return replace(finding, why=f"{test.metric} was not measured")
    return _weigh(finding, numbers)


def _comparison(test: Test, of: Group, against: Group, differences: tuple[Difference, ...]) -> Finding:
    """Compare seed by seed, so that the spread is the comparison's own."""
    seeds = sorted({*of.runs} & {*against.runs})
    finding = replace(
        _measured(test, of),
        runs=tuple(of.runs[seed][0] for seed in seeds),
        against_runs=tuple(against.runs[seed][0] for seed in seeds),
        differences=differences,
    )
    if len(seeds) < max(1, test.seeds):
        return replace(finding, why=f"{len(seeds)} of the {test.seeds} repeats asked for are on both sides")
    values = []
    for seed in seeds:
        try:
            a, b = (metric(group.runs[seed][1], test.metric) for group in (of, against))
        except KeyError:
            return replace(finding, why=f"no record has a number {test.metric}")
        if a is None or not b:
            return replace(finding, why=f"{test.metric} was not measured on both sides")
        values.append(1 - a / b if test.take == "saving" else a / b)
    return _weigh(finding, values)


def _measured(test: Test, group: Group) -> Finding:
    id, record = next(iter(group.runs.values()))
    return Finding(
        test,
        None,
        group.kind,
        setup=record.setup,
        device=record.device.name,
        command=replay(id, record),
    )


def _weigh(finding: Finding, values: list[float]) -> Finding:
    value = statistics.median(values)
    low, high = finding.test.within
    within = (low is None or value >= low) and (high is None or value <= high)
    return replace(finding, within=within, value=value, spread=(min(values), max(values)))


def differences(
    a: Record, b: Record, named: set[str]
) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """Return the differences that a comparison may have, and those that forbid it."""
    allowed: list[Difference] = []
    refused: list[Difference] = []
    for name in ("mode", "device", "device name"):
        if _field(a, name) != _field(b, name):
            refused.append(Difference(name, _field(a, name), _field(b, name)))
    versions, others = a.origin.versions, b.origin.versions
    for name in sorted({*versions} & {*others}):
        if None not in (versions[name], others[name]) and versions[name] != others[name]:
            refused.append(Difference(f"version of {name}", versions[name], others[name]))
    for name in Setup.model_fields:
        of, against = getattr(a.setup, name), getattr(b.setup, name)
        if name == "seed" or of == against:
            continue
        own = a.technique != b.technique and (
            name in _ALWAYS_OWN or (name in TECHNIQUE_FIELDS and None in (of, against))
        )
        (allowed if own or name in named else refused).append(Difference(name, of, against))
    return tuple(allowed), tuple(refused)


def _field(record: Record, name: str) -> Any:
    match name:
        case "technique" | "mode":
            return getattr(record, name)
        case "device":
            return record.device.kind
        case "device name":
            return record.device.name
        case _:
            return getattr(record.setup, name)


def _described(selection: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{name} {value}" for name, value in selection.items() if name != "technique")
    technique = str(selection.get("technique", "any technique"))
    return f"{technique} with {rest}" if rest else technique


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
    return f"gives {finding.value:.4g}, which {lies} within [{low}, {high}]"
