"""Claims are judged by records: strongest kind first, never across setups that differ."""

from __future__ import annotations

import pytest

from memlab.results.record import Record
from records import VERSIONS, make_record
from steelyard.evidence import judge
from weighed import THIRTY_PERCENT, baseline, claim, records

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
        ("attention", "eager"),
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
