"""What a record says about learning: losses averaged over steps, steps to a loss, loss at equal seconds."""

from __future__ import annotations

import pytest

from memlab.results.record import Learning, Record
from records import make_record


def learning(*losses: float) -> Learning:
    return Learning(
        trainable_parameters=1,
        total_parameters=1,
        losses=list(losses),
        eval_loss_before=None,
        eval_loss_after=None,
    )


def falling(steps: int, by: float = 1.0) -> list[float]:
    """Return losses that fall by as much at every step, so that a mean of ten lies 4.5 of these behind."""
    return [100 - by * step for step in range(1, steps + 1)]


def run(step_seconds: float, losses: list[float]) -> Record:
    record = make_record("lora", step_seconds=step_seconds)
    return record.model_copy(update={"learning": learning(*losses)})


def test_a_loss_is_the_mean_of_the_ten_steps_that_end_with_the_one_asked_for():
    run = learning(*falling(12))

    assert (run.loss_after(10), run.loss_after(12), run.loss_after()) == (94.5, 92.5, 92.5)


@pytest.mark.parametrize("steps", [-1, 0, 9, 13])
def test_a_step_that_was_not_made_or_has_not_ten_to_average_has_no_loss(steps):
    assert learning(*falling(12)).loss_after(steps) is None


def test_a_run_of_fewer_than_ten_steps_has_no_loss_and_reaches_none():
    run = learning(*falling(9))

    assert (run.loss_after(), run.steps_to(1000)) == (None, None)


def test_steps_to_a_loss_are_those_until_the_mean_first_is_as_low():
    reference, quicker = learning(*falling(30)), learning(*falling(30, by=2))

    assert reference.steps_to(reference.loss_after()) == 30
    assert quicker.steps_to(reference.loss_after()) == 18  # 100 - 2 * (18 - 4.5) = 73 <= 74.5 < 75
    assert reference.steps_to(quicker.loss_after()) is None


def test_one_low_batch_is_not_taken_for_the_loss_reached():
    assert learning(*[5.0] * 10, 1.0, *[5.0] * 10).steps_to(4.5) is None


def test_a_run_takes_its_steps_warm_up_included_at_the_median_time():
    assert run(0.1, falling(33)).training_seconds == pytest.approx(3.3)
    assert run(0.1, falling(33)).model_copy(update={"learning": None}).training_seconds is None


def test_at_equal_seconds_the_slower_run_is_read_after_fewer_steps():
    quick, slow = run(0.1, falling(33)), run(0.2, falling(33))
    seconds = quick.training_seconds

    assert quick.loss_after_seconds(seconds) == quick.learning.loss_after(33)
    assert slow.loss_after_seconds(seconds) == slow.learning.loss_after(16)


def test_beyond_its_last_step_a_run_has_no_loss():
    assert run(0.1, falling(33)).loss_after_seconds(3.5) is None
