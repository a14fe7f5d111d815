"""Run it: python demos/dora.py

DoRA splits each weight matrix into directions and magnitudes and trains them apart. LoRA's B A turns the
directions; a new vector m, one number an output row, holds the magnitudes: W' = m · (W + (alpha / r) · B A) /
‖W + (alpha / r) · B A‖, with the norm taken along each row. At the start m is the norm of W's own rows, so
W' = W.

Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", arXiv 2402.09353.

It trains a little more than LoRA at the same rank: one number an output row on top. The norms need the sum
W + B A in full, in every layer and step. That costs time, and memory as large as the matrices themselves: in
a training step DoRA is the heavier one of the two. What it is praised for is quality at a given rank, even
half of LoRA's. Try:

    python demos/dora.py --rank 8 --alpha 8      half the rank at the same scale alpha / rank
    python demos/lora.py                         what to compare it with
    python demos/dora.py --precision bf16        against the leaner baseline

What to look for in the table: what it holds beyond LoRA, and in which phase; then the time of a step.

This file is `baseline.py` with the lines marked NEW. The baseline is run beside it on the same model, tokens,
kernels and optimizer, each in a process of its own.
"""

from memlab import Demo, launch


def build(lab):
    """Return the model and the optimizer; `lab` measures training steps with them."""
    from peft import LoraConfig, get_peft_model  # NEW

    # ---- the model ---------------------------------------------------------------------------------------
    # NEW: a frozen weight takes up no updates, so bf16 is precise enough for it.
    model = lab.load_model("bfloat16")  # NEW

    # NEW: ---- the adapters --------------------------------------------------------------------------------
    # NEW: B starts at zero and m at the norms of W, so training starts from the base model, up to rounding:
    # NEW: a norm in bf16 is off by as much as 0.4 %.
    config = LoraConfig(  # NEW
        r=lab.setup.rank,  # NEW
        lora_alpha=lab.setup.alpha,  # NEW
        target_modules="all-linear",  # NEW (every linear layer except the output head)
        use_dora=True,  # NEW: the one line in which this differs from lora.py
    )  # NEW
    model = get_peft_model(model, config, autocast_adapter_dtype=lab.mixed)  # NEW

    # ---- what is trained ---------------------------------------------------------------------------------
    # NEW: AdamW keeps two moments for every trainable parameter. Here, those are A, B and m alone.
    optimizer = lab.optimizer(model)
    return model, optimizer


DEMO = Demo("dora", build, lr=1e-3, adapters=True)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
