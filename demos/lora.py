"""Run it: python demos/lora.py

LoRA freezes the model. Beside each weight matrix W (d_out × d_in) it trains two thin ones, B (d_out × r)
and A (r × d_in), whose product is added to it: W + (alpha / r) · B A. Gradients and Adam's moments exist for
A and B only: that is the saving. Activations stay, since the forward pass still runs through all of W.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.

A frozen weight costs 2 bytes (bf16) instead of 16 (mixed precision) or 8 (pure bf16). So LoRA saves at most
87.5 % of the model states against mixed precision and 75 % against pure bf16, whatever the rank. Of the peak
it saves what the activations leave over: the table shows both, and where the peak was.

    python demos/lora.py --rank 64               more to train, and hardly more memory
    python demos/lora.py --precision bf16        the saving against a leaner baseline
    python demos/lora.py --batch 1 --seq 32      few activations: the frozen weights come into their own

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
    # NEW: B starts at zero, so training starts from exactly the base model. In mixed precision the adapters
    # NEW: are fp32, as the baseline's trained weights are; in pure bf16 they are bf16, as those are.
    config = LoraConfig(  # NEW
        r=lab.setup.rank,  # NEW
        lora_alpha=lab.setup.alpha,  # NEW
        target_modules="all-linear",  # NEW (every linear layer except the output head)
    )  # NEW
    model = get_peft_model(model, config, autocast_adapter_dtype=lab.mixed)  # NEW

    # ---- what is trained ---------------------------------------------------------------------------------
    # NEW: AdamW keeps two moments for every trainable parameter. Here, those are A and B alone.
    optimizer = lab.optimizer(model)
    return model, optimizer


DEMO = Demo("lora", build, lr=1e-3, adapters=True)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
