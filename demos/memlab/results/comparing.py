"""The one ruler: which records may be compared, in what they differ, and what is saved. No torch.

Two records compare where the device, the versions and the setup agree. Apart from the technique only these
fields of the setup may differ:

- those that the comparison is about, which the caller names (a claim's test by naming them on both sides);
- those that only one of two techniques has: a rank, a scale, a step of the stack;
- what a technique, or a step of the stack, changes by its nature: the storage type of the weights, the
  optimizer, the loss kernel, what is offloaded. No demo has an option for these, so where they differ between
  two techniques it is the script that says so;
- the learning rate, since each technique is taken at the rate that suits it;
- what follows from a named field: the scale alpha from the rank, the types of weights from the precision.

A rank that both have is no technique's own: LoRA at rank 16 and DoRA at rank 8 compare where the rank is
named. A package that one side lacks took no part there, and is no difference; one that both have in two
versions is.

Times depend on more than memory does. They compare only where the device's threads and its bf16 kernel agree
as well; a record that does not say is of an unknown kernel, and compares in time with its like alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from memlab.results.groups import PRECISIONS, Get, Group, best, peak_of
from memlab.results.record import STEPS, TECHNIQUE_FIELDS, TIMING_FIELDS, Record, Setup
from memlab.results.techniques import BASELINE

LORA = "lora"

_CHANGED_BY_TECHNIQUES = frozenset({"base_dtype", "optimizer", "loss_kernel", "offload"})
"""What both sides have, and a technique or a step of the stack may change."""

_CHANGED_BY_PRECISION = frozenset({"autocast", "base_dtype", "adapter_dtype"})

_ARM_FIELDS = TECHNIQUE_FIELDS | {"seed", "precision", "autocast", "stage", "ranks", "rank_index"}
"""What the arms of a work differ in; in every other field of the setup they agree (`setting`)."""


# ---- which records compare -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """Something in which the two sides of a comparison differ, by the name of its field."""

    field: str
    of: Any
    against: Any


def field(record: Record, name: str) -> Any:
    """Return a field by which records are selected and compared. Raises AttributeError."""
    if name in ("technique", "mode"):
        return getattr(record, name)
    if name in ("device", "device name"):
        return record.device.kind if name == "device" else record.device.name
    return getattr(record.device if name in TIMING_FIELDS else record.setup, name)


def differences(
    a: Record, b: Record, named: Collection[str] = (), *, in_time: bool = False
) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """Return the differences that a comparison may have, and those that forbid it.

    `named` are the fields that the comparison is about; `in_time` says that times are to be compared.
    """
    allowed: list[Difference] = []
    refused: list[Difference] = []
    for name in ("mode", "device", "device name", *(TIMING_FIELDS if in_time else ())):
        if field(a, name) != field(b, name):
            refused.append(Difference(name, field(a, name), field(b, name)))
    versions, others = a.origin.versions, b.origin.versions
    for name in sorted({*versions} & {*others}):
        if None not in (versions[name], others[name]) and versions[name] != others[name]:
            refused.append(Difference(f"version of {name}", versions[name], others[name]))
    differing = [
        name
        for name in Setup.model_fields
        if name != "seed" and getattr(a.setup, name) != getattr(b.setup, name)
    ]
    chosen = {*named} & {*differing}
    for name in differing:
        difference = Difference(name, getattr(a.setup, name), getattr(b.setup, name))
        (allowed if name in chosen or _follows(difference, a, b, chosen) else refused).append(difference)
    return tuple(allowed), tuple(refused)


def _follows(difference: Difference, a: Record, b: Record, chosen: Collection[str]) -> bool:
    """Say whether a difference comes with the technique or step, or with a field that was chosen."""
    name = difference.field
    techniques = a.technique != b.technique
    if techniques or a.setup.step != b.setup.step:
        one_sided = name in TECHNIQUE_FIELDS and None in (difference.of, difference.against)
        if one_sided or name in _CHANGED_BY_TECHNIQUES:
            return True
    if name == "lr":  # each side at the rate that suits it, unless the rate is all in which they differ
        return techniques or bool(chosen)
    if name == "alpha":  # it goes with the rank where both are scaled alike
        return "rank" in chosen and a.setup.scale == b.setup.scale
    return "precision" in chosen and name in _CHANGED_BY_PRECISION


def comparable(a: Record, b: Record, named: Collection[str] = (), *, in_time: bool = False) -> bool:
    """Whether two records may be compared (see `differences`, which takes the same and says why not)."""
    return not differences(a, b, named, in_time=in_time)[1]


def is_time(metric: str) -> bool:
    """Whether a number of the record, by its path, or of two records together depends on time."""
    return metric.startswith("speed.") or metric == "loss_at_equal_seconds"


def times_compare(a: Record, b: Record) -> bool:
    """Whether two records were made where the same work takes the same time."""
    return all(field(a, name) == field(b, name) for name in ("device", "device name", *TIMING_FIELDS))


def unlike(of: Mapping[str, Any], against: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return in what two descriptions of runs differ, by name; what one lacks is None there."""
    return tuple(
        Difference(name, of.get(name), against.get(name))
        for name in {**of, **against}
        if of.get(name) != against.get(name)
    )


def unlike_repeats(a: Record, b: Record) -> tuple[Difference, ...]:
    """Return what keeps two records of one technique from being repeats of each other."""

    def described(record: Record) -> dict[str, Any]:
        versions = {f"version of {name}": version for name, version in sorted(record.origin.versions.items())}
        timing = {name: field(record, name) for name in TIMING_FIELDS}
        return record.setup.without_seed() | versions | {"device": record.device.name} | timing

    return unlike(described(a), described(b))


# ---- which records stand side by side --------------------------------------------------------------------


def setting(record: Record) -> tuple[tuple[str, Any], ...]:
    """Return what runs share that stand side by side in a table or chart, by name: the work and the machine.

    The threads and the kernel are part of it, since tables and charts show times; unknown ones are left out.
    """
    return (
        ("device", record.device.kind),
        ("device name", record.device.name),
        *((name, getattr(record.setup, name)) for name in Setup.model_fields if name not in _ARM_FIELDS),
        *(
            (f"version of {name}", version)
            for name, version in sorted(record.origin.versions.items())
            if version is not None
        ),
        *((name, value) for name in TIMING_FIELDS if (value := field(record, name)) is not None),
    )


def arm_order(setup: Setup) -> tuple[int, int, int, bool, str, int, float]:
    """Return the place of an arm among others of its technique: the usual one comes before its variants."""
    return (
        STEPS.index(setup.step) if setup.step else -1,
        setup.ranks,
        setup.stage or 0,
        setup.offload,
        setup.init or "",
        -(setup.rank or 0),
        setup.lr,
    )


# ---- what is saved ---------------------------------------------------------------------------------------


def fraction_saved(of: float, against: float) -> float:
    """Return the fraction of `against` that `of` saves; below 0, what it takes more. `against` is not 0."""
    return 1 - of / against


def saving(of: float | None, against: float | None) -> float | None:
    """Return the fraction of `against` that `of` saves; None when a side is missing, infinite or 0."""
    if of is None or not against or math.inf in (of, against):
        return None
    return fraction_saved(of, against)


def change(of: float | None, against: float | None) -> float | None:
    """Return the relative change as a fraction: a saving, with its sign reversed."""
    saved = saving(of, against)
    return None if saved is None else 0 - saved  # of nothing saved: 0, where a minus sign would give -0


def common_seeds(of: Group, against: Group) -> list[int]:
    """Return the seeds of which both have a run: comparisons are made seed by seed."""
    return sorted({*of.runs} & {*against.runs})


def median_saving(of: Group, against: Group, get: Get = peak_of) -> float | None:
    """Return the fraction saved, the median over the seeds that both have; without any, of the medians.

    `get` gives the number; None where a side has none.
    """
    pairs = ((of.runs[seed][1], against.runs[seed][1]) for seed in common_seeds(of, against))
    saved = [value for a, b in pairs if (value := saving(get(a), get(b))) is not None]
    return statistics.median(saved) if saved else saving(of.median(get), against.median(get))


def savings(group: Group, everything: Iterable[Group]) -> list[tuple[Group, float]]:
    """Return each baseline to compare `group` with, one a precision, and the fraction of its peak saved.

    A run that did not end well has no saving: the peak that it had reached is not its peak.
    """
    found: dict[str, tuple[Group, float]] = {}
    for baseline in everything:
        if baseline.technique != BASELINE or not baseline.status == group.status == "ok":
            continue
        if comparable(group.first, baseline.first, {"precision"}):
            saved = median_saving(group, baseline)
            if saved is not None:
                found.setdefault(baseline.first.setup.precision, (baseline, saved))
    return [found[precision] for precision in PRECISIONS if precision in found]


# ---- what is learned -------------------------------------------------------------------------------------


def equal_seconds(groups: Iterable[Group]) -> float | None:
    """Return how long the quickest of all runs took: the time at which every loss can be read."""
    times = (record.training_seconds for group in groups for record in group.records)
    return min((seconds for seconds in times if seconds is not None), default=None)


def lora_beside(group: Group, everything: Iterable[Group]) -> Group | None:
    """Return the LoRA runs whose losses `group`'s may be compared with, if it is another technique's.

    They may be of another rank, or scaled otherwise: whoever shows them says of which.
    """
    if group.technique in (BASELINE, LORA) or not group.shows_learning:
        return None
    loras = (other for other in everything if other.technique == LORA)
    return best(other for other in loras if comparable(group.first, other.first, {"rank", "alpha"}))
