"""Draw records as a picture: what was alive at the peak, how one step got there, and what was learned."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memlab.results.comparing import change, lora_beside
from memlab.results.groups import Group, bytes_at_peak, grouped, loss_at
from memlab.results.numbers import in_bytes, in_percent
from memlab.results.record import KINDS, LOSS_WINDOW, Record

# In the order of KINDS; the same colours as in the site's charts.
COLOURS = {
    "weights": "#3d5a80",
    "adapters": "#0a7d76",
    "gradients": "#c1663a",
    "optimizer": "#7a4f91",
    "activations": "#d3a13b",
    "temporaries": "#8d9aa5",
    "other": "#b9b4a8",
}
_CURVES = ("#8d9aa5", "#0a7d76", "#c1663a", "#7a4f91", "#3d5a80", "#d3a13b", "#a33b52", "#5b7d3a")
"""Colours of learning curves: the baseline's, then one a technique."""

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8578",
    "axes.labelcolor": "#57534a",
    "xtick.color": "#57534a",
    "ytick.color": "#57534a",
    "svg.fonttype": "none",
}


def draw(records: Sequence[Record], earlier: Sequence[Record], folder: Path) -> list[Path]:
    """Draw the breakdown at the peak, one step's timeline and what was learned as SVG and PNG.

    Runs of `LEARNING_STEPS` steps and more have learning curves; LoRA's, from `earlier` records, is drawn
    beside them. Returns the paths; none, and draws nothing, when no record has a breakdown. Raises OSError.
    """
    groups = [group for group in grouped(records) if group.first.memory.breakdown_at_peak]
    if not groups:
        return []
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    with pyplot.rc_context(_STYLE):
        learned = [group for group in groups if group.shows_learning]
        heights = [0.6 + 0.55 * len(groups), 2.4, *([3.0] if learned else [])]
        figure = pyplot.figure(figsize=(9, 1.8 + sum(heights)), layout="constrained")
        shown = groups if len(groups) <= 3 else [groups[0], groups[-1]]  # a timeline needs some width
        grid = figure.add_gridspec(len(heights), len(shown), height_ratios=heights)
        _draw_peaks(figure.add_subplot(grid[0, :]), groups)
        axes = None
        for index, group in enumerate(shown):
            axes = figure.add_subplot(grid[1, index], sharey=axes)
            _draw_timeline(axes, group)
            axes.set_ylabel("" if index else "MiB alive")
        if learned:
            lora = lora_beside(groups[-1], grouped(earlier))
            _draw_losses(figure.add_subplot(grid[2, :]), learned, lora)
        figure.suptitle(_title(groups[0].first), x=0.01, ha="left", fontsize=12, fontweight="bold")
        points = [point for group in groups for point in group.first.memory.timeline]
        seen = [kind for index, kind in enumerate(KINDS) if any(point[1 + index] for point in points)]
        handles = [Patch(color=COLOURS[kind], label=kind) for kind in seen]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=len(KINDS), frameon=False, fontsize=9
        )
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{groups[-1].technique}-{groups[-1].first.setup.precision}"
        paths = [folder / f"{stem}.svg", folder / f"{stem}.png"]
        for path in paths:
            figure.savefig(path, dpi=160, facecolor="white")
        pyplot.close(figure)
    return paths


def _title(one: Record) -> str:
    device = "GPU" if one.device.kind == "cuda" else "CPU"
    setup = one.setup
    return f"{setup.model}, batch {setup.batch} × {setup.seq} tokens, on a {device} ({one.device.name})"


def _name(group: Group) -> str:
    return f"+ {group.first.setup.step}" if group.first.setup.step else group.technique + group.sharding


def _draw_peaks(axes: Any, groups: list[Group]) -> None:
    rows = range(len(groups))
    left = stack_bars(axes, groups, rows, edge="white")
    for row in rows:
        difference = change(left[row], left[0])
        note = f"  {in_bytes(left[row] * 2**20)}" + (f"  ({in_percent(difference)})" if row else "")
        axes.text(left[row], row, note, va="center", fontweight="bold")
    axes.set_yticks(rows, [f"{_name(group)}\n{group.precision}" for group in groups])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, max(left) * 1.28)
    axes.set_xlabel("MiB alive at the peak")


def stack_bars(axes: Any, groups: Sequence[Group], rows: Sequence[float], *, edge: str) -> list[float]:
    """Draw each group's bytes at the peak as a bar of its kinds; return the bars' lengths in MiB."""
    left = [0.0] * len(groups)
    for kind in KINDS:
        widths = [(group.median(bytes_at_peak(kind)) or 0) / 2**20 for group in groups]
        axes.barh(rows, widths, left=left, color=COLOURS[kind], height=0.62, edgecolor=edge, lw=0.6)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    return left


def _draw_timeline(axes: Any, group: Group) -> None:
    timeline = group.first.memory.timeline
    layers = [[point[1 + index] / 2**20 for point in timeline] for index in range(len(KINDS))]
    axes.stackplot([point[0] for point in timeline], *layers, colors=list(COLOURS.values()), lw=0)
    axes.set_title(f"{_name(group)}: one step, peak in {group.first.memory.peak_phase}", loc="left")
    axes.set_xlabel("seconds, under the ledger")
    axes.margins(x=0)


def _draw_losses(axes: Any, groups: list[Group], lora: Group | None) -> None:
    """Median and, with several seeds, the range from the lowest to the highest, against tokens seen."""
    colours = _CURVES if len(groups) > 1 else _CURVES[1:]
    for index, group in enumerate([*groups, *([lora] if lora else [])]):
        colour, dashes = (colours[index % len(colours)], "-") if group is not lora else ("#57534a", "--")
        setup = group.first.setup
        steps = range(LOSS_WINDOW, group.steps + 1)
        losses = [sorted(group.values(loss_at(step))) for step in steps]
        tokens = [step * setup.batch * setup.seq * setup.ranks for step in steps]
        seeds = len(group.records)
        name = f"{_name(group)}, rate {setup.lr:g}" + f", {seeds} seeds" * (seeds > 1)
        axes.plot(tokens, [statistics.median(values) for values in losses], dashes, color=colour, label=name)
        if seeds > 1:
            low, high = [values[0] for values in losses], [values[-1] for values in losses]
            axes.fill_between(tokens, low, high, color=colour, alpha=0.18, lw=0)
    axes.set_title(f"Training loss, mean of the last {LOSS_WINDOW} steps", loc="left")
    axes.set_xlabel("tokens trained on")
    axes.set_ylabel("nats a token")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0)
    axes.legend(frameon=False)
