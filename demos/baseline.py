"""Run it: python demos/baseline.py

Full fine-tuning: every weight of the model is trained with AdamW. It saves nothing; it is the load that every
other demo is weighed against. It comes in two precisions, and a saving means little without saying which of
them it was measured against.

Where the bytes go, per parameter of the model:

    --precision mixed                      --precision bf16
    weight, fp32                   4       weight, bf16                   2
    gradient, fp32                 4       gradient, bf16                 2
    Adam's first moment, fp32      4       Adam's first moment, bf16      2
    Adam's second moment, fp32     4       Adam's second moment, bf16     2
    model states                  16       model states                   8

Mixed precision runs the forward pass under autocast, which adds a bf16 copy of the weights for as long as a
step lasts. Pure bf16 halves the model states, but rounds away an update smaller than 1/256 of its weight.

Activations come on top: what the forward pass keeps for the backward pass. They grow with batch × seq, not
with what is trained. In a small model they and the logits (batch × seq × vocabulary) rule the peak. Try:

    python demos/baseline.py --precision bf16
    python demos/baseline.py --batch 1 --seq 128

What to look for in the table: in which phase the peak came, and which kind of bytes was largest just then.
"""

from memlab import Demo, launch


def build(lab):
    """Return the model and the optimizer; `lab` measures training steps with them."""
    # ---- the model ---------------------------------------------------------------------------------------
    # fp32 weights take up small updates; autocast gives the matrix products bf16 speed all the same.
    model = lab.load_model("float32" if lab.mixed else "bfloat16")

    # ---- what is trained ---------------------------------------------------------------------------------
    # AdamW keeps two moments for every trainable parameter. Here, that is every parameter.
    optimizer = lab.optimizer(model)
    return model, optimizer


# The training step is the same for every demo (`memlab.measuring.trainer.Trainer.step`):
#
#     with lab.autocast():
#         loss = model(**batch).loss
#     loss.backward()
#     optimizer.step()
#     optimizer.zero_grad(set_to_none=True)
#
# Gradients are freed right after the step, so none are alive while the next forward pass builds up.

DEMO = Demo("baseline", build, lr=1e-4)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
