"""Comparing records: repeats go together, and only what differs in the technique alone is compared."""

from __future__ import annotations

import pytest

from memlab.results.comparing import comparable, savings
from memlab.results.groups import grouped
from memlab.results.numbers import in_bytes, in_percent, in_seconds


@pytest.fixture(scope="module")
def records(finished):
    """Both techniques in both precisions, and a repeat."""
    pairs = [(name, precision) for name in ("baseline", "lora") for precision in ("mixed", "bf16")]
    made = {pair: finished(pair[0], precision=pair[1]) for pair in pairs}
    return made | {"repeat": finished("lora", seed=1), "other": finished("baseline", batch=3)}


def test_repeats_are_one_group(records):
    """Runs that differ in their seed alone."""
    groups = grouped(records.values())
    assert sorted(len(group.records) for group in groups) == [1, 1, 1, 1, 2]
    (pair,) = [group for group in groups if len(group.records) == 2]
    assert [one.setup.seed for one in pair.records] == [0, 1]
    assert pair.median(lambda one: one.setup.seed) == 0.5
    assert pair.median(lambda one: None) is None


def test_only_the_technique_may_differ(records):
    """Batch, precision and versions keep two records apart; rank, dtypes and learning rate belong to techniques."""
    lora, baseline = records["lora", "mixed"], records["baseline", "mixed"]
    assert comparable(lora, baseline) and comparable(records["repeat"], baseline)
    assert not comparable(lora, records["other"])
    assert not comparable(lora, records["baseline", "bf16"])
    assert comparable(lora, records["baseline", "bf16"], {"precision"})
    older = baseline.origin.model_copy(update={"versions": baseline.origin.versions | {"torch": "2.0"}})
    assert not comparable(lora, baseline.model_copy(update={"origin": older}))


def test_a_saving_is_a_fraction_of_each_baseline(records):
    """Mixed precision first, then pure bf16; a baseline of another setup is left out."""
    groups = grouped(records.values())
    (lora,) = [group for group in groups if len(group.records) == 2]
    found = {baseline.first.setup.precision: saving for baseline, saving in savings(lora, groups)}
    peak = records["lora", "mixed"].memory.peak_bytes
    assert found == {
        name: pytest.approx(1 - peak / records["baseline", name].memory.peak_bytes)
        for name in ("mixed", "bf16")
    }


def test_numbers_read_well():
    """Units in powers of two, a true minus sign, a dash for what was not measured."""
    assert [in_bytes(n) for n in (0, 900, 2048, 5 * 2**20, 2**30, None)] == [
        "0 B",
        "900 B",
        "2.0 KiB",
        "5.0 MiB",
        "1.00 GiB",
        "–",
    ]
    assert [in_percent(f) for f in (-0.3534, 0.1, 80.0, None)] == ["−35.3 %", "+10.0 %", "> ×10", "–"]
    assert [in_seconds(s) for s in (2.314, 0.0124, None)] == ["2.31 s", "12.4 ms", "–"]
