"""Run it: python demos/stack.py

What is left of the peak when one technique is put on top of another? Each step keeps all that the steps
before it brought, and is a run of its own with a record of its own:

    baseline, mixed    full fine-tuning: fp32 weights under bf16 autocast
    baseline, bf16     everything in bf16
    checkpointing      one hidden state a block is kept for the backward pass
    lora               the model is frozen; thin adapters are trained instead
    qlora              the frozen matrices are stored in four bits
    8bit_adamw         the optimizer's moments are stored in eight bits (and paged, on a GPU)
    chunked_loss       the logits are computed for 256 tokens at a time
    offload            activations wait for the backward pass in the host's memory (on a GPU)

Savings do not add up: a step can only save what is there when its turn comes, and the peak moves from one
kind of bytes to another as they go. A step that saves nothing here can be the one that counts on another
model; in another order each would save another amount. Checkpointing, chunking and offloading compute the
same loss; the other steps change what is learned.

    python demos/stack.py --step qlora           that step alone, with all that it builds on
    python demos/stack.py --batch 1 --seq 2048

On a GPU, paged moments lie outside the allocator's count; they are added to it.
This file has no NEW marks: every step of it is in sight.
"""

from memlab import Demo, launch
from memlab.results.record import STEPS


def build(lab):
    """Return the model and the optimizer; `lab` measures training steps with them."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import BitsAndBytesConfig

    # The step that is run, and all before it. Without a step: all.
    here = STEPS[: STEPS.index(lab.setup.step or STEPS[-1]) + 1]

    # ---- qlora -------------------------------------------------------------------------------------------
    nf4 = None
    if "qlora" in here:
        nf4 = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    model = lab.load_model("bfloat16", quantization_config=nf4)

    # ---- checkpointing -----------------------------------------------------------------------------------
    if "checkpointing" in here:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    # ---- lora --------------------------------------------------------------------------------------------
    if "lora" in here:
        config = LoraConfig(r=lab.setup.rank, lora_alpha=lab.setup.alpha, target_modules="all-linear")
        model = get_peft_model(model, config, autocast_adapter_dtype=False)

    # ---- 8bit_adamw --------------------------------------------------------------------------------------
    optimizer = lab.optimizer_8bit(model) if "8bit_adamw" in here else lab.optimizer(model)

    # ---- chunked_loss ------------------------------------------------------------------------------------
    if "chunked_loss" in here:
        model = lab.chunked_loss(model)

    # ---- offload -----------------------------------------------------------------------------------------
    if "offload" in here:
        model = lab.offload_activations(model)
    return model, optimizer


# A step that trains all weights wants a smaller learning rate than one that trains adapters.
DEMO = Demo(
    "stack",
    build,
    lr=1e-3,
    lr_of={"checkpointing": 1e-4},
    adapters=True,
    own=("step",),
    needs=("bitsandbytes",),
)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
