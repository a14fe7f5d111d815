"""Weigh one drawn configuration: by the ledger, by the profiler, by prediction and by the tools of today."""

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
from memlab.validate.draw import Drawn


def weigh(one: Drawn) -> Row:
    """Return the row of one configuration; what failed is said in it."""
    row: dict[str, Any] = dict.fromkeys(
        ("parameters", "measured_bytes", "profiler_bytes", "predicted_bytes", *accuracy.TOOLS)
    )
    row |= vars(one.arm) | {"family": one.family, "config": one.config, "batch": one.batch, "seq": one.seq}
    with tempfile.TemporaryDirectory() as folder:
        try:
            row |= _weigh(one, Path(folder))
        except (UsageError, SystemExit) as error:  # the latter of ranks that could not start
            row |= {"status": "failed", "message": str(error)}
    return Row(**row)


def _weigh(one: Drawn, folder: Path) -> dict[str, Any]:
    """Return the row's other fields, as far as there are any. Raises UsageError."""
    path = folder / one.family / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(one.config), encoding="utf-8")
    technique, setup = one.arm.technique, _setup(one, path)
    measured, profiler_bytes = _measure(technique, setup)
    if measured.status != "ok":
        return {"status": "failed", "message": measured.message}
    told = predict.predict(technique, None, replace(setup, device="auto"))
    found: dict[str, Any] = {
        "status": "ok" if told.status == "ok" else "refused",
        "message": None if told.status == "ok" else told.message,
        "parameters": measured.setup.parameters,
        "rank": measured.setup.rank,
        "ranks": measured.setup.ranks,
        "measured_bytes": measured.memory.peak_bytes,
        "profiler_bytes": profiler_bytes,
        "predicted_bytes": told.memory.peak_bytes,
    }
    return found | other_tools.of(find(setup).config, measured)


def _setup(one: Drawn, path: Path) -> Setup:
    setup = Setup(
        model=str(path),
        random_init=True,
        device="cpu",
        precision=one.arm.precision,
        step=one.arm.step,
        stage=one.arm.stage,
        ranks=draw.RANKS,
        batch=one.batch,
        seq=one.seq,
        steps=1,
        warmup=1,
        rank=one.rank,
        alpha=float(one.rank),
        out=path.parent,
    )
    return load(one.arm.technique).fit(setup)


def _measure(technique: str, setup: Setup) -> tuple[Record, int | None]:
    """Return the record of a real run, and the peak by the profiler, which cannot judge ranks.

    Raises UsageError.
    """
    script = HOME / f"{technique}.py"
    arguments = setup.arguments()
    command = shlex.join(["python", f"demos/{script.name}", *setup.arguments(leave_out=("out", "model"))])
    if setup.ranks is not None:  # processes of their own
        job = Job(seed=0, command=command)
        run = PlannedRun(script, technique, arguments, job, work={})
        return start(run, lambda message: None)[0], None
    weighed = ProfiledRun(load(technique), setup, seed=0, command=command)
    result = weighed.measure(lambda stage, done, of: None)
    return result, weighed.profiler_bytes
