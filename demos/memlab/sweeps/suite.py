"""Run every demo: make demos, or python -m memlab.suite

Each technique in both precisions beside the baseline, DoRA also at half the rank, the stack step by step, and
ZeRO's stages on two ranks. About an hour on two CPU cores; minutes on a GPU. A first look at all of it, in a
quarter of an hour on a CPU:

    make demos ARGS="--batch 1 --seq 128 --steps 2 --warmup 1"
"""

from __future__ import annotations

from memlab.results.techniques import ALL, BASELINE, PLAIN
from memlab.sweeps import sweep

TECHNIQUES = tuple(
    command
    for one in PLAIN
    if one.name != BASELINE
    for command in (f"{one.name}.py", *(f"{one.name}.py {variant}" for variant in one.variants))
)
STACKS = tuple(f"{one.name}.py" for one in ALL if one.stacked)

# What ZeRO shards does not depend on the work, and several ranks share this machine: the work is small.
SHARDED = tuple(f"{one.name}.py" for one in ALL if one.sharded)
SMALL = "--batch 1 --seq 128 --steps 3 --warmup 1"

COMMANDS = (
    *TECHNIQUES,
    *STACKS,
    *(f"{technique} --precision bf16" for technique in TECHNIQUES),
    *(f"{script} {SMALL} --ranks 2 --stage {stage}" for script in SHARDED for stage in (1, 2, 3)),
)


def main() -> None:
    """Run the suite; see `memlab.sweeps.sweep.main`."""
    sweep.main(__doc__ or "", "suite", lambda records: COMMANDS)
