"""What a GPU holds: sizes, margins, and the fewest GPUs under QLoRA and ZeRO-3."""

from __future__ import annotations

from typing import Any

import pytest

from memlab.results import gpu_fit
from memlab.results.gpu_fit import GIB, OUTSIDE_BYTES, Ranks
from memlab.results.record import Breakdown, Record
from records import make_record

BILLION = 10**9


def _qlora(weights: int, *, rest: int, reserved: int | None = None, **setup: Any) -> Record:
    """Return QLoRA's record with these bytes of weights, and those of everything else."""
    one = make_record("qlora", device="fake", base_dtype="bfloat16, linear layers nf4", **setup)
    none = dict.fromkeys(Breakdown.model_fields, 0)
    breakdown = Breakdown(**none | {"weights": weights, "activations": rest})
    figures = {"peak_bytes": breakdown.total, "ledger_peak_bytes": breakdown.total}
    memory = one.memory.model_copy(
        update=figures | {"breakdown_at_peak": breakdown, "reserved_bytes": reserved}
    )
    return one.model_copy(update={"memory": memory})


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("24GiB", 24 * 1024**3),
        ("80 GiB", 80 * 1024**3),
        ("24GB", 24 * 1000**3),
        ("1.5gib", 3 * 2**29),
        (" 512 MiB ", 2**29),
        ("8000MB", 8 * 10**9),
    ],
)
def test_a_size_is_read_in_both_kinds_of_unit(text, nbytes):
    assert gpu_fit.parse_size(text) == nbytes


@pytest.mark.parametrize(
    "text", ["", "24", "24 GPUs", "-24GiB", "0GiB", "24,5 GB", "GiB", "1e9GB", "24GiB\n1GB"]
)
def test_what_is_no_size_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"is not a size; give one such as 24GiB") as refused:
        gpu_fit.parse_size(text)
    assert "\n" not in str(refused.value)


def test_what_the_allocator_takes_and_what_lies_outside_it_must_fit():
    one = _qlora(6 * GIB, rest=2 * GIB, reserved=9 * GIB)
    held = gpu_fit.fit(one, 12 * GIB)

    assert held.needed_bytes == 9 * GIB + OUTSIDE_BYTES
    assert held.margin_bytes == 3 * GIB - OUTSIDE_BYTES
    assert held.margin == held.margin_bytes / (12 * GIB)
    assert held.fits
    assert gpu_fit.fit(one, 9 * GIB + OUTSIDE_BYTES).fits
    assert not gpu_fit.fit(one, 9 * GIB + OUTSIDE_BYTES - 1).fits


def test_tight_is_where_only_the_tensors_fit():
    one = _qlora(6 * GIB, rest=2 * GIB, reserved=9 * GIB)

    assert not gpu_fit.fit(one, 9 * GIB + OUTSIDE_BYTES).tight
    assert gpu_fit.fit(one, 9 * GIB + OUTSIDE_BYTES - 1).tight
    assert gpu_fit.fit(one, 8 * GIB + OUTSIDE_BYTES).tight
    assert not gpu_fit.fit(one, 8 * GIB + OUTSIDE_BYTES - 1).tight


def test_without_the_allocators_figures_the_peak_stands_for_them():
    assert gpu_fit.fit(make_record(peak=750), GIB).needed_bytes == 750 + OUTSIDE_BYTES


def test_pages_of_the_optimizer_need_no_room():
    """On a GPU the peak counts what an optimizer has paged; the allocator's reserve does not."""
    paged = _qlora(6 * GIB, rest=2 * GIB, reserved=7 * GIB)

    assert gpu_fit.fit(paged, 7 * GIB + OUTSIDE_BYTES).fits


def test_a_record_without_a_peak_is_refused():
    with pytest.raises(ValueError, match="holds no peak"):
        gpu_fit.fit(make_record(status="failed", peak=None), GIB)


# ---- QLoRA under ZeRO-3 ----------------------------------------------------------------------------------

GPT3: dict[str, Any] = {"model": "gpt-3-175b", "parameters": 174_604_259_328}


def test_the_fewest_gpus_hold_the_run_and_one_fewer_do_not():
    one = _qlora(92 * BILLION, rest=5 * BILLION, **GPT3)
    found = gpu_fit.smallest_ranks(one, 24 * GIB)

    assert found is not None
    assert found.needed_bytes <= 24 * GIB
    fewer = found.ranks - 1
    alone = found.needed_bytes - found.shard_bytes
    assert alone + (92 * BILLION - found.scales_bytes) / fewer > 24 * GIB


def test_the_parts_are_worked_out_from_the_record():
    """Packed parameters take half a byte and 0.015869140625 bytes of scales, the others 2 bytes."""
    packed = 96 * 12 * 12288**2
    weights = round(packed * 0.515869140625) + (GPT3["parameters"] - packed) * 2
    one = _qlora(weights, rest=5 * BILLION, **GPT3)
    found = gpu_fit.smallest_ranks(one, 80 * GIB)

    assert found is not None
    assert found.rest_bytes == 5 * BILLION
    assert found.scales_bytes == pytest.approx(packed * 0.015869140625, abs=1)
    assert found.window_bytes == 50257 * 12288 * 2  # the embedding is larger than a block
    assert found.shard_bytes * found.ranks >= weights - found.scales_bytes
    assert found.ranks == 2


def test_a_block_can_be_the_largest_layer():
    shape: dict[str, Any] = {"model": "llama-3.1-70b", "parameters": 70_553_706_496}
    one = _qlora(200 * BILLION, rest=BILLION, **shape)
    embeddings = 2 * 128256 * 8192 * 2

    found = gpu_fit.smallest_ranks(one, 24 * GIB)

    assert found is not None
    assert found.window_bytes == -(-(200 * BILLION - embeddings) // 80)


def test_one_gpu_is_enough_where_the_record_fits_and_gathers_nothing():
    found = gpu_fit.smallest_ranks(_qlora(6 * GIB, rest=GIB, parameters=8 * BILLION), 24 * GIB)

    assert isinstance(found, Ranks)
    assert (found.ranks, found.window_bytes) == (1, 0)
    assert found.needed_bytes == 7 * GIB + OUTSIDE_BYTES


def test_no_number_of_gpus_is_enough_where_activations_alone_are_too_much():
    assert gpu_fit.smallest_ranks(_qlora(92 * BILLION, rest=25 * GIB, **GPT3), 24 * GIB) is None


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (make_record("lora"), "weights in four bits"),
        (
            _qlora(90 * BILLION, rest=GIB, model="another", parameters=175 * BILLION),
            "none of the lab's shapes",
        ),
    ],
)
def test_what_cannot_be_worked_out_is_refused(one, why):
    with pytest.raises(ValueError, match=why):
        gpu_fit.smallest_ranks(one, 24 * GIB)
