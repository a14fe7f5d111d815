"""The model of CUDA's allocator keeps the allocator's rules, and a step predicted for CUDA is CUDA's."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memlab.measuring.log import Log
from memlab.measuring.run import Run
from memlab.options.demo import load
from memlab.options.setup import BUNDLED, Setup
from memlab.predicting import cuda_step, predict
from memlab.predicting.cuda_allocator import WORKSPACE, Allocator, Block, run

MIB = 1024**2
TINY = Setup(model="tiny", batch=2, seq=64, predict=True, for_="cuda")


# ---- the rules, by hand ----------------------------------------------------------------------------------


def test_a_request_is_rounded_up_to_512_bytes_and_taken_from_a_segment_of_2_mib():
    one = Allocator()

    assert one.malloc(1).size == 512
    assert one.malloc(513).size == 1024
    assert (one.allocated, one.reserved) == (1536, 2 * MIB)


def test_what_is_above_1_mib_comes_from_segments_of_20_and_what_is_from_10_mib_up_has_its_own():
    one = Allocator()

    one.malloc(MIB)
    assert one.reserved == 2 * MIB
    one.malloc(MIB + 1)
    assert one.reserved == 22 * MIB
    one.malloc(9 * MIB)  # fits beside it
    assert one.reserved == 22 * MIB
    one.malloc(10 * MIB)
    assert one.reserved == 32 * MIB
    one.malloc(11 * MIB)
    assert one.reserved == 44 * MIB  # a multiple of 2 MiB


def test_a_large_block_is_not_split_for_a_mib_or_less():
    one = Allocator()
    one.free(one.malloc(12 * MIB))

    assert one.malloc(11 * MIB).size == 12 * MIB
    assert (one.allocated, one.reserved) == (12 * MIB, 12 * MIB)


def test_a_large_block_is_split_for_more_than_a_mib():
    one = Allocator()
    one.free(one.malloc(12 * MIB))

    assert one.malloc(11 * MIB - 512).size == 11 * MIB - 512
    assert one.malloc(MIB + 512).size == MIB + 512  # the rest of it
    assert one.reserved == 12 * MIB


def test_the_smallest_free_block_that_is_large_enough_is_taken():
    one = Allocator()
    blocks = [one.malloc(size * MIB) for size in (30, 14, 20)]
    for block in blocks:
        one.free(block)

    assert one.malloc(13 * MIB).address == blocks[1].address


def test_free_neighbours_are_joined():
    one = Allocator()
    first, second, third = (one.malloc(5 * MIB) for _ in range(3))  # of one segment of 20 MiB
    one.free(first)
    one.free(third)  # joins what the segment had left
    one.free(second)

    assert one.malloc(20 * MIB).address == first.address
    assert one.reserved == 20 * MIB


def test_what_is_freed_stays_reserved_and_serves_again():
    one = Allocator()
    one.free(one.malloc(64 * MIB))
    assert (one.allocated, one.reserved) == (0, 64 * MIB)
    one.malloc(64 * MIB)
    assert (one.max_allocated, one.max_reserved) == (64 * MIB, 64 * MIB)


def test_a_step_has_two_workspaces_and_states_from_its_optimizer_on():
    """One for the forward pass, one for autograd's thread. The second step has the states from the start."""
    log = Log(
        before=[("weight", 30 * MIB)],
        events=[("activation", 50 * MIB), ("gradient", 30 * MIB), ("activation", -50 * MIB), ("gradient", -30 * MIB)],
        starts={"forward": 0, "backward": 1, "optimizer": 3},
    )  # fmt: skip
    done = run(log, states=[("moment", 60 * MIB)])

    assert done.max_allocated == (30 + 50 + 30 + 60) * MIB + 2 * WORKSPACE
    # The moment took the activation's place and 10 MiB were lacking, so it got its own; then all fits again.
    assert done.max_reserved == (30 + 50 + 30 + 60) * MIB + 2 * WORKSPACE


# ---- what always holds -----------------------------------------------------------------------------------

SIZES = st.integers(1, 40 * MIB) | st.integers(1, 4096)


@settings(max_examples=60, deadline=None)
@given(st.lists(SIZES, min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_blocks_never_overlap_and_all_that_is_freed_is_free(sizes, random):
    one = Allocator()
    held: list[Block] = []
    for size in sizes:
        held.append(one.malloc(size))
        assert held[-1].size >= size
        if random.random() < 0.5:
            one.free(held.pop(random.randrange(len(held))))
        assert one.allocated == sum(block.size for block in held)
        assert one.allocated <= one.reserved <= one.max_reserved
        spans = sorted((block.address, block.address + block.size) for block in held)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    for block in held:
        one.free(block)

    assert one.allocated == 0
    # Segments are whole again: whatever was taken can be given back.
    free = [entry[2] for pool in one._free.values() for entry in pool]
    assert all(block.before is None and block.after is None for block in free)
    assert sum(block.size for block in free) == one.reserved


# ---- a step for CUDA -------------------------------------------------------------------------------------


def test_the_operators_that_autocast_widens_on_cuda_are_those_that_torch_says():
    """Every aten operator that stands behind our list is registered for CUDA's autocast and not for a CPU's."""
    cuda, cpu = (
        {name.removeprefix("aten::").partition(".")[0] for name in torch._C._dispatch_get_registrations_for_dispatch_key(key)}
        for key in ("AutocastCUDA", "AutocastCPU")
    )  # fmt: skip
    names = {function.__name__.strip("_") for function in cuda_step._IN_FP32}
    ours = {{"rpow": "pow", "vector_norm": "linalg_vector_norm", "matrix_norm": "linalg_matrix_norm"}.get(n, n) for n in names}  # fmt: skip

    assert ours - (cuda - cpu) <= {"linalg_norm"}  # which is one of the two others


def test_under_cudas_autocast_a_norm_and_a_power_are_in_fp32():
    x = torch.ones(2, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert (x**2).dtype is torch.bfloat16
        with cuda_step.CudaAutocast():
            assert (x**2).dtype is torch.float32
            assert torch.nn.functional.layer_norm(x, (8,)).dtype is torch.float32
            assert torch.nn.functional.linear(x.float(), x.float()).dtype is torch.bfloat16
    with cuda_step.CudaAutocast():
        assert (x**2).dtype is torch.bfloat16


def test_flash_attentions_backward_pass_takes_what_its_source_says():
    """Batch 2, 4 heads of 80, 100 tokens: 128 rows of 96 in fp32, a number a row, and keys for each head."""
    query = torch.empty(2, 4, 100, 80, dtype=torch.bfloat16, device="meta")
    key = torch.empty(2, 2, 100, 80, dtype=torch.bfloat16, device="meta")
    rows = 2 * 4 * 128

    assert cuda_step._flash_backward_scratch(query, query, None) == [rows * 4, rows * 96 * 4]
    assert cuda_step._flash_backward_scratch(query, key, None)[2:] == [2 * 4 * 100 * 80 * 2] * 2
    assert cuda_step._flash_backward_scratch(query, key, torch.ones(100, 100)) == []
    assert cuda_step._flash_backward_scratch(query.float(), key.float(), None) == []


def _told(technique: str, step: str | None = None, **setup: object) -> predict.record.Record:
    fields = {"precision": "bf16" if step else "mixed", "step": step, **setup}
    return predict.predict(technique, None, Setup(**{**vars(TINY), **fields}))


def test_a_prediction_for_cuda_has_the_allocators_figures_beside_the_ledgers():
    one = _told("lora")
    memory = one.memory

    assert (one.mode, one.device.kind, one.device.name) == ("predicted", "fake", "fake tensors, for CUDA")
    assert memory.breakdown_at_peak.total == memory.ledger_peak_bytes
    assert memory.ledger_peak_bytes + 2 * WORKSPACE <= memory.peak_bytes <= memory.reserved_bytes
    assert memory.allocator_retries is None


def test_paged_states_are_in_the_peak_and_not_in_the_reserve():
    """Rank 2048 on layers of 64 and 128: tensors of 131,072 and 262,144 elements are paged, two bytes each."""
    eight_bit, plain = (_told("stack", step, rank=2048) for step in ("8bit_adamw", "qlora"))

    assert eight_bit.setup.optimizer == "PagedAdamW8bit"
    adapters = eight_bit.learning.trainable_parameters
    paged = 2 * adapters  # all of them are large enough
    assert (
        eight_bit.memory.peak_bytes - paged <= eight_bit.memory.reserved_bytes < plain.memory.reserved_bytes
    )


def test_activations_that_wait_on_the_host_leave_the_device():
    offloaded, kept = (_told("stack", step, seq=512, batch=8) for step in ("offload", "chunked_loss"))

    assert offloaded.status == "ok" and offloaded.setup.offload
    at_peak = [one.memory.breakdown_at_peak.activations for one in (offloaded, kept)]
    assert at_peak[0] < at_peak[1] * 0.6  # what is left of them is not saved, but in use


# ---- on a GPU --------------------------------------------------------------------------------------------

GPU_ARMS = [
    *((name, "mixed", None) for name in ("baseline", "gradient_checkpointing", "lora", "qlora", "dora")),
    *(("stack", "bf16", step) for step in ("lora", "8bit_adamw", "chunked_loss", "offload")),
]


@pytest.mark.gpu
@pytest.mark.parametrize(("technique", "precision", "step"), GPU_ARMS)
def test_a_prediction_is_what_a_gpu_holds(technique, precision, step):
    """Peak allocated within 3 %, and reserved within 10 %, of which loading and evaluating may add their own."""
    setup = Setup(model=BUNDLED, batch=4, seq=512, precision=precision, step=step, device="cuda", steps=3)
    demo = load(technique)
    real = Run(demo, demo.fit(setup), seed=0, command="python demos")
    measured = real.measure(lambda *_: None).memory
    told = predict.predict(
        technique, None, Setup(**{**vars(setup), "predict": True, "for_": "cuda", "device": "auto"})
    ).memory

    assert told.peak_bytes == pytest.approx(measured.peak_bytes, rel=0.03)
    assert told.reserved_bytes == pytest.approx(measured.reserved_bytes, rel=0.1)
