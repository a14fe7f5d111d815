"""One number of every run, as a bar (or of a loss, as a dot) with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _

from memlab.results.techniques import BASELINE
from steelyard.evidence import Group
from steelyard.evidence.workloads import Workload
from steelyard.web.evidence.charts.draw import WIDTH, Chart, ChartRow, headed, in_rows, picture, unit
from steelyard.web.evidence.labels import labels
from steelyard.web.evidence.medians import cell, changed, median, spread
from steelyard.web.text.vocabulary import formatter, metric_words

_COLOUR = {"condition": {"test": "datum.full", "value": "var(--control)"}, "value": "var(--accent)"}


def bar_chart(groups: Sequence[Group], work: Workload, path: str, prefix: str) -> Chart | None:
    """Return the number at `path` of each of these repeats of one work; None if none has it.

    The table adds how far each lies from what it may be compared with.
    """
    known = [
        (label, group, middle, ends)
        for label, group in zip(labels(groups), groups, strict=True)
        if (middle := median(group, path)) is not None and (ends := spread(group, path))
    ]
    if not known:
        return None
    name, divisor = _axis(path, [ends[1] for *_rest, ends in known])
    write = formatter(path)
    heads = [headed(label, write(middle)) for label, _group, middle, _ends in known]
    values = [
        {
            "arm": head,
            "value": middle / divisor,
            "low": low / divisor,
            "high": high / divisor,
            "full": group.first.technique == BASELINE,
        }
        for head, (_label, group, middle, (low, high)) in zip(heads, known, strict=True)
    ]
    x = {"type": "quantitative", "title": name, "axis": {"format": "~s"} if "_parameters" in path else {}}
    # Losses lie close together and far from zero: the place on the axis tells them apart, not a length.
    loss = "loss" in path
    scale = {"scale": {"zero": False, "nice": True}} if loss else {}
    mark: dict[str, Any] = (
        {"type": "circle", "size": 70, "opacity": 1} if loss else {"type": "bar", "height": 18}
    )
    spec = in_rows(
        values,
        heads,
        10,
        {
            "width": WIDTH - 20,
            "height": 18,
            "layer": [
                {"mark": mark, "encoding": {"x": {"field": "value", **x, **scale}, "color": _COLOUR}},
                {
                    "transform": [{"filter": "datum.low < datum.high"}],
                    "mark": {"type": "rule", "color": "var(--ink)", "strokeWidth": 1.5},
                    "encoding": {"x": {"field": "low", **x, **scale}, "x2": {"field": "high"}},
                },
            ],
        },
    )
    pairs = [work.reference(group) for _label, group, *_rest in known]
    rows = []
    for (label, group, *_numbers), pair in zip(known, pairs, strict=True):
        compared = (changed(pair[0], group, path) if pair else "–",) if any(pairs) else ()
        rows.append(ChartRow(label, (cell(group, path), *compared)))
    columns = (metric_words(path), _("Change")) if any(pairs) else (metric_words(path),)
    summary = f"{metric_words(path)}. {'; '.join(heads)}."
    return Chart(picture(spec, prefix, summary), (), columns, tuple(rows))


def _axis(path: str, most: Sequence[float]) -> tuple[str, float]:
    if path.endswith("_bytes"):
        return unit(most)
    if "_seconds" in path:
        return _("seconds"), 1
    if "loss" in path:
        return _("nats per token"), 1
    return metric_words(path), 1
