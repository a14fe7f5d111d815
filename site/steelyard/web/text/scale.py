"""Where the scale of a steelyard's beam begins."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor


def scale_low(fractions: Iterable[float]) -> float:
    """Return where a beam begins that holds these figures: 0, or a multiple of −25 % down to −100 %."""
    return max(-1.0, min(0.0, floor(min([0.0, *fractions]) * 4) / 4))
