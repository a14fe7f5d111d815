"""Run every demo: make demos, or python -m memlab.suite

Each technique in both precisions beside the baseline, DoRA also at half the rank, the stack step by step, and
ZeRO's stages on two ranks. About an hour on two CPU cores; minutes on a GPU. A first look at all of it, in a
quarter of an hour on a CPU:

    make demos ARGS="--batch 1 --seq 128 --steps 2 --warmup 1"
"""

from __future__ import annotations

from memlab.sweeps import sweep

TECHNIQUES = ("lora.py", "qlora.py", "gradient_checkpointing.py", "pissa.py", "dora.py", "dora.py --rank 8")

# What ZeRO shards does not depend on the work, and several ranks share this machine: the work is small.
ZERO = "zero.py --batch 1 --seq 128 --steps 3 --warmup 1"

COMMANDS = (
    *TECHNIQUES,
    "stack.py",
    *(f"{technique} --precision bf16" for technique in TECHNIQUES),
    *(f"{ZERO} --ranks 2 --stage {stage}" for stage in (1, 2, 3)),
)


def main() -> None:
    """Run the suite; see `memlab.sweeps.sweep.main`."""
    sweep.main(__doc__ or "", "suite", lambda records: COMMANDS)
