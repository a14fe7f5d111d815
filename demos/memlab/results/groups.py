"""Repeats: runs that differ in nothing but their seed, put together, and the numbers they have. No torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from memlab.results.record import LEARNING_STEPS, TIMING_FIELDS, Record

PRECISIONS = {"mixed": "mixed precision", "bf16": "pure bf16"}

Get = Callable[[Record], float | None]

_KIND_OF_DEVICE: dict[str, Literal["gpu", "cpu", "predicted"]] = {
    "cuda": "gpu",
    "cpu": "cpu",
    "fake": "predicted",
}


@dataclass(frozen=True)
class Group:
    """Repeats by seed, each record with the id that names it: its slug, or its path among published ones."""

    runs: Mapping[int, tuple[str, Record]]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Group:
        """Put together records that are repeats of each other; of two with one seed the first counts."""
        runs: dict[int, tuple[str, Record]] = {}
        for record in records:
            runs.setdefault(record.setup.seed, (record.slug, record))
        return cls(dict(sorted(runs.items())))

    @property
    def first(self) -> Record:
        return next(iter(self.runs.values()))[1]

    @property
    def records(self) -> tuple[Record, ...]:
        return tuple(record for _, record in self.runs.values())

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(run_id for run_id, _ in self.runs.values())

    @property
    def technique(self) -> str:
        return self.first.technique

    @property
    def kind(self) -> Literal["gpu", "cpu", "predicted"]:
        """How the figures were obtained."""
        return _KIND_OF_DEVICE[self.first.device.kind]

    @cached_property
    def arm(self) -> str:
        """What repeats at other learning rates have in common with these, as text."""
        return identity(self.first, "lr")

    @property
    def status(self) -> str:
        """`ok` when all repeats ended well, else what became of the first that did not."""
        return next((record.status for record in self.records if record.status != "ok"), "ok")

    @property
    def sharding(self) -> str:
        """` stage 2 × 4`, ZeRO's stage and the ranks; nothing for a technique that does not shard."""
        setup = self.first.setup
        if setup.stage is None:
            return ""
        return f" stage {setup.stage} × {setup.ranks}" + ", offloaded" * setup.offload

    @property
    def adapters(self) -> str:
        """`rank 16`, or `pissa_niter_4, rank 16`; nothing where there are no adapters."""
        setup = self.first.setup
        if setup.rank is None or setup.adapter_dtype is None:
            return ""
        quick = setup.init not in (None, self.technique)  # PiSSA's own initialisation needs no naming
        return f"{setup.init}, " * quick + f"rank {setup.rank}"

    @property
    def steps(self) -> int:
        """How many optimizer steps the shortest of the repeats made, warm-up included."""
        return min(len(record.learning.losses) if record.learning else 0 for record in self.records)

    @property
    def shows_learning(self) -> bool:
        """Whether every repeat made steps enough to show what was learned."""
        return self.steps >= LEARNING_STEPS

    @property
    def precision(self) -> str:
        return PRECISIONS[self.first.setup.precision]

    def median(self, get: Get) -> float | None:
        """Return the median over the repeats that have a value, or None when none has."""
        return statistics.median(values) if (values := self.values(get)) else None

    def values(self, get: Get) -> list[float]:
        """Return the values of the repeats that have one."""
        return [value for value in map(get, self.records) if value is not None]


def identity(record: Record, *without: str) -> str:
    """Return all that repeats have in common, as text that sorts: everything but the seed.

    Fields of the setup that `without` names are left out too.
    """
    device = record.device
    versions = sorted(record.origin.versions.items())
    setup = [item for item in record.setup.without_seed().items() if item[0] not in without]
    timing = [getattr(device, name) for name in TIMING_FIELDS]
    return repr((record.technique, record.mode, device.kind, device.name, setup, versions, timing))


def grouped(records: Iterable[Record]) -> list[Group]:
    """Put repeats together, in the order in which the groups first appear."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(identity(record), []).append(record)
    return list(map(Group.of, groups.values()))


def arms(groups: Iterable[Group]) -> list[list[Group]]:
    """Put groups together that differ in the learning rate alone, in the order in which they appear."""
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(group.arm, []).append(group)
    return list(found.values())


def best(groups: Iterable[Group]) -> Group | None:
    """Return the group with the most seeds, or of several the one with the lowest held-out loss."""

    def key(group: Group) -> tuple[int, float]:
        loss = group.median(held_out_of)
        return -len(group.runs), loss if loss is not None else math.inf

    return min(groups, key=key, default=None)


def tuned(groups: Iterable[Group]) -> tuple[tuple[Group, tuple[float, ...]], ...]:
    """Of groups that differ in the learning rate alone keep the `best`, and say which rates there were."""
    return tuple(
        (chosen, tuple(sorted(group.first.setup.lr for group in arm)))
        for arm in arms(groups)
        if (chosen := best(arm))
    )


# ---- numbers of a record ---------------------------------------------------------------------------------


def peak_of(record: Record) -> float | None:
    return record.memory.peak_bytes


def step_of(record: Record) -> float | None:
    return record.speed.step_seconds.median if record.speed.step_seconds else None


def bytes_at_peak(kind: str) -> Get:
    """Return the function that looks up one kind's bytes at the peak."""

    def get(record: Record) -> float | None:
        breakdown = record.memory.breakdown_at_peak
        return getattr(breakdown, kind) if breakdown else None

    return get


def loss_at(steps: int | None) -> Get:
    """Return the function that looks up the training loss after so many steps; None for all of them."""
    return lambda record: record.learning.loss_after(steps) if record.learning else None


loss_of = loss_at(None)
"""The training loss at the end, the mean of the last `LOSS_WINDOW` steps."""


def loss_after_seconds(seconds: float | None) -> Get:
    """Return the function that looks up the training loss after `seconds` of steps."""
    return lambda record: record.loss_after_seconds(seconds) if seconds is not None else None


def held_out_of(record: Record) -> float | None:
    return record.learning.eval_loss_after if record.learning else None


def steps_to(other: Group) -> Get:
    """Return the function that counts a run's steps to the final loss of `other`'s run of the same seed.

    It gives infinity for a run that never came so low: left out, it would make the median a better one.
    """
    losses = {record.setup.seed: loss_of(record) for record in other.records}

    def get(record: Record) -> float | None:
        loss = losses.get(record.setup.seed)
        if record.learning is None or loss is None:
            return None
        return record.learning.steps_to(loss) or math.inf

    return get
