"""The ledger counts every live byte, knows what it is for, and notices a technique that does not do what it says."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from memlab.measuring.ledger import Ledger
from memlab.measuring.profiler import profiled_peak
from memlab.options.setup import BUNDLED, Setup
from memlab.results.record import KINDS, STEPS
from memlab.results.techniques import PLAIN
from memlab.training.model import find

ONE_RUN = [(one.name, precision, {}) for one in PLAIN for precision in ("mixed", "bf16")]
STACK = [
    ("stack", "bf16", {"step": step}) for step in STEPS if step != "offload"
]  # which a CPU has no use for
ARMS = [pytest.param(*arm, id="-".join([*arm[:2], *arm[2].values()])) for arm in ONE_RUN + STACK]
arms = pytest.mark.parametrize(("name", "precision", "options"), ARMS)


@pytest.fixture(scope="module")
def two_ledgers(arm):
    """Return a function that gives the ledgers of one step of two builds of an arm; each arm is built once so."""

    @cache
    def ledgers(name: str, precision: str, step: str | None) -> tuple[Ledger, Ledger]:
        options = {"step": step} if step else {}
        builds = [arm(name, precision, **options) for _ in range(2)]
        return tuple(it.trainer.ledger_step(it.batches[1]) for it in builds)

    return lambda name, precision, options: ledgers(name, precision, options.get("step"))


@arms
def test_the_peak_agrees_with_torchs_profiler(arm, name, precision, options):
    """An independent count, made by the allocator itself without a dispatch mode, differs by less than 1 %."""
    it = arm(
        name, precision, seq=256, **options
    )  # long enough to make little of what kernels allocate inside
    counted = profiled_peak(lambda: it.trainer.step(it.batches[1]))
    ledger = it.trainer.ledger_step(it.batches[2])
    before = sum(ledger.timeline()[0][1:])
    assert counted > 0.5 * before
    assert ledger.peak().total - before == pytest.approx(counted, rel=0.01)


@pytest.mark.parametrize("precision", ["mixed", "bf16"])
@pytest.mark.parametrize("name", ["baseline", "gradient_checkpointing"])
def test_being_watched_adds_no_gradient(arm, tmp_path, name, precision):
    """Embedding and output head are one matrix with two gradients, which autograd adds up in place.

    Under a dispatch mode it makes a third one. With a large vocabulary and few tokens that would be the peak.
    """
    config = find(Setup(model="tiny")).config.to_dict() | {"vocab_size": 16384}
    (tmp_path / "config.json").write_text(json.dumps(config))
    it = arm(name, precision, model=str(tmp_path / "config.json"), random_init=True, batch=1, seq=32)
    counted = profiled_peak(lambda: it.trainer.step(it.batches[1]))
    ledger = it.trainer.ledger_step(it.batches[2])
    before = sum(ledger.timeline()[0][1:])
    assert ledger.peak().total - before == pytest.approx(counted, rel=0.001)


@arms
def test_the_breakdown_sums_to_the_peak_and_the_timeline_holds_it(two_ledgers, name, precision, options):
    """Every kind is counted once: the kinds add up to the peak, and no other instant is higher."""
    ledger, _ = two_ledgers(name, precision, options)
    peak = ledger.peak()
    assert peak.breakdown.total == peak.total
    for points in (300, 40, 3):
        timeline = ledger.timeline(points)
        assert len(timeline) <= points
        assert max(sum(point[1:]) for point in timeline) == peak.total
        assert all(a[0] <= b[0] for a, b in pairwise(timeline))


@arms
def test_the_same_step_gives_the_same_bytes(two_ledgers, name, precision, options):
    """Two builds, two ledgers: equal to the byte at the peak and at every instant of the timeline."""
    first, second = two_ledgers(name, precision, options)
    assert first.peak() == second.peak()
    # Under checkpoints autocast drops its copies at the end of the forward pass, in no certain order.
    if (name, precision) != ("gradient_checkpointing", "mixed"):
        assert [point[1:] for point in first.timeline()] == [point[1:] for point in second.timeline()]


def test_autocasts_copies_of_the_weights_are_told_apart_from_activations(arm):
    """Mixed precision holds a bf16 copy of each matrix while a step lasts; it counts as `other`, at 2 bytes each."""
    it = arm("baseline", "mixed")
    matrices = sum(p.numel() for p in it.model.parameters() if p.dim() == 2)
    batch = sum(t.untyped_storage().nbytes() for t in it.batches[1].values())
    forward = it.trainer.ledger_step(it.batches[1]).peak("forward").breakdown
    assert forward.other == 2 * matrices + batch
    assert arm("baseline", "bf16").trainer.ledger_step(it.batches[1]).peak("forward").breakdown.other == batch


def test_nothing_but_states_is_left_between_two_steps(arm):
    """After a step, weights and optimizer state are alive, and no gradient or activation."""
    it = arm("baseline", "mixed")
    left = it.trainer.ledger_step(it.batches[1]).alive()
    assert left.gradients == left.activations == left.temporaries == left.adapters == 0
    assert left.weights > 0 and left.optimizer > 0


# ---- a technique that does not do what it says -----------------------------------------------------------------


def test_a_base_model_that_was_not_frozen_is_noticed(arm, demo):
    """LoRA on a model that is still trainable shows as gradients and optimizer state of the whole model."""

    def build(lab):
        model, _ = demo("lora").build(lab)
        model.requires_grad_(True)
        return model, lab.optimizer(model)

    broken, sound = (arm("lora", "bf16", build=b) for b in (build, None))
    wrong, right = (
        it.trainer.ledger_step(it.batches[1]).peak("optimizer").breakdown for it in (broken, sound)
    )
    assert wrong.gradients > 3 * right.gradients
    assert wrong.optimizer > 3 * right.optimizer


def test_a_hidden_copy_of_the_model_is_noticed(arm, demo):
    """A copy that a technique keeps in the model is not the base model's weight: it counts as adapters."""

    def build(lab):
        model, optimizer = demo("lora").build(lab)
        copy = torch.cat([p.detach().flatten() for p in model.parameters() if not p.requires_grad])
        model.register_buffer("spare", copy)
        return model, optimizer

    broken, sound = (arm("lora", "bf16", build=b) for b in (build, None))
    wrong, right = (it.trainer.ledger_step(it.batches[1]).peak().breakdown for it in (broken, sound))
    assert wrong.weights == right.weights
    assert wrong.adapters - right.adapters == broken.model.spare.numel() * 2


def test_activations_that_somebody_hoards_are_noticed(arm, demo):
    """What a hook keeps after the step is still alive at its end, and still counted as activations."""
    kept = []

    def build(lab):
        model, optimizer = demo("baseline").build(lab)
        model.model.layers[0].register_forward_hook(lambda module, args, output: kept.append(output))
        return model, optimizer

    it = arm("baseline", "bf16", build=build)
    kept.clear()
    ledger = it.trainer.ledger_step(it.batches[1])
    assert ledger.alive().activations >= 2 * 64 * 64 * 2  # batch × seq × hidden, bf16


# ---- storages --------------------------------------------------------------------------------------------------


def test_views_share_their_storage_and_death_is_seen():
    """A storage is counted once however many tensors look at it, until the last of them is gone."""
    with Ledger("cpu") as ledger:
        a = torch.zeros(100)
        b = a.view(10, 10)[2:]
        del a
        c = b + 1
        del b
    assert ledger.peak().total == 400 + 320
    assert ledger.alive().total == c.untyped_storage().nbytes() == 320


def test_a_storage_that_grows_is_counted_at_its_new_size():
    """`resize_` changes the storage under a tensor that is already known."""
    with Ledger("cpu") as ledger:
        a = torch.zeros(10)
        a.resize_(1000)
    assert ledger.peak().total == 4000


def test_what_was_there_before_counts_from_the_start():
    """A tensor that nobody announced was alive before the first event, and belongs to `other`."""
    a = torch.zeros(1000)
    with Ledger("cpu") as ledger:
        b = torch.zeros(10)
        a.add_(1)
    assert ledger.timeline()[0][1:] == (0, 0, 0, 0, 0, 0, 4000)
    assert ledger.alive().other == 4000
    assert ledger.alive().temporaries == b.nbytes


def test_bytes_without_a_tensor_count_as_other_from_the_start():
    """A GPU's allocator holds a workspace that no tensor stands for."""
    ledger = Ledger("cpu")
    ledger.add("other", 512)
    with ledger:
        a = torch.zeros(10)
    assert ledger.peak().breakdown.other == 512
    assert ledger.alive().total == 512 + a.nbytes


def test_a_phase_in_which_nothing_ran_has_no_peak():
    """Asking for it is an error, not a peak of zero bytes."""
    with pytest.raises(ValueError, match="backward"):
        Ledger("cpu").peak("backward")


def test_fake_tensors_are_counted_like_real_ones():
    """The same step gives the same bytes without any memory behind it: this is what prediction stands on."""

    def totals(ledger: Ledger) -> list[tuple[int, ...]]:
        model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.GELU(), torch.nn.Linear(64, 8))
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        x = torch.randn(16, 32)
        ledger.watch(model, optimizer)
        with ledger:
            with ledger.phase("forward"):
                loss = model(x).square().mean()
            with ledger.phase("backward"):
                loss.backward()
            with ledger.phase("optimizer"):
                optimizer.step()
        return [point[1:] for point in ledger.timeline()]

    real = totals(Ledger("cpu"))
    with FakeTensorMode():
        assert totals(Ledger("cpu")) == real
    assert len(real) > 10
    assert KINDS[3] == "optimizer" and real[-1][3] == 2 * 4 * (32 * 64 + 64 + 64 * 8 + 8) + 4 * 4


def test_nf4_weights_count_with_their_quantization_state():
    """Half a byte a parameter, and what it takes to read them back: 0.516 B with double quantization."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    layer = bitsandbytes.nn.LinearNF4(1024, 4096, bias=False, compute_dtype=torch.bfloat16)
    layer.to("cpu")
    assert layer.weight.quant_state is not None
    ledger = Ledger("cpu")
    ledger.watch(layer, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))]))
    assert ledger.alive().weights / (1024 * 4096) == pytest.approx(0.516, abs=0.001)


@pytest.mark.gpu
@arms
def test_on_a_gpu_the_peak_agrees_with_the_allocators(arm, name, precision, options):
    """The allocator rounds to 512 bytes and keeps a workspace: on the real model, less than 1 % of the peak."""
    it = arm(name, precision, model=BUNDLED, device="cuda", batch=4, seq=512, **options)
    torch.cuda.reset_peak_memory_stats()
    it.trainer.step(it.batches[1])
    allocated = torch.cuda.max_memory_allocated()
    assert it.trainer.ledger_step(it.batches[2]).peak().total == pytest.approx(allocated, rel=0.01)
