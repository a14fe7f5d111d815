"""What a test can ask of records: differences, fractions, steps to a loss, and no difference at all."""

from __future__ import annotations

from typing import Any

import pytest

from memlab.results.record import States
from records import make_record
from steelyard.evidence import Records, judge
from weighed import LOSS, THIRTY_PERCENT, claim, falling, learner, records

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
