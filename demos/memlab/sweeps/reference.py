"""Make the set of records that is published for a device: make reference ARGS="--out DIR"

The runs are in the order of their worth, so a set that breaks off is of use: the real model with each
technique in both precisions, the stack step by step, ZeRO on one GPU; then a model of 1.2 billion parameters,
Llama 3.2's shape with random weights and 2048 tokens a sequence, where activations and logits no longer hide
what the techniques do; then what is learned (`memlab.quality`). Under 25 minutes on an H100. A rehearsal
without a GPU:

    make reference ARGS="--out DIR --device cpu --model tiny --batch 1 --seq 32 --steps 2 --warmup 1"

The records belong under demos/results/<device>/: add --publish when all is done, or copy them.
"""

from __future__ import annotations

from memlab.sweeps import quality, suite, sweep

LARGE = "--model llama-3.2-1b --random-init --batch 2 --seq 2048"
ZERO = (*(f"--stage {stage}" for stage in range(4)), "--stage 2 --offload", "--stage 3 --offload")

COMMANDS = (
    *suite.TECHNIQUES,
    *(f"{technique} --precision bf16" for technique in suite.TECHNIQUES),
    *suite.STACKS,
    *(f"{script} --ranks 1 {stage}" for script in suite.SHARDED for stage in ZERO),
    *(f"{technique} {LARGE}" for technique in suite.TECHNIQUES),
    *(f"{technique} --precision bf16 {LARGE}" for technique in suite.TECHNIQUES),
    *(f"{stack} {LARGE}" for stack in suite.STACKS),
)


def main() -> None:
    """Run the reference set; see `memlab.sweeps.sweep.main`."""
    sweep.main(__doc__ or "", "reference", lambda records: COMMANDS, *quality.STAGES)
