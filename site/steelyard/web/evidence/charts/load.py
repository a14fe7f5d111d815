"""A prediction's memory on a GPU: one stacked bar, and a line where the GPU's memory ends.

Drawn here and not from a specification (see `draw`): there is one for each of many thousand choices.
"""

from __future__ import annotations

from flask_babel import gettext as _
from markupsafe import Markup, escape

from memlab.results.gpu_fit import Fit
from memlab.results.record import KINDS, Breakdown
from steelyard.web.evidence.charts.draw import WIDTH, Chart, ChartRow, LegendEntry
from steelyard.web.text import numbers
from steelyard.web.text.vocabulary import kind_words

_HEIGHT = 76
_BAR = (26, 30)
"""Where the bar begins, and its height."""


def load_chart(parts: Breakdown, fit: Fit, gpu: str) -> Chart:
    """Return what is alive at the peak by kind, what the allocator and CUDA add, and the GPU's end."""
    pieces = [(f"kind-{kind}", kind_words(kind), getattr(parts, kind)) for kind in KINDS]
    beyond = fit.reserved_bytes - parts.total
    pieces.append(("kind-reserve", _("the allocator's rounding and reserve"), max(0, beyond)))
    pieces.append(("kind-context", _("CUDA context and kernels"), fit.outside_bytes))
    pieces = [piece for piece in pieces if piece[2]]
    rows = [ChartRow(words, (numbers.size(value),), colour) for colour, words, value in pieces]
    if beyond < 0:
        rows.append(
            ChartRow(_("of these paged, which may lie in the host's memory"), (f"−{numbers.size(-beyond)}",))
        )
    return Chart(
        _bar([(colour, value) for colour, _words, value in pieces], fit, gpu),
        tuple(LegendEntry(colour, words) for colour, words, _value in pieces),
        (_("predicted"),),
        tuple(rows),
        (numbers.size(fit.needed_bytes),),
    )


def _bar(pieces: list[tuple[str, int]], fit: Fit, gpu: str) -> Markup:
    scale = max(sum(value for _colour, value in pieces), fit.gpu_bytes) / (WIDTH - 2)
    top, height = _BAR
    drawn, x = [], 1.0
    for colour, value in pieces:
        width = value / scale
        drawn.append(
            f'<rect class="{colour}" x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}"></rect>'
        )
        x += width
    end = 1 + fit.gpu_bytes / scale
    anchor = "end" if end > WIDTH / 2 else "start"
    drawn.append(f'<line class="load-end" x1="{end:.1f}" x2="{end:.1f}" y1="18" y2="{_HEIGHT - 12}"></line>')
    drawn.append(f'<text class="load-gpu" x="{end:.1f}" y="13" text-anchor="{anchor}">{escape(gpu)}</text>')
    summary = _("%(needed)s of %(gpu)s", needed=numbers.size(fit.needed_bytes), gpu=gpu)
    head = (
        f'<svg class="chart load" viewBox="0 0 {WIDTH} {_HEIGHT}" role="img" aria-label="{escape(summary)}">'
    )
    return Markup(f"{head}{''.join(drawn)}</svg>")  # noqa: S704 (numbers and the project's own words)
