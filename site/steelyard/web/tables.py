"""Runs side by side: what the technique pages' tables and charts show, straight from the records."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from flask_babel import gettext as _

from steelyard.bank.model import Claim, Test
from steelyard.evidence import Difference, Group, Records, judge, metric
from steelyard.web import numbers
from steelyard.web.cards import change, title
from steelyard.web.charts.draw import Arm
from steelyard.web.pages import BASELINE
from steelyard.web.wording import formatter, metric_words

DEVICES = ("cuda", "cpu", "fake")
"""The stronger evidence first."""

STEP = "speed.step_seconds.median"

METRICS = (
    "memory.peak_bytes",
    "memory.static_bytes",
    "memory.load_peak_bytes",
    STEP,
    "learning.trainable_parameters",
    "learning.eval_loss_before",
    "learning.eval_loss_after",
)


@dataclass(frozen=True)
class Row:
    metric: str
    name: str
    cells: tuple[str, ...]
    """One for each run, and a last one for the change where there is something to compare with."""


@dataclass(frozen=True)
class Table:
    """A technique's repeats, beside the baseline's that may be compared with them, if there are any."""

    groups: tuple[Group, ...]
    """The baseline's, if any, and then the technique's."""
    differences: tuple[Difference, ...]
    rows: tuple[Row, ...]
    saving: float | None = None
    """Of the peak, as a fraction; None where there is nothing to compare with."""

    @property
    def group(self) -> Group:
        """The technique's own repeats."""
        return self.groups[-1]

    @property
    def compared(self) -> bool:
        return len(self.groups) > 1

    @property
    def peak(self) -> str:
        """The technique's own peak, with its spread."""
        return next(row.cells[len(self.groups) - 1] for row in self.rows if row.metric == METRICS[0])

    @property
    def arms(self) -> tuple[Arm, ...]:
        return tuple(Arm(arm_words(group), group.first) for group in self.groups)

    @property
    def work(self) -> tuple[object, ...]:
        """What charts must have in common to share an axis."""
        setup, device = self.group.first.setup, self.group.first.device
        return device.kind, device.name, setup.model, setup.batch, setup.seq


def arm_words(group: Group) -> str:
    """Return how a chart and a table name repeats: the technique and the precision."""
    precision = _("mixed") if group.first.setup.precision == "mixed" else _("bf16")
    return _("%(technique)s, %(precision)s", technique=title(group.first.technique), precision=precision)


def tables(technique: str, records: Records) -> tuple[Table, ...]:
    """Return every group of repeats of a technique: the strongest evidence first, then mixed precision."""
    by_runs = {group.ids: group for group in records.groups}
    compared = list(_pairs(technique, records, by_runs)) if technique != BASELINE else []
    seen = {table.group.ids for table in compared}
    alone = [
        Table((group,), (), _rows((group,)))
        for group in by_runs.values()
        if group.first.technique == technique and group.ids not in seen
    ]
    return tuple(sorted([*compared, *alone], key=_order))


def _order(table: Table) -> tuple[object, ...]:
    first = table.group.first
    return DEVICES.index(first.device.kind), table.work, first.setup.precision != "mixed", not table.compared


def _pairs(technique: str, records: Records, by_runs: dict[tuple[str, ...], Group]) -> Iterator[Table]:
    """Yield what `evidence` finds comparable: a table never sets side by side what a claim may not."""
    group_of = {id: group for group in by_runs.values() for id in group.ids}
    for device in DEVICES:
        test = Test(
            of={"technique": technique, "device": device},
            against={"technique": BASELINE, "device": device},
            take="saving",
            within=(None, 1.0),
        )
        for finding in judge(
            Claim(id="peak", says=technique, verdict="holds", tests=(test,)), records
        ).findings:
            if finding.value is not None:
                groups = group_of[finding.against_runs[0]], group_of[finding.runs[0]]
                yield Table(groups, finding.differences, _rows(groups), finding.value)


def _rows(groups: tuple[Group, ...]) -> tuple[Row, ...]:
    rows = []
    for path in METRICS:
        values = [_values(group, path) for group in groups]
        if not any(values):
            continue
        cells = [_cell(group, path) for group in groups]
        if len(groups) > 1:
            cells.append(_change(values[0], values[1], path))
        rows.append(Row(path, metric_words(path), tuple(cells)))
    return tuple(rows)


def _values(group: Group, path: str) -> list[float]:
    found = (metric(record, path) for _id, record in group.runs.values())
    return [value for value in found if value is not None]


def _cell(group: Group, path: str) -> str:
    values = _values(group, path)
    if not values:
        return "–"
    # Steps of one run lie further apart than runs do, so the spread of a time is theirs.
    ends = ("speed.step_seconds.min", "speed.step_seconds.max") if path == STEP else (path,)
    spread = [value for end in ends for value in _values(group, end)]
    middle, low, high = map(formatter(path), (statistics.median(values), min(spread), max(spread)))
    return middle if low == high else _("%(median)s (%(low)s to %(high)s)", median=middle, low=low, high=high)


def _change(baseline: list[float], technique: list[float], path: str) -> str:
    if not baseline or not technique:
        return "–"
    before, after = statistics.median(baseline), statistics.median(technique)
    if "loss" in path:
        same = numbers.loss(before) == numbers.loss(after)
        return _("the same") if same else numbers.difference(after - before)
    if not before:
        return "–"
    return _("the same") if before == after else change(1 - after / before)
