"""Measure one drawn configuration by the ledger and the profiler; predict it, and ask other tools."""

from __future__ import annotations

import json
import shlex
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from memlab.measuring.profiler import ProfiledRun
from memlab.options.demo import load
from memlab.options.setup import Setup, UsageError
from memlab.predicting import predict
from memlab.results import accuracy
from memlab.results.accuracy import Row
from memlab.results.files import HOME
from memlab.results.record import Record
from memlab.running.process import Job, PlannedRun, start
from memlab.training.model import find
from memlab.validate import draw, other_tools
from memlab.validate.draw import DrawnConfiguration


def weigh(drawn: DrawnConfiguration) -> Row:
    """Return the row of one configuration; a run that fails gives a row with status and message."""
    row: dict[str, Any] = dict.fromkeys(
        ("parameters", "measured_bytes", "profiler_bytes", "predicted_bytes", *accuracy.TOOLS)
    )
    row |= vars(drawn.variant) | {
        "family": drawn.family,
        "config": drawn.config,
        "batch": drawn.batch,
        "seq": drawn.seq,
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            row |= _weigh(drawn, Path(folder))
        except (UsageError, SystemExit) as error:  # the latter of ranks that could not start
            row |= {"status": "failed", "message": str(error)}
    return Row(**row)


def _weigh(drawn: DrawnConfiguration, folder: Path) -> dict[str, Any]:
    """Return the row's remaining fields; of a failed run, status and message. Raises UsageError."""
    path = folder / drawn.family / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(drawn.config), encoding="utf-8")
    technique, setup = drawn.variant.technique, _setup(drawn, path)
    measured, profiler_bytes = _measure(technique, setup)
    if measured.status != "ok":
        return {"status": "failed", "message": measured.message}
    predicted = predict.predict(technique, None, replace(setup, device="auto"))
    fields: dict[str, Any] = {
        "status": "ok" if predicted.status == "ok" else "refused",
        "message": None if predicted.status == "ok" else predicted.message,
        "parameters": measured.setup.parameters,
        "rank": measured.setup.rank,
        "ranks": measured.setup.ranks,
        "measured_bytes": measured.memory.peak_bytes,
        "profiler_bytes": profiler_bytes,
        "predicted_bytes": predicted.memory.peak_bytes,
    }
    return fields | other_tools.estimates(find(setup).config, measured)


def _setup(drawn: DrawnConfiguration, path: Path) -> Setup:
    setup = Setup(
        model=str(path),
        random_init=True,
        device="cpu",
        precision=drawn.variant.precision,
        step=drawn.variant.step,
        stage=drawn.variant.stage,
        ranks=draw.RANKS,
        batch=drawn.batch,
        seq=drawn.seq,
        steps=1,
        warmup=1,
        rank=drawn.rank,
        alpha=float(drawn.rank),
        out=path.parent,
    )
    return load(drawn.variant.technique).fit(setup)


def _measure(technique: str, setup: Setup) -> tuple[Record, int | None]:
    """Return the record of a real run and the profiler's peak in bytes, None under ZeRO.

    Raises UsageError.
    """
    script = HOME / f"{technique}.py"
    arguments = setup.arguments()
    command = shlex.join(["python", f"demos/{script.name}", *setup.arguments(leave_out=("out", "model"))])
    if setup.ranks is not None:  # in processes of their own, where the profiler does not reach
        job = Job(seed=0, command=command)
        run = PlannedRun(script, technique, arguments, job, work={})
        return start(run, lambda message: None)[0], None
    profiled = ProfiledRun(load(technique), setup, seed=0, command=command)
    record = profiled.measure(lambda stage, done, of: None)
    return record, profiled.profiler_bytes
