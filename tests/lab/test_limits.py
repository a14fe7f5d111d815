"""What a prediction may take: it is ended in one line, and leaves its process as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from memlab.measuring.trainer import Trainer
from memlab.options.setup import Setup, UsageError
from memlab.predicting import predict
from memlab.predicting.limits import LimitError, limited
from memlab.results.files import HOME
from memlab.running.process import JOB
from warm import FOR_DEMOS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is limited there")


def compute_on() -> None:
    """Compute until somebody ends it; whatever raises an error on the way is passed over, as libraries do."""
    while True:
        with suppress(Exception):
            sum(range(1000))


def test_a_prediction_that_computes_too_long_is_ended_and_told_in_one_line():
    with pytest.raises(UsageError) as ended, limited("long", cpu_seconds=0.1):
        compute_on()

    assert str(ended.value) == (
        "--model long: predicting it takes more than 0.1 seconds of computing; its configuration asks for far "
        "more layers or experts than a public model has"
    )


def test_a_prediction_that_takes_too_much_memory_is_ended_and_told_in_one_line():
    line = r"^--model wide: predicting it takes more than 1.0 MiB of memory; "
    with pytest.raises(UsageError, match=line), limited("wide", memory_bytes=2**20):
        compute_on()


def test_memory_that_the_machine_lacks_is_told_likewise():
    line = r"^--model wide: predicting it takes more memory than there is; "
    with pytest.raises(UsageError, match=line), limited("wide"):
        raise MemoryError


def test_the_limits_end_with_the_prediction():
    import resource

    before = signal.getsignal(signal.SIGPROF), resource.getrlimit(resource.RLIMIT_CPU)
    with limited("small"):
        inside = resource.getrlimit(resource.RLIMIT_CPU)[0]

    assert 0 < inside < 10**6
    assert (signal.getsignal(signal.SIGPROF), resource.getrlimit(resource.RLIMIT_CPU)) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


@pytest.mark.parametrize("error", [LimitError("too much"), MemoryError()], ids=["limit", "memory"])
def test_neither_becomes_a_record_of_the_model(monkeypatch, error):
    """Out of memory is a result of a step on its device, and not of this machine's."""

    def ended(*_: object) -> None:
        raise error

    monkeypatch.setattr(Trainer, "ledger_step", ended)
    setup = Setup(model="tiny", random_init=False, predict=True, batch=1, seq=16)
    with pytest.raises(type(error)):
        predict.predict("baseline", None, setup)


LIMITED = """
import runpy, sys
from functools import partial
from memlab.predicting import limits
limits.LOOK_SECONDS = 0.001
limits.limited = partial(limits.limited, cpu_seconds=0)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A demo's process with no time at all for its prediction."""


@pytest.mark.slow
def test_the_process_of_a_prediction_is_limited_whoever_has_started_it():
    arguments = ["--predict", "--model", "tiny", "--batch", "1", "--seq", "64"]
    command = [sys.executable, "-c", LIMITED, str(HOME / "baseline.py"), *arguments]
    job = json.dumps({"seed": 0, "command": "python demos/baseline.py"})
    done = subprocess.run(command, env=os.environ | FOR_DEMOS | {JOB: job}, capture_output=True, text=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]

    assert said[-1]["refused"].startswith(
        "--model tiny: predicting it takes more than 0 seconds of computing; "
    ), done.stderr
