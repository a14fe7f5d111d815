"""Run it: python demos/qlora.py

QLoRA is LoRA on a frozen model whose matrices are stored in four bits. Each weight is one of the 16 values of
NF4, times a scale that 64 weights share; the scales are stored in eight bits themselves (double
quantization). For each matrix product, forward and backward, the matrix is unpacked to bf16 and dropped
again. The adapters beside it are LoRA's, and are all that is trained.

Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", arXiv 2305.14314.

A frozen matrix costs 0.516 bytes a parameter instead of 2. The embedding, the norms and the output head stay
in bf16; in SmolLM2-135M, with its large vocabulary, they weigh more than all packed matrices together. Its
gradients, optimizer states and activations are LoRA's; of the peak QLoRA saves what the matrices had of it.

PEFT's `prepare_model_for_kbit_training` would turn all that is not quantized into fp32, and what comes out
of an fp32 norm is an fp32 activation. That can make QLoRA heavier than LoRA, so it is not called here. To
measure it, call it on the model right after loading, with `use_gradient_checkpointing=False`. Try:

    python demos/qlora.py --batch 1 --seq 32     few activations: the weights come into their own
    python demos/lora.py --batch 1 --seq 32      what to compare it with

This file is `baseline.py` with the lines marked NEW. The baseline is run beside it on the same model, tokens,
kernels and optimizer, each in a process of its own.
"""

from memlab import Demo, launch


def build(lab):
    """Return the model and the optimizer; `lab` measures training steps with them."""
    import torch  # NEW
    from peft import LoraConfig, get_peft_model  # NEW
    from transformers import BitsAndBytesConfig  # NEW

    # ---- the model ---------------------------------------------------------------------------------------
    # NEW: Frozen weights in NF4; every product is computed in bf16, as the other demos do.
    nf4 = BitsAndBytesConfig(  # NEW
        load_in_4bit=True,  # NEW
        bnb_4bit_quant_type="nf4",  # NEW
        bnb_4bit_use_double_quant=True,  # NEW
        bnb_4bit_compute_dtype=torch.bfloat16,  # NEW
    )  # NEW
    model = lab.load_model("bfloat16", quantization_config=nf4)  # NEW

    # NEW: ---- the adapters --------------------------------------------------------------------------------
    # NEW: B starts at zero, so training starts from exactly the quantized model.
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


DEMO = Demo("qlora", build, lr=1e-3, adapters=True, needs=("bitsandbytes",))

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
