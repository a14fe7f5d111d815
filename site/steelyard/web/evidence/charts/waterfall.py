"""The stack's waterfall: what is left at the peak after each step, and what the step took away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _

from memlab.results.comparing import fraction_saved
from memlab.results.record import KINDS
from memlab.results.techniques import BASELINE
from steelyard.evidence import Group
from steelyard.evidence.workloads import Workload
from steelyard.web.evidence.charts.draw import (
    WIDTH,
    Chart,
    ChartRow,
    LegendEntry,
    headed,
    in_rows,
    picture,
    unit,
)
from steelyard.web.evidence.charts.memory import COLOUR, legend, stacked
from steelyard.web.text import numbers
from steelyard.web.text.vocabulary import change_words, step_words

STACK = "stack"


def steps(work: Workload) -> tuple[tuple[str, Group], ...]:
    """Return what the stack is built from, in order: full fine-tuning, mixed and bf16, and then its steps."""
    full = {group.first.setup.precision: group for group in reversed(work.of(BASELINE))}
    start = [
        (words, full[precision])
        for precision, words in (("mixed", _("full fine-tuning, mixed")), ("bf16", _("all in bf16")))
        if precision in full
    ]
    seen: dict[str, Group] = {}
    for group in work.of(STACK):
        if group.first.setup.step is not None:
            seen.setdefault(group.first.setup.step, group)
    return (*start, *((f"+ {step_words(step)}", group) for step, group in seen.items()))


def waterfall_chart(built: Sequence[tuple[str, Group]], prefix: str) -> Chart | None:
    """Return the peaks of the steps, stacked by kind, and beside each what its step saved; None below two."""
    known = [
        (words, group.first, parts)
        for words, group in built
        if (parts := group.first.memory.breakdown_at_peak)
    ]
    if len(known) < 2:
        return None
    name, divisor = unit(parts.total for _words, _record, parts in known)
    totals = [parts.total for _words, _record, parts in known]
    heads = [headed(words, numbers.size(parts.total)) for words, _record, parts in known]
    values: list[dict[str, Any]] = []
    for head, (_words, _record, parts), before in zip(heads, known, [totals[0], *totals], strict=False):
        values += [{**bar, "arm": head} for bar in stacked(parts, divisor)]
        if before > parts.total:
            values.append({"arm": head, "saved": True, "from": parts.total / divisor, "to": before / divisor})
    spec = in_rows(
        values,
        heads,
        10,
        {
            "width": WIDTH - 20,
            "height": 26,
            "layer": [
                {
                    "transform": [{"filter": "!datum.saved"}],
                    "mark": {"type": "bar", "height": 26, "stroke": "var(--paper)", "strokeWidth": 1},
                    "encoding": {
                        "x": {"field": "value", "type": "quantitative", "stack": "zero", "title": name},
                        "color": COLOUR,
                        "order": {"field": "order"},
                    },
                },
                {
                    "transform": [{"filter": "datum.saved"}],
                    "mark": {
                        "type": "bar",
                        "height": 25,
                        "color": "var(--accent-soft)",
                        "stroke": "var(--accent)",
                        "strokeDash": [4, 3],
                    },
                    "encoding": {"x": {"field": "from", "type": "quantitative"}, "x2": {"field": "to"}},
                },
            ],
        },
    )
    rows: list[ChartRow] = []
    for (words, _record, parts), before in zip(known, [totals[0], *totals], strict=False):
        first = not rows
        rows.append(
            ChartRow(
                words,
                (
                    numbers.size(parts.total),
                    "–" if first else _saved(before, parts.total),
                    "–" if first else change_words(fraction_saved(parts.total, totals[0])),
                ),
            )
        )
    kinds = [kind for kind in KINDS if any(getattr(parts, kind) for _words, _record, parts in known)]
    summary = _("What is left at the peak after each step. %(steps)s.", steps="; ".join(heads))
    return Chart(
        picture(spec, prefix, summary),
        (*legend(kinds), LegendEntry("key-saved", _("saved by the step"))),
        (_("at the peak"), _("by this step"), _("since the start")),
        tuple(rows),
    )


def _saved(before: int, after: int) -> str:
    if before == after:
        return _("the same")
    sign = "−" if after < before else "+"
    return f"{sign}{numbers.size(abs(before - after))}"
