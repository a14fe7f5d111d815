"""Run it: python demos/lora.py

LoRA freezes the model and trains, beside each weight matrix W (d_out × d_in), two thin matrices B (d_out × r) and
A (r × d_in) whose product is added to it: W + (alpha / r) · B A. Gradients and Adam's moments then exist for A and B
only, which is where the saving comes from. The forward pass still runs through all of W, so its activations stay.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.

What a frozen weight costs: 2 bytes (bf16) instead of 16 (mixed precision) or 8 (pure bf16). So, of the model states,
LoRA can save at most 87.5 % against mixed precision and 75 % against pure bf16, whatever the rank. Of the peak it
saves what the activations leave over. The table shows both: how much the states shrank, and how much the peak did.

    python demos/lora.py --rank 64               more to train, and hardly more memory
    python demos/lora.py --precision bf16        the saving against a leaner baseline
    python demos/lora.py --batch 1 --seq 32      few activations: the frozen weights come into their own

This file is `baseline.py` with the lines marked NEW. Beside it, the baseline is run on the same model, the same
tokens, the same kernels and the same optimizer, each in a process of its own.
"""

from memlab import launch


def build(lab):
    """Return the model and the optimizer; `lab` measures one training step after another with them."""
    from peft import LoraConfig, get_peft_model  # NEW (here, so that a mistyped option is answered at once)

    # ---- the model ---------------------------------------------------------------------------------------------
    # A frozen weight takes up no updates, so bf16 is precise enough for it.                                  # NEW
    model = lab.load_model("bfloat16")  # NEW

    # ---- the adapters ------------------------------------------------------------------------------------------
    config = LoraConfig(  # NEW
        r=lab.setup.rank,  # NEW
        lora_alpha=lab.setup.alpha,  # NEW
        target_modules="all-linear",  # NEW (every linear layer except the output head)
    )  # NEW
    # B starts at zero, so training starts from exactly the base model. In mixed precision the adapters are   # NEW
    # fp32, as the trained weights of the baseline are; in pure bf16 they are bf16, as those are.             # NEW
    model = get_peft_model(model, config, autocast_adapter_dtype=lab.mixed)  # NEW

    # ---- what is trained ---------------------------------------------------------------------------------------
    # AdamW keeps two moments for every trainable parameter. Here, those are A and B alone.                   # NEW
    optimizer = lab.optimizer(model)
    return model, optimizer


if __name__ == "__main__":
    launch.main("lora", __doc__, build, lr=1e-3, adapters=True)
