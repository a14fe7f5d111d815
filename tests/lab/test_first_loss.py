"""The held-out loss before training is computed once for all that it depends on, and anew for all else."""

from __future__ import annotations

import pytest

from memlab.measuring import first_loss
from memlab.options.setup import BUNDLED
from records import make_record

ROWS = [[1, 2, 3]]


@pytest.fixture
def loss(tmp_path, monkeypatch):
    """Return a function that asks for the loss of a setup; each computation gives another number."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    numbers = iter(range(1, 100))

    def ask(technique: str = "baseline", rows=ROWS, **fields) -> float:
        record = make_record("baseline")
        setup = record.setup.model_copy(update={"model": BUNDLED, **fields})
        return first_loss.of(setup, technique, rows, record.device, lambda: float(next(numbers)))

    return ask


def test_what_the_loss_does_not_depend_on_shares_it(loss):
    first = loss()

    assert loss(seed=1) == loss(lr=1e-2) == loss(steps=99) == loss("gradient_checkpointing") == first


@pytest.mark.parametrize(
    "fields",
    [
        {"base_dtype": "float32, linear layers nf4"},
        {"batch": 7},
        {"attention": "eager"},
        {"rows": [[1, 2, 4]]},
    ],
)
def test_what_it_depends_on_has_one_of_its_own(loss, fields):
    assert loss(**fields) != loss()


def test_adapters_have_one_for_each_technique_and_seed(loss):
    lora = {"adapter_dtype": "float32", "rank": 16}

    assert loss("lora", **lora) == loss("lora", **lora)
    assert len({loss(), loss("lora", **lora), loss("pissa", **lora), loss("lora", seed=1, **lora)}) == 4


def test_weights_that_are_not_known_and_ranks_that_compute_together_share_nothing(loss):
    assert loss(model="tiny") != loss(model="tiny")
    assert loss(ranks=2) != loss(ranks=2)
