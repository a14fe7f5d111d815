"""Memory by kind: at the instant of the peak, and over one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _

from memlab.results.record import KINDS, Breakdown
from steelyard.web.evidence.charts.draw import (
    WIDTH,
    Chart,
    ChartArm,
    ChartRow,
    LegendEntry,
    in_rows,
    picture,
    unit,
)
from steelyard.web.text import numbers
from steelyard.web.text.vocabulary import kind_words

INSTANTS = 120
"""How many instants of a timeline are drawn at most; of the others, each span's fullest is kept."""

SIDE_BY_SIDE = 3
"""More runs than these are the rows of their table, not its columns."""

COLOUR = {
    "field": "kind",
    "type": "nominal",
    "legend": None,
    "scale": {"domain": list(KINDS), "range": [f"var(--kind-{kind})" for kind in KINDS]},
}


def peak_chart(arms: Sequence[ChartArm], prefix: str) -> Chart | None:
    """Return the live bytes of each run at its peak, stacked by kind; None if no run has a breakdown."""
    known = [(arm, parts) for arm in arms if (parts := arm.record.memory.breakdown_at_peak)]
    if not known:
        return None
    name, divisor = unit(parts.total for _arm, parts in known)
    heads = [arm.head(numbers.size(parts.total)) for arm, parts in known]
    values = [
        {**bar, "arm": head}
        for head, (_arm, parts) in zip(heads, known, strict=True)
        for bar in stacked(parts, divisor)
    ]
    spec = in_rows(
        values,
        heads,
        10,
        {
            "width": WIDTH - 20,
            "height": 30,
            "mark": {"type": "bar", "height": 30, "stroke": "var(--paper)", "strokeWidth": 1},
            "encoding": {
                "x": {"field": "value", "type": "quantitative", "stack": "zero", "title": name},
                "color": COLOUR,
                "order": {"field": "order"},
            },
        },
    )
    kinds = [kind for kind in KINDS if any(getattr(parts, kind) for _arm, parts in known)]
    summary = _("Memory at the peak, by kind. %(arms)s.", arms="; ".join(heads))
    svg = picture(spec, prefix, summary)
    if len(known) > SIDE_BY_SIDE:
        noted = any(arm.note for arm, _parts in known)
        rows = []
        for arm, parts in known:
            cells = [numbers.size(getattr(parts, kind)) for kind in kinds]
            rows.append(
                ChartRow(arm.label, (*cells, numbers.size(parts.total), *((arm.note or "–",) * noted)))
            )
        columns = (*map(kind_words, kinds), _("together"), *((_("Change"),) * noted))
        return Chart(svg, legend(kinds), columns, tuple(rows))
    return Chart(
        svg,
        legend(kinds),
        tuple(arm.label for arm, _parts in known),
        tuple(
            ChartRow(
                kind_words(kind),
                tuple(numbers.size(getattr(parts, kind)) for _arm, parts in known),
                f"kind-{kind}",
            )
            for kind in kinds
        ),
        tuple(numbers.size(parts.total) for _arm, parts in known),
    )


def stacked(parts: Breakdown, divisor: int) -> list[dict[str, Any]]:
    """Return one run's bars, a kind each, in the order in which they are stacked."""
    return [
        {"kind": kind, "order": order, "value": getattr(parts, kind) / divisor}
        for order, kind in enumerate(KINDS)
        if getattr(parts, kind)
    ]


def legend(kinds: Sequence[str]) -> tuple[LegendEntry, ...]:
    """Return what the colours of these kinds stand for."""
    return tuple(LegendEntry(f"kind-{kind}", kind_words(kind)) for kind in kinds)


def timeline_chart(arms: Sequence[ChartArm], prefix: str) -> Chart | None:
    """Return the live bytes over one step, by kind, one run above the other on the same axes.

    The table gives the least and the most of each kind. None if no run has a timeline.
    """
    known = [arm for arm in arms if arm.record.memory.timeline]
    if not known:
        return None
    name, divisor = unit(sum(point[1:]) for arm in known for point in arm.record.memory.timeline)
    values: list[dict[str, Any]] = []
    heads = []
    for arm in known:
        peak = max(arm.record.memory.timeline, key=lambda point: sum(point[1:]))
        head = arm.head(numbers.size(sum(peak[1:])))
        heads.append(head)
        values += [
            {"arm": head, "kind": kind, "order": order, "seconds": point[0], "value": point[order] / divisor}
            for order, kind in enumerate(KINDS, 1)
            if any(point[order] for point in arm.record.memory.timeline)
            for point in thinned(arm.record.memory.timeline)
        ]
        values.append({"arm": head, "peak": True, "seconds": peak[0], "value": sum(peak[1:]) / divisor})
    place = {
        "x": {"field": "seconds", "type": "quantitative", "title": _("seconds into the step")},
        "y": {"field": "value", "type": "quantitative", "title": name},
    }
    spec = in_rows(
        values,
        heads,
        14,
        {
            "width": WIDTH - 60,
            "height": 130,
            "layer": [
                {
                    "transform": [{"filter": "!datum.peak"}],
                    "mark": {"type": "area", "interpolate": "step-after"},
                    "encoding": {
                        "x": place["x"],
                        "y": {**place["y"], "stack": "zero"},
                        "color": COLOUR,
                        "order": {"field": "order"},
                    },
                },
                {
                    "transform": [{"filter": "datum.peak"}],
                    "mark": {"type": "circle", "size": 40, "color": "var(--ink)", "opacity": 1},
                    "encoding": place,
                },
            ],
        },
    )
    shown = [
        (order, kind)
        for order, kind in enumerate(KINDS, 1)
        if any(point[order] for arm in known for point in arm.record.memory.timeline)
    ]
    summary = _("Memory over one step, by kind. %(arms)s.", arms="; ".join(heads))
    return Chart(
        picture(spec, prefix, summary),
        legend([kind for _order, kind in shown]),
        tuple(arm.label for arm in known),
        tuple(
            ChartRow(kind_words(kind), tuple(_range(arm, order) for arm in known), f"kind-{kind}")
            for order, kind in shown
        ),
    )


def _range(arm: ChartArm, order: int) -> str:
    values = [int(point[order]) for point in arm.record.memory.timeline]
    least, most = numbers.size(min(values)), numbers.size(max(values))
    return most if least == most else _("%(least)s to %(most)s", least=least, most=most)


def thinned(timeline: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Return about INSTANTS points of a timeline: the first, the last, and of each span the fullest."""
    span = -(-len(timeline) // INSTANTS)
    if span <= 1:
        return list(timeline)
    fullest = [
        max(timeline[start : start + span], key=lambda point: sum(point[1:]))
        for start in range(1, len(timeline) - 1, span)
    ]
    return [timeline[0], *fullest, timeline[-1]]
