"""Run it: python -m memlab.grid (make grid): predict every technique on every shape, for CUDA.

One file a shape, `demos/results/predictions/<shape>.jsonl`, one record a line. A model is built once for each
technique, and takes a step at each batch and length: a step leaves nothing allocated that the next would
count. Existing files are kept, so a run that was stopped is resumed by the same command.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from memlab.options.setup import Setup, UsageError
from memlab.predicting.predict import predict_steps
from memlab.results import record, shapes
from memlab.results.files import HOME, PREDICTIONS, PREDICTIONS_SUFFIX, write_predictions
from memlab.results.techniques import ALL, BASELINE, FULL_FIRST
from memlab.training import library_logs

BATCHES = (1, 4, 16)
LENGTHS = (512, 2048, 8192)
TECHNIQUE_SETUPS: tuple[tuple[str, Setup], ...] = (
    (BASELINE, Setup()),
    (BASELINE, Setup(precision="bf16")),
    *((one.name, Setup()) for one in FULL_FIRST if one.name != BASELINE),
    *((one.name, Setup(precision="bf16", step=step)) for one in ALL if one.stacked for step in record.STEPS),
)
"""Each technique with its script's defaults, full fine-tuning in both precisions, all steps of the stack.

What shards is not among them: a rank's prediction runs DeepSpeed three steps for each of four ranks and each
stage.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict the shapes of the command line that have no file yet. Leaves with status 1 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m memlab.grid", description="Predict every technique on every shape."
    )
    home = HOME / "results" / PREDICTIONS
    parser.add_argument("--out", type=Path, default=home, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--shapes", nargs="*", default=shapes.names(), choices=shapes.names(), metavar="NAME")
    options = parser.parse_args(arguments)
    library_logs.silence()
    try:
        for name in options.shapes:
            path = options.out / f"{name}{PREDICTIONS_SUFFIX}"
            if path.exists():
                continue
            start = time.monotonic()
            records = list(of_shape(name))
            write_predictions(path, records)
            seconds = time.monotonic() - start
            sys.stderr.write(f"{name}: {len(records)} predictions in {seconds:.0f} s\n")
    except UsageError as error:
        sys.exit(f"python -m memlab.grid: {error}")


def of_shape(name: str) -> Iterator[record.Record]:
    """Yield the predictions of one shape, without lengths that are beyond the model's. Raises UsageError."""
    setups = [
        Setup(model=name, predict=True, for_="cuda", batch=batch, seq=seq)
        for batch in BATCHES
        for seq in LENGTHS
    ]
    for technique, own in TECHNIQUE_SETUPS:
        yield from predict_steps(
            technique, [replace(setup, precision=own.precision, step=own.step) for setup in setups]
        )
