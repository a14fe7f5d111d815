"""Predictions beside measurements: what is drawn, one row at a time for real, and the table that is published."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from transformers import AutoConfig

from memlab.options.setup import Setup
from memlab.publishing import accuracy_tables
from memlab.publishing.readme import BEGIN_VALIDATION, between_marks
from memlab.results import accuracy
from memlab.results.accuracy import Row, Validation, summary
from memlab.training.model import find
from memlab.validate import draw
from memlab.validate.command import misses
from memlab.validate.weigh import weigh

DEMOS = Path(__file__).parents[2] / "demos"
PUBLISHED = sorted((DEMOS / "results" / accuracy.FOLDER).glob("*.json"))
SMALL = draw.draw(3)


# ---- the draw --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_every_family_and_every_technique_occurs_in_every_draw(seed):
    """Each family meets six techniques, each technique of one process several families, each stage one."""
    plan = draw.draw(seed)
    alone = [one for one in plan if one.variant.stage is None]
    assert len(alone) >= 60
    for family in draw.FAMILIES:
        assert [one.family for one in alone].count(family) == draw.PER_FAMILY
    for variant in draw.VARIANTS:
        assert [one.variant for one in alone].count(variant) >= len(alone) // len(draw.VARIANTS)
    assert [one.variant.stage for one in plan if one.variant.technique == "zero"] == list(draw.STAGES)
    assert {one.config["tie_word_embeddings"] for one in plan} == {True, False}
    assert any(
        one.config.get("num_key_value_heads", 0) < one.config.get("num_attention_heads", 0) for one in plan
    )


def test_a_seed_draws_the_same_again_and_another_seed_other_sizes():
    """So that others can repeat a table, or try to break it."""
    assert draw.draw(7) == draw.draw(7)
    sizes = [{json.dumps(one.config) for one in draw.draw(seed)} for seed in (0, 7)]
    assert not sizes[0] & sizes[1]


# ---- a row -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """A row of each kind of technique, as drawn but for the batch."""
    kinds = ("baseline", "qlora", "dora"), (None,)
    wanted = [*product(*kinds), ("stack", "8bit_adamw"), ("stack", "chunked_loss")]
    found = [
        next(one for one in SMALL if (one.variant.technique, one.variant.step) == kind) for kind in wanted
    ]
    return [weigh(replace(one, batch=1, seq=64)) for one in found]


def test_a_prediction_is_the_ledgers_count_and_the_profilers_within_the_bounds(rows):
    """Drawn shapes, to the byte; and what the profiler saw without the ledger is as high."""
    for row in rows:
        assert row.status == "ok", row.message
        assert row.off_bytes == 0, row.name
        assert abs(row.error()) <= accuracy.MEDIAN, row.name


def test_the_row_says_how_to_have_it_again(rows, tmp_path):
    """Its config is a config.json, with the parameters that it says."""
    row = rows[0]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(row.config))
    assert find(Setup(model=str(path), random_init=True)).count_parameters() == row.parameters
    assert AutoConfig.from_pretrained(path).model_type == row.family


def test_the_tools_say_what_their_own_arithmetic_says(rows):
    """accelerate: eight bytes a parameter in mixed precision; DeepSpeed: twenty on one GPU; the formula by kind."""
    full = rows[0]
    each = 16 if full.precision == "mixed" else 8
    assert full.formula_bytes == each * full.parameters
    assert full.deepspeed_bytes == 20 * full.parameters
    assert full.accelerate_bytes == pytest.approx(8 * full.parameters, rel=0.01)
    assert rows[1].formula_bytes < 4 * rows[1].parameters + 16 * 2**20


def test_a_configuration_that_makes_no_model_is_a_row_that_says_so():
    """Never dropped in silence."""
    one = next(one for one in SMALL if one.family == "phi3")
    row = weigh(replace(one, config=one.config | {"pad_token_id": 10**6}))
    assert row.status == "failed" and "makes no model" in row.message
    assert row.measured_bytes is row.predicted_bytes is row.formula_bytes is None
    assert row.error() is None
    assert misses(_validation([row])) == [f"{row.name}, phi3: failed: {row.message}"]


# ---- the table -------------------------------------------------------------------------------------------


def _validation(rows: list[Row]) -> Validation:
    published = accuracy.read(PUBLISHED[0])
    return published.model_copy(update={"rows": rows})


def test_errors_are_signed_and_summed_up_by_size():
    """Half of what was measured is −50 %; the worst keeps its sign, and the median is of sizes."""
    row = accuracy.read(PUBLISHED[0]).rows[0]
    three = [
        row.model_copy(update={"profiler_bytes": 1000, "predicted_bytes": told}) for told in (500, 1005, 1000)
    ]
    short = summary(three)
    assert (short.n, short.median, short.lowest, short.highest, short.worst) == pytest.approx(
        (3, 0.005, -0.5, 0.005, -0.5)
    )
    assert misses(_validation(three)) == ["the worst error is -50.00%, and 3% is the bound"]
    assert "Rows that stand out" in accuracy_tables.markdown(_validation(three))


def test_the_published_table_holds_the_bounds_and_hides_nothing():
    """Every drawn configuration is in it, in order."""
    for path in PUBLISHED:
        result = accuracy.read(path)
        plan = draw.draw(result.seed)
        assert [(row.family, row.technique, row.batch, row.seq) for row in result.rows] == [
            (one.family, one.variant.technique, one.batch, one.seq) for one in plan
        ]
        assert [row.config for row in result.rows] == [one.config for one in plan]
        assert misses(result) == []
        assert "changes" not in result.origin.commit
    assert PUBLISHED


def test_the_readmes_table_is_current():
    """`cd demos && python -m memlab.readme` writes it."""
    text = (DEMOS / "README.md").read_text(encoding="utf-8")
    assert text == between_marks(text, accuracy_tables.of_folder(DEMOS / "results"), BEGIN_VALIDATION)


def test_the_models_module_loads_no_torch():
    """The site reads the file."""
    code = "import sys, memlab.results.accuracy, memlab.publishing.accuracy_tables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=DEMOS).returncode == 0


@pytest.mark.parametrize("seed", ["x", "-1"])
def test_a_seed_that_is_none_is_refused_before_anything_is_measured(seed):
    command = [sys.executable, "-m", "memlab.validate", f"--seed={seed}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=DEMOS)

    assert done.returncode == 2 and f"'{seed}' is not a whole number from 0 up" in done.stderr
