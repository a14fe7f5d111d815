"""Learning curves: the training loss against tokens and against seconds, with the spread over the seeds.

Each run's losses are smoothed by a trailing mean of `LOSS_WINDOW` steps, so a curve begins at that step. It
is the median over the seeds, and its band reaches from the least to the most of them. A step's seconds are
the run's median time of a step: records do not time each step for itself.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask_babel import gettext as _

from memlab.results.groups import arms
from memlab.results.record import LOSS_WINDOW, Learning
from steelyard.evidence import Group, tuned
from steelyard.evidence.workloads import Workload
from steelyard.web.evidence.charts.draw import WIDTH, Chart, ChartRow, LegendEntry, headed, picture
from steelyard.web.evidence.labels import labels
from steelyard.web.evidence.medians import HELD_OUT, STEP, cell, median, ranged
from steelyard.web.text import numbers
from steelyard.web.text.vocabulary import rate_words

POINTS = 150
"""How many points of a curve are drawn at most."""

DASHES = ([1, 0], [9, 3], [2, 2], [9, 3, 2, 3], [4, 4], [15, 5])
"""How the line of each colour is dashed, in pixels: lines are told by more than their hue.

evidence.css draws the swatches so. More curves take colours and dashes anew.
"""


@dataclass(frozen=True)
class Curve:
    """The smoothed losses of repeats: step by step the median, the least and the most."""

    label: str
    group: Group

    @cached_property
    def points(self) -> tuple[tuple[int, float, float, float], ...]:
        """Step (counted from 1, warm-up included), median, least, most."""
        learned = [record.learning for _id, record in self.group.runs.values() if record.learning]
        runs = [smoothed(learning) for learning in learned]
        return tuple(
            (step, statistics.median(at), min(at), max(at))
            for step, at in enumerate(zip(*runs, strict=False), LOSS_WINDOW)
        )

    @property
    def tokens(self) -> int:
        """Tokens in a step, over all ranks."""
        setup = self.group.first.setup
        return setup.batch * setup.seq * setup.ranks

    @property
    def seconds(self) -> float | None:
        """A step's seconds, the median over the repeats."""
        return median(self.group, STEP)

    def after(self, seconds: float) -> float | None:
        """Return the loss after so many seconds, the median over the seeds."""
        losses = [record.loss_after_seconds(seconds) for _id, record in self.group.runs.values()]
        return _middle(losses)

    def steps_to(self, goal: Curve) -> float | None:
        """Return the steps to the loss at which the same seed of `goal` ended, the median over the seeds.

        None when a seed never comes so low.
        """
        counts: list[float] = []
        for seed, (_id, record) in self.group.runs.items():
            other = goal.group.runs[seed][1].learning if seed in goal.group.runs else None
            loss = other.loss_after() if other else None
            if loss is None or record.learning is None:
                continue
            steps = record.learning.steps_to(loss)
            if steps is None:
                return None
            counts.append(steps)
        return _middle(counts)


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def smoothed(learning: Learning) -> list[float]:
    """Return the trailing mean of the losses, from the first step that has LOSS_WINDOW of them."""
    steps = range(LOSS_WINDOW, len(learning.losses) + 1)
    return [loss for step in steps if (loss := learning.loss_after(step)) is not None]


def curves(work: Workload) -> tuple[Curve, ...]:
    """Return a curve for each arm of a work, at the learning rate that suits it (`evidence.tuned`)."""
    if not work.first.setup.shows_learning:
        return ()
    chosen = [group for group, _rates in tuned(work.groups)]
    drawn = [Curve(*named) for named in zip(labels(chosen), chosen, strict=True)]
    return tuple(curve for curve in drawn if curve.points)


def curves_chart(shown: Sequence[Curve], prefix: str, bold: str | None = None) -> Chart | None:
    """Return the curves of one work against tokens and, below, against seconds; None without any.

    The curves of the technique `bold` are drawn thicker.
    """
    if not shown:
        return None
    values: list[dict[str, Any]] = []
    for curve in shown:
        every = -(-len(curve.points) // POINTS)
        kept = [*curve.points[:-1:every], curve.points[-1]]
        for step, middle, least, most in kept:
            point = {"curve": curve.label, "loss": middle, "least": least, "most": most}
            point |= {"tokens": step * curve.tokens, "bold": curve.group.first.technique == bold}
            values.append(point if curve.seconds is None else {**point, "seconds": step * curve.seconds})
    told_by = {"field": "curve", "type": "nominal", "legend": None}
    names = [curve.label for curve in shown]
    colours = [f"var(--{_colour(index)})" for index in range(len(shown))]
    dashes = [DASHES[index % len(DASHES)] for index in range(len(shown))]
    colour = {**told_by, "scale": {"domain": names, "range": colours}}
    dash = {**told_by, "scale": {"domain": names, "range": dashes}}
    y = {"type": "quantitative", "scale": {"zero": False, "nice": True}}
    panels = [
        {
            "width": WIDTH - 60,
            "height": 200,
            "transform": [{"filter": f"isValid(datum.{field})"}],
            "layer": [
                {
                    "mark": {"type": "area", "opacity": 0.18},
                    "encoding": {
                        "x": {"field": field, "type": "quantitative", "title": title, "axis": axis},
                        "y": {"field": "least", "title": _("training loss"), **y},
                        "y2": {"field": "most"},
                        "color": colour,
                    },
                },
                {
                    "mark": {"type": "line"},
                    "encoding": {
                        "x": {"field": field, "type": "quantitative", "title": title, "axis": axis},
                        "y": {"field": "loss", "title": _("training loss"), **y},
                        "strokeWidth": {"condition": {"test": "datum.bold", "value": 3}, "value": 1.75},
                        "color": colour,
                        "strokeDash": dash,
                    },
                },
            ],
        }
        for field, title, axis in (
            ("tokens", _("tokens"), {"format": "~s"}),
            ("seconds", _("seconds"), {}),
        )
        if any(field in value for value in values)
    ]
    summary = _("Training loss against tokens and against seconds. %(arms)s.", arms=_ends(shown))
    return Chart(
        picture({"data": {"values": values}, "spacing": 16, "vconcat": panels}, prefix, summary),
        tuple(LegendEntry(_colour(index), curve.label) for index, curve in enumerate(shown)),
        _columns(shown),
        _rows(shown),
    )


def _colour(index: int) -> str:
    return f"series-{index % len(DASHES) + 1}"


def _ends(shown: Sequence[Curve]) -> str:
    return "; ".join(headed(curve.label, numbers.loss(curve.points[-1][1])) for curve in shown)


def _goal(shown: Sequence[Curve]) -> Curve | None:
    """Return the curve whose final loss the others are to reach: LoRA's."""
    return next((curve for curve in shown if curve.group.first.technique == "lora"), None)


def _columns(shown: Sequence[Curve]) -> tuple[str, ...]:
    goal = _goal(shown)
    quickest = _quickest(shown)
    return (
        _("rate"),
        _("seeds"),
        _("held-out loss after"),
        _("training loss after all tokens"),
        *((_("and after %(time)s", time=numbers.seconds(quickest)),) if quickest else ()),
        *((_("steps to the final loss of %(label)s", label=goal.label),) if goal and len(shown) > 1 else ()),
    )


def _quickest(shown: Sequence[Curve]) -> float | None:
    """Return the seconds after which the first of the curves ends."""
    ends = [curve.points[-1][0] * curve.seconds for curve in shown if curve.seconds]
    return min(ends) if len(ends) == len(shown) else None


def _rows(shown: Sequence[Curve]) -> tuple[ChartRow, ...]:
    goal, quickest = _goal(shown), _quickest(shown)
    rows = []
    for index, curve in enumerate(shown):
        _step, *last = curve.points[-1]
        cells = [
            rate_words(curve.group.first.setup.lr),
            numbers.count(len(curve.group.runs)),
            cell(curve.group, HELD_OUT),
            ranged(*map(numbers.loss, last)),
        ]
        if quickest:
            at = curve.after(quickest)
            cells.append("–" if at is None else numbers.loss(at))
        if goal and len(shown) > 1:
            reached = curve.steps_to(goal)
            cells.append(_("not reached") if reached is None else numbers.count(reached))
        rows.append(ChartRow(curve.label, tuple(cells), _colour(index)))
    return tuple(rows)


# ---- how the learning rates were chosen -------------------------------------------------------------------


@dataclass(frozen=True)
class Rates:
    """Held-out losses over learning rates: how each arm's was chosen."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, bool], ...]], ...]
    """An arm's name, and for each rate the loss and whether it is the arm's lowest."""


def rates(work: Workload) -> Rates | None:
    """Return the held-out loss at seed 0 of each arm at each rate; None where nothing was varied."""
    varied = [family for family in arms(work.groups) if len(family) > 1]
    if not work.first.setup.shows_learning or not varied:
        return None
    columns = sorted({group.first.setup.lr for family in varied for group in family})
    names = labels([family[0] for family in varied])
    rows = []
    for name, family in zip(names, varied, strict=True):
        losses = {
            group.first.setup.lr: group.first.learning.eval_loss_after
            for group in family
            if group.first.learning and group.first.setup.seed == 0
        }
        known = [loss for loss in losses.values() if loss is not None]
        cells = []
        for rate in columns:
            loss = losses.get(rate)
            cells.append(("–", False) if loss is None else (numbers.loss(loss), loss == min(known)))
        rows.append((name, tuple(cells)))
    return Rates(tuple(map(rate_words, columns)), tuple(rows))
