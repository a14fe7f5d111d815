"""Run every demo: make demos, or python -m memlab.suite

Each technique in both precisions beside the baseline, DoRA also at half the rank, the stack step by step, and
ZeRO's stages on two ranks. One step shows where the bytes are, so runs are short: three steps after one of
warm-up. With --publish they are as long as the published ones, ten after three, on one thread, so that bytes
and times are the same twice. A first look at all of it:

    make demos ARGS=--quick
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from memlab.results.techniques import ALL, BASELINE, PLAIN
from memlab.sweeps import sweep

TECHNIQUES = tuple(
    command
    for one in PLAIN
    if one.name != BASELINE
    for command in (f"{one.name}.py", *(f"{one.name}.py {variant}" for variant in one.variants))
)
STACKS = tuple(f"{one.name}.py" for one in ALL if one.stacked)

SHORT = "--steps 3 --warmup 1"
PUBLISHED = "--steps 10 --warmup 3"

# What ZeRO shards does not depend on the work, and several ranks share this machine: the work is small.
SHARDED = tuple(f"{one.name}.py" for one in ALL if one.sharded)
SMALL = f"--batch 1 --seq 128 {SHORT}"


def commands(work: str) -> Iterable[str]:
    """Return a command for each technique and precision, `work` being the options for how much is done."""
    yield from (f"{technique} {work}" for technique in TECHNIQUES)
    yield from (f"{script} {work}" for script in STACKS)
    yield from (f"{technique} --precision bf16 {work}" for technique in TECHNIQUES)
    yield from (f"{script} {SMALL} --ranks 2 --stage {stage}" for script in SHARDED for stage in (1, 2, 3))


def main() -> None:
    """Run the suite; see `memlab.sweeps.sweep.main`."""
    work = PUBLISHED if "--publish" in sys.argv else "" if "--quick" in sys.argv else SHORT
    sweep.main(__doc__ or "", "suite", lambda records: list(commands(work)))
