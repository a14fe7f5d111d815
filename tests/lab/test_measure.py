"""One run from loading to record: what is filled in, and what happens when memory runs out."""

from __future__ import annotations

import pytest
import torch

from memlab.measuring import hardware, run
from memlab.results.record import KINDS, Record

STORED = {"mixed": "float32", "bf16": "bfloat16"}
DTYPES = {
    "baseline": lambda precision: (STORED[precision], None),
    "gradient_checkpointing": lambda precision: (STORED[precision], None),
    "lora": lambda precision: ("bfloat16", STORED[precision]),
    "pissa": lambda precision: ("bfloat16", STORED[precision]),
    "dora": lambda precision: ("bfloat16", STORED[precision]),
    "qlora": lambda precision: ("bfloat16, linear layers nf4", STORED[precision]),
}


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("precision", ["mixed", "bf16"])
def test_a_run_fills_the_record(finished, name, precision):
    """Every field that a CPU can measure is there; those that only a GPU has are null."""
    one = finished(name, precision=precision)
    assert (one.technique, one.mode, one.status, one.message) == (name, "measured", "ok", None)
    memory = one.memory
    assert memory.peak_bytes == memory.ledger_peak_bytes == memory.breakdown_at_peak.total
    assert (
        max(sum(point[1:]) for point in memory.timeline) == memory.peak_bytes and len(memory.timeline) <= 300
    )
    assert memory.peak_phase in ("forward", "backward", "optimizer")
    assert 0 < memory.static_bytes < memory.peak_bytes < memory.process_bytes
    assert memory.load_peak_bytes >= one.setup.parameters * 2
    assert memory.reserved_bytes is memory.allocator_retries is one.device.driver is None
    assert one.speed.step_seconds.min <= one.speed.step_seconds.median <= one.speed.step_seconds.max
    assert one.speed.tokens_per_second == pytest.approx(2 * 64 / one.speed.step_seconds.median)
    assert len(one.learning.losses) == 3
    assert one.learning.eval_loss_after < one.learning.eval_loss_before
    assert one.setup.autocast == ("bfloat16" if precision == "mixed" else None)
    assert (one.setup.base_dtype, one.setup.adapter_dtype) == DTYPES[name](precision)
    assert one.setup.init == ("pissa" if name == "pissa" else None)
    assert one.origin.versions["torch"] == torch.__version__
    assert Record.model_validate_json(one.model_dump_json()) == one


def test_two_runs_give_equal_bytes_and_losses(finished):
    """Everything but the clock is the same; another seed sees other tokens and the same bytes."""
    finished("lora")  # the first run of a process makes what libraries keep
    first, second, other = (finished("lora", again=True, seed=seed) for seed in (0, 0, 1))
    for one in (second, other):
        assert one.memory.breakdown_at_peak == first.memory.breakdown_at_peak
        assert [point[1:] for point in one.memory.timeline] == [point[1:] for point in first.memory.timeline]
        assert one.memory.load_peak_bytes == first.memory.load_peak_bytes
    assert second.learning == first.learning
    assert other.learning.losses != first.learning.losses
    assert first.slug == second.slug != other.slug


def test_the_arms_begin_with_the_same_loss(finished):
    """LoRA starts as the base model, on the same tokens."""
    baseline, lora = finished("baseline", precision="bf16"), finished("lora", precision="bf16")
    assert lora.learning.losses[0] == baseline.learning.losses[0]
    assert lora.learning.eval_loss_before == baseline.learning.eval_loss_before
    assert lora.setup.data_sha256 == baseline.setup.data_sha256


def test_running_out_of_memory_is_a_result(finished, demo):
    """A CPU that cannot give the memory ends in a record with what was reached, and no exception."""

    def build(lab):
        model, optimizer = demo("baseline").build(lab)
        model.register_forward_hook(lambda *_: torch.empty(1 << 50) if model.training else None)
        return model, optimizer

    one = finished("baseline", build=build)
    assert one.status == "oom" and one.message.startswith("out of memory while training: ")
    assert "allocate" in one.message and "\n" not in one.message
    assert one.memory.peak_bytes is one.memory.breakdown_at_peak is one.speed.step_seconds is None
    assert one.memory.load_peak_bytes > 0 and one.memory.process_bytes > 0
    assert one.learning.eval_loss_before > 0 and one.learning.losses == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee docs"), "oom"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 99 bytes"),
            "oom",
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "failed"),
        (ValueError("Target modules not found\nin the base model"), "failed"),
    ],
)
def test_an_error_while_loading_is_told_in_one_line(finished, capsys, error, status):
    """Lack of memory is told from a mistake; the trace goes to the log, not into the record."""

    def build(lab):
        raise error

    one = finished("lora", build=build)
    assert one.status == status and " while loading: " in one.message and "\n" not in one.message
    assert one.learning is None and one.memory.load_peak_bytes is None
    assert one.setup.base_dtype == "not loaded"
    assert ("Traceback" in capsys.readouterr().err) == (status == "failed")


def test_a_gpu_lost_in_mid_run_is_a_failure(finished, demo):
    """CUDA's error comes up in the middle of training: one line, what was trained so far, and no peak to save from."""

    def build(lab):
        model, optimizer = demo("baseline").build(lab)
        trained = []

        def lose(*_):
            trained.append(model.training)
            if trained.count(True) == 3:
                raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with ...")

        model.register_forward_hook(lose)
        return model, optimizer

    one = finished("baseline", build=build)
    assert one.status == "failed"
    assert one.message == "AcceleratorError while training: CUDA error: unspecified launch failure"
    assert len(one.learning.losses) == 2 and one.learning.eval_loss_after is None
    assert one.memory.peak_bytes is one.memory.breakdown_at_peak is None


def test_a_loss_that_is_no_number_is_a_failure(finished, demo):
    """It is named with its step, and no record pretends that the run was fine."""

    def build(lab):
        model, optimizer = demo("baseline").build(lab)
        with torch.no_grad():
            model.lm_head.weight.fill_(torch.nan)
        return model, optimizer

    one = finished("baseline", build=build)
    assert one.status == "failed" and "the held-out loss before training is nan" in one.message


def test_the_clean_pass_is_the_plain_loop(arm):
    """The step that is timed trains exactly as the same lines written out by hand."""
    ours, by_hand = arm("baseline"), arm("baseline")
    loss, seconds = ours.trainer.timed_step(ours.batches[1])
    with torch.autocast("cpu", torch.bfloat16):
        expected = by_hand.model(**by_hand.batches[1]).loss
    expected.backward()
    by_hand.trainer.optimizer.step()
    assert loss == expected.item() and seconds > 0
    assert all(
        torch.equal(a, b) for a, b in zip(ours.model.parameters(), by_hand.model.parameters(), strict=True)
    )
    assert all(p.grad is None for p in ours.model.parameters())


def test_the_ledgers_step_trains_like_any_other(arm):
    """Watching changes nothing: the weights after a step under the ledger are those after a plain one."""
    watched, plain = arm("lora"), arm("lora")
    watched.trainer.ledger_step(watched.batches[1])
    plain.trainer.step(plain.batches[1])
    assert all(
        torch.equal(a, b) for a, b in zip(watched.model.parameters(), plain.model.parameters(), strict=True)
    )
    assert not any(p._post_accumulate_grad_hooks for p in watched.model.parameters() if p.requires_grad)


def test_the_kinds_of_the_timeline_are_those_of_the_record():
    """A point is a time and one number a kind."""
    assert len(KINDS) == 7
    assert run.Ledger("cpu").timeline() == [(0.0, 0, 0, 0, 0, 0, 0, 0)]


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["baseline", "lora"])
def test_a_gpus_record_holds_the_allocators_numbers(finished, name):
    """Peak, reserved, retries and NVML's count; the ledger's total agrees within 1 %."""
    one = finished(name, model="SmolLM2-135M-Instruct", device="cuda", batch=4, seq=512)
    assert one.status == "ok" and one.device.kind == "cuda"
    memory = one.memory
    assert memory.ledger_peak_bytes == pytest.approx(memory.peak_bytes, rel=0.01)
    assert memory.peak_bytes <= memory.reserved_bytes <= memory.process_bytes
    assert memory.allocator_retries == 0 and memory.static_bytes < memory.peak_bytes
    assert memory.load_peak_bytes > 0 and one.device.driver


@pytest.mark.gpu
def test_out_of_memory_on_a_gpu_is_a_result(finished, demo):
    """The allocator's numbers of what was reached are in the record."""

    def build(lab):
        model, optimizer = demo("baseline").build(lab)
        model.register_forward_hook(
            lambda *_: torch.empty(1 << 45, device="cuda") if model.training else None
        )
        return model, optimizer

    one = finished("baseline", build=build, device="cuda")
    assert one.status == "oom" and one.memory.peak_bytes > 0


def test_a_cpu_is_named_with_its_threads():
    """On more threads it is another device: times, and the buffers that kernels keep for each, differ."""
    assert hardware.describe(torch.device("cpu")).name.endswith(", 1 thread")
    torch.set_num_threads(2)
    try:
        assert hardware.describe(torch.device("cpu")).name.endswith(", 2 threads")
    finally:
        torch.set_num_threads(1)
