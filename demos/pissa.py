"""Run it: python demos/pissa.py

PiSSA is LoRA that begins elsewhere. LoRA begins with B A = 0; PiSSA takes the singular value decomposition
of each weight matrix, W = U S V', puts the r largest singular values into the adapter (B = U √S and
A = √S V') and freezes what is left, W - B A. So the adapter begins as the most important part of the matrix,
and the first steps move that part. Bytes and time of a step are LoRA's.

Meng et al., "PiSSA: Principal Singular Values and Singular Vectors Adaptation", arXiv 2404.02948.

The decomposition is done once, before training, and its memory is a row of its own in the table ("while
loading"). It can be approximated: `pissa_niter_4` takes four rounds of a randomised method, a fraction of the
time, and singular values that are off by up to 10 %. Whether PiSSA learns faster is for the losses to say,
with each method at a learning rate that suits it. Try:

    python demos/pissa.py --steps 100 --seeds 3 --batch 8 --seq 48     the losses, step by step
    python demos/lora.py --steps 100 --seeds 3 --batch 8 --seq 48      what to compare them with
    python demos/pissa.py --init pissa_niter_4

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
    # NEW: W - B A is rounded to bf16 like W was, so training starts from the base model up to rounding.
    config = LoraConfig(  # NEW
        r=lab.setup.rank,  # NEW
        lora_alpha=lab.setup.alpha,  # NEW
        target_modules="all-linear",  # NEW (every linear layer except the output head)
        init_lora_weights=lab.setup.init,  # NEW: the one line in which this differs from lora.py
    )  # NEW
    model = get_peft_model(model, config, autocast_adapter_dtype=lab.mixed)  # NEW

    # ---- what is trained ---------------------------------------------------------------------------------
    # NEW: AdamW keeps two moments for every trainable parameter. Here, those are A and B alone.
    optimizer = lab.optimizer(model)
    return model, optimizer


DEMO = Demo("pissa", build, lr=3e-4, adapters=True, own=("init",))

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
