"""Each demo does what its docstring says: the property that proves it, on the tiny model."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from bitsandbytes import matmul_4bit
from bitsandbytes.nn import Params4bit
from bitsandbytes.optim import AdamW8bit
from peft.tuners.lora import LoraLayer
from transformers.modeling_layers import GradientCheckpointingLayer

from memlab.measuring.ledger import Ledger
from memlab.options.setup import Setup
from memlab.results.record import STEPS
from memlab.training import chunked_loss
from memlab.training.chunked_loss import ChunkedLoss
from memlab.training.model import find

TINY = Setup(model="tiny", seq=64)
DEMOS = ("baseline", "lora", "qlora", "gradient_checkpointing", "pissa", "dora", "stack")
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


# ---- gradient checkpointing ------------------------------------------------------------------------------------


def kept(it) -> int:
    """Bytes of activations that the transformer's forward pass leaves for the backward pass."""
    ledger = Ledger("cpu")
    ledger.watch(it.model, it.trainer.optimizer, it.trainer.lab.is_base)
    ids = it.batches[1]["input_ids"]
    with ledger, ledger.phase("forward"), it.trainer.lab.autocast():
        hidden = it.model.base_model(input_ids=ids).last_hidden_state
    assert hidden.requires_grad
    return ledger.alive().activations


@pytest.fixture(scope="module")
def deep(arm, tmp_path_factory):
    """Return a function that builds an arm on the tiny model with more or fewer blocks."""

    def make(name: str, precision: str, blocks: int):
        path = tmp_path_factory.mktemp("deep") / "config.json"
        config = find(TINY).config.to_dict() | {"num_hidden_layers": blocks, "layer_types": None}
        path.write_text(json.dumps(config))
        return arm(name, precision, model=str(path), random_init=True)

    return make


@precisions
def test_checkpointing_keeps_one_hidden_state_a_block(deep, precision):
    """Each further block adds batch × seq × width and not a byte more; without checkpoints, over ten times that."""
    few, many = (kept(deep("gradient_checkpointing", precision, blocks)) for blocks in (2, 6))
    hidden_state = 2 * 64 * 64 * DTYPES[precision].itemsize
    assert many - few == 4 * hidden_state
    few, many = (kept(deep("baseline", precision, blocks)) for blocks in (2, 6))
    assert many - few > 4 * 10 * hidden_state


@precisions
def test_checkpointing_changes_no_gradient(arm, precision):
    """On a CPU, which sums in one order, loss and gradients are those of the baseline to the last bit."""
    found = {}
    for name in ("baseline", "gradient_checkpointing"):
        it = arm(name, precision)
        with it.trainer.lab.autocast():
            loss = it.model(**it.batches[1]).loss
        loss.backward()
        found[name] = [loss.detach(), *(p.grad for p in parameters(it.model))]
    assert len(found["baseline"]) > 10
    for a, b in zip(*found.values(), strict=True):
        assert torch.equal(a, b)


@precisions
def test_checkpointing_leaves_model_states_alone(arm, precision):
    """It is about activations: weights, gradients and moments are the baseline's to the byte."""
    assert states(arm("gradient_checkpointing", precision)) == states(arm("baseline", precision))


# ---- DoRA ------------------------------------------------------------------------------------------------------


def built(demo, it, name: str, dtype: str = "bfloat16"):
    """Return the base model and a demo's model before any training, the base stored as `dtype`."""
    lab = copy.copy(it.trainer.lab)
    lab.load_model = lambda _: it.trainer.lab.load_model(dtype)
    return lab.load_model(dtype), demo(name).build(lab)[0]


def adapted(model) -> dict[str, torch.nn.Module]:
    """The layers that have an adapter, by the base model's names."""
    found = {n: m for n, m in model.named_modules() if isinstance(m, LoraLayer)}
    return {n.removeprefix("base_model.model."): m for n, m in found.items()}


def correction(layer) -> torch.Tensor:
    """Return (alpha / r) · B A of an adapted layer, d_out × d_in."""
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return (layer.scaling["default"] * b @ a).detach()


def test_dora_starts_from_the_base_model(arm, demo):
    """In fp32 up to its last bits; in bf16, where the norms are rounded, within 2 %."""
    it = arm("dora", "bf16")
    for dtype, tolerance in (("float32", 1e-6), ("bfloat16", 0.02)):
        base, dora = built(demo, it, "dora", dtype)
        with torch.no_grad():
            expected, found = (model(**it.batches[0]).logits.float() for model in (base, dora))
        assert (found - expected).norm() <= tolerance * expected.norm()


def test_doras_magnitudes_are_the_lengths_of_the_rows(arm, demo):
    """Before training m is the norm of each of W's rows; after it, m is still the length of the merged rows."""
    it = arm("dora", "bf16")
    base, dora = built(demo, it, "dora", "float32")
    layers = adapted(dora)
    assert len(layers) == 14

    def magnitudes():
        return {n: layer.lora_magnitude_vector["default"].weight.detach() for n, layer in layers.items()}

    for name, magnitude in magnitudes().items():
        torch.testing.assert_close(magnitude, base.get_submodule(name).weight.norm(dim=1))
    optimizer = torch.optim.SGD(parameters(dora), lr=1.0)
    for _ in range(2):  # A has no gradient as long as B is zero
        dora(**it.batches[0]).loss.backward()
        optimizer.step()
    trained = {name: magnitude.clone() for name, magnitude in magnitudes().items()}
    merged = dora.merge_and_unload()
    for name, magnitude in trained.items():
        rows = merged.get_submodule(name).weight.norm(dim=1)
        torch.testing.assert_close(rows, magnitude, rtol=1e-4, atol=1e-6)
        assert not torch.equal(rows, base.get_submodule(name).weight.norm(dim=1)), name


@pytest.mark.parametrize("rank", [8, 16])
def test_dora_trains_one_number_an_output_row_more_than_lora(arm, rank):
    """At any rank; at half the rank it is fewer than LoRA's."""
    dora, lora = arm("dora", rank=rank), arm("lora", rank=rank)
    rows = sum(layer.out_features for layer in adapted(lora.model).values())
    count = [sum(p.numel() for p in parameters(it.model)) for it in (dora, lora)]
    assert count[0] == count[1] + rows


# ---- PiSSA -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 1e-2)])
@pytest.mark.parametrize("init", ["pissa", "pissa_niter_4"])
def test_pissa_moves_a_part_of_each_matrix_into_its_adapter(arm, demo, init, dtype, tolerance):
    """What is frozen and what is trained sum to W again, up to rounding, and the frozen rest is the smaller."""
    it = arm("pissa", "bf16", init=init, rank=16)
    base, pissa = built(demo, it, "pissa", dtype)
    assert len(adapted(pissa)) == 14
    for name, layer in adapted(pissa).items():
        whole, rest = base.get_submodule(name).weight, layer.base_layer.weight
        assert (rest + correction(layer) - whole).norm() <= tolerance * whole.norm()
        assert rest.norm() < 0.9 * whole.norm()


def test_pissas_adapter_holds_the_largest_singular_values(arm, demo):
    """The r largest of W are those of B A; the next ones are those of the frozen rest."""
    it = arm("pissa", "bf16", init="pissa", rank=16)
    base, pissa = built(demo, it, "pissa", "float32")
    for name, layer in adapted(pissa).items():
        values = torch.linalg.svdvals(base.get_submodule(name).weight)
        torch.testing.assert_close(torch.linalg.svdvals(correction(layer))[:16], values[:16])
        rest = torch.linalg.svdvals(layer.base_layer.weight)
        torch.testing.assert_close(rest[: len(values) - 16], values[16:], rtol=1e-3, atol=1e-5)


@precisions
def test_pissa_trains_what_lora_trains_in_the_same_bytes(arm, precision):
    """Same shapes, same dtypes, same model states; the frozen rest does not move."""
    pissa, lora = arm("pissa", precision, init="pissa"), arm("lora", precision)
    shapes = [[(p.shape, p.dtype) for p in parameters(it.model)] for it in (pissa, lora)]
    assert shapes[0] == shapes[1] and states(pissa) == states(lora)
    before = [p.detach().clone() for p in parameters(pissa.model, trainable=False)]
    pissa.trainer.step(pissa.batches[1])
    after = parameters(pissa.model, trainable=False)
    assert before and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


# ---- QLoRA -----------------------------------------------------------------------------------------------------


def four_bit(model) -> dict[str, torch.Tensor]:
    return {n: p for n, p in model.named_parameters() if isinstance(p, Params4bit)}


def test_qloras_matrices_cost_half_a_byte_a_parameter(arm, tmp_path):
    """With double quantization 0.516 bytes a parameter, and about a kilobyte a matrix for its two tables."""
    config = find(TINY).config.to_dict() | {"hidden_size": 512, "intermediate_size": 1024, "head_dim": 128}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    it = arm("qlora", model=str(path), random_init=True)
    weights = four_bit(it.model)
    assert len(weights) == 14 and all(p.quant_state.quant_type == "nf4" for p in weights.values())
    quantized = sum(p.quant_state.shape.numel() for p in weights.values())
    plain = sum(p.numel() for p in parameters(it.model, trainable=False) if not isinstance(p, Params4bit))
    alive = it.trainer.ledger_step(it.batches[1]).alive().weights
    tables = 1092 * len(weights)
    assert (alive - 2 * plain - buffers(it.model) - tables) / quantized == pytest.approx(0.516, abs=0.001)


@precisions
def test_qlora_upcasts_nothing_in_silence(arm, precision):
    """What is not quantized stays in bf16 as it was loaded; only the adapters are fp32, and only in mixed precision."""
    it = arm("qlora", precision)
    lab = it.trainer.lab
    loaded = dict(find(lab.setup).load(torch.bfloat16, lab.device).named_parameters())
    names = {
        n.removeprefix("base_model.model.") for n, p in it.model.named_parameters() if not p.requires_grad
    }
    plain = {n for n in names if "base_layer" not in n}
    assert plain and len(names) == len(loaded)
    for name in plain:
        frozen = it.model.get_parameter(f"base_model.model.{name}")
        assert frozen.dtype == torch.bfloat16 and torch.equal(frozen, loaded[name])
    assert {p.dtype for p in parameters(it.model)} == {DTYPES[precision]}
    assert it.model.get_output_embeddings().weight.dtype == torch.bfloat16


@precisions
def test_qlora_trains_the_adapters_and_leaves_the_base_alone(arm, precision):
    """The packed weights keep their bytes, through evaluation too; every adapter has a gradient and moves."""
    it = arm("qlora", precision)
    before = {n: (p.detach().clone(), p.requires_grad) for n, p in it.model.named_parameters()}
    it.trainer.evaluate(it.batches[2:], lambda *_: None)
    it.trainer.step(it.batches[1])
    for name, parameter in it.model.named_parameters():
        old, trained = before[name]
        assert torch.equal(parameter, old) != trained, name
    assert four_bit(it.model)


def test_the_ledger_sees_the_matrix_that_qlora_unpacks(arm):
    """In the forward pass a product unpacks its matrix to bf16 inside one operator; those bytes count."""
    it = arm("qlora", "bf16")
    packed = max(four_bit(it.model).values(), key=lambda p: p.quant_state.shape.numel())
    ledger = Ledger("cpu")
    x = torch.zeros(1, packed.quant_state.shape[1], dtype=torch.bfloat16)
    with ledger, torch.no_grad():
        matmul_4bit(x, packed, quant_state=packed.quant_state)
    unpacked = 2 * packed.quant_state.shape.numel()
    assert unpacked <= ledger.peak().breakdown.temporaries < 1.5 * unpacked


# ---- the stack -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stack(arm):
    """The arm of each step that a CPU can run; in pure bf16, as all of them are."""
    return {step: arm("stack", "bf16", step=step, rank=64) for step in STEPS[:-1]}


def loss(it) -> torch.Tensor:
    with torch.no_grad():
        return it.model(**it.batches[1]).loss


def test_the_exact_steps_of_the_stack_change_no_loss(arm, stack):
    """Checkpointing is the baseline to the bit, chunks sum the same terms in another order."""
    baseline = arm("baseline", "bf16")
    assert torch.equal(loss(stack["checkpointing"]), loss(baseline))
    torch.testing.assert_close(loss(stack["chunked_loss"]), loss(stack["8bit_adamw"]), rtol=1e-5, atol=0)


def test_chunks_give_the_gradients_of_the_whole(arm, monkeypatch):
    """Also where a chunk ends within a sequence and where labels are left out."""
    it = arm("lora", "bf16")
    model, batch = it.trainer.lab.load_model("float32"), it.batches[0]
    batch["labels"][0, 5:9] = -100
    monkeypatch.setattr(chunked_loss, "TOKENS", 48)
    found = []
    for whole in (model, ChunkedLoss(model)):
        whole(**batch).loss.backward()
        found.append([p.grad for p in model.parameters()])
        model.zero_grad(set_to_none=True)
    assert len(found[0]) > 10
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_each_step_of_the_stack_brings_what_it_names(stack):
    """And keeps what the steps before it brought."""
    for step, it in stack.items():
        place = STEPS.index(step)
        blocks = [m for m in it.model.modules() if isinstance(m, GradientCheckpointingLayer)]
        assert blocks and all(m.gradient_checkpointing for m in blocks)
        assert bool(adapted(it.model)) == (place >= 1)
        assert bool(four_bit(it.model)) == (place >= 2)
        assert isinstance(it.trainer.optimizer, AdamW8bit) == (place >= 3)
        assert isinstance(it.model, ChunkedLoss) == (place >= 4)
        assert {p.dtype for p in parameters(it.model)} == {torch.bfloat16}


def test_the_8bit_optimizer_keeps_a_byte_a_moment(stack):
    """Two bytes a parameter and a scale for every 256; a table, and small tensors in fp32, come on top."""
    optimizer = stack["8bit_adamw"].trainer.optimizer
    large = [p for p in parameters(stack["8bit_adamw"].model) if p.numel() >= 4096]
    assert large
    for parameter in large:
        state = optimizer.state[parameter]
        assert {state[name].dtype for name in ("state1", "state2")} == {torch.uint8}
        assert state["state1"].numel() == state["state2"].numel() == parameter.numel()


def test_the_stacks_record_names_its_step(finished):
    """Two steps never share a file, and a step that a CPU has no use for says so and measures nothing."""
    one, other, last = (
        finished("stack", precision="bf16", step=s) for s in ("checkpointing", "chunked_loss", "offload")
    )
    assert (one.setup.step, one.status, other.status) == ("checkpointing", "ok", "ok")
    assert one.slug != other.slug
    assert (one.setup.optimizer, other.setup.optimizer) == ("AdamW (fused)", "AdamW8bit")
    assert "256 tokens at a time" in other.setup.loss_kernel
    assert other.setup.base_dtype == "bfloat16, linear layers nf4"
    assert (last.status, last.message) == (
        "not_applicable",
        "on a CPU, activations are in the host's memory already",
    )
    assert last.memory.peak_bytes is last.memory.static_bytes is last.learning is None


@pytest.mark.gpu
def test_offloaded_activations_are_on_the_host(arm):
    """The same loss; what waits for the backward pass is not on the GPU, and frozen weights have not moved."""
    whole, offloaded = (arm("stack", "bf16", step=s, device="cuda") for s in ("chunked_loss", "offload"))
    torch.testing.assert_close(loss(offloaded), loss(whole))
    kept = [
        it.trainer.ledger_step(it.batches[1]).peak("backward").breakdown.activations
        for it in (whole, offloaded)
    ]
    assert kept[1] < kept[0]


# ---- what the command line sets --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lora", "qlora", "pissa", "dora", "stack"])
def test_rank_and_alpha_reach_every_adapter(arm, name):
    """An option that a demo forgot would leave its records to claim a rank that was never run."""
    layers = adapted(arm(name, "bf16", rank=4, alpha=8.0).model)
    assert len(layers) == 14
    for layer in layers.values():
        assert (layer.r["default"], layer.scaling["default"]) == (4, 2.0)


@pytest.mark.parametrize("name", DEMOS)
def test_the_learning_rate_reaches_the_optimizer(arm, name):
    """Also the one that keeps its moments in eight bits."""
    groups = arm(name, "bf16", lr=3e-4).trainer.optimizer.param_groups
    assert [group["lr"] for group in groups] == [3e-4]


# ---- all of them -----------------------------------------------------------------------------------------------


def test_both_arms_see_the_same_tokens_in_the_same_order(arm):
    """Data depends on text, sizes and seed; not on the technique."""
    for name in DEMOS:
        for a, b in zip(arm("baseline").batches, arm(name).batches, strict=True):
            assert torch.equal(a["input_ids"], b["input_ids"]) and torch.equal(a["labels"], b["labels"])


def test_no_dropout_anywhere(arm):
    """A dropout mask is memory and noise that only one arm would have."""
    for name in DEMOS:
        dropouts = [m for m in arm(name).model.modules() if isinstance(m, torch.nn.Dropout)]
        assert all(m.p == 0 for m in dropouts)
