"""Claims are judged by records: strongest kind first, never across setups that differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memlab.record import Record, States
from records import VERSIONS, make_record
from steelyard import evidence
from steelyard.bank.model import Claim
from steelyard.evidence import Records, judge

THIRTY_PERCENT: dict[str, Any] = {"of": "lora", "against": "baseline", "take": "saving"}


def claim(verdict: str, *tests: dict[str, Any], **fields: Any) -> Claim:
    return Claim(id="a-claim", says="A claim.", verdict=verdict, tests=tests, **fields)


def records(*given: Record) -> Records:
    return Records({f"{record.device.kind}/{record.slug}": record for record in given})


def baseline(**fields: Any) -> Record:
    return make_record("baseline", **{"peak": 1000, "static": 800, "step_seconds": 2.0, **fields})


@pytest.fixture
def pair() -> Records:
    return records(baseline(), make_record("lora", peak=750))


# ---- verdicts -------------------------------------------------------------------------------------------


def test_a_claim_whose_only_test_lies_within_its_interval_holds(pair):
    judged = judge(claim("holds", {**THIRTY_PERCENT, "within": [0.2, 0.3]}), pair)

    assert judged.verdict == "holds"
    assert judged.contradiction is None
    assert judged.findings[0].value == 0.25


def test_a_claim_whose_only_test_lies_outside_does_not_hold(pair):
    judged = judge(claim("does-not-hold", {**THIRTY_PERCENT, "within": [0.9, None], "expect": False}), pair)

    assert (judged.verdict, judged.contradiction) == ("does-not-hold", None)


def test_the_bounds_belong_to_the_interval(pair):
    judged = judge(claim("holds", {**THIRTY_PERCENT, "within": [0.25, 0.25]}), pair)

    assert judged.verdict == "holds"


def test_one_test_of_each_outcome_holds_only_for_what_the_author_names(pair):
    tests = (
        {"compute": "1 - 16*(4096+4096)/4096**2", "within": [0.99, None]},
        {**THIRTY_PERCENT, "within": [0.99, None], "expect": False},
    )
    judged = judge(claim("holds-only-for", *tests, only_for="that matrix"), pair)

    assert (judged.verdict, judged.contradiction) == ("holds-only-for", None)
    assert [finding.kind for finding in judged.findings] == ["computed", "cpu"]


def test_a_claim_without_records_is_not_measured_yet_and_says_what_is_missing():
    judged = judge(claim("open", {**THIRTY_PERCENT, "within": [0.9, None]}), records(baseline()))

    assert (judged.verdict, judged.contradiction) == ("open", None)
    assert str(judged.findings[0].why) == "no record of lora"


def test_a_test_that_nothing_decides_leaves_a_two_sided_claim_open():
    tests = (
        {"compute": "0.5", "within": [0, 1]},
        {**THIRTY_PERCENT, "within": [0.99, None], "expect": False},
    )
    judged = judge(claim("holds-only-for", *tests, only_for="numbers"), records())

    assert (judged.verdict, judged.contradiction) == ("open", None)


def test_one_decided_test_is_enough_where_the_other_waits_for_a_prediction():
    tests = (
        {"compute": "175e9*0.5159", "within": [None, 24e9], "expect": False},
        {"of": {"technique": "qlora", "model": "gpt3-175b", "mode": "predicted"}, "within": [None, 24e9]},
    )
    judged = judge(claim("does-not-hold", *tests), records())

    assert (judged.verdict, judged.contradiction) == ("does-not-hold", None)


# ---- contradictions -------------------------------------------------------------------------------------


def test_records_that_contradict_the_taught_verdict_are_reported_in_both_their_words(pair):
    judged = judge(claim("holds", {**THIRTY_PERCENT, "within": [0.9, None]}), pair)

    assert judged.contradiction == 'teaches "holds", the evidence says "does not hold"'


def test_a_claim_taught_as_open_that_records_decide_is_a_contradiction(pair):
    judged = judge(claim("open", {**THIRTY_PERCENT, "within": [0.2, None]}), pair)

    assert judged.contradiction == 'teaches "not measured yet", the evidence says "holds"'


def test_a_test_against_its_expectation_is_reported_though_the_verdict_stays(pair):
    tests = (
        {**THIRTY_PERCENT, "within": [0.2, None], "expect": False},
        {"compute": "1", "within": [2, 3], "expect": True},
    )
    judged = judge(claim("holds-only-for", *tests, only_for="some"), pair)

    assert judged.verdict == "holds-only-for"
    assert "test 1 gives 0.25, which lies within [0.2, …]" in judged.contradiction
    assert "test 2 gives 1, which does not lie within [2, 3]" in judged.contradiction


# ---- which records --------------------------------------------------------------------------------------


def test_a_gpu_outranks_a_cpu_and_a_cpu_a_prediction():
    def both(device: str, peak: int) -> tuple[Record, Record]:
        return baseline(device=device), make_record("lora", peak=peak, device=device)

    weak, strong, strongest = both("fake", 900), both("cpu", 800), both("cuda", 700)
    test = {**THIRTY_PERCENT, "within": [0, 1]}

    for given, kind, saving in (
        (weak, "predicted", 0.1),
        (weak + strong, "cpu", 0.2),
        (weak + strong + strongest, "gpu", 0.3),
    ):
        (finding,) = judge(claim("holds", test), records(*given)).findings
        assert (kind, saving) == (finding.kind, pytest.approx(finding.value))


def test_a_cpu_is_never_compared_with_a_gpu():
    judged = judge(
        claim("open", {**THIRTY_PERCENT, "within": [0, 1]}),
        records(baseline(device="cuda"), make_record("lora", device="cpu")),
    )

    assert judged.verdict == "open"
    assert "device (cpu and cuda)" in str(judged.findings[0].why)


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("batch", 8),
        ("seq", 1024),
        ("steps", 20),
        ("precision", "bf16"),
        ("autocast", None),
        ("optimizer", "SGD"),
        ("attention", "eager"),
        ("loss_kernel", "chunked"),
        ("data_sha256", "1" * 64),
        ("model", "another"),
        ("ranks", 2),
    ],
)
def test_setups_that_differ_are_refused_by_the_name_of_the_field(field, other):
    judged = judge(
        claim("open", {**THIRTY_PERCENT, "within": [0, 1]}),
        records(baseline(), make_record("lora", **{field: other})),
    )

    assert judged.verdict == "open"
    assert str(judged.findings[0].why).startswith(
        f"nothing to compare with: the closest records differ in {field} ("
    )


def test_versions_count_as_setup():
    newer = {**VERSIONS, "torch": "2.14.0"}
    judged = judge(
        claim("open", {**THIRTY_PERCENT, "within": [0, 1]}),
        records(baseline(), make_record("lora", versions=newer)),
    )

    assert "version of torch (2.14.0 and 2.13.0)" in str(judged.findings[0].why)


def test_what_a_technique_brings_with_it_may_differ_and_is_listed(pair):
    (finding,) = judge(claim("holds", {**THIRTY_PERCENT, "within": [0, 1]}), pair).findings

    assert {"base_dtype", "adapter_dtype", "rank", "alpha", "lr"} == {d.field for d in finding.differences}


def test_two_adapters_of_different_rank_are_compared_only_when_the_test_names_both_ranks():
    given = records(make_record("dora", rank=8, trainable=600), make_record("lora", rank=16, trainable=1000))
    metric = {"take": "ratio", "metric": "learning.trainable_parameters", "within": [None, 0.9999]}

    silent = judge(claim("open", {"of": "dora", "against": "lora", **metric}), given)
    named = judge(
        claim(
            "holds",
            {"of": {"technique": "dora", "rank": 8}, "against": {"technique": "lora", "rank": 16}, **metric},
        ),
        given,
    )

    assert "rank (8 and 16)" in str(silent.findings[0].why)
    assert (named.verdict, named.findings[0].value) == ("holds", 0.6)


def test_a_field_named_on_one_side_only_still_has_to_agree():
    test = {
        "of": {"technique": "lora", "precision": "mixed"},
        "against": {"technique": "baseline"},
        "within": [0, 1],
    }
    judged = judge(claim("open", test), records(baseline(precision="bf16"), make_record("lora")))

    assert "precision (mixed and bf16)" in str(judged.findings[0].why)


def test_setups_that_disagree_decide_nothing_until_the_test_chooses():
    given = records(
        baseline(),
        make_record("lora", peak=700),
        baseline(precision="bf16", base_dtype="bfloat16", autocast=None),
        make_record("lora", precision="bf16", autocast=None, peak=950),
    )
    test = {**THIRTY_PERCENT, "within": [0.2, None]}
    chosen = {**test, "of": {"technique": "lora", "precision": "mixed"}}

    judged = judge(claim("open", test), given)

    assert judged.verdict == "open"
    assert [str(finding.why) for finding in judged.findings] == [
        "it comes out differently in different setups: let the test choose one"
    ] * 2
    assert judge(claim("holds", chosen), given).verdict == "holds"


def test_failed_runs_and_runs_out_of_memory_never_give_a_figure():
    judged = judge(
        claim("open", {**THIRTY_PERCENT, "within": [0, 1]}),
        records(baseline(), make_record("lora", status="oom")),
    )

    assert str(judged.findings[0].why) == "no record of lora"


def test_the_records_of_single_ranks_are_no_evidence_beside_the_record_of_all():
    given = records(
        *(baseline(ranks=2, rank_index=rank, peak=5000) for rank in (0, 1)),
        baseline(ranks=2),
        make_record("lora", ranks=2, peak=750),
    )
    (finding,) = judge(claim("holds", {**THIRTY_PERCENT, "within": [0, 1]}), given).findings

    assert finding.value == 0.25


# ---- repeats --------------------------------------------------------------------------------------------


def test_repeats_are_compared_seed_by_seed_and_give_median_and_spread():
    given = records(
        *(baseline(seed=seed, peak=1000) for seed in range(3)),
        *(make_record("lora", seed=seed, peak=peak) for seed, peak in enumerate((700, 800, 650))),
    )
    (finding,) = judge(claim("holds", {**THIRTY_PERCENT, "within": [0, 1], "seeds": 3}), given).findings

    assert pytest.approx((0.3, 0.2, 0.35)) == (finding.value, *finding.spread)
    assert (len(finding.runs), len(finding.against_runs)) == (3, 3)


def test_fewer_repeats_than_asked_for_decide_nothing(pair):
    judged = judge(claim("open", {**THIRTY_PERCENT, "within": [0, 1], "seeds": 3}), pair)

    assert str(judged.findings[0].why) == "1 of the 3 repeats asked for are on both sides"


def test_a_single_value_is_taken_from_all_repeats():
    given = records(*(make_record("lora", seed=seed, peak=700 + seed) for seed in range(3)))
    (finding,) = judge(claim("holds", {"of": "lora", "within": [0, 1000]}), given).findings

    assert (finding.value, finding.spread) == (701, (700, 702))


# ---- what a test can ask for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ({"take": "saving"}, 0.25),
        ({"take": "ratio"}, 0.75),
        ({"take": "difference"}, -250),
        ({"take": "difference", "metric": "learning.eval_loss_after"}, 0),
    ],
)
def test_two_numbers_are_made_one_as_the_test_says(pair, asked, value):
    (finding,) = judge(claim("open", {**THIRTY_PERCENT, **asked, "within": [-1000, 1000]}), pair).findings

    assert (value, True) == (finding.value, finding.within)


def test_a_fraction_is_a_part_of_another_number_of_the_same_record(pair):
    share = {"of": "lora", "take": "fraction", "within": [0, 1]}
    part = {"metric": "memory.breakdown_at_peak.activations", "whole": "memory.peak_bytes"}
    (finding,) = judge(claim("holds", {**share, **part}), pair).findings

    assert pytest.approx(250 / 750) == finding.value


def test_model_states_are_a_number_though_no_field_holds_their_sum():
    states = States(
        parameters_bytes=2, gradients_bytes=2, master_bytes=4, moments_bytes=8, buffers_bytes=5, host_bytes=0
    )
    given = records(make_record("zero", stage=0).model_copy(update={"states": states}))

    assert (
        judge(claim("holds", {"of": "zero", "metric": "states.total", "within": [16, 16]}), given).verdict
        == "holds"
    )


def learner(technique: str, losses: list[float], *, eval_loss: float = 2.0, **fields: Any) -> Record:
    """Return a record of a run with these training losses and this held-out loss at the end."""
    record = make_record(technique, **{"steps": len(losses), "warmup": 0, **fields})
    learning = record.learning.model_copy(update={"losses": losses, "eval_loss_after": eval_loss})
    return record.model_copy(update={"learning": learning})


def falling(by: float, steps: int = 60) -> list[float]:
    return [10 - by * step for step in range(1, steps + 1)]


STEPS_TO_LOSS: dict[str, Any] = {"of": "pissa", "against": "lora", "take": "ratio", "metric": "steps_to_loss"}


def test_steps_to_a_loss_are_fewer_for_the_technique_that_learns_faster():
    given = records(learner("pissa", falling(0.1)), learner("lora", falling(0.05)))
    (finding,) = judge(claim("holds", {**STEPS_TO_LOSS, "within": [None, 0.99]}), given).findings

    assert finding.value == 33 / 60  # pissa's mean of ten is where lora's ended after 33 steps
    assert (finding.bound, finding.missed) == (None, 0)


def test_the_same_run_needs_as_many_steps_as_itself_though_it_was_there_before_its_end():
    flat = [*falling(0.1, 20), *[8.0] * 40]
    given = records(learner("pissa", flat), learner("lora", flat))

    assert judge(claim("holds", {**STEPS_TO_LOSS, "within": [1, 1]}), given).findings[0].value == 1


@pytest.mark.parametrize(
    ("within", "decided"),
    [([None, 0.9], False), ([0.5, None], True), ([1.5, None], None), ([0.5, 1.5], None), ([None, 1.5], None)],
)
def test_a_loss_that_was_never_reached_gives_a_bound_and_decides_what_the_bound_decides(within, decided):
    given = records(learner("pissa", falling(0.05)), learner("lora", falling(0.1)))
    (finding,) = judge(claim("open", {**STEPS_TO_LOSS, "within": within}), given).findings

    assert (finding.value, finding.bound, finding.missed) == (1.0, "least", 1)
    assert finding.within is decided
    assert (str(finding.why) == "1 of 1 runs never came to that loss, so only a bound is known") == (
        decided is None
    )


def test_a_saving_of_steps_that_is_only_bounded_is_bounded_from_above():
    given = records(learner("pissa", falling(0.05)), learner("lora", falling(0.1)))
    test = {**STEPS_TO_LOSS, "take": "saving", "within": [0.3, None]}
    (finding,) = judge(claim("open", test), given).findings

    assert (finding.value, finding.bound, finding.within) == (0.0, "most", False)


def test_a_median_that_a_missed_loss_cannot_move_is_exact():
    given = records(
        *(learner("lora", falling(0.05), seed=seed) for seed in range(3)),
        *(learner("pissa", falling(by), seed=seed) for seed, by in enumerate((0.1, 0.06, 0.04))),
    )
    (finding,) = judge(claim("open", {**STEPS_TO_LOSS, "within": [0, 2]}), given).findings

    assert (finding.bound, finding.missed) == (None, 1)
    assert finding.value < 1 and finding.no_difference


def test_at_equal_seconds_a_technique_whose_steps_take_twice_as_long_has_made_half_of_them():
    given = records(
        learner("dora", falling(0.1), step_seconds=2.0), learner("lora", falling(0.1), step_seconds=1.0)
    )
    test = {"of": "dora", "against": "lora", "take": "difference", "metric": "loss_at_equal_seconds"}
    (finding,) = judge(claim("holds", {**test, "within": [0, None]}), given).findings

    assert finding.value == pytest.approx(3.0)  # 30 steps of 0.1


def test_a_run_of_fewer_steps_than_asked_for_says_nothing_about_learning():
    given = records(learner("pissa", falling(0.1)), learner("lora", falling(0.1)))
    test = {**STEPS_TO_LOSS, "steps": 100, "within": [None, 2]}

    assert (
        str(judge(claim("open", test), given).findings[0].why) == "no record of pissa with 100 steps or more"
    )


# ---- no difference --------------------------------------------------------------------------------------


def losses(*differences: float) -> Records:
    """Return PiSSA and LoRA with these differences in held-out loss, one a seed."""
    return records(
        *(learner("lora", falling(0.1), seed=seed, eval_loss=3.0) for seed in range(len(differences))),
        *(learner("pissa", falling(0.1), seed=n, eval_loss=3.0 + d) for n, d in enumerate(differences)),
    )


LOSS: dict[str, Any] = {
    "of": "pissa",
    "against": "lora",
    "take": "difference",
    "metric": "learning.eval_loss_after",
}


@pytest.mark.parametrize("within", [[None, 0], [None, -0.001], [0, None], [-0.1, -0.005], [-0.008, 0]])
def test_where_the_seeds_disagree_no_test_that_asks_for_a_difference_comes_out_true(within):
    (finding,) = judge(claim("open", {**LOSS, "within": within}), losses(-0.02, -0.007, 0.01)).findings

    assert (finding.no_difference, finding.within) == (True, False)
    assert pytest.approx((-0.007, -0.02, 0.01)) == (finding.value, *finding.spread)


def test_that_there_is_none_to_speak_of_holds_when_it_holds_for_every_seed():
    found = losses(-0.02, -0.007, 0.01)
    wide, narrow = (
        judge(claim("open", {**LOSS, "within": [-d, d]}), found).findings[0] for d in (0.05, 0.015)
    )

    assert (wide.within, narrow.within) == (True, None)
    assert "too far apart" in str(narrow.why)


def test_seeds_that_agree_are_decided_by_their_median():
    (finding,) = judge(claim("open", {**LOSS, "within": [None, 0]}), losses(-0.02, -0.007, -0.001)).findings

    assert (finding.no_difference, finding.within) == (False, True)


def test_two_seeds_are_too_few_to_disagree_and_equal_ones_do_not():
    for given in (losses(-0.02, 0.01), losses(0, 0, 0)):
        assert not judge(claim("open", {**LOSS, "within": [None, 0]}), given).findings[0].no_difference


def test_a_contradiction_says_that_no_difference_was_found():
    judged = judge(claim("does-not-hold", {**LOSS, "within": [None, 0]}), losses(-0.02, -0.007, 0.01))

    assert judged.contradiction == (
        "expects otherwise: test 1 finds no difference (-0.02 to 0.01), which does not lie within […, 0]"
    )


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


def test_another_optimizer_is_no_part_of_a_technique_outside_the_stack():
    given = records(baseline(), make_record("lora", optimizer="AdamW8bit"))

    assert "optimizer" in str(
        judge(claim("open", {**THIRTY_PERCENT, "within": [0, 1]}), given).findings[0].why
    )


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


# ---- what is wrong with a test --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "why"),
    [
        ({"of": {"technique": "lora", "rnak": 8}, "within": [0, 1]}, "no record has a field rnak"),
        ({"of": "lora", "metric": "memory.peak", "within": [0, 1]}, "no record has a number memory.peak"),
        ({"of": "lora", "metric": "learning.losses", "within": [0, 1]}, "no record has a number learning.losses"),
        ({"of": "lora", "metric": "memory.reserved_bytes", "within": [0, 1]}, "memory.reserved_bytes was not measured"),
        ({"of": "lora", "metric": "steps_to_loss", "within": [0, 1]}, "steps_to_loss is a number of two runs: say against what"),
        ({"of": "lora", "take": "fraction", "whole": "memory.all", "within": [0, 1]}, "no record has a number memory.all"),
        ({"of": "lora", "take": "fraction", "whole": "memory.reserved_bytes", "within": [0, 1]}, "memory.reserved_bytes was not measured"),
        ({"compute": "1/0", "within": [0, 1]}, "the arithmetic divides by zero"),
        ({"compute": "9**9**9", "within": [0, 1]}, "the arithmetic takes a power that is not real, or beyond 64"),
        ({"compute": "1e300*1e300", "within": [0, 1]}, "the arithmetic is too large"),
        ({"compute": "(1", "within": [0, 1]}, "the arithmetic is not arithmetic"),
    ],
)  # fmt: skip
def test_a_test_that_cannot_be_decided_says_why(pair, test, why):
    judged = judge(claim("open", test), pair)

    assert ("open", why) == (judged.verdict, str(judged.findings[0].why))


# ---- files ----------------------------------------------------------------------------------------------


def test_records_are_read_under_their_path_and_can_be_replayed(tmp_path):
    path = make_record("lora").write(tmp_path / "cpu")
    loaded = evidence.load(tmp_path)
    ((id, record),) = loaded.by_id.items()

    assert f"cpu/{path.stem}" == id
    assert f"python demos/lora.py --like demos/results/{id}.json" == evidence.replay(id, record)
    assert loaded.problems == ()


def _without_memory(record: dict[str, Any]) -> None:
    del record["memory"]


def _with_a_stranger(record: dict[str, Any]) -> None:
    record["tokens / sec"] = 3


def _with_a_false_sum(record: dict[str, Any]) -> None:
    record["memory"]["breakdown_at_peak"]["weights"] += 1


def _with_another_setup(record: dict[str, Any]) -> None:
    record["setup"]["batch"] = 64


def _with_an_escape(record: dict[str, Any]) -> None:
    record["device"]["name"] = "\x1b[31mH100"


def _with_a_number_beyond_all_measure(record: dict[str, Any]) -> None:
    record["memory"]["process_bytes"] = 10**400


def _with_a_moment_beyond_all_measure(record: dict[str, Any]) -> None:
    record["memory"]["timeline"][1][0] = 1e30


def _with_a_version_of_tomorrow(record: dict[str, Any]) -> None:
    record["schema_version"] = 2


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_without_memory, "memory: Field required"),
        (_with_a_stranger, "tokens / sec: Extra inputs"),
        (_with_a_false_sum, "does not sum to ledger_peak_bytes"),
        (_with_another_setup, "its setup belongs under the name"),
        (_with_an_escape, "control characters"),
        (_with_a_version_of_tomorrow, "schema_version"),
        (_with_a_number_beyond_all_measure, "a number beyond 9.2e+18"),
        (_with_a_moment_beyond_all_measure, "a number beyond 9.2e+18"),
    ],
)
def test_a_foreign_record_is_refused_by_name_and_hides_no_other(tmp_path, tamper, said):
    good = make_record("baseline").write(tmp_path / "cpu")
    bad = make_record("lora").write(tmp_path / "cpu")
    content = json.loads(bad.read_text())
    tamper(content)
    bad.write_text(json.dumps(content))
    loaded = evidence.load(tmp_path)

    assert {f"cpu/{good.stem}"} == set(loaded.by_id)
    (problem,) = loaded.problems
    assert (f"cpu/{bad.name}", "E050") == (problem.path, problem.code)
    assert said in problem.message


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"null", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": NaN}']
)
def test_bytes_that_are_no_record_are_refused(tmp_path, junk):
    (tmp_path / "junk.json").write_bytes(junk)
    loaded = evidence.load(tmp_path)

    assert loaded.by_id == {}
    assert [problem.path for problem in loaded.problems] == ["junk.json"]


def test_the_schema_beside_the_records_is_not_taken_for_one(tmp_path):
    (tmp_path / "schema.json").write_text("{}")

    assert Records({}) == evidence.load(tmp_path)
