"""Works: which runs may stand side by side, and how each is called beside the others."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

import published
from memlab.results.record import Record
from records import VERSIONS, make_record
from steelyard.evidence import Group, Records
from steelyard.evidence.workloads import Workload, workload_differences, workloads, workloads_of
from steelyard.web.evidence.labels import labels
from steelyard.web.evidence.medians import STEP, changed
from steelyard.web.evidence.side_by_side import PEAK

pytestmark = pytest.mark.usefixtures("english")


def found(records: Iterable[Record]) -> tuple[Workload, ...]:
    return workloads(Records({f"{record.device.kind}/{record.slug}": record for record in records}))


def named(*records: Record) -> list[str]:
    (work,) = found(records)
    return list(labels(work.groups))


@pytest.mark.parametrize(
    ("own", "names"),
    [
        (({"rank": 16}, {"rank": 8}), ["lora, mixed, rank 16", "lora, mixed, rank 8"]),
        (({"lr": 1e-3}, {"lr": 3e-4}), ["lora, mixed, rate 3e-4", "lora, mixed, rate 1e-3"]),
        (
            ({"init": "pissa"}, {"init": "pissa_niter_4"}),
            ["lora, mixed, exact SVD", "lora, mixed, approximate SVD"],
        ),
        (
            ({"stage": 2, "ranks": 1}, {"stage": 2, "ranks": 4}, {"stage": 2, "ranks": 4, "offload": True}),
            [
                "lora, mixed, stage 2 on 1 rank",
                "lora, mixed, stage 2 on 4 ranks",
                "lora, mixed, stage 2 on 4 ranks, offloaded",
            ],
        ),
        (({"optimizer": "A"}, {"optimizer": "B"}), ["lora, mixed, optimizer A", "lora, mixed, optimizer B"]),
    ],
)
def test_arms_that_differ_have_names_that_differ_by_it(own: tuple[dict[str, object], ...], names: list[str]):
    made = named(*(make_record("lora", **fields) for fields in own))  # type: ignore[arg-type]
    assert sorted(made) == sorted(names)


def test_steps_of_the_stack_are_told_by_the_step_alone():
    first = make_record("stack", step="lora", optimizer="AdamW", precision="bf16", autocast=None)
    second = make_record("stack", step="8bit_adamw", optimizer="8 bit", precision="bf16", autocast=None)
    assert named(second, first) == ["stack, bf16, up to LoRA", "stack, bf16, up to 8-bit AdamW"]


def test_what_is_the_only_one_of_its_kind_needs_no_more_than_its_precision():
    assert named(make_record("baseline"), make_record("lora"), make_record("dora", rank=8)) == [
        "baseline, mixed",
        "lora, mixed",
        "dora, mixed",
    ]


def test_no_two_arms_of_what_is_published_share_a_name():
    for work in found([*published.memory(), *published.quality(), *published.sharded()]):
        assert len(set(labels(work.groups))) == len(work.groups)


@pytest.mark.parametrize(
    "other",
    [
        {"batch": 8},
        {"seq": 64},
        {"steps": 20},
        {"model": "another"},
        {"attention": "eager"},
        {"data_sha256": "1" * 64},
        {"versions": {**VERSIONS, "torch": "2.14.0"}},
        {"device_name": "another processor"},
        {"device": "cuda"},
    ],
)
def test_what_differs_in_more_than_its_technique_is_another_work(other: dict[str, object]):
    lora, baseline = make_record("lora"), make_record("baseline", **other)  # type: ignore[arg-type]
    first, second = found([lora, baseline])
    assert len(first.groups) == len(second.groups) == 1
    fields = [difference.field for difference in workload_differences(first, second)]
    (name,) = other
    expected = {"versions": ["version of torch"], "device_name": ["device name"]}
    assert fields == expected.get(name, [name])


def test_the_work_of_most_techniques_comes_first_and_a_gpu_before_it():
    few = [make_record("lora", batch=1)]
    many = [make_record("lora"), make_record("baseline")]
    gpu = [make_record("lora", device="cuda", device_name="a GPU")]
    assert [work.first.setup.batch for work in found([*few, *many])] == [4, 1]
    first = found([*few, *many, *gpu])[0]
    assert first.first.device.kind == "cuda"


def test_a_technique_has_the_works_in_which_it_was_measured():
    given = [make_record("lora", batch=1), make_record("baseline", batch=2)]
    records = Records({record.slug: record for record in given})
    assert [work.first.setup.batch for work in workloads_of("lora", records)] == [1]
    assert workloads_of("dora", records) == ()


def reference(*records: Record) -> str | None:
    """Return the name of what the last of these records is compared with."""
    (work,) = found(records)
    group = next(group for group in work.groups if group.first == records[-1])
    pair = work.reference(group)
    return labels([pair[0]])[0] if pair else None


def test_a_technique_is_compared_with_full_fine_tuning_in_its_own_precision():
    mixed, bf16 = (make_record("baseline", **both) for both in published.PRECISIONS)
    assert reference(mixed, bf16, make_record("lora", **published.PRECISIONS[1])) == "baseline, bf16"
    assert reference(mixed, make_record("lora", **published.PRECISIONS[1])) is None


def test_a_shard_is_compared_with_no_sharding_on_as_many_ranks():
    shards = [published.shard(stage, ranks) for ranks in (1, 2) for stage in (0, 3)]
    assert reference(*shards) == "zero, mixed, stage 0 on 2 ranks"
    assert reference(shards[1], shards[2], shards[0]) is None


def test_nothing_is_compared_with_itself_at_another_rate():
    assert reference(make_record("baseline", lr=1e-3), make_record("baseline")) is None


def test_times_of_two_kernels_have_no_change_and_memory_has():
    slow, quick = make_record("lora", peak=1000, step_seconds=4.0), make_record("lora", peak=500)
    device = quick.device.model_copy(update={"threads": 1, "bf16_kernel": "blocked fp32"})
    elsewhere = quick.model_copy(update={"device": device})

    assert changed(Group.of([slow]), Group.of([quick]), STEP) == "50.0% less"
    assert changed(Group.of([slow]), Group.of([elsewhere]), STEP) == "–"
    assert changed(Group.of([slow]), Group.of([elsewhere]), PEAK) == "50.0% less"
