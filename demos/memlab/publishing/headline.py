"""The README's picture: the peak of every technique on one work, drawn from the published records.

Equal records give equal bytes, on every machine: nothing is laid out by a font, and no date is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from memlab.publishing import measured_tables
from memlab.publishing.figures import COLOURS, stack_bars
from memlab.results.comparing import savings, setting
from memlab.results.files import read_folder
from memlab.results.groups import Group, bytes_at_peak, grouped, peak_of
from memlab.results.numbers import in_bytes, in_percent
from memlab.results.record import KINDS, STEPS
from memlab.results.techniques import BASELINE, PLAIN

FILES = {"light": "headline.svg", "dark": "headline-dark.svg"}

_INKS = {"light": ("#ffffff", "#24292f", "#57606a"), "dark": ("#0d1117", "#e6edf3", "#9198a1")}
"""Background, ink and pale ink; GitHub's."""

_STEPS = {
    "checkpointing": "+ checkpointing",
    "lora": "+ LoRA",
    "qlora": "+ four-bit weights",
    "8bit_adamw": "+ 8-bit AdamW",
    "chunked_loss": "+ chunked loss",
    "offload": "+ activation offload",
}
_TITLE = "Peak memory of a training step"
_HEADS = ("full fine-tuning", "one technique, in mixed precision", "one on top of the other, in pure bf16")
"""Of the picture's sections."""

_BASELINES = {"mixed": "in mixed precision", "bf16": "in pure bf16"}


@dataclass(frozen=True)
class Bar:
    """One line of the picture: what was trained how, and what its peak is against each precision's."""

    section: int
    name: str
    group: Group
    against: dict[str, float]
    """The relative change of the peak, by the precision of full fine-tuning."""

    @property
    def peak(self) -> str:
        return in_bytes(self.group.median(peak_of))


def bars(results: Path) -> list[Bar]:
    """Return the lines of the work with most techniques; a GPU's come before a CPU's. Empty without records.

    Left out are what was learned, ZeRO (its ranks are a work of their own) and runs that did not end well.
    """
    found: list[list[Bar]] = []
    for folder in sorted(path for path in results.iterdir() if path.is_dir()):
        works: dict[str, list[Group]] = {}
        for group in grouped(read_folder(folder)):
            if (
                group.first.mode == "measured"
                and group.status == "ok"
                and not group.first.setup.shows_learning
            ):
                works.setdefault(repr(setting(group.first)), []).append(group)
        found += [_bars_of(groups) for groups in works.values()]
    # Not before both baselines and a technique are there: a picture of one bar compares nothing.
    found = [lines for lines in found if [bar.section for bar in lines[:3]] in ([0, 0, 1], [0, 0, 2])]
    return max(found, key=lambda lines: (lines[0].group.first.device.kind == "cuda", len(lines)), default=[])


def _bars_of(groups: list[Group]) -> list[Bar]:
    def of(**setup: str | None) -> Iterator[Group]:
        """The groups with these fields of the setup, those with the usual rank first."""
        for group in sorted(groups, key=measured_tables.order):
            if all(getattr(group.first.setup, name) == value for name, value in setup.items()):
                yield group

    lines = [
        (0, name, next((group for group in of(precision=precision) if group.technique == BASELINE), None))
        for precision, name in _BASELINES.items()
    ]
    lines += [
        (1, one.label, next((group for group in of(precision="mixed") if group.technique == one.name), None))
        for one in PLAIN
        if one.name != BASELINE
    ]
    lines += [(2, _STEPS[step], next(of(step=step), None)) for step in STEPS]
    return [
        Bar(section, name, group, _against(group, groups))
        for section, name, group in lines
        if group is not None
    ]


def _against(group: Group, groups: list[Group]) -> dict[str, float]:
    pairs = savings(group, groups)
    return {baseline.first.setup.precision: -saved for baseline, saved in pairs if baseline is not group}


# ---- in words --------------------------------------------------------------------------------------------


def markdown(lines: Sequence[Bar]) -> str:
    """Return the README's lines that show the picture, in the reader's colours, and say what is on it."""
    if not lines:
        return "Nothing has been published yet."
    sentences = [f"{_TITLE}: {_work(lines)}"]
    for section, head in enumerate(_HEADS):
        said = [f"{bar.name} {bar.peak}{_in_words(bar)}" for bar in lines if bar.section == section]
        sentences += [f"{head.capitalize()}: {'; '.join(said)}"] * bool(said)
    alt = escape(". ".join(sentences) + ".")
    return (
        f'<picture>\n<source media="(prefers-color-scheme: dark)" srcset="docs/{FILES["dark"]}">\n'
        f'<img src="docs/{FILES["light"]}" alt="{alt}">\n</picture>'
    )


def _in_words(bar: Bar) -> str:
    if bar.section == 0:
        return ""
    against = (f"{in_percent(value)} against {name}" for name, value in bar.against.items())
    return f" ({', '.join(against)})"


def _work(lines: Sequence[Bar]) -> str:
    one = lines[0].group.first
    device = "GPU" if one.device.kind == "cuda" else "CPU"
    setup = one.setup
    return f"{setup.model}, {setup.batch} × {setup.seq} tokens, on a {device} ({one.device.name})"


# ---- as a picture ----------------------------------------------------------------------------------------

_ROW, _GAP, _TOP, _BOTTOM = 0.3, 0.26, 0.8, 0.5
"""Inches of a line, of the gap above a section, and of the margins."""
_WIDTH, _LEFT, _RIGHT = 10.0, 2.45, 3.0


def draw(lines: Sequence[Bar], folder: Path) -> None:
    """Draw the lines into `folder`, once on a light ground and once on a dark one. Raises OSError."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    for theme, name in FILES.items():
        ground, ink, pale = _INKS[theme]
        style: dict[Any, Any] = {
            "font.family": "sans-serif",
            "font.size": 10,
            "text.color": ink,
            "svg.fonttype": "none",
            "svg.hashsalt": "steelyard",
        }
        with pyplot.rc_context(style):
            figure = _figure(lines, ground, pale)
            # Without a date and the library's version, equal records give equal bytes.
            nothing = {"Date": None, "Creator": None}
            figure.savefig(folder / name, facecolor=ground, metadata=nothing)
            pyplot.close(figure)


def _figure(lines: Sequence[Bar], ground: str, pale: str) -> Any:
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    places, heads = _places(lines)
    span = places[-1] + _ROW / 2
    height = _TOP + span + _BOTTOM
    figure = pyplot.figure(figsize=(_WIDTH, height))
    across = (_WIDTH - _LEFT - _RIGHT) / _WIDTH
    axes = figure.add_axes((_LEFT / _WIDTH, _BOTTOM / height, across, span / height))
    axes.set_axis_off()
    longest = max(
        stack_bars(axes, [bar.group for bar in lines], [place / _ROW for place in places], edge=ground)
    )
    axes.set_xlim(0, longest)
    axes.set_ylim(span / _ROW, 0)

    def write(inches: float, place: float, text: str, **how: Any) -> None:
        at = (inches - _LEFT) / (_WIDTH - _LEFT - _RIGHT), 1 - place / span
        axes.text(*at, text, transform=axes.transAxes, **{"va": "center", "ha": "right"} | how)

    columns = {"peak": 7.9, "mixed": 8.95, "bf16": 9.9}
    for name, inches in columns.items():
        write(inches, heads[0], "peak" if name == "peak" else f"against {name}", color=pale)
    for section, place in heads.items():
        write(0.15, place, _HEADS[section], color=pale, ha="left")
    for bar, place in zip(lines, places, strict=True):
        write(_LEFT - 0.12, place, bar.name)
        write(columns["peak"], place, bar.peak, fontweight="bold")
        for precision, value in bar.against.items():
            write(columns[precision], place, in_percent(value), fontweight="bold" if bar.section else None)
    figure.text(0.15 / _WIDTH, 1 - 0.28 / height, _TITLE, fontsize=12, fontweight="bold", va="center")
    figure.text(0.15 / _WIDTH, 1 - 0.54 / height, _work(lines), color=pale, va="center")
    seen = [kind for kind in KINDS if any(bar.group.median(bytes_at_peak(kind)) for bar in lines)]
    handles = [Patch(color=COLOURS[kind], label=kind) for kind in seen]
    figure.legend(handles=handles, loc="lower left", ncols=len(seen), frameon=False, bbox_to_anchor=(0, 0))
    return figure


def _places(lines: Sequence[Bar]) -> tuple[list[float], dict[int, float]]:
    """Return where each line stands, in inches from the top, and where each section's head does."""
    places: list[float] = []
    heads: dict[int, float] = {}
    at = 0.0
    for bar in lines:
        if bar.section not in heads:
            at += _GAP if heads else 0
            heads[bar.section] = at + _ROW / 2
            at += _ROW
        places.append(at + _ROW / 2)
        at += _ROW
    return places, heads
