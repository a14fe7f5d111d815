"""Works: runs that may stand side by side. Without Flask.

A work is a setup on one device: the same model, batch, sequence, steps, data, kernels and versions
(`memlab.results.comparing.setting`). Only what a technique brings with it may differ within it (rank,
learning rate, stage and ranks of ZeRO, a step of the stack, the precision): that tells its *arms* apart.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from memlab.results.comparing import Difference, arm_order, differences, setting, unlike
from memlab.results.groups import Group, tuned
from memlab.results.record import Record
from memlab.results.techniques import BASELINE, place
from steelyard.evidence.records import Records
from steelyard.remember import remembered

DEVICES = ("cuda", "cpu", "fake")
"""The stronger evidence first."""


@dataclass(frozen=True)
class Workload:
    """What was done and where, and the repeats of it: by technique, the baseline first."""

    groups: tuple[Group, ...]

    @property
    def first(self) -> Record:
        return self.groups[0].first

    @cached_property
    def key(self) -> str:
        """A short name for an address, which changes with the setup, the device and the versions."""
        return hashlib.sha256(repr(setting(self.first)).encode()).hexdigest()[:10]

    @cached_property
    def techniques(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(group.first.technique for group in self.groups))

    def of(self, technique: str) -> tuple[Group, ...]:
        """Return the repeats of one technique."""
        return tuple(group for group in self.groups if group.first.technique == technique)

    def reference(self, group: Group) -> tuple[Group, tuple[Difference, ...]] | None:
        """Return what to compare repeats with, and in what the two differ; None where nothing compares.

        Of a shard that is stage 0 on as many ranks, of all else full fine-tuning in the same precision.
        """
        setup = group.first.setup
        sharded = setup.stage is not None
        others = [
            other
            for other in self.of(group.first.technique if sharded else BASELINE)
            if other.first.setup.precision == setup.precision
            and (not sharded or (other.first.setup.stage == 0 and other.first.setup.ranks == setup.ranks))
        ]
        for other, _rates in tuned(others):
            allowed, refused = differences(
                group.first, other.first, {"stage", "offload"} if sharded else set()
            )
            if not refused and other.arm != group.arm:
                return other, allowed
        return None


@remembered(1)
def workloads(records: Records) -> tuple[Workload, ...]:
    """Return every work: on a GPU first, and there the one first in which most techniques were measured."""
    by_setting: dict[str, list[Group]] = {}
    for group in records.groups:
        by_setting.setdefault(repr(setting(group.first)), []).append(group)
    made = [Workload(tuple(sorted(groups, key=group_order))) for groups in by_setting.values()]
    return tuple(
        sorted(made, key=lambda w: (DEVICES.index(w.first.device.kind), -len(w.techniques), -len(w.groups)))
    )


def workloads_of(technique: str, records: Records) -> tuple[Workload, ...]:
    """Return the works in which a technique was measured; the first heads its page."""
    return tuple(work for work in workloads(records) if technique in work.techniques)


def workload_differences(a: Workload, b: Workload) -> tuple[Difference, ...]:
    """Return in what two works differ."""
    return unlike(dict(setting(a.first)), dict(setting(b.first)))


def group_order(group: Group) -> tuple[Any, ...]:
    """Return the place of repeats among others of their work: by technique, precision, step and so on."""
    setup = group.first.setup
    return place(group.technique), setup.precision != "mixed", *arm_order(setup), group.ids
