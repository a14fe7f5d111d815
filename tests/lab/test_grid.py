"""The grid holds what `--predict` says, cell by cell, and goes on where it was stopped."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from memlab.options.command_line import parse
from memlab.options.demo import load
from memlab.options.setup import Setup
from memlab.plan import grid
from memlab.predicting import predict
from memlab.results import shapes
from memlab.results.files import HOME, PREDICTIONS_SUFFIX
from memlab.results.record import Record

CELLS = [
    Setup(model="tiny", predict=True, for_="cuda", batch=batch, seq=seq)
    for batch, seq in ((1, 64), (3, 128), (1, 64))
]
FOLDER = HOME / "results" / "predictions"


def read(path: Path) -> list[Record]:
    return [Record.model_validate_json(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize(("technique", "arm"), grid.TECHNIQUE_SETUPS)
def test_a_step_on_a_model_that_has_made_others_is_as_on_a_fresh_one(technique, arm):
    setups = [replace(one, precision=arm.precision, step=arm.step) for one in CELLS]

    many = predict.predict_steps(technique, setups)

    for setup, told in zip(setups, many, strict=True):
        alone = predict.predict(technique, None, setup)
        assert told.status == "ok"
        assert told.model_dump(exclude={"origin"}) == alone.model_dump(exclude={"origin"})
        assert told.origin.command == alone.origin.command


def test_a_length_that_the_model_cannot_read_has_no_prediction():
    """GPT-3 and Pythia read 2048 tokens at once."""
    with predict.StepPredictor("baseline", [Setup(model="pythia-12b", predict=True)]) as steps:
        assert [steps.accepts_length(tokens) for tokens in grid.LENGTHS] == [True, True, False]


def test_a_step_that_failed_leaves_nothing_to_the_next(monkeypatch):
    """Its gradients would be there from the start."""
    alone = predict.predict("lora", None, CELLS[0])
    with predict.StepPredictor("lora", CELLS[:1]) as steps:
        steps.predict(CELLS[0])
        with monkeypatch.context() as broken:
            broken.setattr(steps._run.optimizer, "step", lambda: 1 / 0)
            assert steps.predict(CELLS[0]).status == "failed"
        assert steps.predict(CELLS[0]).memory == alone.memory


def test_what_is_there_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "TECHNIQUE_SETUPS", grid.TECHNIQUE_SETUPS[1:2])
    monkeypatch.setattr(grid, "BATCHES", (1,))
    monkeypatch.setattr(grid, "LENGTHS", (128, 64))
    (tmp_path / "llama-3.1-70b.jsonl").write_text("")

    grid.main(["--out", str(tmp_path), "--shapes", "smollm2-135m", "llama-3.1-70b"])

    assert (tmp_path / "llama-3.1-70b.jsonl").read_text() == ""
    found = read(tmp_path / "smollm2-135m.jsonl")
    assert [(one.setup.batch, one.setup.seq) for one in found] == [(1, 64), (1, 128)]
    assert {one.setup.model for one in found} == {"smollm2-135m"}
    assert {one.memory.reserved_bytes is None for one in found} == {False}


# ---- the published files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*")), ids=lambda path: path.name)
def test_a_published_file_is_of_a_shape_and_holds_every_cell_once(path):
    records = read(path)
    cells = [(r.technique, r.setup.precision, r.setup.step, r.setup.batch, r.setup.seq) for r in records]
    lengths = {r.setup.seq for r in records}

    assert path.stem in shapes.names() and path.suffix == PREDICTIONS_SUFFIX
    assert {r.setup.model for r in records} == {path.stem}
    assert {(r.mode, r.status) for r in records} == {("predicted", "ok")}
    assert len(set(cells)) == len(cells) == len(grid.TECHNIQUE_SETUPS) * len(grid.BATCHES) * len(lengths)
    assert lengths <= set(grid.LENGTHS) and 2048 in lengths
    for r in records:
        assert r.memory.breakdown_at_peak is not None and not r.memory.timeline
        assert r.memory.peak_bytes is not None and r.memory.reserved_bytes is not None
        assert understood(r) == (r.setup.model, r.setup.batch, r.setup.seq, r.setup.step, "cuda")


def understood(one: Record) -> tuple[object, ...]:
    """Return what the demo itself makes of the record's command."""
    demo = load(one.technique)
    python, script, *words = shlex.split(one.origin.command)
    assert (python, script) == ("python", f"demos/{one.technique}.py")
    setup, _theirs = parse(words, demo, "", home=HOME)
    return setup.model, setup.batch, setup.seq, setup.step, setup.for_
