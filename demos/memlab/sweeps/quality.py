"""Compare what is learned, not only what it weighs: python -m memlab.quality

LoRA, PiSSA and DoRA (at full and at half rank) learn the same task from the same tokens in the same order.
Which of them ends best depends more on the learning rate than on the method, so each first chooses its own
from one small grid, at seed 0; where the best of the grid is its first or last rate, the next one beyond it
is tried too. Then the chosen rate is repeated with three seeds. Full fine-tuning at its usual rate stands
beside them.

The work is small, eight sequences of 48 tokens a step, so that two CPU cores need about forty minutes. The
loss is taken on held-out modules.
"""

from __future__ import annotations

from memlab.results.record import Record
from memlab.sweeps import sweep

WORK = "--batch 8 --seq 48 --steps 60 --warmup 1"
LADDER = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
RATES = LADDER[1:-1]
"""The grid, and what lies beyond it on either side."""

SEEDS = 3
ARMS = (("lora", 16), ("pissa", 16), ("dora", 16), ("dora", 8))
"""Technique and rank."""


def grid(records: list[Record]) -> list[str]:
    """Return every arm at every rate."""
    return [_command(*arm, rate) for arm in ARMS for rate in RATES]


def beyond(records: list[Record]) -> list[str]:
    """Return each arm whose best rate is the grid's first or last, at the next rate of the ladder."""
    commands = []
    for arm in ARMS:
        best = _best(records, *arm)
        if best == RATES[0]:
            commands.append(_command(*arm, LADDER[0]))
        elif best == RATES[-1]:
            commands.append(_command(*arm, LADDER[-1]))
    return commands


def finals(records: list[Record]) -> list[str]:
    """Return every arm at the rate that left it the lowest held-out loss, with all seeds."""
    best = {arm: _best(records, *arm) for arm in ARMS}
    return [f"{_command(*arm, rate)} --seeds {SEEDS}" for arm, rate in best.items() if rate is not None]


def _best(records: list[Record], technique: str, rank: int) -> float | None:
    """Return the rate of an arm with the lowest held-out loss at seed 0; None when none has one.

    Of several works in the records, the one with most rates is the grid's.
    """
    works: dict[str, dict[float, float]] = {}
    for one in records:
        loss = one.learning.eval_loss_after if one.learning else None
        if (one.technique, one.setup.rank, one.setup.seed) == (technique, rank, 0) and loss is not None:
            work = repr(one.setup.model_dump(exclude={"lr"}))
            works.setdefault(work, {})[one.setup.lr] = loss
    tried = max(works.values(), key=len, default={})
    return min(tried, key=lambda rate: tried[rate], default=None)


def _command(technique: str, rank: int, rate: float) -> str:
    return f"{technique}.py {WORK} --rank {rank} --lr {rate:g}"


STAGES = (grid, beyond, finals)


def main() -> None:
    """Run the grid and what follows from it; see `memlab.sweeps.sweep.main`."""
    sweep.main(__doc__ or "", "quality", *STAGES)
