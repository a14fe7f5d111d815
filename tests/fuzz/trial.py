"""What a fuzz target gives: one input, what came of it, and what was wrong with that."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Trial:
    """One input that was tried."""

    data: bytes
    outcome: str
    """One word, to be counted: of 4,000 inputs none should be the outcome of nearly all."""
    complaints: list[str] = field(default_factory=list)


Target = Callable[[random.Random], Trial]
"""Makes one input from this generator, and nothing else, and tries it."""


def attempt(data: bytes, judge: Callable[[], tuple[str, list[str]]]) -> Trial:
    """Return the outcome and the complaints that `judge` gives; what it raises is a complaint itself."""
    try:
        return Trial(data, *judge())
    except Exception as error:
        return Trial(data, "raised", [repr(error)])


def numbered(target: Target, name: str, seed: int, number: int) -> Trial:
    """Try input `number` of a seed: the same one each time, whatever was tried before it."""
    return target(random.Random(f"{name} {seed} {number}"))
