"""What one rank keeps under ZeRO: the model states by kind, over stages and ranks, beside the formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext

from memlab.results.record import Record
from memlab.results.zero_formulas import KINDS, kept, paper
from steelyard.web.evidence.charts.draw import WIDTH, Chart, ChartRow, LegendEntry, headed, in_rows, picture
from steelyard.web.text import numbers

STATES = tuple(KINDS)
"""The model states, in the order in which they are stacked."""


def state_words(kind: str) -> str:
    """Return what a model state is called, one of STATES."""
    match kind:
        case "parameters":
            return _("weights, bf16")
        case "gradients":
            return _("gradients")
        case "master":
            return _("master weights, fp32")
    return _("Adam's moments")


def formula_bytes(stage: int, ranks: int) -> float:
    """Return the bytes that a rank keeps for each parameter by the paper's formulas."""
    return sum(paper(stage, ranks, 1).values())


def ranks_chart(runs: Sequence[Record], prefix: str) -> Chart | None:
    """Return the states of the heaviest rank, by kind, for each stage on each number of ranks.

    `runs` are of one work; those without states are left out. None where no run has any.
    """
    known = sorted(
        (record for record in runs if record.states is not None and record.setup.stage is not None),
        key=lambda record: (record.setup.ranks, record.setup.stage, record.setup.offload),
    )
    if not known:
        return None
    values: list[dict[str, Any]] = []
    rows: list[ChartRow] = []
    heads = list(dict.fromkeys(_ranks(record) for record in known))
    for record in known:
        states, setup = record.states, record.setup
        assert states is not None and setup.stage is not None
        formula = formula_bytes(setup.stage, setup.ranks)
        parts = kept(record)
        place = {"arm": _ranks(record), "stage": _stage(record)}
        values += [
            {**place, "kind": kind, "order": order, "value": parts[kind]} for order, kind in enumerate(STATES)
        ]
        values.append({**place, "paper": True, "value": formula})
        together = sum(parts.values())
        rows.append(
            ChartRow(
                _("%(ranks)s, %(stage)s", ranks=_ranks(record), stage=_stage(record)),
                (
                    *(numbers.per_parameter(parts[kind]) for kind in STATES),
                    numbers.per_parameter(together),
                    numbers.per_parameter(formula),
                    numbers.deviation(together / formula - 1),
                    numbers.size(states.buffers_bytes),
                ),
            )
        )
    x = {"field": "value", "type": "quantitative", "title": _("bytes for each parameter, in one rank")}
    y = {"field": "stage", "type": "nominal", "title": None, "sort": list(dict.fromkeys(map(_stage, known)))}
    colours = {
        "field": "kind",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": list(STATES), "range": [f"var(--{_colour(kind)})" for kind in STATES]},
    }
    spec = in_rows(
        values,
        heads,
        12,
        {
            "width": WIDTH - 120,
            "height": {"step": 26},
            "layer": [
                {
                    "transform": [{"filter": "!datum.paper"}],
                    "mark": {"type": "bar", "height": 20, "stroke": "var(--paper)", "strokeWidth": 1},
                    "encoding": {
                        "x": {**x, "stack": "zero"},
                        "y": y,
                        "color": colours,
                        "order": {"field": "order"},
                    },
                },
                {
                    "transform": [{"filter": "datum.paper"}],
                    "mark": {
                        "type": "tick",
                        "thickness": 2.5,
                        "size": 26,
                        "color": "var(--ink)",
                        "opacity": 1,
                    },
                    "encoding": {"x": x, "y": y},
                },
            ],
        },
    ) | {"resolve": {"scale": {"y": "independent"}}}
    summary = _(
        "Bytes for each parameter that one rank keeps. %(arms)s.",
        arms="; ".join(headed(row.name, row.cells[len(STATES)]) for row in rows),
    )
    return Chart(
        picture(spec, prefix, summary),
        (
            *(LegendEntry(_colour(kind), state_words(kind)) for kind in STATES),
            LegendEntry("key-line", _("the paper's formula")),
        ),
        (
            *map(state_words, STATES),
            _("together"),
            _("the paper"),
            _("off by"),
            _("buffers, apart"),
        ),
        tuple(rows),
    )


def _colour(kind: str) -> str:
    return {
        "parameters": "kind-weights",
        "gradients": "kind-gradients",
        "master": "kind-master",
        "moments": "kind-optimizer",
    }[kind]


def _ranks(record: Record) -> str:
    return ngettext("%(num)s rank", "%(num)s ranks", record.setup.ranks)


def _stage(record: Record) -> str:
    stage = _("stage %(stage)s", stage=record.setup.stage)
    return _("%(stage)s, offloaded", stage=stage) if record.setup.offload else stage
