"""What a run has found, and the published record of the same technique beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memlab.results.record import Setup
from steelyard.evidence import Difference, Group, Records, differences
from steelyard.evidence.workloads import workloads_of
from steelyard.web.evidence.medians import cell, changed, median
from steelyard.web.evidence.side_by_side import (
    FEW,
    METRICS,
    ComparisonTable,
    MetricRow,
    Overview,
    comparison_tables,
    overview,
)
from steelyard.web.lab.run import DemoRun
from steelyard.web.text.vocabulary import metric_words


@dataclass(frozen=True)
class Published:
    """The published repeats that are closest to a run's."""

    group: Group
    setup: tuple[Difference, ...]
    """In what the setups differ. With any of these, figures must not be compared."""
    place: tuple[Difference, ...]
    """In what device and versions differ, as they may when a published run is repeated elsewhere."""
    rows: tuple[MetricRow, ...]
    """What was published, what was found here, and the change; none where the setups differ."""


@dataclass(frozen=True)
class RunResult:
    """What a run found: tables of its own, or one overview of many, and the published record beside it."""

    tables: tuple[ComparisonTable, ...]
    overview: Overview | None
    published: Published | None


def result(run: DemoRun, published: Records) -> RunResult:
    """Return what a run has found so far."""
    records = Records(dict(run.records))
    tables: list[ComparisonTable] = []
    many = None
    for work in workloads_of(run.technique, records):
        tables += comparison_tables(run.technique, work)
        if len(tables) > FEW:
            tables, many = [], overview(work.groups, work)
    own = [group for group in records.groups if group.first.technique == run.technique]
    return RunResult(tuple(tables), many, _beside(own[-1], published.groups) if own else None)


def _beside(own: Group, published: Sequence[Group]) -> Published | None:
    """Return the published repeats of the same technique that differ least from a run's."""
    candidates = []
    for group in published:
        if group.first.technique == own.first.technique:
            allowed, refused = differences(own.first, group.first, in_time=True)
            setup = tuple(one for one in (*allowed, *refused) if one.field in Setup.model_fields)
            place = tuple(one for one in (*allowed, *refused) if one.field not in Setup.model_fields)
            candidates.append((group, setup, place))
    if not candidates:
        return None
    group, setup, place = min(candidates, key=lambda candidate: (len(candidate[1]), len(candidate[2])))
    rows = () if setup else _rows(group, own)
    return Published(group, setup, place, rows)


def _rows(published: Group, own: Group) -> tuple[MetricRow, ...]:
    return tuple(
        MetricRow(
            path,
            metric_words(path),
            (cell(published, path), cell(own, path), changed(published, own, path)),
        )
        for path in METRICS
        if median(own, path) is not None
    )
