"""Search what fits on a GPU: predict every technique with growing batches until one does not fit."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from memlab.options.setup import Setup
from memlab.plan.grid import BATCHES, LENGTHS, TECHNIQUE_SETUPS
from memlab.predicting.predict import StepPredictor
from memlab.results import gpu_fit, record
from memlab.results.gpu_fit import Fit
from memlab.results.numbers import in_bytes
from memlab.results.techniques import BASELINE


@dataclass(frozen=True)
class FittingRun:
    """A predicted run that fits on the GPU."""

    record: record.Record
    fit: Fit
    flops_per_token: float
    """Floating-point operations of a step, divided by its tokens."""

    @property
    def name(self) -> str:
        """The technique, with the stack's step or the baseline's precision."""
        return _name(self.record.technique, self.record.setup)


def search(
    setup: Setup,
    gpu_bytes: int,
    batches: Sequence[int] = BATCHES,
    lengths: Sequence[int] = LENGTHS,
    *,
    map_: Callable[..., Iterable[Any]] = map,
    on_predicted: Callable[[str], None] = lambda name: None,
) -> tuple[list[FittingRun], list[str]]:
    """Return what fits, by length and then cost, and a line for each technique and length that does not.

    Of a technique's batches at one length, only the largest that fits is returned. `map_` maps a function
    over the techniques, in their order, such as the `map` of a pool of processes; `on_predicted` is called
    with the name of each technique that is done. Raises UsageError.
    """
    fitting: list[FittingRun] = []
    left_out: list[str] = []
    search_technique = partial(_search_technique, setup, gpu_bytes, sorted(batches), sorted(lengths))
    for name, runs, lines in map_(search_technique, TECHNIQUE_SETUPS):
        on_predicted(name)
        fitting += runs
        left_out += lines
    return sorted(fitting, key=_sort_key), left_out


def _search_technique(
    setup: Setup,
    gpu_bytes: int,
    batches: list[int],
    lengths: list[int],
    technique_setup: tuple[str, Setup],
) -> tuple[str, list[FittingRun], list[str]]:
    """Return the name of a technique, its runs that fit, and a line for each length at which none does."""
    technique, own = technique_setup
    setup = replace(setup, precision=own.precision, step=own.step)
    setups = [replace(setup, batch=batch, seq=seq) for seq in lengths for batch in batches]
    name = _name(technique, setup)
    fitting, left_out = [], []
    # The record's message has what libraries print when a model does not support a technique.
    with StepPredictor(technique, setups) as predictor, redirect_stderr(io.StringIO()):
        for seq in lengths:
            run, reason = _largest(predictor, [setup for setup in setups if setup.seq == seq], gpu_bytes)
            if run is not None:
                fitting.append(run)
            else:
                left_out.append(f"{name}, {seq} tokens: {reason}")
    return name, fitting, left_out


def _name(technique: str, setup: Setup | record.Setup) -> str:
    """Return the technique with what tells it from another one: its step, or the baseline's precision."""
    return (
        f"{technique} {setup.step or setup.precision}" if setup.step or technique == BASELINE else technique
    )


def _sort_key(run: FittingRun) -> tuple[int, float, int]:
    # Costs that agree to three digits count as equal.
    return run.record.setup.seq, float(f"{run.flops_per_token:.3g}"), -run.record.setup.batch


def _largest(
    predictor: StepPredictor, setups: Sequence[Setup], gpu_bytes: int
) -> tuple[FittingRun | None, str]:
    """Return the last of these setups, in ascending order, that fits; None and a reason if there is none."""
    if not predictor.accepts_length(setups[0].seq):
        return None, "the model reads fewer"
    largest, reason = None, ""
    for setup in setups:
        prediction = predictor.predict(setup)
        if prediction.status != "ok":
            reason = str(prediction.message)
            break
        fit = gpu_fit.fit(prediction, gpu_bytes)
        if not fit.fits:
            reason = f"even batch {setup.batch} lacks {in_bytes(-fit.margin_bytes)}"
            break
        largest = FittingRun(prediction, fit, predictor.flops / (setup.batch * setup.seq))
    return largest, reason
