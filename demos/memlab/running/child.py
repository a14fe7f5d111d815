"""What the process of one run does: measure or predict once, and report to its parent in JSON lines.

The parent is the only one to read its standard output; whatever a library prints belongs into the log.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from memlab.options.demo import Demo
from memlab.options.setup import Setup, UsageError
from memlab.results.ranks import of_all
from memlab.running import torchrun
from memlab.running.lifetime import end_with_parent
from memlab.running.process import Job

Send = Callable[..., None]


def run(demo: Demo, setup: Setup, job: Job) -> None:
    """Do the job and send the parent its record, or why the input is refused."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")

    def send(**message: Any) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        if setup.predict:
            _predict(demo, setup, job, send)
        elif setup.ranks is None:
            _measure(demo, setup, job, send)
        elif torchrun.is_rank():
            _measure_rank(demo, setup, job, send)
        else:
            send(**torchrun.start(setup))
    except UsageError as error:
        send(refused=str(error))


def _measure(demo: Demo, setup: Setup, job: Job, send: Send) -> None:
    os.dup2(2, 1)
    send(stage="load", done=0, of=1)
    from memlab.measuring import hardware
    from memlab.measuring.run import Run

    run = Run(demo, setup, seed=job.seed, command=job.command)
    send(begun=run.to_record("failed", None).model_dump_json())

    def on_progress(stage: str, done: int, of: int) -> None:
        send(stage=stage, done=done, of=of, reserved_bytes=hardware.reserved_bytes(run.lab.device))

    send(record=run.measure(on_progress).model_dump_json())


def _predict(demo: Demo, setup: Setup, job: Job, send: Send) -> None:
    """Predict; where ranks share the work, send what each of them holds as well."""
    os.dup2(2, 1)
    send(stage="predict", done=0, of=1)
    from memlab.predicting.limits import limited
    from memlab.predicting.predict import predict_all

    with limited(setup.model):
        results = predict_all(demo, setup, seed=job.seed, command=job.command)
    first, *parts = (record.model_dump_json() for record in results)
    send(record=first, parts=parts)


def _measure_rank(demo: Demo, setup: Setup, job: Job, send: Send) -> None:
    """Measure as one of the ranks: rank 0 reports the progress, the process that started it the results."""
    os.dup2(2, 1)
    end_with_parent()  # each rank is in a session of its own, past any Ctrl-C
    first = torchrun.index() == 0
    if first:
        send(stage="load", done=0, of=1)
    from memlab.measuring.zero import ShardedRun

    run = ShardedRun(demo, setup, seed=job.seed, command=job.command)
    if first:
        send(begun=of_all([run.to_record("failed", None)]).model_dump_json())

    def on_progress(stage: str, done: int, of: int) -> None:
        if first:
            send(stage=stage, done=done, of=of)

    torchrun.hand_in(run.measure(on_progress))
