"""Search what can be trained on a GPU of one size: every technique, by prediction, until it does not fit."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from memlab.options.setup import Setup
from memlab.plan.grid import ARMS, BATCHES, LENGTHS
from memlab.predicting.predict import Steps
from memlab.results import gpu_fit, record
from memlab.results.gpu_fit import Fit
from memlab.results.numbers import in_bytes
from memlab.results.techniques import BASELINE


@dataclass(frozen=True)
class Option:
    """One way to train that fits."""

    record: record.Record
    fit: Fit
    flops_per_token: float

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
    each: Callable[..., Iterable[Any]] = map,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[list[Option], list[str]]:
    """Return what fits, ranked within each length, and a line for each technique and length that is left out.

    Of the batches of a technique at one length, the largest that fits is returned. `each` maps a function
    over the techniques, in their order; a pool of processes has such a map. Raises UsageError.
    """
    found: list[Option] = []
    left_out: list[str] = []
    arm_search = partial(_search_arm, setup, gpu_bytes, sorted(batches), sorted(lengths))
    for name, fitting, lines in each(arm_search, ARMS):
        tell(name)
        found += fitting
        left_out += lines
    return sorted(found, key=_rank), left_out


def _search_arm(
    setup: Setup, gpu_bytes: int, batches: list[int], lengths: list[int], arm: tuple[str, Setup]
) -> tuple[str, list[Option], list[str]]:
    """Return the name of a technique, what of it fits, and a line for each length that is left out."""
    technique, own = arm
    setup = replace(setup, precision=own.precision, step=own.step)
    cells = [replace(setup, batch=batch, seq=seq) for seq in lengths for batch in batches]
    name = _name(technique, setup)
    found, left_out = [], []
    # What the libraries say of a technique that a model cannot take is in the record's message.
    with Steps(technique, cells) as steps, redirect_stderr(io.StringIO()):
        for seq in lengths:
            best, why = _largest(steps, [one for one in cells if one.seq == seq], gpu_bytes)
            if best is not None:
                found.append(best)
            else:
                left_out.append(f"{name}, {seq} tokens: {why}")
    return name, found, left_out


def _name(technique: str, setup: Setup | record.Setup) -> str:
    """Return the technique with what tells it from another one: its step, or the baseline's precision."""
    return (
        f"{technique} {setup.step or setup.precision}" if setup.step or technique == BASELINE else technique
    )


def _rank(one: Option) -> tuple[int, float, int]:
    # Techniques whose costs agree to three digits cost the same.
    return one.record.setup.seq, float(f"{one.flops_per_token:.3g}"), -one.record.setup.batch


def _largest(steps: Steps, cells: Sequence[Setup], gpu_bytes: int) -> tuple[Option | None, str]:
    """Return the last of these loads, which ascend, that fits; None and why if there is none."""
    if not steps.reads(cells[0].seq):
        return None, "the model reads fewer"
    best, why = None, ""
    for setup in cells:
        one = steps.predict(setup)
        if one.status != "ok":
            why = str(one.message)
            break
        option = Option(one, gpu_fit.fit(one, gpu_bytes), steps.flops / (setup.batch * setup.seq))
        if not option.fit.fits:
            why = f"even batch {setup.batch} lacks {in_bytes(-option.fit.margin_bytes)}"
            break
        best = option
    return best, why
