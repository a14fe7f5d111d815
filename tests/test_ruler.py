"""The ruler: which records compare, in memory and in time, and what is saved; the same for every reader."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from memlab.publishing import measured_tables, terminal
from memlab.results.comparing import change, comparable, differences, median_saving, saving, savings
from memlab.results.groups import Group, grouped
from memlab.results.record import LEARNING_STEPS, Record
from memlab.results.techniques import BASELINE, TECHNIQUES
from records import VERSIONS, make_record
from steelyard.claims import Claim
from steelyard.evidence import Records, judge, load
from steelyard.evidence.workloads import workloads
from steelyard.settings import project_data

BF16: dict[str, Any] = {"precision": "bf16", "autocast": None, "base_dtype": "bfloat16"}


def on(record: Record, threads: int | None, kernel: str | None) -> Record:
    """Return the record as if its device had so many threads and this bf16 kernel."""
    device = record.device.model_copy(update={"threads": threads, "bf16_kernel": kernel})
    return record.model_copy(update={"device": device})


def verdicts(of: Record, against: Record, metric: str = "memory.peak_bytes") -> set[bool]:
    """Return whether the lab compares two records, and whether the site does."""
    test = {"of": of.technique, "against": against.technique, "metric": metric, "within": [None, 1]}
    claim = Claim.model_validate({"id": "a-claim", "says": "A claim.", "tests": [test]}, strict=False)
    (finding,) = judge(claim, Records({"cpu/of": of, "cpu/against": against})).findings
    in_time = metric.startswith("speed.") or metric == "loss_at_equal_seconds"
    return {finding.within is not None, comparable(of, against, in_time=in_time)}


# ---- what a technique brings with it ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "own",
    [
        {"optimizer": "AdamW8bit"},
        {"loss_kernel": "chunked"},
        {"offload": True},
        {"lr": 3e-3},
        {"base_dtype": "nf4"},
        {"init": "pissa"},
    ],
)
def test_what_a_technique_brings_with_it_keeps_it_comparable_and_is_told(own: dict[str, Any]):
    """No demo has an option for them, so where they differ it is the technique."""
    lora, baseline = make_record("lora", **own), make_record("baseline")
    allowed, _ = differences(lora, baseline)

    assert verdicts(lora, baseline) == {True}
    assert {*own} <= {difference.field for difference in allowed}


@pytest.mark.parametrize("own", [{"optimizer": "AdamW8bit"}, {"loss_kernel": "chunked"}, {"offload": True}])
def test_between_runs_of_one_technique_it_is_a_difference_like_any_other(own: dict[str, Any]):
    assert not comparable(make_record("lora", **own), make_record("lora"))
    assert not comparable(make_record("lora", **own), make_record("lora", rank=8), {"rank"})


def test_a_rank_that_both_have_must_be_what_is_compared():
    half, lora = make_record("dora", rank=8, alpha=8.0), make_record("lora")

    assert verdicts(half, lora) == {False}
    assert comparable(half, lora, {"rank"})


def test_a_scale_follows_the_rank_only_where_both_are_scaled_alike():
    lora = make_record("lora")

    assert not comparable(make_record("dora", rank=8, alpha=32.0), lora, {"rank"})
    assert not comparable(make_record("dora", alpha=8.0), lora)


@pytest.mark.parametrize(
    "other", [{"batch": 8}, {"seq": 64}, {"steps": 20}, {"attention": "eager"}, {"stage": 0}]
)
def test_another_work_is_never_compared(other: dict[str, Any]):
    assert verdicts(make_record("lora", **other), make_record("baseline")) == {False}


# ---- versions, devices, precisions -----------------------------------------------------------------------


def test_a_package_that_one_side_lacks_took_no_part_there():
    lacks = {**VERSIONS, "deepspeed": None}
    for other in (VERSIONS, {**VERSIONS, "deepspeed": "0.18.2"}):
        assert verdicts(make_record("lora", versions=lacks), make_record("baseline", versions=other)) == {
            True
        }


@pytest.mark.parametrize("name", VERSIONS)
def test_a_package_in_two_versions_is_not_compared(name: str):
    other = make_record("baseline", versions={**VERSIONS, name: "0.1"})

    assert verdicts(make_record("lora"), other) == {False}


@pytest.mark.parametrize(
    "other", [{"device_name": "a test's processor, 1 thread"}, {"device": "fake"}, {"device": "cuda"}]
)
def test_another_device_is_not_compared(other: dict[str, Any]):
    assert verdicts(make_record("lora"), make_record("baseline", **other)) == {False}


def test_the_precisions_are_compared_where_they_are_what_is_compared():
    lora, mixed, pure = make_record("lora"), make_record("baseline"), make_record("baseline", **BF16)

    assert verdicts(lora, mixed) == {True} and verdicts(lora, pure) == {False}
    assert comparable(lora, pure, {"precision"})
    (group, *baselines) = grouped([lora, pure, mixed])
    assert [one.first.setup.precision for one, _ in savings(group, baselines)] == ["mixed", "bf16"]


# ---- time ------------------------------------------------------------------------------------------------

TIMES = ("speed.step_seconds.median", "speed.tokens_per_second", "loss_at_equal_seconds")
KERNELS = [
    ((1, "blocked fp32"), (1, "blocked fp32"), True),
    ((None, None), (None, None), True),
    ((1, "blocked fp32"), (1, "mkldnn"), False),
    ((1, "blocked fp32"), (2, "blocked fp32"), False),
    ((1, "blocked fp32"), (None, None), False),
]


def long(technique: str, **fields: Any) -> Record:
    record = make_record(technique, **fields)
    losses = [4 - 0.01 * step for step in range(LEARNING_STEPS)]
    return record.model_copy(update={"learning": record.learning.model_copy(update={"losses": losses})})


@pytest.mark.parametrize(("mine", "theirs", "alike"), KERNELS)
def test_times_compare_on_one_kernel_and_memory_on_any(mine: Any, theirs: Any, alike: bool):
    lora, baseline = on(long("lora"), *mine), on(long("baseline"), *theirs)

    for metric in TIMES:
        assert verdicts(lora, baseline, metric) == {alike}
    for metric in ("memory.peak_bytes", "learning.eval_loss_after", "steps_to_loss"):
        assert verdicts(lora, baseline, metric) == {True}


@pytest.mark.parametrize(("mine", "theirs", "alike"), KERNELS)
def test_what_stands_side_by_side_has_one_kernel_and_repeats_have_too(mine: Any, theirs: Any, alike: bool):
    lora, baseline = on(make_record("lora"), *mine), on(make_record("baseline"), *theirs)
    again = on(make_record("lora", seed=1), *theirs)

    assert len(workloads(Records({"cpu/a": lora, "cpu/b": baseline}))) == (1 if alike else 2)
    assert len(grouped([lora, again])) == (1 if alike else 2)


@pytest.mark.parametrize(("mine", "theirs", "alike"), KERNELS)
def test_the_terminal_tells_no_change_of_times_that_do_not_compare(mine: Any, theirs: Any, alike: bool):
    yours, published = on(long("lora", step_seconds=1.0), *mine), on(long("lora", peak=1000), *theirs)
    out = io.StringIO()
    terminal.show([yours], theirs=published, earlier=[], console=Console(file=out, width=200))
    lines = {
        line.split("  ")[1].strip(): line for line in out.getvalue().splitlines() if line.count("  ") > 2
    }

    assert "−50.0 %" in lines["time of a step"] if alike else "%" not in lines["time of a step"]
    assert "−25.0 %" in lines["peak memory"]
    assert ("Not the same: " in out.getvalue()) != alike


def test_tables_are_of_one_kernel_each_and_name_it(tmp_path):
    for record in (make_record("baseline"), on(make_record("lora"), 1, "blocked fp32")):
        record.write(tmp_path)
    titles = [line for line in measured_tables.of_folder(tmp_path).splitlines() if line.startswith("**")]

    assert ["bf16 products by blocked fp32" in title for title in titles].count(True) == 1 < len(titles)


# ---- what is saved ---------------------------------------------------------------------------------------


def test_a_saving_is_a_fraction_of_the_other_side():
    assert saving(750, 1000) == 0.25 and change(750, 1000) == -0.25
    assert saving(None, 1000) is saving(750, None) is saving(750, 0) is saving(float("inf"), 1) is None


def test_repeats_are_compared_seed_by_seed():
    """The median of 0.1, 0.5 and 0.4, and not that of the peaks, 1 - 600 / 1000."""
    peaks = {"baseline": (1000, 1200, 500), "lora": (900, 600, 300)}
    full, lora = (
        Group.of(make_record(name, peak=peak, seed=seed) for seed, peak in enumerate(of))
        for name, of in peaks.items()
    )

    assert median_saving(lora, full) == pytest.approx(0.4)


def test_every_published_saving_is_the_same_in_the_table_on_the_page_and_in_a_claim():
    records = load(project_data() / "demos" / "results")
    saved = {group.ids: savings(group, records.groups) for group in records.groups}
    compared = 0
    for work in workloads(records):
        for group in work.groups:
            if group.technique == BASELINE or group.first.setup.stage is not None:
                continue
            pair = work.reference(group)
            by_table = [
                (full.ids, value) for full, value in saved[group.ids] if full.precision == group.precision
            ]
            assert by_table == ([(pair[0].ids, median_saving(group, pair[0]))] if pair else [])
            compared += len(by_table)
    assert compared >= 15
    for technique in TECHNIQUES[1:]:
        test = {"of": technique, "against": BASELINE, "within": [None, 1]}
        claim = Claim.model_validate({"id": "a", "says": "A.", "tests": [test]}, strict=False)
        for finding in judge(claim, records).findings:
            if finding.value is not None:
                (values,) = [of for ids, of in saved.items() if set(finding.runs) <= {*ids}]
                assert finding.value in [value for full, value in values]


def test_runs_of_no_common_seed_are_compared_by_their_medians():
    lora, full = Group.of([make_record("lora", seed=3)]), Group.of([make_record("baseline", peak=1000)])

    assert median_saving(lora, full) == 0.25
