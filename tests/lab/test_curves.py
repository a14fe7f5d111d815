"""Long runs are compared by what they learned: in the table, in words, and as curves in the picture."""

from __future__ import annotations

import io
import math
import re

import pytest
from rich.console import Console

from memlab.publishing import figures, terminal
from memlab.results import comparing
from memlab.results.groups import Group, grouped, steps_to
from memlab.results.numbers import in_steps
from records import make_record


def runs(technique: str, by: float, *, seeds: int = 3, steps: int = 30, step_seconds: float = 1.0, **setup):
    """Return runs whose loss falls by `by` at every step, each seed's a little below the one before."""
    made = []
    for seed in range(seeds):
        one = make_record(technique, step_seconds=step_seconds, seed=seed, **setup)
        losses = [4 - 0.01 * seed - by * step for step in range(1, steps + 1)]
        made.append(one.model_copy(update={"learning": one.learning.model_copy(update={"losses": losses})}))
    return made


def group(*arguments, **options) -> Group:
    return Group.of(runs(*arguments, **options))


def shown(records, earlier=()) -> str:
    text = io.StringIO()
    terminal.show(records, theirs=None, earlier=earlier, console=Console(file=text, width=120))
    return text.getvalue()


def cells(text: str, name: str) -> list[str]:
    """The cells of the table's row with that name."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(name)]
    return re.split(r"\s{2,}", line.strip().removeprefix(name).strip())


def test_steps_to_a_loss_are_counted_between_runs_of_one_seed():
    """Each seed has its own order of the text, so a run is held against the other's run of that seed."""
    lora, quicker = group("lora", 0.01), group("pissa", 0.02)
    count = steps_to(lora)
    assert [count(one) for one in lora.records] == [30, 30, 30]
    # 0.02 * (steps - 4.5) >= 0.01 * 25.5, in every seed although the seeds lie apart
    assert [count(one) for one in quicker.records] == [18, 18, 18]
    assert count(runs("pissa", 0.02, seeds=4)[3]) is None


def test_a_run_that_never_reached_the_loss_weighs_on_the_median():
    """Leaving it out would turn one lucky seed of three into the result."""
    lora = group("lora", 0.01)
    mixed = Group.of([*runs("pissa", 0.02)[:1], *runs("pissa", 0.005)[1:]])
    assert mixed.median(steps_to(lora)) == math.inf
    assert in_steps(math.inf) == "not reached" and in_steps(18) == "18" and in_steps(None) == "–"
    assert comparing.change(math.inf, 30) is None


def test_equal_seconds_are_those_of_the_quickest_run():
    """The one moment at which every run has a loss."""
    groups = [group("lora", 0.01), group("dora", 0.01, step_seconds=1.5)]
    seconds = comparing.equal_seconds(groups)
    assert seconds == 30
    losses = [each.median(lambda one: one.loss_after_seconds(seconds)) for each in groups]
    assert losses == [pytest.approx(3.735), pytest.approx(3.835)]  # after 30 steps, and after 20
    assert comparing.equal_seconds([]) is None


def test_lora_stands_in_with_its_chosen_rate():
    """Of the rates that were tried with one seed and the one that was repeated, the repeated one."""
    tried, chosen = group("lora", 0.03, seeds=1, lr=3e-3), group("lora", 0.01, lr=1e-3)
    pissa, everything = group("pissa", 0.01), [tried, chosen, group("lora", 0.01, batch=8, seeds=5)]
    assert comparing.lora_beside(pissa, everything) is chosen
    assert comparing.lora_beside(group("lora", 0.01), everything) is None
    assert comparing.lora_beside(group("pissa", 0.01, steps=19), everything) is None
    assert comparing.lora_beside(pissa, []) is None


def test_the_table_of_long_runs_tells_what_was_learned():
    """Final loss, steps to the baseline's and LoRA's final loss, and the loss at equal seconds."""
    records = [*runs("baseline", 0.01), *runs("pissa", 0.02, step_seconds=2.0)]
    text = shown(records, earlier=runs("lora", 0.015))
    assert cells(text, "final loss (mean of the last 10 steps)") == ["3.735", "3.480", "−6.8 %"]
    assert cells(text, "steps to the baseline's final loss") == ["30", "18", "−40.0 %"]
    assert cells(text, "steps to LoRA's final loss") == ["not reached", "24", "–"]
    assert cells(text, "loss after 30.00 s") == [
        "3.735",
        "3.780",
        "+1.2 %",
    ]  # PiSSA has made 15 steps by then
    assert "of earlier runs with rank 16 and learning rate 0.001" in text


def test_the_table_of_short_runs_keeps_to_memory_and_time():
    """Ten steps say nothing of quality."""
    text = shown([*runs("baseline", 0.01, steps=13), *runs("pissa", 0.02, steps=13)])
    assert "final loss" not in text and "loss after 13" not in text


def test_the_picture_of_long_runs_has_a_curve_for_each_and_for_lora(tmp_path):
    """With the number of seeds that the band spans; short runs have no such panel."""
    records = [*runs("baseline", 0.01), *runs("pissa", 0.02, lr=3e-4)]
    svg, _ = figures.draw(records, runs("lora", 0.015, seeds=1), tmp_path / "long")
    text = svg.read_text()
    assert "Training loss, mean of the last 10 steps" in text and "tokens trained on" in text
    for label in ("baseline, rate 0.0001, 3 seeds", "pissa, rate 0.0003, 3 seeds", "lora, rate 0.001<"):
        assert label in text
    svg, _ = figures.draw(runs("baseline", 0.01, steps=19), [], tmp_path / "short")
    assert "Training loss" not in svg.read_text()


def test_groups_are_told_apart_by_rank_and_initialisation():
    """Half the rank is another arm; a technique without adapters has neither."""
    records = [make_record("dora", rank=rank, adapter_dtype="float32") for rank in (16, 8)]
    assert [each.adapters for each in grouped(records)] == ["rank 16", "rank 8"]
    pissa = (Group.of([make_record("pissa", init=init)]) for init in ("pissa", "pissa_niter_4"))
    assert [each.adapters for each in pissa] == ["rank 16", "pissa_niter_4, rank 16"]
    assert Group.of([make_record("baseline")]).adapters == ""


@pytest.mark.parametrize("partial", ["baseline", "lora"])
def test_a_partial_run_gives_no_saving(partial):
    """On a GPU the record of a run out of memory holds a peak: the one it had reached, which saves nothing."""
    records = [
        make_record(name, peak=peak, status="oom" if name == partial else "ok")
        for name, peak in (("baseline", 2000), ("lora", 1000))
    ]
    text = shown(records)
    assert f"{partial}: oom" in text and "%" not in text
    baseline, lora = grouped(records)
    assert comparing.savings(lora, [baseline, lora]) == []
