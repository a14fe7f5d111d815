"""Which records may be compared, in what they differ, and at which learning rate a technique is taken."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from memlab.results.record import TECHNIQUE_FIELDS, Record, Setup
from steelyard.evidence.records import Group, field

_OF_STEPS = frozenset({"optimizer", "loss_kernel", "offload"})
"""What some steps of the stack change, beside what their techniques bring with them anyway."""

_OF_PRECISION = frozenset({"autocast", "base_dtype", "adapter_dtype"})
"""What the precision decides."""


@dataclass(frozen=True)
class Difference:
    """A setup field in which the two sides of a comparison differ."""

    field: str
    of: Any
    against: Any


def differences(
    a: Record, b: Record, named: set[str]
) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """Return the differences that a comparison may have, and those that forbid it.

    `named` are the fields that both sides of the test name.
    """
    allowed: list[Difference] = []
    refused: list[Difference] = []
    for name in ("mode", "device", "device name"):
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
    chosen = named & {*differing}
    for name in differing:
        difference = Difference(name, getattr(a.setup, name), getattr(b.setup, name))
        (allowed if name in named or _follows(difference, a, b, chosen) else refused).append(difference)
    return tuple(allowed), tuple(refused)


def _follows(difference: Difference, a: Record, b: Record, chosen: set[str]) -> bool:
    """Say whether a difference comes with the technique or step, or with a field that the test chose."""
    name = difference.field
    steps = a.setup.step != b.setup.step
    if (a.technique != b.technique or steps) and (
        name == "base_dtype"
        or (name in TECHNIQUE_FIELDS and None in (difference.of, difference.against))
        or (steps and name in _OF_STEPS)
    ):
        return True
    if name == "lr":  # each side at the rate that suits it, unless the rate is all in which they differ
        return a.technique != b.technique or bool(chosen)
    if name == "alpha":  # it goes with the rank where both are scaled alike
        return "rank" in chosen and a.setup.scale == b.setup.scale
    return "precision" in chosen and name in _OF_PRECISION


def tuned(groups: Iterable[Group]) -> tuple[tuple[Group, tuple[float, ...]], ...]:
    """Of groups that differ in the learning rate alone keep one, and say which rates there were.

    It is the group with the most seeds, among several the one with the lowest held-out loss.
    """
    arms: dict[str, list[Group]] = {}
    for group in groups:
        arms.setdefault(group.arm, []).append(group)
    return tuple(
        (min(arm, key=_worth), tuple(sorted(group.first.setup.lr for group in arm))) for arm in arms.values()
    )


def _worth(group: Group) -> tuple[int, float]:
    losses = [
        record.learning.eval_loss_after
        for _, record in group.runs.values()
        if record.learning and record.learning.eval_loss_after is not None
    ]
    return -len(group.runs), statistics.median(losses) if losses else float("inf")
