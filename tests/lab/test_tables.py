"""The published tables: one for each work, its arms told apart, and quality apart from memory."""

from __future__ import annotations

import pytest

from memlab.publishing import measured_tables
from records import make_record


def rows(text: str, start: str) -> list[list[str]]:
    """The cells of the rows of the table whose head begins with `start`."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {start} |"):
            next(lines)
            body = []
            for row in lines:
                if not row:
                    break
                body.append([cell.strip() for cell in row.strip("|").split("|")])
            return body
    raise AssertionError(f"no table begins with {start}")


def learned(technique: str, held_out: float, *, last: float = 0.0, **setup):
    """A record of 60 steps whose loss falls by 0.01 at each, `last` lower throughout."""
    one = make_record(technique, steps=59, warmup=1, batch=8, seq=48, **setup)
    losses = [4 - last - 0.01 * step for step in range(1, 61)]
    learning = one.learning.model_copy(update={"losses": losses, "eval_loss_after": held_out})
    return one.model_copy(update={"learning": learning})


@pytest.fixture
def text(tmp_path):
    """Return a function that writes records into a folder and gives its tables."""

    def of(*records) -> str:
        for one in records:
            one.write(tmp_path)
        return measured_tables.of_folder(tmp_path)

    return of


def test_memory_and_quality_are_tables_of_their_own(text):
    """Ten steps and sixty are different works, and neither stands in the other's table."""
    found = text(make_record("baseline"), make_record("lora"), learned("lora", 3.2), learned("pissa", 3.3))
    assert [line.partition(":")[0] for line in found.splitlines() if line.startswith("**")] == [
        "**Memory and time",
        "**What is learned in mixed precision",
    ]
    assert [row[0] for row in rows(found, "Demo | Precision")] == [
        "[`baseline.py`](baseline.py)",
        "[`lora.py`](lora.py), rank 16",
    ]
    assert [row[0] for row in rows(found, "Demo | Rate")] == [
        "[`lora.py`](lora.py), rank 16",
        "[`pissa.py`](pissa.py), rank 16",
    ]


def test_arms_of_one_technique_are_told_apart(text):
    """DoRA at half the rank and PiSSA's quick initialisation are rows of their own, and say so."""
    found = text(
        make_record("dora", rank=16),
        make_record("dora", rank=8),
        make_record("pissa", init="pissa"),
        make_record("pissa", init="pissa_niter_4"),
        make_record("stack", step="checkpointing", adapter_dtype=None, precision="bf16"),
        make_record("stack", step="lora", precision="bf16"),
    )
    assert [row[0].partition(")")[2] for row in rows(found, "Demo | Precision")] == [
        ", rank 16",
        ", rank 8",
        ", rank 16",
        ", pissa_niter_4, rank 16",
        " + checkpointing",
        " + lora, rank 16",
    ]


def test_what_does_not_apply_is_named_and_has_no_row(text):
    """With the reason, below the table."""
    last = make_record("stack", step="offload", peak=None, status="not_applicable")
    last = last.model_copy(update={"message": "there is nothing to move"})
    found = text(make_record("baseline"), last)
    assert len(rows(found, "Demo | Precision")) == 1
    name = "[`stack.py`](stack.py) + offload, rank 16"
    assert f"Not applicable: {name}; there is nothing to move." in found


def test_each_arm_is_shown_at_the_rate_that_was_repeated(text):
    """With its seeds, their range, the steps to LoRA's final loss seed by seed, and the loss at equal seconds."""
    found = text(
        learned("lora", 3.5, lr=3e-4),
        *(learned("lora", 3.2, lr=1e-3, last=0.1 * seed, seed=seed) for seed in range(3)),
        *(
            learned("dora", 3.1, lr=1e-3, last=0.1 + 0.1 * seed, seed=seed, step_seconds=4)
            for seed in range(3)
        ),
    )
    dora, lora = rows(found, "Demo | Rate")
    assert lora == [
        *("[`lora.py`](lora.py), rank 16", "0.001", "3", "3.345", "3.245 – 3.445", "60", "3.345", "3.200"),
        "2.00 s",
    ]
    assert dora[3:] == ["3.245", "3.145 – 3.345", "50", "3.545", "3.100", "4.00 s"]
    assert "| Loss after 120.00 s |" in found


def test_the_grid_shows_every_rate_that_was_tried_and_the_lowest_in_bold(text):
    """By the held-out loss of seed 0; a rate that an arm did not try stays empty."""
    found = text(
        learned("lora", 3.5, lr=3e-4),
        learned("lora", 3.2, lr=1e-3),
        learned("lora", 1.0, lr=1e-3, seed=1),
        learned("dora", 3.4, lr=1e-3),
        learned("dora", 3.3, lr=3e-3),
        learned("baseline", 3.0, lr=1e-4),
    )
    assert rows(found, "Held-out loss at rate | 0.0003 | 0.001 | 0.003") == [
        ["[`dora.py`](dora.py), rank 16", "–", "3.400", "**3.300**"],
        ["[`lora.py`](lora.py), rank 16", "3.500", "**3.200**", "–"],
    ]


def test_a_run_out_of_memory_shows_no_peak(text):
    """What was reached is no measurement, and no saving is made of it."""
    found = text(make_record("baseline"), make_record("lora"), make_record("lora", status="oom", seed=1))
    assert rows(found, "Demo | Precision")[1][2:6] == ["oom", "backward", "–", "–"]


def test_the_work_that_most_techniques_did_comes_first(text):
    """Whatever its batch: a reader looks for the comparison, and finds it at the top."""
    found = text(make_record("zero", batch=1), make_record("baseline", batch=4), make_record("lora", batch=4))
    titles = [line for line in found.splitlines() if line.startswith("**")]
    assert ["batch 4" in title for title in titles] == [True, False]
