"""Which runs stand for a technique: learning rates, ranks, steps of the stack, shards."""

from __future__ import annotations

from typing import Any

import pytest

from memlab.results.record import Record
from records import make_record
from steelyard.evidence import Records, judge
from weighed import LOSS, THIRTY_PERCENT, baseline, claim, falling, learner, records

# ---- learning rates -------------------------------------------------------------------------------------


def test_a_technique_is_taken_at_the_rate_with_most_seeds_and_then_at_the_best():
    grid = [
        learner("pissa", falling(0.1), lr=lr, seed=seed, eval_loss=loss)
        for lr, loss, seeds in ((1e-4, 3.0, 3), (3e-4, 2.9, 3), (1e-3, 2.0, 1))
        for seed in range(seeds)
    ]
    lora = [learner("lora", falling(0.1), lr=1e-3, seed=seed, eval_loss=3.0) for seed in range(3)]
    (finding,) = judge(claim("open", {**LOSS, "within": [None, 0]}), records(*grid, *lora)).findings

    assert finding.setup.lr == 3e-4
    assert finding.rates == ((1e-4, 3e-4, 1e-3), (1e-3,))
    assert finding.value == pytest.approx(-0.1)


def test_a_test_may_name_its_rate():
    grid = [learner("pissa", falling(0.1), lr=lr, eval_loss=lr) for lr in (1e-4, 1e-3)]
    test = {"of": {"technique": "pissa", "lr": 0.001}, "metric": "learning.eval_loss_after", "within": [0, 1]}

    assert judge(claim("holds", test), records(*grid)).findings[0].value == 1e-3


def test_two_ranks_of_one_technique_are_compared_each_at_its_own_rate():
    test = {
        "of": {"technique": "dora", "rank": 8},
        "against": {"technique": "dora", "rank": 16},
        "take": "ratio",
        "within": [0, 2],
    }
    given = records(make_record("dora", rank=8, lr=3e-4, alpha=8.0), make_record("dora", lr=1e-3))

    assert {"rank", "alpha", "lr"} == {
        d.field for d in judge(claim("holds", test), given).findings[0].differences
    }


def test_a_rank_does_not_bring_along_another_scale():
    test = {
        "of": {"technique": "dora", "rank": 8},
        "against": {"technique": "dora", "rank": 16},
        "take": "ratio",
        "within": [0, 2],
    }
    given = records(make_record("dora", rank=8, alpha=32.0), make_record("dora"))

    assert "alpha (32.0 and 16.0)" in str(judge(claim("open", test), given).findings[0].why)


# ---- stack and shards -----------------------------------------------------------------------------------

BF16 = {"precision": "bf16", "autocast": None, "adapter_dtype": "bfloat16", "base_dtype": "bfloat16"}


def stack(step: str, peak: int, **fields: Any) -> Record:
    return make_record("stack", step=step, peak=peak, **{**BF16, **fields})


@pytest.fixture
def stacked() -> Records:
    return records(
        baseline(peak=4000),
        baseline(peak=2000, precision="bf16", autocast=None, base_dtype="bfloat16"),
        stack("lora", 900),
        stack("8bit_adamw", 880, optimizer="AdamW8bit"),
        stack("chunked_loss", 600, optimizer="AdamW8bit", loss_kernel="chunked"),
    )


@pytest.mark.parametrize(
    ("step", "against", "saving"),
    [
        ("lora", {"technique": "baseline"}, 0.55),
        ("chunked_loss", {"technique": "baseline"}, 0.7),
        ("chunked_loss", {"technique": "stack", "step": "lora"}, 1 - 600 / 900),
        ("8bit_adamw", {"technique": "stack", "step": "lora"}, 1 - 880 / 900),
    ],
)
def test_a_step_of_the_stack_brings_its_optimizer_and_its_loss_with_it(stacked, step, against, saving):
    test = {"of": {"technique": "stack", "step": step}, "against": against, "within": [0, 1]}
    (finding,) = judge(claim("holds", test), stacked).findings

    assert finding.value == pytest.approx(saving)
    assert "step" in {d.field for d in finding.differences}


def test_a_precision_that_both_sides_name_brings_its_types_of_weights_with_it(stacked):
    test = {
        "of": {"technique": "stack", "step": "chunked_loss", "precision": "bf16"},
        "against": {"technique": "baseline", "precision": "mixed"},
        "within": [0, 1],
    }

    assert judge(claim("holds", test), stacked).findings[0].value == pytest.approx(0.85)


def test_two_steps_are_compared_only_when_the_test_names_both(stacked):
    test = {"of": {"technique": "stack", "step": "lora"}, "against": "stack", "within": [-10, 10]}
    (finding,) = judge(claim("open", test), stacked).findings

    assert "step (lora and 8bit_adamw)" in str(finding.why)


def test_another_optimizer_is_part_of_a_technique_and_is_told():
    given = records(baseline(), make_record("lora", optimizer="AdamW8bit"))
    (finding,) = judge(claim("holds", {**THIRTY_PERCENT, "within": [0, 1]}), given).findings

    assert finding.within and "optimizer" in {difference.field for difference in finding.differences}


def test_shards_are_compared_over_stages_when_the_test_names_them_and_offloading_apart():
    given = records(
        make_record("zero", stage=0, ranks=2, peak=1000),
        make_record("zero", stage=2, ranks=2, peak=600),
        make_record("zero", stage=2, ranks=2, peak=300, offload=True),
    )
    stages = {
        "of": {"technique": "zero", "stage": 2},
        "against": {"technique": "zero", "stage": 0},
        "within": [0, 1],
    }
    (plain,) = judge(claim("holds", stages), given).findings
    both = {
        "of": {"technique": "zero", "stage": 2, "offload": True},
        "against": {"technique": "zero", "stage": 0, "offload": False},
        "within": [0, 1],
    }
    (offloaded,) = judge(claim("holds", both), given).findings

    assert (plain.value, offloaded.value) == (0.4, 0.7)


def test_runs_that_learn_and_runs_that_weigh_are_not_compared():
    given = records(learner("lora", falling(0.1), seq=48, batch=8), baseline())

    assert "batch (8 and 4), seq (48 and 512), steps (60 and 10)" in str(
        judge(claim("open", {**THIRTY_PERCENT, "within": [0, 1]}), given).findings[0].why
    )
