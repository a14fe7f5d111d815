"""From a Vega-Lite specification to SVG that is put into the page, and what every chart consists of.

One SVG serves both themes, since its colours are the pages' CSS variables, and it carries no inline style,
which the pages' policy would refuse. The legend and the numbers are HTML (`templates/_charts.html`), so that
they can be read at any width and without seeing the picture.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

import vl_convert
from flask_babel import gettext as _
from markupsafe import Markup, escape

from memlab.results.record import Record
from steelyard.web.text import numbers

WIDTH = 560

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


@dataclass(frozen=True)
class ChartArm:
    """One run as a chart names it."""

    label: str
    record: Record
    note: str | None = None
    """What stands after its figure, such as how much that saves."""

    def head(self, figure: str) -> str:
        """Return the line of text above its picture."""
        return headed(self.label, figure) + (f" · {self.note}" if self.note else "")


def headed(label: str, figure: str) -> str:
    """Return a figure and what it is of, as it stands above a bar."""
    return _("%(arm)s: %(size)s", arm=label, size=figure)


@dataclass(frozen=True)
class LegendEntry:
    """An entry of the legend: a colour, by the class that carries it, and what it stands for."""

    colour: str
    words: str


@dataclass(frozen=True)
class ChartRow:
    """One line of the table beside a picture."""

    name: str
    cells: tuple[str, ...]
    colour: str | None = None
    """The class of the colour that the picture gives it."""


@dataclass(frozen=True)
class Chart:
    """A picture, its legend, and everything that it shows as a table."""

    svg: Markup
    legend: tuple[LegendEntry, ...]
    columns: tuple[str, ...]
    rows: tuple[ChartRow, ...]
    totals: tuple[str, ...] = ()
    """The table's last row; empty where there is nothing to add up."""

    @property
    def wide(self) -> bool:
        """Whether the table is too wide to stand beside the picture."""
        return len(self.columns) > 4


def unit(values: Iterable[float]) -> tuple[str, int]:
    """Return the unit in which an axis shows these bytes, and how many of them it is."""
    return ("GiB", numbers.GIB) if max(values, default=0) >= numbers.GIB else ("MiB", numbers.MIB)


def in_rows(
    values: Sequence[dict[str, Any]], heads: Sequence[str], spacing: int, view: dict[str, Any]
) -> dict[str, Any]:
    """Return the specification that draws `view` once for each value of the field `arm`, under its head."""
    header = {"labelOrient": "top", "labelAnchor": "start", "labelPadding": 4}
    row = {"field": "arm", "type": "nominal", "sort": list(heads), "title": None, "header": header}
    return {"data": {"values": values}, "facet": {"row": row}, "spacing": spacing, "spec": view}


def picture(spec: dict[str, Any], prefix: str, summary: str) -> Markup:
    """Return the picture of a specification; `prefix` begins its ids, `summary` says what it shows."""
    return _svg(json.dumps(spec), prefix, summary)


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
    return re.sub(r'(id="|url\(#)([^")]+)', lambda match: f"{match[1]}{prefix}{numbers_of[match[2]]}", svg)
