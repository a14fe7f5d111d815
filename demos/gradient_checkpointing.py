"""Run it: python demos/gradient_checkpointing.py

Gradient checkpointing keeps, of each transformer block, only what went into it. When the backward pass comes
to a block, it runs the block's forward pass again and has that one block's activations for as long as it
needs them. Nothing that is learned changes: the gradients are the same numbers. The price is one more
forward pass.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174.

What is left of the activations is one hidden state a block (batch × seq × width), the activations of the one
block at work, and everything outside the blocks. The loss is outside: in a small model with a large
vocabulary the logits alone are most of what remains. Model states stay as they are, 16 bytes a parameter in
mixed precision; so a figure for the activations is not a figure for the peak. Try:

    python demos/gradient_checkpointing.py --precision bf16
    python demos/gradient_checkpointing.py --batch 1 --seq 2048    longer texts: activations rule the peak
    python demos/gradient_checkpointing.py --batch 1 --seq 64      short ones: hardly anything to be saved

What to look for in the table: the activations' row, how much of it reaches the peak, and the time of a step.

This file is `baseline.py` with the lines marked NEW. The baseline is run beside it on the same model, tokens,
kernels and optimizer, each in a process of its own.
"""

from memlab import Demo, launch


def build(lab):
    """Return the model and the optimizer; `lab` measures training steps with them."""
    # ---- the model ---------------------------------------------------------------------------------------
    # fp32 weights take up small updates; autocast gives the matrix products bf16 speed all the same.
    model = lab.load_model("float32" if lab.mixed else "bfloat16")

    # NEW: ---- the checkpoints -----------------------------------------------------------------------------
    # NEW: Every block of the model becomes one checkpoint. The reentrant variant, PyTorch's older one, would
    # NEW: pass no gradient on where the input needs none, as behind a frozen embedding.
    model.gradient_checkpointing_enable(  # NEW
        gradient_checkpointing_kwargs={"use_reentrant": False}  # NEW
    )  # NEW

    # ---- what is trained ---------------------------------------------------------------------------------
    # AdamW keeps two moments for every trainable parameter. Here, that is every parameter.
    optimizer = lab.optimizer(model)
    return model, optimizer


# What a checkpoint does, in PyTorch's words (transformers does it for each block):
#
#     hidden = torch.utils.checkpoint.checkpoint(block, hidden, use_reentrant=False)
#
# in place of
#
#     hidden = block(hidden)

DEMO = Demo("gradient_checkpointing", build, lr=1e-4)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
