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
ALL_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
RATES = ALL_RATES[1:-1]
"""The grid of learning rates; `ALL_RATES` has one more on either side."""

SEEDS = 3
ADAPTERS = (("lora", 16), ("pissa", 16), ("dora", 16), ("dora", 8))
"""Technique and rank of each compared adapter."""


def grid(records: list[Record]) -> list[str]:
    """Return a command for each adapter at each rate."""
    return [_command(*adapter, rate) for adapter in ADAPTERS for rate in RATES]


def beyond(records: list[Record]) -> list[str]:
    """Return a command for each adapter whose best rate is the grid's first or last, at the next rate."""
    commands = []
    for adapter in ADAPTERS:
        best = _best_rate(records, *adapter)
        if best == RATES[0]:
            commands.append(_command(*adapter, ALL_RATES[0]))
        elif best == RATES[-1]:
            commands.append(_command(*adapter, ALL_RATES[-1]))
    return commands


def finals(records: list[Record]) -> list[str]:
    """Return a command for each adapter at the rate with its lowest held-out loss, with all seeds."""
    best = {adapter: _best_rate(records, *adapter) for adapter in ADAPTERS}
    return [
        f"{_command(*adapter, rate)} --seeds {SEEDS}" for adapter, rate in best.items() if rate is not None
    ]


def _best_rate(records: list[Record], technique: str, rank: int) -> float | None:
    """Return an adapter's rate with the lowest held-out loss at seed 0; None if no record has one.

    Of records with different setups, those with the most rates are the grid's.
    """
    losses_by_setup: dict[str, dict[float, float]] = {}
    for record in records:
        setup, loss = record.setup, record.learning.eval_loss_after if record.learning else None
        if (record.technique, setup.rank, setup.seed) == (technique, rank, 0) and loss is not None:
            without_rate = repr(setup.model_dump(exclude={"lr"}))
            losses_by_setup.setdefault(without_rate, {})[setup.lr] = loss
    losses = max(losses_by_setup.values(), key=len, default={})
    return min(losses, key=lambda rate: losses[rate], default=None)


def _command(technique: str, rank: int, rate: float) -> str:
    return f"{technique}.py {WORK} --rank {rank} --lr {rate:g}"


STAGES = (grid, beyond, finals)


def main() -> None:
    """Run the grid and what follows from it; see `memlab.sweeps.sweep.main`."""
    sweep.main(__doc__ or "", "quality", *STAGES)
