"""The numbers that a test may ask a record for, by path, and those that only two records have together."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from memlab.results.gpu_fit import GIB, GPU_SIZES, smallest_ranks
from memlab.results.record import Record


def _numbers(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        for part in _alternatives(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _numbers(part, f"{before}{name}.")
            elif part in (int, float):
                yield f"{before}{name}"


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation joins by `|`."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _alternatives(part)
    else:
        yield annotation


GPUS = {f"gpus.{size // GIB}": size for size in GPU_SIZES}
"""The smallest number of GPUs of a size that hold a run with its four-bit weights shared out under ZeRO-3.

`memlab.results.gpu_fit.smallest_ranks` works it out from a record of one GPU.
"""

METRICS = frozenset(_numbers(Record)) - {"schema_version"} | {"states.total"} | GPUS.keys()
"""Every path at which a record has a number, such as `memory.peak_bytes`, and what follows from one alone."""


def metric(record: Record, path: str) -> float | None:
    """Return the number at `path`, None if it was not measured. Raises KeyError when no record has it."""
    if path not in METRICS:
        raise KeyError(path)
    if path in GPUS:
        return _gpus(record, GPUS[path])
    part: Any = record
    for name in path.split("."):
        if part is None:
            return None
        part = getattr(part, name)
    number: float | None = part
    return number


def _gpus(record: Record, gpu_bytes: int) -> int | None:
    try:
        fewest = smallest_ranks(record, gpu_bytes)
    except ValueError:  # not in four bits, or no shape whose layers the lab knows
        return None
    return fewest.ranks if fewest else None


@dataclass(frozen=True)
class Sides:
    """A number on both sides of a comparison."""

    of: float
    against: float
    reached: bool = True
    """False when `of` is only what the run came to: the number itself is greater."""


def _steps_to_loss(of: Record, against: Record) -> Sides | None:
    if of.learning is None or against.learning is None or of.learning.loss_after() is None:
        return None
    goal = against.learning.loss_after()
    theirs = None if goal is None else against.learning.steps_to(goal)
    if goal is None or theirs is None:
        return None
    steps = of.learning.steps_to(goal)
    return Sides(steps or len(of.learning.losses), theirs, reached=steps is not None)


def _loss_at_equal_seconds(of: Record, against: Record) -> Sides | None:
    mine, theirs = of.training_seconds, against.training_seconds
    if mine is None or theirs is None:
        return None
    seconds = min(mine, theirs)
    a, b = of.loss_after_seconds(seconds), against.loss_after_seconds(seconds)
    return None if a is None or b is None else Sides(a, b)


PAIRED: Mapping[str, Callable[[Record, Record], Sides | None]] = {
    "steps_to_loss": _steps_to_loss,
    "loss_at_equal_seconds": _loss_at_equal_seconds,
}
"""Numbers of two records together, losses being means over ten steps (`memlab.results.record.Learning`).

`steps_to_loss`: the steps until the loss is where the `against` run ended. Both sides are asked: a run whose
loss has levelled off was there before its end. A run that never came so low needs more steps than it made.

`loss_at_equal_seconds`: the training loss of both when the quicker of the two had made all its steps.
"""


def sides(of: Record, against: Record, name: str) -> Sides | None:
    """Return a number of two records, None if it was not measured on both. Raises KeyError."""
    if name in PAIRED:
        return PAIRED[name](of, against)
    a, b = metric(of, name), metric(against, name)
    return None if a is None or b is None else Sides(a, b)
