"""Each demo does what its docstring says: the property that proves it, on the tiny model."""

from __future__ import annotations

import ast
import difflib
import inspect

import pytest
import torch

from memlab.model import find

BYTES = {"mixed": 16, "bf16": 8}
DTYPES = {"mixed": torch.float32, "bf16": torch.bfloat16}
precisions = pytest.mark.parametrize("precision", ["mixed", "bf16"])


def parameters(model, trainable: bool = True) -> list[torch.Tensor]:
    return [p for p in model.parameters() if p.requires_grad is trainable]


def states(it) -> int:
    """Weights, gradients and moments alive when the optimizer step begins."""
    kinds = it.trainer.ledger_step(it.batches[1]).peak("optimizer").breakdown
    return kinds.weights + kinds.adapters + kinds.gradients + kinds.optimizer


def buffers(model) -> int:
    return sum(b.untyped_storage().nbytes() for b in model.buffers())


# ---- full fine-tuning ------------------------------------------------------------------------------------------


@precisions
def test_full_fine_tuning_costs_16_or_8_bytes_a_parameter(arm, precision):
    """Weight, gradient and two moments, to the byte; and a step counter of 4 bytes a tensor."""
    it = arm("baseline", precision)
    trained = parameters(it.model)
    assert not parameters(it.model, trainable=False)
    expected = BYTES[precision] * sum(p.numel() for p in trained) + 4 * len(trained) + buffers(it.model)
    assert states(it) == expected


@precisions
def test_full_fine_tuning_changes_every_weight_matrix(arm, precision):
    """Nothing is frozen by accident."""
    it = arm("baseline", precision)
    before = [p.detach().clone() for p in it.model.parameters()]
    it.trainer.step(it.batches[1])
    changed = [
        not torch.equal(a, b) for a, b in zip(before, it.model.parameters(), strict=True) if a.dim() == 2
    ]
    assert changed and all(changed)


# ---- LoRA ------------------------------------------------------------------------------------------------------


@precisions
def test_lora_starts_from_exactly_the_base_model(arm, demo, precision):
    """B is zero, so before any training the logits are those of the frozen base model, bit for bit."""
    it = arm("lora", precision)
    lab, batch = it.trainer.lab, it.batches[0]
    base, (lora, _) = lab.load_model("bfloat16"), demo("lora").build(lab)
    with torch.no_grad(), lab.autocast():
        assert torch.equal(base(**batch).logits, lora(**batch).logits)
        assert not torch.equal(
            base(**batch).logits, it.model(**batch).logits
        )  # the one that has been trained


@precisions
def test_lora_trains_the_adapters_and_leaves_the_base_alone(arm, precision):
    """After two steps every frozen weight has the bits it was loaded with; A and B have moved."""
    it = arm("lora", precision)
    lab = it.trainer.lab
    loaded = dict(find(lab.setup).load(torch.bfloat16, lab.device).named_parameters())
    frozen = {n: p for n, p in it.model.named_parameters() if not p.requires_grad}
    assert len(frozen) == len(loaded)
    for name, parameter in frozen.items():
        plain = name.removeprefix("base_model.model.").replace("base_layer.", "")
        assert torch.equal(parameter, loaded[plain]), name
    before = [p.detach().clone() for p in parameters(it.model)]
    it.trainer.step(it.batches[1])
    assert all(not torch.equal(a, b) for a, b in zip(before, parameters(it.model), strict=True))


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_lora_trains_r_times_the_sum_of_both_sides_of_every_matrix(arm, rank):
    """Trainable parameters are Σ r (d_in + d_out) over the linear layers, the output head left out."""
    it = arm("lora", rank=rank)
    lab = it.trainer.lab
    base = find(lab.setup).load(torch.bfloat16, lab.device)
    layers = [m for n, m in base.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]
    assert len(layers) == 14
    expected = sum(rank * (layer.in_features + layer.out_features) for layer in layers)
    assert sum(p.numel() for p in parameters(it.model)) == expected


@precisions
def test_lora_keeps_the_base_in_bf16_and_the_adapters_as_the_baseline_keeps_its_weights(arm, precision):
    """Fair pairing: fp32 adapters under autocast in mixed precision, bf16 ones in pure bf16."""
    it = arm("lora", precision)
    assert {p.dtype for p in parameters(it.model, trainable=False)} == {torch.bfloat16}
    assert {p.dtype for p in parameters(it.model)} == {DTYPES[precision]}


@precisions
def test_lora_pays_model_states_for_its_adapters_alone(arm, precision):
    """Two bytes for each frozen parameter, 16 or 8 for each trained one."""
    it = arm("lora", precision)
    frozen = sum(p.numel() for p in parameters(it.model, trainable=False))
    trained = parameters(it.model)
    expected = 2 * frozen + BYTES[precision] * sum(p.numel() for p in trained) + 4 * len(trained)
    assert states(it) == expected + buffers(it.model)


def test_both_arms_see_the_same_tokens_in_the_same_order(arm):
    """Data depends on text, sizes and seed; not on the technique."""
    for a, b in zip(arm("baseline").batches, arm("lora").batches, strict=True):
        assert torch.equal(a["input_ids"], b["input_ids"]) and torch.equal(a["labels"], b["labels"])


def test_no_dropout_anywhere(arm):
    """A dropout mask is memory and noise that only one arm would have."""
    for name in ("baseline", "lora"):
        dropouts = [m for m in arm(name).model.modules() if isinstance(m, torch.nn.Dropout)]
        assert all(m.p == 0 for m in dropouts)


# ---- the scripts as texts --------------------------------------------------------------------------------------


def test_lines_that_differ_from_the_baseline_are_marked_new(demo):
    """Whoever reads a demo sees at a glance what the technique is."""
    baseline, lora = (inspect.getsource(demo(name).build).splitlines() for name in ("baseline", "lora"))
    added = [line[2:] for line in difflib.ndiff(baseline, lora) if line.startswith("+ ")]
    assert [line for line in added if line.strip() and "NEW" not in line] == []
    kept = [line[2:] for line in difflib.ndiff(baseline, lora) if line.startswith("  ")]
    assert [line for line in kept if "NEW" in line] == []


@pytest.mark.parametrize("name", ["baseline", "lora"])
def test_a_demo_is_short_and_opens_with_its_command(demo, name):
    """Sixty to 120 lines at most, and the first thing to read is what to type."""
    source = inspect.getsource(demo(name))
    assert len(source.splitlines()) <= 120
    assert ast.get_docstring(ast.parse(source)).startswith(f"Run it: python demos/{name}.py\n")
