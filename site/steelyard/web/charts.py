"""Charts of records: Vega-Lite specifications, rendered on the server to SVG that is put into the page.

One SVG serves both themes, since its colours are the pages' CSS variables, and it carries no inline style,
which the pages' policy would refuse. The legend and the numbers are HTML (`templates/_charts.html`), so that
they can be read at any width and without seeing the picture.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

import vl_convert
from flask_babel import gettext as _
from markupsafe import Markup, escape

from memlab.record import KINDS, Record
from steelyard.web import numbers

WIDTH = 560
INSTANTS = 120
"""How many instants of a timeline are drawn at most; of the others, each span's fullest is kept."""

_VEGA_LITE = "5.21"
_KEPT = frozenset(
    {"clip-path", "d", "dx", "dy", "fill", "fill-opacity", "font-size", "font-weight", "height", "id"}
    | {"opacity", "stroke", "stroke-dasharray", "stroke-width", "text-anchor", "transform", "viewBox"}
    | {"width", "x", "x1", "x2", "y", "y1", "y2"}
)
_CONFIG = {
    "font": "inherit",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 13,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "gridColor": "var(--rule)",
        "domainColor": "var(--control)",
        "tickColor": "var(--control)",
        "tickCount": 4,
    },
    "header": {"labelFontSize": 14, "labelColor": "var(--ink)"},
}
_COLOUR = {
    "field": "kind",
    "type": "nominal",
    "legend": None,
    "scale": {"domain": list(KINDS), "range": [f"var(--kind-{kind})" for kind in KINDS]},
}


@dataclass(frozen=True)
class Arm:
    """One run as a chart names it."""

    label: str
    record: Record


@dataclass(frozen=True)
class Row:
    """One kind of memory, and what each run held of it: one amount, or the least and the most of a step."""

    kind: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A picture, and everything that it shows as a table."""

    svg: Markup
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    totals: tuple[str, ...]
    """The table's last row; empty where amounts of different instants must not be added up."""


def peak_chart(arms: Sequence[Arm], prefix: str) -> Chart | None:
    """Return the live bytes of each run at its peak, stacked by kind; None if no run has a breakdown."""
    shown = [(arm, arm.record.memory.breakdown_at_peak) for arm in arms]
    known = [(arm, breakdown) for arm, breakdown in shown if breakdown is not None]
    if not known:
        return None
    largest = max(breakdown.total for _arm, breakdown in known)
    unit, divisor = _unit(largest)
    heads = [_("%(arm)s: %(size)s", arm=arm.label, size=numbers.size(parts.total)) for arm, parts in known]
    bars = [
        {"arm": head, "kind": kind, "order": order, "value": getattr(breakdown, kind) / divisor}
        for head, (_arm, breakdown) in zip(heads, known, strict=True)
        for order, kind in enumerate(KINDS)
        if getattr(breakdown, kind)
    ]
    spec = {
        "data": {"values": bars},
        "facet": {"row": _header(heads)},
        "spacing": 6,
        "spec": {
            "width": WIDTH - 20,
            "height": 30,
            "mark": {"type": "bar", "height": 30, "stroke": "var(--paper)", "strokeWidth": 1},
            "encoding": {
                "x": {"field": "value", "type": "quantitative", "stack": "zero", "title": unit},
                "color": _COLOUR,
                "order": {"field": "order"},
            },
        },
    }
    rows = tuple(
        Row(kind, tuple(numbers.size(getattr(breakdown, kind)) for _arm, breakdown in known))
        for kind in KINDS
        if any(getattr(breakdown, kind) for _arm, breakdown in known)
    )
    summary = _("Memory at the peak, by kind. %(arms)s.", arms="; ".join(heads))
    return Chart(
        _svg(json.dumps(spec), prefix, summary),
        tuple(arm.label for arm, _parts in known),
        rows,
        tuple(numbers.size(breakdown.total) for _arm, breakdown in known),
    )


def timeline_chart(arms: Sequence[Arm], prefix: str) -> Chart | None:
    """Return the live bytes over one step, by kind, one run above the other on the same axes.

    The table gives the least and the most of each kind. None if no run has a timeline.
    """
    known = [arm for arm in arms if arm.record.memory.timeline]
    if not known:
        return None
    unit, divisor = _unit(max(sum(point[1:]) for arm in known for point in arm.record.memory.timeline))
    values: list[dict[str, Any]] = []
    heads = []
    for arm in known:
        peak = max(arm.record.memory.timeline, key=lambda point: sum(point[1:]))
        head = _("%(arm)s: %(size)s", arm=arm.label, size=numbers.size(sum(peak[1:])))
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
        "y": {"field": "value", "type": "quantitative", "title": unit},
    }
    spec = {
        "data": {"values": values},
        "facet": {"row": _header(heads)},
        "spacing": 14,
        "spec": {
            "width": WIDTH - 60,
            "height": 130,
            "layer": [
                {
                    "transform": [{"filter": "!datum.peak"}],
                    "mark": {"type": "area", "interpolate": "step-after"},
                    "encoding": {
                        "x": place["x"],
                        "y": {**place["y"], "stack": "zero"},
                        "color": _COLOUR,
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
    }
    rows = tuple(
        Row(kind, tuple(_range(arm, order) for arm in known))
        for order, kind in enumerate(KINDS, 1)
        if any(point[order] for arm in known for point in arm.record.memory.timeline)
    )
    summary = _("Memory over one step, by kind. %(arms)s.", arms="; ".join(heads))
    return Chart(_svg(json.dumps(spec), prefix, summary), tuple(arm.label for arm in known), rows, ())


def _range(arm: Arm, order: int) -> str:
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


def _unit(largest: int) -> tuple[str, int]:
    return ("GiB", numbers.GIB) if largest >= numbers.GIB else ("MiB", numbers.MIB)


def _header(order: list[str]) -> dict[str, Any]:
    header = {"labelOrient": "top", "labelAnchor": "start", "labelPadding": 4}
    return {"field": "arm", "type": "nominal", "sort": order, "title": None, "header": header}


# ---- from a specification to a picture ------------------------------------------------------------------


@lru_cache(maxsize=256)
def _svg(spec: str, prefix: str, summary: str) -> Markup:
    """Render a specification. What is kept in the cache follows from the records' content alone."""
    drawn = vl_convert.vegalite_to_svg(
        {**json.loads(spec), "background": None, "padding": 2, "config": _CONFIG}, vl_version=_VEGA_LITE
    )
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own renderer's output
    _simplify(root)
    inside = ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)
    inside = re.sub(r"<(/?)ns0:", r"<\1", inside)
    inside = re.sub(r' (?:d|transform|[xy]2?)="[^"]+"', _rounded, inside)
    inside = _own_ids(inside[inside.index(">") + 1 : inside.rindex("</")], prefix)
    head = f'<svg class="chart" viewBox="{root.get("viewBox")}" role="img" aria-label="{escape(summary)}">'
    return Markup(f"{head}{inside}</svg>")  # noqa: S704


def _simplify(element: ElementTree.Element) -> None:
    """Drop whatever a picture with one label for the whole does not need, inline styles above all."""
    for name in set(element.attrib) - _KEPT:
        del element.attrib[name]
    for child in list(element):
        _simplify(child)
        tag = child.tag.rpartition("}")[2]
        empty_path = tag == "path" and (not child.get("d") or "0h0v0h0Z" in child.get("d", ""))
        if empty_path or (tag == "g" and not len(child)):
            element.remove(child)


def _rounded(attribute: re.Match[str]) -> str:
    """A tenth of a pixel is enough, and makes a timeline a third as long."""
    return re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), attribute[0])


def _own_ids(svg: str, prefix: str) -> str:
    """Number the ids from 1 (Vega counts on from chart to chart) and begin them with the page's prefix."""
    numbers_of: dict[str, int] = {}
    for name in re.findall(r'id="([^"]+)"', svg):
        numbers_of.setdefault(name, len(numbers_of) + 1)
    return re.sub(r'(id="|url\(#)([^")]+)', lambda found: f"{found[1]}{prefix}{numbers_of[found[2]]}", svg)
