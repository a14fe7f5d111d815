"""A TeX formula to MathML. The converter recurses, so it gets a stack that suffices for all it is given."""

from __future__ import annotations

import threading

from math_core import LatexError, LatexToMathML

from steelyard.markup import formulas

STACK_BYTES = 32 * 1024**2
"""Measured with math-core 0.9, a character takes 1.6 kB at most: ten thousand and more would be survived."""

SHORT = 60
"""Characters of a formula that suits the smallest stack that a server's thread has, 512 KiB."""

# Its own macros (\pmod, \bra) count as expansions.
_MATH = LatexToMathML(max_expansions=200)
_STARTING = threading.Lock()


def mathml(formula: str, *, display: bool) -> str | None:
    """Return the formula as a `<math>` element, or None for what is no formula or none to be converted."""
    if formulas.fault(formula):
        return None
    if len(formula) <= SHORT:
        return _convert(formula, display)
    converted: list[str | None] = []
    thread = threading.Thread(target=lambda: converted.append(_convert(formula, display)))
    with _STARTING:
        usual = threading.stack_size(STACK_BYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(usual)
    thread.join()
    return converted[0] if converted else None


def _convert(formula: str, display: bool) -> str | None:
    try:
        return _MATH.convert_with_local_state(formula, displaystyle=display)
    except LatexError:
        return None
