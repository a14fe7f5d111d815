"""Draw records as a picture: what was alive at the peak, and how one step got there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memlab.compare import Group, bytes_at_peak, change, grouped
from memlab.record import KINDS, Record
from memlab.words import in_bytes, in_percent

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


def draw(records: Sequence[Record], folder: Path) -> list[Path]:
    """Draw the breakdown at the peak and one step's timeline as SVG and PNG; return the paths.

    Draws nothing, and returns none, when no record has a breakdown. Raises OSError.
    """
    groups = [group for group in grouped(records) if group.first.memory.breakdown_at_peak]
    if not groups:
        return []
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    with pyplot.rc_context(_STYLE):
        figure = pyplot.figure(figsize=(9, 4.8 + 0.55 * len(groups)), layout="constrained")
        shown = groups if len(groups) <= 3 else [groups[0], groups[-1]]  # a timeline needs some width
        grid = figure.add_gridspec(2, len(shown), height_ratios=[0.6 + 0.55 * len(groups), 2.4])
        _draw_peaks(figure.add_subplot(grid[0, :]), groups)
        axes = None
        for index, group in enumerate(shown):
            axes = figure.add_subplot(grid[1, index], sharey=axes)
            _draw_timeline(axes, group)
            axes.set_ylabel("" if index else "MiB alive")
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
    left = [0.0] * len(groups)
    for kind in KINDS:
        widths = [(group.median(bytes_at_peak(kind)) or 0) / 2**20 for group in groups]
        axes.barh(rows, widths, left=left, color=COLOURS[kind], height=0.62, edgecolor="white", lw=0.6)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for row in rows:
        difference = change(left[row], left[0])
        note = f"  {in_bytes(left[row] * 2**20)}" + (f"  ({in_percent(difference)})" if row else "")
        axes.text(left[row], row, note, va="center", fontweight="bold")
    axes.set_yticks(rows, [f"{_name(group)}\n{group.precision}" for group in groups])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, max(left) * 1.28)
    axes.set_xlabel("MiB alive at the peak")


def _draw_timeline(axes: Any, group: Group) -> None:
    timeline = group.first.memory.timeline
    layers = [[point[1 + index] / 2**20 for point in timeline] for index in range(len(KINDS))]
    axes.stackplot([point[0] for point in timeline], *layers, colors=list(COLOURS.values()), lw=0)
    axes.set_title(f"{_name(group)}: one step, peak in {group.first.memory.peak_phase}", loc="left")
    axes.set_xlabel("seconds, under the ledger")
    axes.margins(x=0)
