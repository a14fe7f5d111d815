"""The charts and tables of a technique's page, computed once per set of records and then cached."""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.evidence import Group, Records, tuned
from steelyard.evidence.workloads import Workload, workloads_of
from steelyard.remember import remembered
from steelyard.web.app.languages import language
from steelyard.web.app.state import state
from steelyard.web.evidence.charts.bars import bar_chart
from steelyard.web.evidence.charts.curves import Rates, curves, curves_chart, rates
from steelyard.web.evidence.charts.draw import Chart, ChartArm
from steelyard.web.evidence.charts.memory import peak_chart, timeline_chart
from steelyard.web.evidence.charts.ranks import ranks_chart
from steelyard.web.evidence.charts.waterfall import STACK, steps, waterfall_chart
from steelyard.web.evidence.labels import labels
from steelyard.web.evidence.medians import STEP
from steelyard.web.evidence.side_by_side import (
    FEW,
    ComparisonTable,
    Overview,
    comparison_tables,
    furthest,
    overview,
)


@dataclass(frozen=True)
class Figures:
    """The charts and tables of one technique; what it has no runs for is None or empty."""

    work: Workload
    """The one that heads the page."""
    tables: tuple[ComparisonTable, ...]
    """Each of the technique's repeats beside the baseline's; empty where there are too many of them."""
    overview: Overview | None
    """All of them in one, then."""
    waterfall: Chart | None
    ranks: Chart | None
    peak: Chart | None
    timeline: Chart | None
    times: Chart | None
    learned: Workload | None
    """The work of the learning curves."""
    curves: Chart | None
    rates: Rates | None
    others: tuple[tuple[Workload, Overview], ...]
    """The other works in which the technique was measured."""


def figures(technique: str) -> Figures | None:
    """Return what the page of a technique shows; None if it was not measured."""
    return _figures(state().records, technique, language())


@remembered(32)
def _figures(records: Records, technique: str, language: str) -> Figures | None:
    own = workloads_of(technique, records)
    if not own:
        return None
    head = own[0]
    tables = comparison_tables(technique, head)
    groups = _groups(tables)
    drawn = _drawn(groups)
    arms = [ChartArm(label, group.first) for label, group in zip(labels(drawn), drawn, strict=True)]
    built = steps(head) if technique == STACK else ()
    learned = next((work for work in own if curves(work)), None)
    return Figures(
        head,
        tables if len(tables) <= FEW else (),
        overview(groups, head) if len(tables) > FEW else None,
        waterfall_chart(built, "fall-"),
        ranks_chart([group.first for group in head.of(technique)], "rank-"),
        None if built else peak_chart(arms, "peak-"),
        timeline_chart((furthest(tables) or tables)[0].arms, "step-"),
        bar_chart(drawn, head, STEP, "time-"),
        learned,
        curves_chart(curves(learned), "curve-", bold=technique) if learned else None,
        rates(learned) if learned else None,
        tuple((work, overview(_groups(comparison_tables(technique, work)), work)) for work in own[1:]),
    )


def _drawn(groups: list[Group]) -> list[Group]:
    """Return the repeats to draw: each arm at one learning rate, and of shards those on the most ranks."""
    most = max(group.first.setup.ranks for group in groups)
    return [group for group, _rates in tuned(groups) if group.first.setup.ranks == most]


def _groups(tables: tuple[ComparisonTable, ...]) -> list[Group]:
    """Return the repeats of these tables, each once, and after what it is compared with."""
    return list({group.ids: group for table in tables for group in table.groups}.values())
