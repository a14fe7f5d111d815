"""Runs side by side: what the technique pages' tables show, straight from the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext as _

from steelyard.evidence import Difference, Group
from steelyard.evidence.workloads import Workload
from steelyard.remember import remembered
from steelyard.web.app.languages import language
from steelyard.web.evidence.charts.draw import ChartArm
from steelyard.web.evidence.labels import labels, plain_label
from steelyard.web.evidence.medians import HELD_OUT, STEP, cell, changed, median, saved_of
from steelyard.web.text.scale import scale_low
from steelyard.web.text.vocabulary import metric_words

PEAK = "memory.peak_bytes"

BEFORE = "learning.eval_loss_before"

METRICS = (
    PEAK,
    "memory.static_bytes",
    "memory.load_peak_bytes",
    STEP,
    "learning.trainable_parameters",
    BEFORE,
    HELD_OUT,
)


@dataclass(frozen=True)
class MetricRow:
    """One metric of the runs that a table compares."""

    metric: str
    name: str
    cells: tuple[str, ...]
    """One for each run, and a last one for the change where there is something to compare with."""


@dataclass(frozen=True)
class ComparisonTable:
    """A technique's repeats, beside those that they may be compared with, if there are any."""

    groups: tuple[Group, ...]
    """What it is compared with, if anything, and then the technique's."""
    labels: tuple[str, ...]
    differences: tuple[Difference, ...]
    rows: tuple[MetricRow, ...]
    saving: float | None = None
    """Of the peak, as a fraction; None where there is nothing to compare with."""

    @property
    def group(self) -> Group:
        """The technique's own repeats."""
        return self.groups[-1]

    @property
    def label(self) -> str:
        """What tells the technique's own repeats apart from its others in this work."""
        return self.labels[-1]

    @property
    def special(self) -> bool:
        """Whether it takes more than the technique and its precision to tell these repeats apart."""
        return self.label != plain_label(self.group)

    @property
    def compared(self) -> bool:
        return len(self.groups) > 1

    @property
    def scale_low(self) -> float:
        """Where the beam begins on which the saving is shown."""
        return scale_low([self.saving or 0.0])

    @property
    def peak(self) -> str:
        """The technique's own peak, with its spread."""
        return next(row.cells[len(self.groups) - 1] for row in self.rows if row.metric == PEAK)

    @property
    def arms(self) -> tuple[ChartArm, ...]:
        return tuple(
            ChartArm(label, group.first) for label, group in zip(self.labels, self.groups, strict=True)
        )


@dataclass(frozen=True)
class OverviewRow:
    """One group of repeats in an overview."""

    label: str
    cells: tuple[str, ...]
    runs: tuple[str, ...]
    against: str | None = None
    """What it is compared with, if anything."""
    differences: tuple[Difference, ...] = ()
    """And in what the two differ beside the technique."""


@dataclass(frozen=True)
class Overview:
    """Many repeats of one work: one below the other, the metrics side by side."""

    columns: tuple[str, ...]
    rows: tuple[OverviewRow, ...]


FEW = 2
"""More tables than these are one overview."""

SAVINGS = 4
"""Of more savings than these the last stands for all."""


def furthest(tables: Sequence[ComparisonTable]) -> tuple[ComparisonTable, ...]:
    """Return the tables whose saving is put on the scale.

    Of many, that is the last: it goes furthest (the whole stack, or the highest stage on the most ranks).
    """
    compared = tuple(table for table in tables if table.saving is not None)
    return compared if len(compared) <= SAVINGS else compared[-1:]


def comparison_tables(technique: str, work: Workload) -> tuple[ComparisonTable, ...]:
    """Return a table for each of a technique's repeats in a work."""
    return _tables(work, technique, language())


@remembered(64)
def _tables(work: Workload, technique: str, language: str) -> tuple[ComparisonTable, ...]:
    own = work.of(technique)
    pairs = [(group, work.reference(group)) for group in own]
    shown = list({group.ids: group for group in (*own, *(pair[0] for _, pair in pairs if pair))}.values())
    name = dict(zip((group.ids for group in shown), labels(shown), strict=True))
    tables = []
    for group, pair in pairs:
        if pair is None:
            tables.append(ComparisonTable((group,), (name[group.ids],), (), _rows((group,))))
            continue
        against, differing = pair
        tables.append(
            ComparisonTable(
                (against, group),
                (name[against.ids], name[group.ids]),
                differing,
                _rows((against, group)),
                saved_of(against, group, PEAK),
            )
        )
    return tuple(tables)


def overview(groups: Sequence[Group], work: Workload) -> Overview:
    """Return these repeats of one work below each other, and what each saved of the peak."""
    shown = [
        path
        for path in METRICS
        if path != BEFORE and any(median(group, path) is not None for group in groups)
    ]
    rows = []
    for label, group in zip(labels(groups), groups, strict=True):
        cells = tuple(cell(group, path) for path in shown)
        if pair := work.reference(group):
            against, differing = pair
            saved = changed(against, group, PEAK)
            rows.append(OverviewRow(label, (saved, *cells), group.ids, plain_label(against), differing))
        else:
            rows.append(OverviewRow(label, ("–", *cells), group.ids))
    return Overview((_("peak, change"), *map(metric_words, shown)), tuple(rows))


def _rows(groups: tuple[Group, ...]) -> tuple[MetricRow, ...]:
    rows = []
    for path in METRICS:
        if all(median(group, path) is None for group in groups):
            continue
        cells = [cell(group, path) for group in groups]
        if len(groups) > 1:
            cells.append(changed(groups[0], groups[1], path))
        rows.append(MetricRow(path, metric_words(path), tuple(cells)))
    return tuple(rows)
