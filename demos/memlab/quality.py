"""Compare what is learned, not only what it weighs: python -m memlab.quality

LoRA, PiSSA and DoRA (at full and at half rank) learn the same task from the same tokens in the same order.
Which of them ends best depends more on the learning rate than on the method, so each first chooses its own
from one small grid, at seed 0; then the chosen rate is repeated with three seeds. Full fine-tuning at its
usual rate stands beside them.

The work is small, eight sequences of 48 tokens a step, so that two CPU cores need about forty minutes. The
loss is taken on held-out modules.
"""

from __future__ import annotations

from memlab import sweep
from memlab.record import Record

WORK = "--batch 8 --seq 48 --steps 60 --warmup 1"
RATES = (3e-4, 1e-3, 3e-3)
SEEDS = 3
ARMS = (("lora", 16), ("pissa", 16), ("dora", 16), ("dora", 8))
"""Technique and rank."""


def grid(records: list[Record]) -> list[str]:
    """Return every arm at every rate."""
    return [_command(*arm, rate) for arm in ARMS for rate in RATES]


def finals(records: list[Record]) -> list[str]:
    """Return every arm at the rate that left it the lowest held-out loss, with all seeds."""
    commands = []
    for arm in ARMS:
        tried = {
            one.setup.lr: one.learning.eval_loss_after
            for one in records
            if (one.technique, one.setup.rank) == arm
            and one.setup.seed == 0
            and one.learning
            and one.learning.eval_loss_after is not None
        }
        if tried:
            best = min(tried, key=lambda rate: tried[rate])
            commands.append(f"{_command(*arm, best)} --seeds {SEEDS}")
    return commands


def _command(technique: str, rank: int, rate: float) -> str:
    return f"{technique}.py {WORK} --rank {rank} --lr {rate:g}"


if __name__ == "__main__":
    sweep.main(__doc__ or "", "quality", grid, finals)
