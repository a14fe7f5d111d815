"""Group records and compare them: repeats, baselines, savings (which are worked out, never stored)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from memlab.results.record import TECHNIQUE_FIELDS, Record

CURVE_STEPS = 20
"""Optimizer steps from which on a run's losses are worth showing; fewer tell of memory and time alone."""

PRECISIONS = {"mixed": "mixed precision", "bf16": "pure bf16"}
BASELINE = "baseline"
LORA = "lora"

Get = Callable[[Record], float | None]


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seed."""

    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        return self.records[0]

    @property
    def technique(self) -> str:
        return self.first.technique

    @property
    def status(self) -> str:
        """`ok` when all repeats ended well, else what became of the first that did not."""
        return next((one.status for one in self.records if one.status != "ok"), "ok")

    @property
    def sharding(self) -> str:
        """` stage 2 × 4`, ZeRO's stage and the ranks; nothing for a technique that does not shard."""
        setup = self.first.setup
        return (
            ""
            if setup.stage is None
            else f" stage {setup.stage} × {setup.ranks}" + ", offloaded" * setup.offload
        )

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
        return min(len(one.learning.losses) if one.learning else 0 for one in self.records)

    @property
    def precision(self) -> str:
        return PRECISIONS[self.first.setup.precision]

    def median(self, get: Get) -> float | None:
        """Return the median over the repeats that have a value, or None when none has."""
        return statistics.median(values) if (values := self.values(get)) else None

    def values(self, get: Get) -> list[float]:
        """Return the values of the repeats that have one."""
        return [value for value in map(get, self.records) if value is not None]


def grouped(records: Iterable[Record]) -> list[Group]:
    """Put repeats together, in the order in which the groups first appear."""
    groups: dict[str, list[Record]] = {}
    for one in records:
        key = repr((one.technique, one.device.name, one.setup.without_seed(), _versions(one)))
        groups.setdefault(key, []).append(one)
    return [Group(tuple(sorted(group, key=lambda one: one.setup.seed))) for group in groups.values()]


def comparable(a: Record, b: Record, *, across_precisions: bool = False) -> bool:
    """Whether two records differ in nothing but technique and seed (and, if so asked, precision)."""
    free = TECHNIQUE_FIELDS | {"seed"} | ({"precision", "autocast"} if across_precisions else set())
    return (
        a.setup.model_dump(exclude=set(free)) == b.setup.model_dump(exclude=set(free))
        and (a.device.kind, a.device.name) == (b.device.kind, b.device.name)
        and _versions(a) == _versions(b)
    )


def _versions(one: Record) -> list[tuple[str, str | None]]:
    return sorted(one.origin.versions.items())


def change(of: float | None, against: float | None) -> float | None:
    """Return the relative change as a fraction, or None when a side is missing or infinite."""
    if of is None or not against or math.inf in (of, against):
        return None
    return of / against - 1


def peak_of(one: Record) -> float | None:
    return one.memory.peak_bytes


def step_of(one: Record) -> float | None:
    return one.speed.step_seconds.median if one.speed.step_seconds else None


def bytes_at_peak(kind: str) -> Get:
    """Return the function that looks up one kind's bytes at the peak."""

    def get(one: Record) -> float | None:
        breakdown = one.memory.breakdown_at_peak
        return getattr(breakdown, kind) if breakdown else None

    return get


# ---- learning --------------------------------------------------------------------------------------------


def loss_at(steps: int | None) -> Get:
    """Return the function that looks up the training loss after so many steps; None for all of them."""
    return lambda one: one.learning.loss_after(steps) if one.learning else None


loss_of = loss_at(None)
"""The training loss at the end, the mean of the last `LOSS_WINDOW` steps."""


def loss_after_seconds(seconds: float | None) -> Get:
    """Return the function that looks up the training loss after `seconds` of steps."""
    return lambda one: one.loss_after_seconds(seconds) if seconds is not None else None


def held_out_of(one: Record) -> float | None:
    return one.learning.eval_loss_after if one.learning else None


def steps_to(other: Group) -> Get:
    """Return the function that counts a run's steps to the final loss of `other`'s run of the same seed.

    It gives infinity for a run that never came so low: left out, it would make the median a better one.
    """
    losses = {one.setup.seed: loss_of(one) for one in other.records}

    def get(one: Record) -> float | None:
        loss = losses.get(one.setup.seed)
        return (one.learning.steps_to(loss) or math.inf) if one.learning and loss is not None else None

    return get


def equal_seconds(groups: Iterable[Group]) -> float | None:
    """Return how long the quickest of all runs took: the time at which every loss can be read."""
    times = (one.training_seconds for group in groups for one in group.records)
    return min((seconds for seconds in times if seconds is not None), default=None)


def best(groups: Iterable[Group]) -> Group | None:
    """Return the group with most seeds, or of several the one with the lowest held-out loss."""

    def key(group: Group) -> tuple[int, float]:
        loss = group.median(held_out_of)
        return -len(group.records), loss if loss is not None else math.inf

    return min(groups, key=key, default=None)


def lora_beside(group: Group, everything: Iterable[Group]) -> Group | None:
    """Return the LoRA runs whose losses `group`'s may be compared with, if it is another technique's."""
    if group.technique in (BASELINE, LORA) or group.steps < CURVE_STEPS:
        return None
    return best(g for g in everything if g.technique == LORA and comparable(group.first, g.first))


# ---- memory ----------------------------------------------------------------------------------------------


def savings(group: Group, everything: Iterable[Group]) -> list[tuple[Group, float]]:
    """Return each baseline to compare `group` with, one a precision, and the fraction of its peak saved.

    A run that did not end well has no saving: the peak that it had reached is not its peak.
    """
    found: dict[str, tuple[Group, float]] = {}
    for baseline in everything:
        if baseline.technique != BASELINE or not baseline.status == group.status == "ok":
            continue
        if comparable(group.first, baseline.first, across_precisions=True):
            difference = change(group.median(peak_of), baseline.median(peak_of))
            if difference is not None:
                found.setdefault(baseline.first.setup.precision, (baseline, -difference))
    return [found[precision] for precision in PRECISIONS if precision in found]


def differences(yours: Record, theirs: Record) -> list[str]:
    """List what keeps two records of one technique from being repeats of each other, in words."""
    mine, other = yours.setup.without_seed(), theirs.setup.without_seed()
    pairs = [(name, mine[name], other[name]) for name in mine]
    pairs += [(f"version of {name}", yours.origin.versions.get(name), v) for name, v in _versions(theirs)]
    pairs += [("device", yours.device.name, theirs.device.name)]
    return [f"{name} is {a} here and {b} in theirs" for name, a, b in pairs if a != b]
