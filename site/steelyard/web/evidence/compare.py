"""Every technique side by side, on the same work: one number, one device, one setup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, render_template, request
from flask_babel import ngettext

from steelyard.evidence import Difference, Group, Records, tuned
from steelyard.evidence.workloads import Workload, workload_differences, workloads
from steelyard.remember import remembered
from steelyard.web.app.languages import language
from steelyard.web.app.state import state
from steelyard.web.evidence.charts.bars import bar_chart
from steelyard.web.evidence.charts.curves import Rates, curves, curves_chart, rates
from steelyard.web.evidence.charts.draw import Chart, ChartArm
from steelyard.web.evidence.charts.memory import peak_chart
from steelyard.web.evidence.labels import labels
from steelyard.web.evidence.medians import HELD_OUT, STEP, changed, median
from steelyard.web.evidence.side_by_side import PEAK, Overview, overview
from steelyard.web.text.technique_texts import title
from steelyard.web.text.vocabulary import work_words

bp = Blueprint("compare", __name__)

METRICS = (
    PEAK,
    "memory.static_bytes",
    "memory.load_peak_bytes",
    "memory.reserved_bytes",
    "memory.process_bytes",
    STEP,
    "speed.tokens_per_second",
    "learning.trainable_parameters",
    HELD_OUT,
)
"""What the page can compare."""

CLOSEST = 6
"""How many other works the page lists at most."""


@dataclass(frozen=True)
class Comparison:
    """One work, and what a metric was in each of its arms."""

    work: Workload
    metrics: tuple[str, ...]
    """Those that the work's runs have."""
    chart: Chart | None
    """Each arm at the learning rate that suits it."""
    overview: Overview
    curves: Chart | None
    rates: Rates | None
    apart: tuple[tuple[Workload, tuple[Difference, ...]], ...]
    """The closest other works, and in what they differ."""


@bp.get("/compare")
def show() -> str:
    """Compare the arms of one work. Unknown query values fall back to the first option."""
    records = state().records  # once: they may be read anew at any moment
    works = workloads(records)
    devices = {_device(work): work.first.device for work in works}
    asked = next((work for work in works if work.key == request.args.get("setup")), None)
    device = request.args.get("device")
    if device not in devices:
        device = _device(asked) if asked else next(iter(devices), None)
    there = [work for work in works if _device(work) == device]
    work = asked if asked in there else next(iter(there), None)
    offered = _metrics(work) if work else ()
    metric = request.args.get("metric")
    metric = metric if metric in offered else PEAK
    return render_template(
        "compare/show.html",
        devices=devices,
        device=device,
        choices=_choices(there),
        technique_title=title,
        metric=metric,
        comparison=_compared(records, work.key, metric, language()) if work else None,
    )


@remembered(32)
def _compared(records: Records, key: str, metric: str, language: str) -> Comparison:
    works = workloads(records)
    work = next(work for work in works if work.key == key)
    shown = [group for group, _rates in tuned(work.groups)]
    others = sorted(
        ((other, workload_differences(work, other)) for other in works if other is not work),
        key=lambda pair: len(pair[1]),
    )
    return Comparison(
        work,
        _metrics(work),
        _peaks(shown, work) if metric == PEAK else bar_chart(shown, work, metric, "bar-"),
        overview(work.groups, work),
        curves_chart(curves(work), "curve-"),
        rates(work),
        tuple(others[:CLOSEST]),
    )


@remembered(1)
def _metrics(work: Workload) -> tuple[str, ...]:
    """Return what the page can compare of this work: what its runs have."""
    return tuple(path for path in METRICS if any(median(group, path) is not None for group in work.groups))


def _peaks(shown: Sequence[Group], work: Workload) -> Chart | None:
    """Return the peaks by kind, each with how far it lies from what it may be compared with."""
    arms = []
    for label, group in zip(labels(shown), shown, strict=True):
        pair = work.reference(group)
        arms.append(ChartArm(label, group.first, changed(pair[0], group, PEAK) if pair else None))
    return peak_chart(arms, "peak-")


def _choices(there: list[Workload]) -> dict[str, str]:
    """Return a name for each work on one device, by its key."""
    words = [
        f"{work_words(setup)} · {ngettext('%(num)s step', '%(num)s steps', setup.steps)}"
        for setup in (work.first.setup for work in there)
    ]
    named = {}
    for work, name in zip(there, words, strict=True):
        twins = [
            other for other, same in zip(there, words, strict=True) if same == name and other is not work
        ]
        own = dict.fromkeys(f"{d.field} {d.of}" for twin in twins for d in workload_differences(work, twin))
        named[work.key] = " · ".join([name, *own])
    return named


def _device(work: Workload) -> str:
    """Return a device's name in an address: its kind, and what it is called."""
    return f"{work.first.device.kind}: {work.first.device.name}"
